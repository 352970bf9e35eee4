# SPDX-License-Identifier: BSD-3-Clause
"""compare.py [--threads] ORIGINAL PATCHED [--stdin FILE] [--files DIR] -- ARGS...

Runs a program and its patched form (osv-rewrite --emit=elf) natively, each in a directory of its own under the same name, and demands the
same output and status, and, where strace works, the same system calls with the same arguments, process by process. Addresses, pids, times and
random bytes are masked. With --threads the calls of all threads count together, as a set of calls with their arguments, and those that are the
scheduler's choice (who waits, who is woken, how memory is taken) do not. --files is copied into both directories.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

arguments = sys.argv[1:]
split = arguments.index("--") if "--" in arguments else len(arguments)
options, args = arguments[:split], arguments[split + 1 :]
threads = "--threads" in options
stdin = None
if "--stdin" in options:
    at = options.index("--stdin")
    stdin = options[at + 1]
    del options[at : at + 2]
files = None
if "--files" in options:
    at = options.index("--files")
    files = options[at + 1]
    del options[at : at + 2]
original, patched = [o for o in options if not o.startswith("--")]
name = os.path.basename(original)


def run(directory, prefix):
    with open(stdin or os.devnull, "rb") as source:
        done = subprocess.run(prefix + ["./" + name] + args, cwd=directory, stdin=source, capture_output=True)
    return done.returncode, done.stdout.replace(directory.encode(), b"DIR"), done.stderr.replace(directory.encode(), b"DIR")


def lines_of(path, directory):
    with open(path, errors="replace") as log:
        return log.read().replace(directory, "DIR").replace(os.path.dirname(directory), "PARENT").splitlines()


def calls(lines, pids):
    """The system calls of each process, in the order in which the processes appear. `pids` are those of both runs: a number that
    happens to be one of them is masked in both. A process that becomes another program is followed no further."""
    lists, pending, gone = {}, {}, set()
    for line in lines:
        pid, text = line.split(None, 1)
        # The break begins behind the stubs, at another place in its page: malloc may need one call more or less.
        # "???": of a thread that the end of the process met on its way into a call.
        if text.startswith(("---", "+++", "???", "<... ??? resumed>", "brk(", "<... brk resumed>")) or pid in gone:
            continue
        if text.endswith("<unfinished ...>"):
            pending[pid] = text[: -len("<unfinished ...>")]
            lists.setdefault(pid, [])
            continue
        resumed = re.match(r"<\.\.\. \S+ resumed>(.*)", text)
        if resumed:
            text = pending.pop(pid, "") + resumed[1]
        if not text.startswith(")"): # of a call that the thread was in when strace came
            lists.setdefault(pid, []).append(mask(text, pids))
        became = re.match(r'execve\("([^"]*)".*= 0$', text)
        if became and became[1] != "/proc/self/exe" and os.path.basename(became[1]) != name:
            gone.add(pid)
    return list(lists.values())


def mask(text, pids):
    if text.startswith(("getrandom", "clock_gettime", "gettimeofday", "sysinfo", "getrusage", "times", "getppid", "wait4", "restart_syscall")):
        return text.split("(")[0]
    text = re.sub(r"0x[0-9a-f]+", "HEX", text)
    text = re.sub(r"\brun[01]\b", "PARENT", text)
    text = re.sub(r"data=\{u32=\d+, u64=\d+\}", "data=ADDRESS", text) # epoll_ctl
    text = re.sub(r"\s+", " ", text).replace(" )", ")").replace(" ,", ",").replace("( ", "(") # as it is when another thread's line came between
    text = re.sub(r"\b(%s)\b" % "|".join(str(os.path.getsize(p)) for p in (original, patched)), "SIZE", text)
    text = re.sub(r"\b\d+\b", lambda m: "PID" if m[0] in pids else m[0], text)
    text = re.sub(r"(tv_n?u?sec|st_[acm]time|st_blocks|st_ino|si_[us]time)=\S+?([,}])", r"\1=T\2", text)
    return re.sub(r"\s+= ", " = ", text)


def trace_works():
    return shutil.which("strace") and subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode == 0


with tempfile.TemporaryDirectory() as top:
    results, traces = [], []
    for place in ("run0", "run1", "logs"): # a program may look at the directories above its own
        os.mkdir(os.path.join(top, place))
    for index, program in enumerate((original, patched)):
        directory = os.path.join(top, "run%d" % index, "work")
        if files:
            shutil.copytree(files, directory)
        else:
            os.mkdir(directory)
        shutil.copy2(program, os.path.join(directory, name))
        results.append(run(directory, []))
        if trace_works():
            log = os.path.join(top, "logs", str(index))
            run(directory, ["strace", "-f", "-qq", "-s", "64", "-o", log])
            traces.append(lines_of(log, directory))
    pids = {line.split()[0] for trace in traces for line in trace}
    traces = [calls(trace, pids) for trace in traces]
    if results[0] != results[1]:
        sys.exit("different results:\n%r\n%r" % tuple(results))
    if not traces:
        print("same result")
        sys.exit(0)
    if threads:
        accidental = {"futex", "sched_yield", "tgkill", "rt_sigreturn", "nanosleep", "clock_nanosleep", "epoll_pwait", "epoll_wait", "madvise", "munmap",
                      "mmap", "mprotect", "clone", "clone3", "gettid", "sigaltstack", "rt_sigprocmask", "getpid", "timer_create", "timer_settime",
                      "timer_delete", "restart_syscall", "set_robust_list", "rseq", "exit", "prctl", "sched_getaffinity", "arch_prctl", "mincore", "brk"}

        def counts(text):
            name = text.split("(")[0]
            if text.endswith("= ?") and name != "exit_group": # cut off by the end of the process
                return False
            # Of the bytes that threads wake each other with only the standard streams' are the program's.
            return name not in accidental and (name not in ("read", "write") or re.match(r"\w+\([012],", text))

        sets = [{text for process in trace for text in process if counts(text)} for trace in traces]
        if sets[0] != sets[1]:
            sys.exit("different calls: %s" % sorted(sets[0] ^ sets[1]))
    else:
        a, b = [sorted(tuple(process) for process in trace) for trace in traces]
        for x, y in zip(a, b):
            for i, (left, right) in enumerate(zip(x, y)):
                if left != right:
                    sys.exit("call %d differs:\n%s\n%s" % (i, left, right))
        if [len(p) for p in a] != [len(p) for p in b]:
            sys.exit("different numbers of calls: %s %s" % ([len(p) for p in a], [len(p) for p in b]))
    print("same result, %d calls" % sum(len(p) for p in traces[0]))
