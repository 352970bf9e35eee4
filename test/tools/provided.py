# SPDX-License-Identifier: BSD-3-Clause
"""A native run with what the image provides: a seccomp filter answers ENOSYS to every row OSV_NONE of abi/Syscalls.def, to clone3 (a filter cannot
see its flags; every library falls back), and to a clone that would make a process. execve is left, because the program is started by it."""
import ctypes
import os
import re
import struct

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
CLONE, EXECVE, CLONE3, CLONE_THREAD, ENOSYS = 56, 59, 435, 0x10000, 38
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, ERROR = 0x7FFF0000, 0x00050000
libc = ctypes.CDLL(None, use_errno=True)


def filter_program():
    table = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "runtime", "abi", "Syscalls.def")
    missing = [int(n) for n in re.findall(r"^OSV_NONE\((\d+),", open(table).read(), re.M)]
    statements = [(LOAD, 0, 0, 0)]  # the number
    for n in [n for n in missing if n != EXECVE] + [CLONE3]:
        statements += [(EQUAL, n, 0, 1), (RETURN, ERROR | ENOSYS, 0, 0)]
    statements += [(EQUAL, CLONE, 0, 3), (LOAD, 16, 0, 0), (ANY_BIT, CLONE_THREAD, 1, 0), (RETURN, ERROR | ENOSYS, 0, 0)]
    statements += [(RETURN, ALLOW, 0, 0)]
    return b"".join(struct.pack("HBBI", code, yes, no, k) for code, k, yes, no in statements), len(statements)


def only_what_is_provided():
    """For preexec_fn."""
    code, count = filter_program()

    def install():
        buffer = ctypes.create_string_buffer(code, len(code))
        program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", count, ctypes.addressof(buffer)), 16)
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0):
            os._exit(125)

    return install
