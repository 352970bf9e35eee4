// SPDX-License-Identifier: BSD-3-Clause
//
// A thread's machine context: its kernel stack, its GS block (and, in the `fs` model, its TLS block), its FP area, and
// the switch between two of them.
//
// Who restores what: osv_switch (switch.S) changes stack and GS base; switchContext (ContextInline.h) does FS and FP
// before that. In the `gs`
// model FS holds the program's base as long as any thread of the program ran last; it is read back at the switch (a
// program may have used wrfsbase itself) and written only when the next thread's differs. In the `fs` model FS holds
// the kernel's base here, and the program's waits in the gate block.
//
// FP state is saved when a thread that runs the program leaves the CPU, and loaded when one comes whose state is not
// already there. Kernel threads have none.
//
// Threads of programs come and go by the thousand, so the three pieces that one needs are made once and stay together:
// a thread that ends leaves them to the next. The stack is mapped, the FP area's header is clean; only what must be new
// is written again.
#include "kernel/arch/Context.h"
#include "arch/x64/Cpu.h"
#include "arch/x64/Smp.h"
#include "kernel/lib/Log.h"
#include "kernel/mm/Heap.h"
#include "kernel/mm/PageAllocator.h"
#include "kernel/sched/Thread.h"

/// The template of the gate block; the first thing in .ktls (kernel.ld). Every thread has a copy.
extern "C" osv::GateBlock osv_gate_block = {};

namespace osv::arch {

CpuContext cpuContexts[kMaxCpus];

namespace {

extern "C" {
void osv_thread_start();
void osv_program_start();
[[noreturn]] void osv_enter_program(const Frame *frame);
#ifdef OSV_TLS_FS
extern const char osv_tdata_start[], osv_tdata_end[], osv_tbss_end[];
extern char osv_boot_tls[];
#endif
extern char osv_boot_block[];
}

#ifdef OSV_TLS_FS
/// x86-64 TLS variant II: [ .tdata | .tbss | self pointer ], FS base at the self pointer.
size_t tlsSize() { return roundUp(static_cast<uint64_t>(osv_tbss_end - osv_tdata_start), 64); }
constexpr size_t kTcbSize = 64;
/// Makes PT_TLS 64-byte aligned, which tlsSize() relies on, whatever other thread_locals there are.
[[gnu::used, gnu::retain]] alignas(64) constinit thread_local char tlsAlignment[64] = {};
#else
constexpr size_t tlsSize() { return 0; }
constexpr size_t kTcbSize = 0;
#endif
size_t ktlsSize() { return static_cast<size_t>(osv_ktls_end - osv_ktls_start); }

/// Fills the words of a fresh copy of the template at `block` (see Gate.h for GS base).
void initBlock(Thread &t, char *block) {
  ThreadContext &c = t.arch;
  c.block = block;
  c.gsBase = reinterpret_cast<uint64_t>(block) - reinterpret_cast<uint64_t>(osv_ktls_start);
  GateBlock &g = gateOf(c);
  g.self = c.gsBase;
  g.stackTop = c.stackTop;
  g.stackBottom = c.stackBottom;
  g.thread = &t;
}

/// What a thread of the program has left behind, kept in the lowest words of its stack.
struct SpareContext {
  SpareContext *next;
  void *block, *fpu;
};
constexpr unsigned kSpareContexts = 8;
SpinLock spareLock;
SpareContext *spares;
unsigned spareCount;

bool takeSpare(ThreadContext &c) {
  SpinGuard g(spareLock);
  SpareContext *s = spares;
  if (!s)
    return false;
  spares = s->next;
  spareCount--;
  c.stackBottom = reinterpret_cast<uint64_t>(s);
  c.block = s->block;
  c.fpu = s->fpu;
  return true;
}

bool keepAsSpare(const ThreadContext &c) {
  SpinGuard g(spareLock);
  if (spareCount == kSpareContexts)
    return false;
  auto *s = reinterpret_cast<SpareContext *>(c.stackBottom);
  *s = {spares, c.block, c.fpu};
  spares = s;
  spareCount++;
  return true;
}

constexpr size_t kFpuLegacySize = 512, kFpuHeaderSize = 64;

/// ENOMEM; what was allocated until then is in `t`, for destroyContext.
Result<void> allocateFresh(ThreadContext &c, bool usesFpu) {
  c.stackBottom = TRY(allocKernelStack()).value;
  size_t tls = tlsSize() + kTcbSize;
  auto *memory = static_cast<char *>(heapAlloc(tls + roundUp(ktlsSize(), 64), 64));
  if (!memory)
    return Errno::NoMem;
  c.block = memory + tls;
  if (!usesFpu)
    return {};
  auto *fpu = static_cast<char *>(heapAlloc(roundUp(features.fpuSize, 64), 64));
  if (!fpu)
    return Errno::NoMem;
  c.fpu = fpu;
  if (features.xsave)
    __builtin_memset(fpu + kFpuLegacySize, 0, kFpuHeaderSize); // XSAVE does not write the reserved part
  return {};
}

Result<void> allocate(Thread &t, bool usesFpu) {
  ThreadContext &c = t.arch;
  if (!usesFpu || !takeSpare(c)) {
    Result<void> r = allocateFresh(c, usesFpu);
    if (!r.ok()) {
      destroyContext(t);
      return r;
    }
  }
  c.usesFpu = usesFpu;
  c.stackTop = c.stackBottom + kKernelStackSize;
  auto *block = static_cast<char *>(c.block);
  __builtin_memcpy(block, osv_ktls_start, ktlsSize());
  initBlock(t, block);
#ifdef OSV_TLS_FS
  char *tcb = block - kTcbSize;
  __builtin_memset(tcb - tlsSize(), 0, tlsSize() + kTcbSize);
  __builtin_memcpy(tcb - tlsSize(), osv_tdata_start, static_cast<size_t>(osv_tdata_end - osv_tdata_start));
  *reinterpret_cast<char **>(tcb) = tcb;
  gateOf(c).kernelFs = reinterpret_cast<uint64_t>(tcb);
#endif
  return {};
}

/// What a program finds in its FP registers when it begins.
void initFpu(ThreadContext &c) {
  __builtin_memset(c.fpu, 0, features.fpuSize);
  const uint16_t fcw = 0x37f;
  const uint32_t mxcsr = 0x1f80;
  __builtin_memcpy(c.fpu, &fcw, sizeof fcw);
  __builtin_memcpy(static_cast<char *>(c.fpu) + 24, &mxcsr, sizeof mxcsr);
}

/// Puts what osv_switch pops below `top`: six callee-saved registers and the return address.
void prepareSwitch(ThreadContext &c, uint64_t top, void (*resume)(), uint64_t r12, uint64_t r13) {
  auto *slot = reinterpret_cast<uint64_t *>(top);
  *--slot = reinterpret_cast<uint64_t>(resume);
  *--slot = 0; // rbp: the end of a backtrace
  *--slot = 0; // rbx
  *--slot = r12;
  *--slot = r13;
  *--slot = 0;
  *--slot = 0;
  c.rsp = reinterpret_cast<uint64_t>(slot);
}

} // namespace

void writeFsBaseMsr(uint64_t base) {
  writeMsr(kMsrFsBase, base);
  cpuContexts[gate().cpu].loadedFs = base;
}

GateBlock &gateOf(Thread &t) { return gateOf(t.arch); }

void initBootTls() {
  gate().self = reinterpret_cast<uint64_t>(osv_boot_block) - reinterpret_cast<uint64_t>(osv_ktls_start);
  gate().stackTop = reinterpret_cast<uint64_t>(osv_boot_stack) + BOOT_STACK_SIZE;
  gate().stackBottom = reinterpret_cast<uint64_t>(osv_boot_stack);
#ifdef OSV_TLS_FS
  // kernel.ld reserves osv_boot_tls; it is zero but for .tdata.
  char *tcb = osv_boot_tls + tlsSize();
  __builtin_memcpy(tcb - tlsSize(), osv_tdata_start, static_cast<size_t>(osv_tdata_end - osv_tdata_start));
  *reinterpret_cast<char **>(tcb) = tcb;
  gate().kernelFs = reinterpret_cast<uint64_t>(tcb);
  writeMsr(kMsrFsBase, gate().kernelFs);
#endif
}

[[gnu::cold]] ThreadContext *createBootContext(unsigned cpu) {
  // A Thread only to allocate with: adoptBootContext moves everything to the idle thread. It stays, as `gate().thread`
  // until then.
  auto *t = new (std::nothrow) Thread;
  if (!t || !allocate(*t, false).ok())
    return nullptr;
  gateOf(*t).cpu = cpu;
  t->arch.rsp = t->arch.stackTop;
  return &t->arch;
}

void loadKernelTls() {
#ifdef OSV_TLS_FS
  writeFsBase(gate().kernelFs);
#endif
}

void adoptBootContext(Thread &t) {
  t.arch.stackBottom = gate().stackBottom;
  t.arch.stackTop = gate().stackTop;
  initBlock(t, reinterpret_cast<char *>(gate().self) + reinterpret_cast<uint64_t>(osv_ktls_start));
}

Result<void> createContext(Thread &t, void (*entry)(void *), void *arg, bool usesFpu) {
  TRY(allocate(t, usesFpu));
  if (usesFpu)
    initFpu(t.arch);
  // rsp is 16-byte aligned in osv_thread_start, before its calls.
  prepareSwitch(t.arch, t.arch.stackTop, osv_thread_start, reinterpret_cast<uint64_t>(entry),
                reinterpret_cast<uint64_t>(arg));
  return {};
}

Result<void> createProgramContext(Thread &t, const Frame &frame, bool setTls, uint64_t newFs) {
  TRY(allocate(t, true));
  auto *copy = reinterpret_cast<Frame *>(t.arch.stackTop - sizeof(Frame));
  *copy = frame;
  prepareSwitch(t.arch, t.arch.stackTop - sizeof(Frame), osv_program_start, 0, 0);
  fpuSave(t.arch.fpu);
  t.arch.appFs = setTls ? newFs : appFs();
  gateOf(t).appFs = t.arch.appFs;
  return {};
}

void destroyContext(Thread &t) {
  // CpuContext::fpuOwner may still name `t`. That does no harm: a thread that gets its address begins with no fpuCpu.
  ThreadContext &c = t.arch;
  if (!c.usesFpu || !keepAsSpare(c)) {
    if (c.block)
      heapFree(static_cast<char *>(c.block) - tlsSize() - kTcbSize);
    heapFree(c.fpu);
    if (c.stackBottom)
      freeKernelStack(VAddr(c.stackBottom));
  }
  c = {};
}

void setAppFs(uint64_t base) {
#ifdef OSV_TLS_GS
  IrqGuard off;
  writeFsBase(base);
#endif
  current().arch.appFs = base;
  gate().appFs = base;
}

uint64_t appFs() {
#ifdef OSV_TLS_GS
  IrqGuard off;
  return readFsBase();
#else
  return gate().appFs;
#endif
}

void enterProgram(const Frame &frame) { osv_enter_program(&frame); }

} // namespace osv::arch
