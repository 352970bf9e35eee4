// SPDX-License-Identifier: BSD-3-Clause
//
// Starting the other processors (Smp.cpp), and what that needs of Apic.cpp and Context.cpp.
#pragma once
#include "abi/Annotations.h"
#include "kernel/arch/Context.h"
#include "kernel/lib/Types.h"

namespace osv::arch {

/// Where the monitor says ACPI's root pointer is; 0: nowhere.
void setAcpiRoot(PAddr rsdp);

// ---- Apic.cpp
uint8_t apicId();                         ///< of the running CPU
void sendIpi(uint8_t id, uint8_t vector); ///< any context
void sendInit(uint8_t id);
void sendStartup(uint8_t id, uint8_t page);

// ---- Context.cpp
/// Stack and block for a processor to come up on; its rsp is the stack's top. null: no memory. adoptBootContext later
/// gives them to its idle thread.
ThreadContext *createBootContext(unsigned cpu);
/// `fs` model: loads the running block's kernel FS. Nothing in the `gs` model. After initCpu.
OSV_PRE_SWITCH void loadKernelTls();

} // namespace osv::arch
