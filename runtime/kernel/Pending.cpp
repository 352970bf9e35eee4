// SPDX-License-Identifier: BSD-3-Clause
//
// Weak stand-ins, so that images link while the subsystems land. FIXME: delete this file when the last of them is there.
#include "kernel/Process.h"
#include "kernel/fs/Vfs.h"
#include "kernel/fs/FileTable.h"
#include "kernel/signal/Signal.h"
#include "kernel/arch/Trap.h"
#include "kernel/lib/Log.h"
namespace osv {
[[gnu::weak]] void deliverSignals(Frame&){}
[[gnu::weak]] void raiseFault(Frame&f,int s,int c,VAddr a){ panic("raiseFault {} {} {} rip {x}",s,c,a,f.rip);}
[[gnu::weak]] void raisePageFault(Frame&f,VAddr a,bool,bool){ panic("raisePageFault {} rip {x}",a,f.rip);}
[[gnu::weak]] bool signalPending(const Thread&){return false;}
[[gnu::weak]] Result<void> sendToThread(Thread&,const siginfo_t&){return {};}
[[gnu::weak]] void forceSignal(Thread&,const siginfo_t&){}
[[gnu::weak]] void sendKernelSignal(Process&,int){}
[[gnu::weak]] Result<void> initVfs(const abi::ImageHeader &image){return {};}
[[gnu::weak]] Result<FsContext *> createFsContext(){return (FsContext*)nullptr;}
[[gnu::weak]] Result<Ref<File>> openConsole(int which){return Ref<File>();}
}
namespace osv{
[[gnu::weak]] Result<FileTable *> FileTable::create(){return Errno::NoMem;}
[[gnu::weak]] Result<Ref<File>> FileTable::get(int){return Errno::BadF;}
[[gnu::weak]] Result<int> FileTable::install(Ref<File> f, bool closeOnExec, int min){return 0;}
}
