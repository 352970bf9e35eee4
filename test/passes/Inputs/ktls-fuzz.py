#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
#
# Compiles random programs over thread-local variables with the host's TLS and with KernelTls at several optimisation levels, runs them in
# eight threads (ktls-driver.cpp) and compares the answers.
#
#   ktls-fuzz.py PLUGIN INPUTS-DIRECTORY WORK-DIRECTORY FIRST-SEED COUNT
#
# A program is a list of templates filled with random variables; none has undefined behaviour (-fwrapv -fno-strict-aliasing).
import os
import random
import subprocess
import sys

LEVELS = ["-O0", "-O1", "-O2 -mno-sse -mno-mmx -mno-implicit-float", "-O3 -march=native", "-Oz"]
COMMON = "clang++ -std=c++20 -fno-pic -w -fwrapv -fno-strict-aliasing -mno-red-zone".split()
LINK = COMMON + ["-no-pie", "-fuse-ld=lld"]
SIZES = {"uint8_t": 1, "int16_t": 2, "uint32_t": 4, "int64_t": 8, "uint64_t": 8}

PRELUDE = """#include <cstdint>
#include <cstring>
#ifdef OSV_GS
extern "C" constinit thread_local uint64_t osv_gate_block[12] = {};
#endif
struct Node {
  uint8_t tag;
  uint32_t part[5];
  uint64_t sum;
  struct { int16_t x, y; } cell[3];
  Node *next;
  uint64_t get(int i) const { return part[i % 5] + sum; }
  void set(int i, uint64_t v) { part[i % 5] = v; sum ^= v; cell[i % 3].x += v; }
};
namespace {
constinit thread_local uint64_t hash = 0;
void mix(uint64_t v) { hash = (hash ^ v) * 0x9e3779b97f4a7c15 + (hash >> 31); }
constinit thread_local Node one{}, two{}, nodes[4] = {};
__attribute__((noinline)) uint64_t peek(const void *p, int k) { uint8_t x; memcpy(&x, p, 1); return x + k; }
__attribute__((noinline)) Node *pick(bool first) { return first ? &one : &two; }
__attribute__((noinline)) void poke(uint32_t *p, uint32_t v) { *p = v; }
"""

# @v @w: scalars; @a: an array of at least 3; @e: an expression; @n: bytes within @a; @b: a nested block
STATEMENTS = """
@v += @w * 3 + @e;
@v ^= @a[@e % 3];
@a[@e % 3] += @v; mix(@a[@e % 3]);
{ auto &r = @e % 2 ? one : two; r.set(@e % 3, @v); mix(r.get(1)); }
{ Node *p = @e % 2 ? &one : &local; p->sum += @v; mix(p->sum); }
nodes[@e % 4] = one; two = nodes[(@e + 1) % 4];
for (auto &x : @a) { x = x * 5 + @e; mix(x); }
for (auto *p = @a; p != @a + 3; ++p) mix(*p += @v);
memset(@a, static_cast<int>(@e), @n);
mix(peek(&@v, 3)); mix(peek(&nodes[@e % 4].part[1], 1));
{ Node *p = pick(@e % 2); p->next = &nodes[@e % 4]; p->next->sum += 5; mix(p->next->sum); }
poke(&one.part[@e % 5], @v); mix(one.part[2]);
mix(__atomic_fetch_add(&@v, static_cast<uint8_t>(@e), 5));
{ auto old = @v; __atomic_compare_exchange_n(&@v, &old, @w, false, 5, 5); mix(@v); }
mix(reinterpret_cast<char *>(&nodes[@e % 4]) - reinterpret_cast<char *>(&nodes[0]));
memmove(&nodes[1].part[0], &nodes[1].part[1], 4); mix(nodes[1].part[1]);
memmove(&nodes[2].part[0], &nodes[2].part[1], 16); mix(nodes[2].part[3]);
memcpy(&local, &nodes[@e % 4], sizeof local); mix(local.part[1] + local.sum); memcpy(&two.part, &local.part, 13);
switch (@e % 5) { case 0: @v++; break; case 1: case 2: @w--; mix(@w); break; default: one.cell[@e % 3].y += @v; }
{ auto *p = &@a[0]; auto *q = @e & 1 ? p + 1 : p; if (q == &@a[1]) mix(7); *q += 3; mix(q > p); }
{ const Node *b = nullptr; for (auto &x : nodes) if (x.sum > (@e & 7)) b = &x; if (b) mix(b->sum + 1); }
if (@e % 3) { @b } else { @b }
for (uint64_t k = 0; k < 4; ++k) { @b }
""".strip().splitlines()


def generate(seed):
    rng = random.Random(seed)
    types = list(SIZES)
    arrays = [(f"array{i}", rng.choice(types), rng.choice([3, 8, 17, 64])) for i in range(4)]
    lines = [f"constinit thread_local {t} {name}[{n}] = {{}};" for name, t, n in arrays]
    lines += [f"constinit thread_local {rng.choice(types)} scalar{i} = {rng.randrange(100)};" for i in range(6)]

    def statement(depth):
        text = rng.choice(STATEMENTS if depth < 3 else STATEMENTS[:-2])
        name, kind, count = rng.choice(arrays)
        text = text.replace("@a", name).replace("@n", str(rng.randrange(1, SIZES[kind] * count + 1)))
        text = text.replace("@v", f"scalar{rng.randrange(6)}").replace("@w", f"scalar{rng.randrange(6)}")
        while "@e" in text:
            text = text.replace("@e", rng.choice(["k", "seed", "(k + 3)", "(seed >> 1)"]), 1)
        while "@b" in text:
            text = text.replace("@b", block(depth + 1), 1)
        return text

    def block(depth):
        return "\n".join(statement(depth) for _ in range(rng.randrange(2, 6)))

    for i in range(4):
        body = "\n".join(block(0) for _ in range(3))
        lines.append(f"void step{i}(uint64_t seed, Node &local) {{\nuint64_t k = seed % 11;\n{body}\n}}")
    calls = " ".join(f"step{i}(seed * 77 + round * {i + 1}, local);" for i in range(4))
    work = f"uint64_t work(uint64_t seed) {{ Node local{{}};\nfor (uint64_t round = 0; round < 60; ++round) {{ {calls} }}\n"
    return PRELUDE + "\n".join(lines) + "\n} // namespace\n" + work + "return hash; }\n"


def main():
    plugin, inputs, work, first, count = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    os.chdir(work)
    driver = os.path.join(inputs, "ktls-driver.cpp")
    script = "-Wl,-T," + os.path.join(inputs, "ktls.ld")
    passes = ["-DOSV_GS", f"-fplugin={plugin}", f"-fpass-plugin={plugin}", "-mllvm=-osv-tls=gs"]

    def run(*commands):
        for command in commands:
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120)
            if done.returncode != 0:
                return f"status {done.returncode}: {' '.join(command)}"
        return done.stdout

    run(COMMON + ["-O1", "-c", driver, "-o", "fs.o"], COMMON + ["-O1", "-DOSV_GS", "-c", driver, "-o", "gs.o"])
    differences = 0
    for seed in range(int(first), int(first) + int(count)):
        with open("program.cpp", "w") as file:
            file.write(generate(seed))
        build = ["-c", "program.cpp", "-o", "program.o"]
        expected = run(COMMON + ["-O1"] + build, LINK + ["program.o", "fs.o", "-o", "program"], ["./program"])
        for level in LEVELS:
            link = LINK + ["program.o", "gs.o", script, "-o", "program"]
            got = run(COMMON + level.split() + passes + build, link, ["./program"])
            if got != expected or "thread 7" not in got:
                differences += 1
                print(f"seed {seed} {level}:\nexpected\n{expected}got\n{got}")
    print(f"{count} programs at {len(LEVELS)} levels, {differences} differences")
    return differences != 0


sys.exit(main())
