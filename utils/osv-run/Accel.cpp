// SPDX-License-Identifier: BSD-3-Clause
//
// Does KVM work here? /dev/kvm may be there and may even be usable while guests hang in it (nested virtualisation with
// a broken level below), so `--accel=auto` runs a guest: a few instructions of real-mode code that leave the guest many
// times (port writes) and write memory, in a child process under a time limit. Only a guest that ends in the right
// state counts. A KVM that refuses the feature MSR which it advertises counts as broken as well: QEMU aborts there with
// `-cpu max` or `host`.
#include "Machine.h"
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace osv::run {

namespace {
constexpr uint64_t kBase = 0x1000;
constexpr size_t kSize = 0x2000;
constexpr unsigned kExits = 1000;
constexpr uint8_t kCode[] = {
    0xb9, 0xe8, 0x03, // movw  $1000, %cx
    0x31, 0xc0,       // xorw  %ax, %ax
    0x40,             // 1: incw %ax
    0xe6, 0x80,       // outb  %al, $0x80
    0xa3, 0x00, 0x20, // movw  %ax, 0x2000
    0xe2, 0xf8,       // loop  1b
    0xf4,             // hlt
};

/// Hands the value that KVM advertises for IA32_ARCH_CAPABILITIES to the processor, as QEMU does.
bool takesFeatureMsr(int kvm, int cpu) {
  alignas(kvm_msrs) char memory[sizeof(kvm_msrs) + sizeof(kvm_msr_entry)] = {};
  auto *list = reinterpret_cast<kvm_msrs *>(memory);
  list->nmsrs = 1;
  list->entries[0].index = 0x10a;
  if (ioctl(kvm, KVM_GET_MSRS, list) != 1)
    return true; // not advertised, so QEMU does not set it
  return ioctl(cpu, KVM_SET_MSRS, list) == 1;
}

/// Runs in the child: 0 when the guest did all of it.
int runGuest() {
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0 || ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
    return 1;
  int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  if (vm < 0)
    return 1;
  void *memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return 1;
  memcpy(memory, kCode, sizeof kCode);
  kvm_userspace_memory_region region = {0, 0, kBase, kSize, uint64_t(memory)};
  int cpu = ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0 ? ioctl(vm, KVM_CREATE_VCPU, 0) : -1;
  if (cpu < 0)
    return 1;
  int runSize = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  auto *state = static_cast<kvm_run *>(mmap(nullptr, runSize, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0));
  kvm_sregs segments;
  if (state == MAP_FAILED || ioctl(cpu, KVM_GET_SREGS, &segments) != 0)
    return 1;
  segments.cs.base = segments.cs.selector = 0;
  kvm_regs registers = {};
  registers.rip = kBase;
  registers.rflags = 2;
  if (ioctl(cpu, KVM_SET_SREGS, &segments) != 0 || ioctl(cpu, KVM_SET_REGS, &registers) != 0)
    return 1;
  if (!takesFeatureMsr(kvm, cpu))
    return 1;
  unsigned exits = 0;
  while (ioctl(cpu, KVM_RUN, 0) == 0) {
    if (state->exit_reason == KVM_EXIT_IO) {
      ++exits;
      continue;
    }
    uint16_t written;
    memcpy(&written, static_cast<char *>(memory) + kSize / 2, sizeof written);
    return state->exit_reason == KVM_EXIT_HLT && exits == kExits && written == kExits ? 0 : 1;
  }
  return 1;
}
} // namespace

bool kvmWorks() {
  pid_t child = fork();
  if (child == 0) {
    itimerval limit = {{0, 0}, {0, 300000}};
    signal(SIGALRM, SIG_DFL);
    setitimer(ITIMER_REAL, &limit, nullptr);
    _exit(runGuest());
  }
  int status = 1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

} // namespace osv::run
