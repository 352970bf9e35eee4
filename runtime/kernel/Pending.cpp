// SPDX-License-Identifier: BSD-3-Clause
//
// Weak stand-ins, so that images link while the subsystems land. FIXME: delete this file when the last of them is there.
#include "kernel/Process.h"
#include "kernel/fs/Vfs.h"
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
}
namespace osv{
}
