// SPDX-License-Identifier: BSD-3-Clause
// The command line of osv-run. Everything after `--` belongs to the program and is cut off before this is parsed.
include "llvm/Option/OptParser.td"

class F<string name, string help> : Flag<["--"], name>, HelpText<help>;
class J<string name, string var, string help> : Joined<["--"], name # "=">, MetaVarName<var>, HelpText<help>;
multiclass Eq<string name, string var, string help> {
  def NAME # _EQ : J<name, var, help>;
  def NAME : Separate<["--"], name>, Alias<!cast<J>(NAME # _EQ)>;
}

def memory : JoinedOrSeparate<["-"], "m">, MetaVarName<"<size>">, HelpText<"Memory, as 64M (default) or 1G">;
defm smp : Eq<"smp", "<n>", "Number of processors (default 1)">;
defm machine : Eq<"machine", "<type>", "microvm (default: boots fastest), q35 or pc">;
defm cpu : Eq<"cpu", "<model>", "QEMU's CPU model (default max)">;
defm accel : Eq<"accel", "<kind>", "tcg (default), kvm, or auto: kvm where a probe shows that it works">;
def icount : F<"icount", "Count instructions: virtual time advances 1 ns each, idle time is skipped">;
def gdb : F<"gdb", "Wait for gdb on port 1234 before the first instruction">;

defm timeout : Eq<"timeout", "<seconds>", "End the machine after this time with status 124">;
defm env : Eq<"env", "<K=V>", "Add a variable to the program's environment; may be repeated">;
def trace : F<"trace", "Have the kernel log every system call (implies -v)">;
defm append : Eq<"append", "<words>", "Add words to the kernel's command line">;
defm qemu_arg : Eq<"qemu-arg", "<arg>", "Add an argument to QEMU's command line; may be repeated">;
def verbose : Flag<["-"], "v">, HelpText<"Show the kernel's log on standard error">;
def print_command : Flag<["-"], "###">, HelpText<"Print the QEMU command and end">;
def help : F<"help", "Show this text">;
def h : Flag<["-"], "h">, Alias<help>;
def version : F<"version", "Show the version">;
