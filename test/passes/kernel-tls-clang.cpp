// SPDX-License-Identifier: BSD-3-Clause
// The command line that the runtime is compiled with, at every optimisation level: C++ methods on a thread-local object end up as
// one instruction once they are inlined, debug info still describes the variables, and no FS is left.
// REQUIRES: plugin
// DEFINE: %{cc} = clang++ -std=c++20 -fno-pic -mcmodel=small -mgeneral-regs-only -mno-red-zone -ffreestanding \
// DEFINE:   -fplugin=%plugin -fpass-plugin=%plugin -mllvm -osv-tls=gs
// RUN: %{cc} -O2 -S %s -o - | FileCheck %s --check-prefixes=ALL,OPT --implicit-check-not=%fs --implicit-check-not=@TPOFF
// RUN: %{cc} -O1 -S %s -o - | FileCheck %s --check-prefixes=ALL,OPT --implicit-check-not=%fs --implicit-check-not=@TPOFF
// RUN: %{cc} -Os -S %s -o - | FileCheck %s --check-prefixes=ALL,OPT --implicit-check-not=%fs --implicit-check-not=@TPOFF
// RUN: %{cc} -O0 -S %s -o - | FileCheck %s --check-prefixes=ALL,NONE --implicit-check-not=%fs --implicit-check-not=@TPOFF
// RUN: %{cc} -O2 -g -c %s -o %t.o && llvm-dwarfdump --name=preemptCount %t.o | FileCheck %s --check-prefix=DWARF
// RUN: %{cc} -O2 -g -femulated-tls -S %s -o - | FileCheck %s --check-prefix=EMULATED
// The model `fs` leaves variables alone; so does no model.
// RUN: clang++ -std=c++20 -O2 -fno-pic -fplugin=%plugin -fpass-plugin=%plugin -mllvm -osv-tls=fs -S %s -o - \
// RUN:   | FileCheck %s --check-prefix=FS
// RUN: clang++ -std=c++20 -O2 -fno-pic -fpass-plugin=%plugin -S %s -o - | FileCheck %s --check-prefix=FS
extern "C" {

struct Cpu {
  int depth;
  long load[4];
  Cpu *next;
  void enter() { ++depth; }
  long &slot(int index) { return load[index]; }
};
constinit thread_local Cpu cpu{};
constinit thread_local int preemptCount = 0;
void sink(Cpu &);

// ALL-LABEL: {{^}}disable:
// OPT: incl %gs:preemptCount(%rip)
// OPT-NEXT: retq
// NONE: movl %gs:preemptCount(%rip), %eax
// NONE: movl %eax, %gs:preemptCount(%rip)
// FS-LABEL: {{^}}disable:
// FS: incl %fs:preemptCount@TPOFF
void disable() { ++preemptCount; }

// ALL-LABEL: {{^}}enter:
// OPT: incl %gs:cpu(%rip)
// OPT-NEXT: retq
// NONE: movq %gs:osv_gate_block(%rip), %rdi
void enter() { cpu.enter(); }

// ALL-LABEL: {{^}}charge:
// OPT: addq %rsi, %gs:cpu+8(,%r{{[a-z]+}},8)
// OPT-NEXT: retq
void charge(int index, long ticks) { cpu.slot(index) += ticks; }

// ALL-LABEL: {{^}}twice:
// OPT: %gs:osv_gate_block(%rip), %[[SELF:r[a-z0-9]+]]
// OPT: %[[SELF]]{{.*}}, %rdi
// OPT: callq sink
// OPT: movl $7, %gs:cpu(%rip)
// OPT-NOT: %gs:osv_gate_block
// OPT: jmp sink
void twice() {
  sink(cpu);
  cpu.depth = 7;
  sink(cpu);
}

// DWARF: DW_AT_name ("preemptCount")
// DWARF: DW_AT_location (DW_OP_addr{{x?}} 0x{{[0-9a-f]+}})
// EMULATED-NOT: emutls
}
