# SPDX-License-Identifier: BSD-3-Clause
"""Real programs, rewritten, do what they did.

    corpus.py native OSV-REWRITE [--corpus DIR]             --emit=elf against the original on Linux, with strace (compare.py says what is compared)
    corpus.py image OSV-REWRITE OSV-RUN [--corpus DIR]      the image, patched and with --patch=none, against the original on Linux
    corpus.py table OSV-REWRITE [--corpus DIR]              tactics, share and time of each program, as Markdown

--corpus names a directory that utils/fetch-corpus has filled; esbuild and biome are taken from there. What is not installed is named and passed
over. Every case runs in a directory with the same few files, which is the image's root.
"""
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
FETCHED = "esbuild", "biome"  # in --corpus

# Name: (path, package, has more than one thread, [(arguments, file for stdin)]).
PROGRAMS = {
    "bash": ("/bin/bash-static", "bash-static", False, [
        (["-c", 'for i in 1 2 3; do a[i]=$((i * i)); done; echo "${a[@]}" "${#a[@]}"; read -r l < text; echo "$l"; printf "%s\\n" *ta.* *.js*; exit 3'], None)]),
    "zsh": ("/bin/zsh-static", "zsh-static", False, [(["-fc", 'print -l *(.N); a=(c b a); print ${(o)a}; print $((2 ** 10)) > out; cat=$(<out); print $cat; exit 4'], None)]),
    "sash": ("/bin/sash", "sash", False, [(["-c", "-ls -1"], None), (["-c", "-grep fox text"], None)]),
    "tini": ("/usr/bin/tini-static", "tini", False, [(["-h"], None)]),
    "e2fsck": ("/sbin/e2fsck.static", "e2fsck-static", False, [(["-fn", "disk"], None)]),
    "gpgv": ("/usr/bin/gpgv-static", "gpgv-static", False, [(["--keyring", "./text", "text", "data.json"], None)]),
    "dar": ("/usr/bin/dar_static", "dar-static", False, [(["-N", "-Q", "-l", "archive"], None), (["-N", "-Q", "-t", "archive"], None)]),
    "gosu": ("/usr/sbin/gosu", "gosu", True, [(["--version"], None)]),
    "shfmt": ("/usr/bin/shfmt", "shfmt", True, [(["-i", "2"], "script"), (["-tojson"], "script")]),
    "gojq": ("/usr/bin/gojq", "gojq", True, [(["-c", ".list | map(. * 2) | add, length"], "data.json"), ([".missing[]"], "data.json")]),
    "esbuild": (FETCHED[0], "@esbuild/linux-x64", True, [(["--minify", "--loader=js"], "code.js")]),
    "biome": (FETCHED[1], "@biomejs/cli-linux-x64-musl", True, [(["format", "--stdin-file-path=code.js"], "code.js")]),
}
BUSYBOX = [
    (["sha256sum"], "text"),
    (["gzip", "-c"], "text"),
    (["bzip2", "-c"], "text"),
    (["sort", "-r", "text"], None),
    (["sed", "s/fox/cat/;2q", "text"], None),
    (["grep", "-n", "fox", "text"], None),
    (["awk", "{ n += NF } END { print n, NR; exit 5 }", "text"], None),
    (["wc"], "text"),
    (["tr", "a-z", "A-Z"], "text"),
    (["od", "-c", "script"], None),
    (["find", ".", "-maxdepth", "1", "-type", "f", "-name", "s*s"], None),
    (["dd", "if=text", "bs=7", "count=3", "status=none"], None),
    (["bc"], "sums"),
    (["sh", "script"], None),
]


def files(directory):
    """The files that the cases work on."""

    def write(name, text):
        with open(os.path.join(directory, name), "w") as file:
            file.write(text)

    os.makedirs(directory)
    write("text", "".join("the quick brown fox %d jumps over the lazy dog\n" % (i * i) for i in range(200)))
    write("data.json", '{"list": [1, 2, 3, 5, 8], "name": "corpus"}\n')
    write("sums", "2 ^ 100\n10 / 3\n")
    write("script", 'f() {\n    if [ "$1" = a ]\n    then echo "$1 $#"; else\n  printf "%s\\n" "$@"; fi; }\nf a b; f c d\nexit 6\n')
    with open(os.path.join(HERE, "code.js")) as file:
        write("code.js", file.read() * 20)
    with open(os.path.join(directory, "disk"), "wb") as file:
        file.truncate(1 << 20)
    if shutil.which("mke2fs", path=os.environ["PATH"] + ":/sbin:/usr/sbin"):
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-U", "clear", "-E", "hash_seed=00000000-0000-0000-0000-000000000001", "disk"], cwd=directory, check=True, stderr=subprocess.DEVNULL,
                       env=dict(os.environ, PATH=os.environ["PATH"] + ":/sbin:/usr/sbin"))
    dar = PROGRAMS["dar"][0]
    if os.path.exists(dar):
        subprocess.run([dar, "-N", "-Q", "-c", "archive", "-R", directory, "-X", "archive*", "-X", "disk"], cwd=directory, check=True, stdout=subprocess.DEVNULL)


def cases(corpus):
    """(name, path, has threads, arguments, stdin)"""
    for name, (path, package, threads, runs) in PROGRAMS.items():
        if path in FETCHED:
            path = os.path.join(corpus or "", path)
        if not os.path.isfile(path):
            print("%s: not there (%s)" % (name, package))
            continue
        for arguments, stdin in runs:
            yield name, path, threads, arguments, stdin
    path = shutil.which("busybox")
    for arguments, stdin in BUSYBOX if path else []:
        yield "busybox " + arguments[0], path, False, arguments, stdin


def rewrite(tool, path, output, *options):
    """Once for each output; -> (what -v says, seconds)."""
    start = time.monotonic()
    done = subprocess.run([tool, path, "-o", output, "-v", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seconds = time.monotonic() - start
    text = done.stderr.decode(errors="replace")
    if done.returncode:
        sys.exit("%s: FAIL: %s" % (path, text[-2000:]))
    return text, seconds


def tactics(text):
    counts = re.search(r"(\d+) system-call sites: S0 (\d+), S1 (\d+), B (\d+), mixed (\d+), left alone (\d+)", text)
    left = [line for line in text.splitlines() if " is left alone:" in line and "signal return sequence" not in line]
    entries = re.search(r"(\d+) instructions inside replaced bytes, (\d+) of them", text)
    return [int(x) for x in counts.groups()], len(left), [int(x) for x in entries.groups()]


def native(tool, corpus, top):
    root, good, seen = os.path.join(top, "root"), True, {}
    files(root)
    for name, path, threads, arguments, stdin in cases(corpus):
        patched = os.path.join(top, os.path.basename(path))
        if path not in seen:
            seen[path], _ = rewrite(tool, path, patched, "--emit=elf", "--verify")
            counts, left, _ = tactics(seen[path])
            if left:
                print("%s: FAIL: %d of %d sites left that are no signal return" % (name, left, counts[0]))
                good = False
        command = [sys.executable, os.path.join(HERE, "compare.py"), path, patched, "--files", root] + (["--threads"] if threads else []) + (["--stdin", os.path.join(root, stdin)] if stdin else [])
        done = subprocess.run(command + ["--"] + arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text = done.stdout.decode(errors="replace").strip()
        good &= done.returncode == 0
        print("%s: %s" % (name, text if done.returncode == 0 else "FAIL: " + text), flush=True)
    return good


def image(tool, runner, corpus, top):
    root, good, images = os.path.join(top, "root"), True, {}
    files(root)
    for name, path, threads, arguments, stdin in cases(corpus):
        if name == "dar":
            print("dar: not in an image: it starts gpg, and an image has one program")
            continue

        def run(command, **options):
            with open(os.path.join(root, stdin) if stdin else os.devnull, "rb") as source:
                return subprocess.run(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

        memory = ["-m", "1G"] if path.endswith("biome") else ["-m", "512M"] if path.endswith("esbuild") else ["-m", "256M"] if threads else []
        work, tree = os.path.join(top, "work"), os.path.join(top, "tree")
        for copy in (work, tree):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(root, copy)
        if name == "gosu":
            open(os.path.join(tree, "gosu"), "w").close()  # it asks for its own file's mode
        here = run([path] + arguments, cwd=work, env={})
        want = (here.returncode, here.stdout)
        for patch in ("safe", "none"):
            output = os.path.join(top, "%s-%s.img" % (os.path.basename(path), patch))
            if output not in images:
                rewrite(tool, path, output, "--root", tree, "--patch=" + patch, "--verify")
                images[output] = True
            there = run([runner, output, "-v"] + memory + ["--"] + arguments)
            log = there.stderr.decode(errors="replace")
            calls = re.search(r"system calls through SYSCALL: (\d+)", log)
            same = (there.returncode, there.stdout) == want
            good &= same and calls is not None
            print("%s, --patch=%s: %s, %s" % (name, patch, "same output" if same else "FAIL: %r instead of %r\n%s" % ((there.returncode, there.stdout[-300:]), (want[0], want[1][-300:]), log[-1000:]),
                                              "%s calls through the CPU" % calls[1] if calls else "FAIL: no count of calls"), flush=True)
    return good


def table(tool, corpus, top):
    print("| program | MB | sites | S0 | S1 | B | mixed | left | rewritten | entries mended | `--emit=elf` s | image s |\n|" + " --- |" * 12)
    rows = {}
    for name, path, _, _, _ in cases(corpus):
        rows[name.split()[0]] = path
    sums = [0] * 7
    for name, path in rows.items():
        text, seconds = rewrite(tool, path, os.path.join(top, "elf"), "--emit=elf")
        text, imageSeconds = rewrite(tool, path, os.path.join(top, "img"))
        counts, left, entries = tactics(text)
        sums = [a + b for a, b in zip(sums, counts + [left])]
        # The signal return is not counted as left: it must stay.
        print("| %s | %.1f | %s | %.2f %% | %d of %d | %.2f | %.2f |" % (name, os.path.getsize(path) / 1e6, " | ".join(map(str, counts)), 100 - 100 * left / counts[0], entries[1], entries[0], seconds, imageSeconds))
    print("| all | | %s | %.2f %% | | | |" % (" | ".join(map(str, sums[:6])), 100 - 100 * sums[6] / sums[0]))
    return True


def main():
    arguments = sys.argv[1:]
    corpus = None
    if "--corpus" in arguments:
        at = arguments.index("--corpus")
        corpus = os.path.abspath(arguments[at + 1])
        del arguments[at : at + 2]
    with tempfile.TemporaryDirectory() as top:
        good = {"native": native, "image": image, "table": table}[arguments[0]](*arguments[1:], corpus, top)
    if arguments[0] != "table":
        print("corpus: %s" % ("good" if good else "FAIL"))
    return not good


sys.exit(main())
