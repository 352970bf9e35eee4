// SPDX-License-Identifier: BSD-3-Clause
//
// The command line of osv-rewrite. Help is grouped and written for somebody who sees the tool for the first time.
include "llvm/Option/OptParser.td"

class Flag2<string name, string help> : Flag<["--"], name>, HelpText<help>;
multiclass Value<string name, string meta, string help> {
  def NAME : Separate<["--"], name>, MetaVarName<meta>, HelpText<help>;
  def NAME # _eq : Joined<["--"], name # "=">, Alias<!cast<Separate>(NAME)>;
}

def output : JoinedOrSeparate<["-"], "o">, MetaVarName<"<image>">, HelpText<"Write the bootable image to <image>">;
def tls : Joined<["--"], "tls=">, MetaVarName<"gs|fs">,
  HelpText<"TLS model of the runtime: kernel at GS (default), or at FS and switched in every gate">;
defm root : Value<"root", "<dir>", "Pack <dir> as the root file system">;
defm env : Value<"env", "<K=V>", "Add K=V to the program's environment; may be repeated, a later K wins">;
def check : Flag2<"check", "Only inspect the inputs and say whether they can run; no image is made">;
def report : Joined<["--"], "report=">, MetaVarName<"text|json|sarif|html[=<file>]">,
  HelpText<"Write what was found out, to standard output or <file>; may be repeated (with --check: text by default)">;
def patch : Joined<["--"], "patch=">, MetaVarName<"none|safe|all">,
  HelpText<"Which system calls become jumps: none, those proven safe (default), or all that can be found">;
def syscalls : Joined<["--"], "syscalls=">, MetaVarName<"all|reachable">,
  HelpText<"Which system calls the kernel has: all (default), or those that the program is proven to reach at most">;
def emit : Joined<["--"], "emit=">, MetaVarName<"image|elf">,
  HelpText<"Make a bootable image (default), or the same patched program as a Linux executable, for comparison">;
defm explain_site : Value<"explain-site", "<address>|<symbol>|all",
  "Show what becomes of the system call there, and why">;
def verify : Flag2<"verify", "Read the output again and prove that nothing but the planned bytes has changed">;
def verify_only : Flag2<"verify-only", "As --verify, for the file that -o names, which is there already and stays as it is">;
def verbose : Flag<["-"], "v">, HelpText<"Say where everything goes">;
def debug : Flag<["-"], "g">, HelpText<"Keep the runtime's debug information in the image">;
defm lib_dir : Value<"lib-dir", "<dir>", "Use the runtime in <dir> instead of ../lib/osv beside this program">;
def error_limit : Joined<["--"], "error-limit=">, MetaVarName<"<n>">,
  HelpText<"Print at most <n> errors of an input (default 20; 0: all)">;
def warning : Joined<["-"], "W">, MetaVarName<"<id>">,
  HelpText<"Enable the diagnostic <id>; -Wno-<id> disables it, -Werror=<id> makes it an error, -Wno-error=<id> a warning">;
def help : Flag2<"help", "Show this help">;
def : Flag<["-"], "h">, Alias<help>;
def version : Flag2<"version", "Show the version">;
def dash_dash : Option<["--"], "", KIND_REMAINING_ARGS>, MetaVarName<"<arguments>">,
  HelpText<"What follows are the program's own arguments">;
