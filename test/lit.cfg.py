# SPDX-License-Identifier: BSD-3-Clause
#
# The lit suites: one directory below test/ each, all with this configuration.
#
#   rewriter/  osv-rewrite on inputs assembled in the test        passes/  LLVM passes on IR
#   runtime/   a static program natively and in the image         image/   the matrix of real programs
#   run/       osv-run against a stub guest                       checks/  the source tree's own rules
#
# A test needs only what its REQUIRES line names; each feature is there when the thing was found, so a tree in which a
# part is not built yet says "unsupported", not "failed". docs/testing.md lists features and substitutions.
import os
import shutil
import subprocess

import lit.formats
import lit.util

config.name = "osv"
config.test_format = lit.formats.ShTest(execute_external=False)
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.osv_obj, "test")
config.suffixes = [".test", ".s", ".S", ".ll", ".yaml", ".c", ".cpp"]
config.excludes = ["Inputs", "tools", "unit", "CMakeLists.txt"]

bin_dir = os.path.join(config.osv_obj, "bin")
lib_dir = os.path.join(config.osv_obj, "lib", "osv")
inputs = os.path.join(config.test_source_root, "Inputs")
tools = os.path.join(config.test_source_root, "tools")
path = [bin_dir, config.llvm_bin, config.environment.get("PATH", "")]
config.environment["PATH"] = os.pathsep.join(path)
config.environment["LC_ALL"] = "C"
for name in ("HOME", "GOCACHE", "GOPATH", "GOFLAGS", "CARGO_HOME", "RUSTUP_HOME", "CCACHE_DIR"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
config.environment.setdefault("HOME", config.test_exec_root)

# A test that hangs is an error, not a wait: a quarter of an hour is more than four times what the slowest needs on two busy cores.
if lit.util.killProcessAndChildrenIsSupported()[0]:
    lit_config.maxIndividualTestTime = 3600 if os.environ.get("OSV_SLOW_TESTS") else 900
    config.available_features.add("timeout")


def plugin():
    """The pass plugin: the one shared object that passes/ builds."""
    if not os.path.isdir(lib_dir):
        return ""
    found = sorted(f for f in os.listdir(lib_dir) if f.endswith(".so"))
    return os.path.join(lib_dir, found[0]) if found else ""


def built(feature, file):
    if os.path.exists(file):
        config.available_features.add(feature)
    return file


def program(feature, *names):
    for name in names:
        found = shutil.which(name, path=config.environment["PATH"])
        if found:
            config.available_features.add(feature)
            return found
    return names[0]


def works(feature, command, source, suffix):
    """Adds `feature` when `command` makes a program of `source`; a compiler without its libraries does not count."""
    directory = os.path.join(config.test_exec_root, "probe")
    os.makedirs(directory, exist_ok=True)
    file = os.path.join(directory, feature + suffix)
    with open(file, "w") as out:
        out.write(source)
    try:
        done = subprocess.run(
            command + ["-o", os.path.join(directory, feature + ".out"), file],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
    except OSError:
        return
    if done.returncode == 0:
        config.available_features.add(feature)


osv_rewrite = built("osv-rewrite", os.path.join(bin_dir, "osv-rewrite"))
osv_run = built("osv-run", os.path.join(bin_dir, "osv-run"))
lief_check = built("lief-check", os.path.join(bin_dir, "lief-check"))
for fuzzer in ("fuzz-reader", "fuzz-analysis"):
    built(fuzzer, os.path.join(bin_dir, fuzzer))
pass_plugin = built("plugin", plugin())
for model in ("gs", "fs"):
    built("runtime-" + model, os.path.join(lib_dir, "runtime-%s.a" % model))
program("qemu", "qemu-system-x86_64")
program("busybox", "busybox")
program("go", "go")
program("strace", "strace")
program("gdb", "gdb")
chromium = program("chromium", "chromium")
program("npm", "npm")
sarif_schema = built("sarif-schema", os.path.join(config.osv_obj, "corpus", "sarif-schema.json"))
main = "int main(void) { return 0; }\n"
works("glibc-static", ["gcc", "-static"], main, ".c")
works("musl", ["musl-gcc", "-static"], main, ".c")
works("rust", ["rustc", "-Ctarget-feature=+crt-static", "--target=x86_64-unknown-linux-gnu"], "fn main() {}\n", ".rs")
if os.geteuid() == 0:
    config.available_features.add("root")
if lit_config.params.get("slow") or os.environ.get("OSV_SLOW_TESTS"):
    config.available_features.add("slow")

config.substitutions += [
    ("%osv-rewrite", osv_rewrite),
    ("%osv-run", osv_run),
    ("%lief-check", lief_check),
    ("%plugin", pass_plugin),
    ("%chromium", chromium),
    ("%sarif-schema", sarif_schema),
    ("%stub", os.path.join(config.osv_obj, "test", "stub-guest.img")),
    ("%build", config.osv_obj),
    ("%src", config.osv_src),
    ("%lib", lib_dir),
    ("%inputs", inputs),
    ("%tools", tools),
    ("%python", config.python),
    # Assembles AT&T syntax into a static ELF executable: %asm FILE -o OUT.o; then %link OUT.o -o PROGRAM
    ("%asm", "llvm-mc -triple=x86_64-linux-gnu -filetype=obj"),
    ("%link", "ld.lld -static"),
]
