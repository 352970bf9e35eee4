// SPDX-License-Identifier: BSD-3-Clause
//
// The generic kernel's beginning and end: which subsystem starts when, the process of the image, and how the machine
// stops.
#include "kernel/Main.h"
#include "abi/Image.h"
#include "kernel/CommandLine.h"
#include "kernel/Loader.h"
#include "kernel/Process.h"
#include "kernel/arch/Context.h"
#include "kernel/arch/Cpu.h"
#include "kernel/arch/Irq.h"
#include "kernel/dev/Console.h"
#include "kernel/fs/FileTable.h"
#include "kernel/fs/Vfs.h"
#include "kernel/lib/Log.h"
#include "kernel/lib/Random.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/mm/Heap.h"
#include "kernel/mm/PageAllocator.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/signal/Signal.h"
#include "kernel/syscalls/Dispatch.h"
#include "kernel/time/Time.h"

namespace osv {
namespace {

/// Who gets the console's signals.
constinit Process *foreground = nullptr;

void readOptions() {
  uint64_t level = commandLineNumber("osv.log", static_cast<uint64_t>(LogLevel::Info));
  logLevel = static_cast<LogLevel>(level > 3 ? 3 : level);
  setSchedulerHz(static_cast<unsigned>(commandLineNumber("osv.hz", 250)));
  if (commandLineNumber("osv.trace", 0))
    traceSyscalls();
}

/// Descriptors 0, 1 and 2.
Result<void> openStandardFiles(FileTable &files) {
  for (int fd = 0; fd < 3; fd++)
    TRY(files.install(TRY(openConsole(fd)), false));
  return {};
}

Result<void> startProgram(Process &p, Frame &frame) {
  TRY(initVfs(osv_image));
  p.addressSpace = TRY(AddressSpace::create());
  p.addressSpace->pageTable().activate();
  p.files = TRY(FileTable::create());
  p.fs = TRY(createFsContext());
  TRY(openStandardFiles(*p.files));
  return loadProgram(p, frame);
}

/// The name that /proc/self/comm has at first: the file's, without its directory.
std::string_view programName() {
  std::string_view path(reinterpret_cast<const char *>(osv_image.execName));
  return path.substr(path.rfind('/') + 1);
}

/// What the program inherits as ignored (nohup, a shell's background jobs).
void ignoreSignals(Process &p) {
  SigSet ignored = commandLineNumber("osv.ignore", 0) & ~kUnblockable;
  for (int signo = 1; signo <= kSignalCount; signo++)
    if (ignored & sigBit(signo))
      p.signals.actions[signo - 1].handler = 1; // SIG_IGN
}

/// The program's first thread, before it is in the program.
void programThread(void *arg) {
  Frame frame;
  if (auto r = startProgram(*static_cast<Process *>(arg), frame); !r.ok())
    panic("cannot start the program: errno {}", r.error());
  log(LogLevel::Info, "program starts: {} pages free of {}", memoryStats().freePages, memoryStats().totalPages);
  arch::enterProgram(frame);
}

} // namespace

void kernelMain(std::string_view line) {
  setCommandLine(line);
  readOptions();
  initScheduler(); // current() works
  initTime();
  seedRandom();                 // reads the clock
  VERIFY(console::init().ok()); // interrupt-driven from here on
  log(LogLevel::Info, "osv: {} TLS model, {} KiB of memory", osv_image.tlsModel == abi::kTlsGs ? "gs" : "fs",
      memoryStats().totalPages * 4);
  arch::startOtherCpus();
  arch::releaseBootMemory(); // what only starting needed
  auto process = make<Process>();
  VERIFY(process.ok());
  ignoreSignals(**process);
  foreground = *process;
  setStopHandler(console::sendStop);
  console::setSignalHandler([](int signo) { sendKernelSignal(*foreground, signo); }); // Ctrl-C, window size
  auto first = createProcessThread(**process, programName(), programThread, *process);
  if (!first.ok())
    panic("no memory for the first thread");
  startThread(**first);
  runIdle(); // enables interrupts
}

void machineExit(const Process &p) {
  reportUnimplemented();
  if (uint64_t n = arch::nonMaskableInterrupts())
    log(LogLevel::Info, "non-maskable interrupts, ignored: {}", n);
  arch::disableInterrupts();
  console::drain();
  if (p.exitSignal == SIGKILL && p.outOfMemory.load(std::memory_order_relaxed))
    console::sendExit(abi::kOutOfMemory, SIGKILL);
  else if (p.exitSignal)
    console::sendExit(abi::kSignalled, static_cast<uint8_t>(p.exitSignal));
  else
    console::sendExit(abi::kExited, static_cast<uint8_t>(p.exitStatus));
  arch::powerOff();
}

} // namespace osv
