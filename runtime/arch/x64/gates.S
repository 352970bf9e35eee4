// SPDX-License-Identifier: BSD-3-Clause
//
// The gates: every way from the program into the kernel and back.
//
// Who owns what at a gate
//   FS     belongs to the program. In the `gs` model nothing here touches it. In the `fs` model the kernel's own thread-local storage is at FS
//          while kernel C++ runs: ENTER_KERNEL_TLS / LEAVE_KERNEL_TLS.
//   GS     belongs to the kernel, always, and is per thread (abi/Gate.h): a preemption between two instructions of a gate cannot move it.
//   rsp    the program's stack is never written: red zones, 2 KiB goroutine stacks and signal stacks stay as they are.
//   FP     is never touched.
//   IF     stays on through a system call. Program and kernel share ring 0, so nothing but IST switches stacks in hardware.
//
// System call, from a rewritten site (osv_gate_direct) or by SYSCALL (osv_gate_syscall, LSTAR). Kernel stack while a handler runs:
//     stackTop-8   rax on entry: the number (for restarts)
//     stackTop-16  rcx on entry: where the program goes on
//     stackTop-24  its flags
//     stackTop-32  return address into the gate                          <- rsp in the handler
// Handlers are `preserve_most` functions, so that the gate saves nothing: rax returns the result, r11 and rcx are clobbered, as Linux does.
//
// The way out is restartable instead of running with interrupts off. From osv_gate_tail on it only reads; an interrupt in it, when it is about
// to return and finds work, restarts it before the flags were popped, or completes it after that (settleGateTail in Traps.cpp). So a
// signal or reschedule that arrives after the test is never lost, and `cli` is not needed.
#include "abi/AsmOffsets.h"
#include "arch/x64/Macros.inc"

#ifdef OSV_TLS_FS
#define ENTER_KERNEL_TLS movq GATE(GATE_KERNEL_FS), %r11; WRITE_FS_BASE_R11
#define LEAVE_KERNEL_TLS movq GATE(GATE_APP_FS), %r11; WRITE_FS_BASE_R11
#else
#define ENTER_KERNEL_TLS
#define LEAVE_KERNEL_TLS
#endif

// Replaces the gate's three words, which rsp points at (flags, rcx, rax on entry), by a Frame at the top of the kernel stack. rax of the frame
// is rax as it is now; rcx and r11 are clobbered. The CFA is the program's rsp as long as nothing describes where that is kept.
        .macro SYSCALL_FRAME
        movq %rax, GATE(GATE_SCRATCH)
        popq %r11
        popq %rcx
        popq %rax
        .cfi_def_cfa rsp, 0
        pushq_cfi $SELECTOR_DATA
        pushq_cfi GATE(GATE_USER_RSP)
        .cfi_rel_offset rsp, 0
        pushq_cfi %r11
        pushq_cfi $SELECTOR_CODE
        pushq_cfi %rcx
        .cfi_rel_offset rip, 0
        pushq_cfi %rax
        pushq_cfi $VECTOR_SYSCALL
        SAVE_FRAME rax=GATE(GATE_SCRATCH)
        .endm

        .text
        .globl osv_gates_start
osv_gates_start:

// Not a function: reached by `jmp` from a stub. rax = number, rdi rsi rdx r10 r8 r9 = arguments, rcx = return address, rsp = the program's.
// Returns by `jmp *%rcx`: rax = result, rcx and r11 clobbered, everything else and the flags as on entry.
        .globl osv_gate_direct
        .type osv_gate_direct, @function
        .balign 32
osv_gate_direct:
        .cfi_startproc simple
        .cfi_def_cfa rsp, 0
        .cfi_register rip, rcx
        movq %rsp, GATE(GATE_USER_RSP)
        movq GATE(GATE_STACK_TOP), %rsp
        pushq_cfi %rax
        pushq_cfi %rcx
        .cfi_rel_offset rip, 0
        pushfq
        .cfi_adjust_cfa_offset 8
        cld
        ENTER_KERNEL_TLS
        movl %eax, %eax                  # Linux looks at 32 bits of the number
        cmpl $SYSCALL_COUNT, %eax
        jae osv_no_number
        movq %r10, %rcx                  # the fourth argument, as C++ wants it
        callq *osv_syscall_table(,%rax,8)
        .globl osv_gate_tail, osv_gate_tail_popped, osv_gate_tail_size
osv_gate_tail:
        cmpl $0, GATE(GATE_WORK)
        jne osv_slow_exit
        LEAVE_KERNEL_TLS
        popfq
        .cfi_adjust_cfa_offset -8
osv_gate_tail_popped:
        popq_cfi %rcx
        .cfi_register rip, rcx
        movq GATE(GATE_USER_RSP), %rsp
        jmpq *%rcx
        .set osv_gate_tail_size, . - osv_gate_tail
        .cfi_endproc
        .size osv_gate_direct, . - osv_gate_direct

// LSTAR. The CPU has put rip into rcx and rflags into r11, cleared DF, TF, AC and NT (SFMASK), and left rsp alone.
        .globl osv_gate_syscall
        .type osv_gate_syscall, @function
        .balign 32
osv_gate_syscall:
        .cfi_startproc simple
        .cfi_def_cfa rsp, 0
        .cfi_register rip, rcx
        movq %rsp, GATE(GATE_USER_RSP)
        movq GATE(GATE_STACK_TOP), %rsp
        pushq_cfi %rax
        pushq_cfi %rcx
        .cfi_rel_offset rip, 0
        pushq_cfi %r11
        incq osv_native_syscalls(%rip)   # shown by osv-run -v; approximate on SMP
        ENTER_KERNEL_TLS
        movl %eax, %eax
        cmpl $SYSCALL_COUNT, %eax
        jae osv_no_number
        movq %r10, %rcx
        callq *osv_syscall_table(,%rax,8)
        jmp osv_gate_tail

osv_no_number:
        callq osv_frame_call
        ud2
        .cfi_endproc
        .size osv_gate_syscall, . - osv_gate_syscall

// What osv_syscall_table holds for calls that need the whole register frame (clone, rt_sigreturn, unknown numbers, everything while tracing).
// Entered by the gate's `call`, to which it does not return.
        .globl osv_frame_call
        .type osv_frame_call, @function
        .balign 16
osv_frame_call:
        .cfi_startproc simple
        .cfi_def_cfa rsp, 32
        .cfi_offset rip, -16
        popq_cfi %r11                    # the return address into the gate
        SYSCALL_FRAME
        movq %rsp, %rdi
        callq osv_syscall_frame
        jmp osv_frame_exit
        .cfi_endproc

// The gate found work (signals, reschedule, exit) on its way out: build the frame that the work may look at and change.
        .balign 16
osv_slow_exit:
        .cfi_startproc simple
        .cfi_def_cfa rsp, 24
        .cfi_offset rip, -16
        SYSCALL_FRAME

// Back to the program with every register of the Frame at rsp. Reached by `jmp`.
        .globl osv_frame_exit
osv_frame_exit:
        pushq $RFLAGS_RESERVED           # interrupts off, and no NT that the program may have set: iretq would fault
        popfq
        cmpl $0, GATE(GATE_WORK)
        jne 1f
        LEAVE_KERNEL_TLS
        RESTORE_FRAME
        addq $16, %rsp                   # vector, error
        iretq
1:      movq %rsp, %rdi
        callq osv_exit_work              # perhaps with interrupts on, another thread's NT, or more work
        jmp osv_frame_exit
        .cfi_endproc
        .size osv_frame_call, . - osv_frame_call

// First activation of a thread that starts in the program: its stack holds a Frame (createProgramContext). Interrupts off.
        .globl osv_program_start
        .type osv_program_start, @function
osv_program_start:
        .cfi_startproc simple
        .cfi_def_cfa rsp, FRAME_SIZE
        .cfi_undefined rip
        callq osv_thread_started
        jmp osv_frame_exit
        .cfi_endproc

// [[noreturn]] void osv_enter_program(const Frame *frame /*rdi*/): leaves through the exit above. The kernel stack is empty afterwards.
        .globl osv_enter_program
        .type osv_enter_program, @function
osv_enter_program:
        cli
        movq GATE(GATE_STACK_TOP), %rax
        subq $FRAME_SIZE, %rax
        movq %rdi, %rsi
        movq %rax, %rdi
        addq $FRAME_SIZE-8, %rsi
        addq $FRAME_SIZE-8, %rdi
        movl $FRAME_SIZE/8, %ecx
        std                              # from the top down: the frame is on this stack and may overlap its destination
        rep movsq
        cld
        movq %rax, %rsp
        jmp osv_frame_exit

// Interrupts and exceptions. Every vector uses IST1, so the CPU has switched to that stack of this CPU (16-byte aligned) whatever rsp was,
// with interrupts off, and pushed:  ss rsp rflags cs rip [error]. The frame moves to the thread's kernel stack at once, so that the IST
// stack is free for the next one: below the interrupted rsp when that lies in the kernel stack (the kernel has no red zone),
// else at the top. Nothing here reads memory that the program could unmap.
        .globl osv_interrupt_entry
        .balign 32
osv_interrupt_entry:
        .cfi_startproc simple
        .cfi_signal_frame
        .cfi_def_cfa rsp, 56
        .cfi_offset rip, -40
        .cfi_offset rsp, -16
        cld
        pushq_cfi %rax
        pushq_cfi %rcx
        movq 16+40(%rsp), %rax           # the interrupted rsp
        cmpq GATE(GATE_STACK_BOTTOM), %rax
        jbe 1f
        cmpq GATE(GATE_STACK_TOP), %rax
        ja 1f
        andq $-16, %rax
2:      movq %rsp, %rcx
        movq %rax, %rsp
        .cfi_def_cfa rsp, 0
        pushq_cfi 64(%rcx)               # ss
        pushq_cfi 56(%rcx)               # rsp
        .cfi_rel_offset rsp, 0
        pushq_cfi 48(%rcx)               # rflags
        pushq_cfi 40(%rcx)               # cs
        pushq_cfi 32(%rcx)               # rip
        .cfi_rel_offset rip, 0
        pushq_cfi 24(%rcx)               # error
        pushq_cfi 16(%rcx)               # vector
        SAVE_FRAME rax=8(%rcx), rcx=(%rcx)
#ifdef OSV_TLS_FS
        READ_FS_BASE_R11                 # whose FS is loaded is nobody's guess: it is put back as it was
        movq %r11, FRAME_FS_BASE(%rsp)
        ENTER_KERNEL_TLS
#endif
        movq %rsp, %rdi
        callq osv_interrupt              # al: was it the program? Interrupts off
        testb %al, %al
        jnz osv_frame_exit
        // Kernel code: the callee-saved registers are as they were.
#ifdef OSV_TLS_FS
        movq FRAME_FS_BASE(%rsp), %r11
        WRITE_FS_BASE_R11
#endif
        leaq FRAME_SIZE(%rsp), %rax
        cmpq GATE(GATE_STACK_TOP), %rax
        je 3f
        // On this very stack: no iretq (254 cycles); `popfq; ret` from the two words below its rsp, which are free.
        .cfi_remember_state
        movq %rsp, %rsi
        movq FRAME_RSP(%rsi), %rsp       # the two words may be those of the frame that held ss and this rsp
        pushq FRAME_RIP(%rsi)
        pushq FRAME_RFLAGS(%rsi)
        movq %rsp, FRAME_VECTOR(%rsi)
        leaq FRAME_R11(%rsi), %rsp
        RESTORE_CALLER_SAVED
        popq %rsp
        popfq
        retq
        .cfi_restore_state
3:      // An rsp that is not ours, in the first and last instructions of the system-call gate (or an empty stack).
        pushq $RFLAGS_RESERVED           # no NT: a switch in between may have left another thread's
        popfq
        addq $FRAME_R11, %rsp
        RESTORE_CALLER_SAVED
        addq $16, %rsp
        iretq
        .cfi_def_cfa rsp, 72
1:      movq GATE(GATE_STACK_TOP), %rax
        jmp 2b
        .cfi_endproc

// NMI, #DF and #MC: on stacks of their own (IST2..4), which they keep; they may hit anywhere, even between two instructions above.
        .balign 16
osv_paranoid_entry:
        .cfi_startproc simple
        .cfi_signal_frame
        .cfi_def_cfa rsp, 56
        .cfi_offset rip, -40
        .cfi_offset rsp, -16
        cld
        SAVE_FRAME
#ifdef OSV_TLS_FS
        READ_FS_BASE_R11
        movq %r11, FRAME_FS_BASE(%rsp)
        ENTER_KERNEL_TLS
#endif
        movq %rsp, %rdi
        callq osv_paranoid
#ifdef OSV_TLS_FS
        movq FRAME_FS_BASE(%rsp), %r11
        WRITE_FS_BASE_R11
#endif
        RESTORE_FRAME
        addq $16, %rsp
        iretq
        .cfi_endproc
        .globl osv_gates_end
osv_gates_end:

// The vectors: 16 bytes each; IDT entry n points to osv_vectors + 16*n.
        .globl osv_vectors
        .balign 16
osv_vectors:
        .set vector, 0
        .rept 256
        .balign 16
        .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
        pushq $0
        .endif
        pushq $vector
        .if vector == 2 || vector == 8 || vector == 18
        jmp osv_paranoid_entry
        .else
        jmp osv_interrupt_entry
        .endif
        .set vector, vector + 1
        .endr

// CPUs without FSGSBASE: what Cpu.cpp puts in the place of the instruction (Macros.inc). They preserve all but the register they deliver to.
        .globl osv_write_gs_base_rax, osv_write_fs_base_r11, osv_read_fs_base_r11
osv_write_gs_base_rax:
        pushq %rcx
        pushq %rdx
        movq %rax, %rdx
        shrq $32, %rdx
        movl $0xc0000101, %ecx
        wrmsr
        popq %rdx
        popq %rcx
        retq
osv_write_fs_base_r11:                   # no interrupt between two changes of registers: settleGateTail relies on that
        pushfq
        cli
        pushq %rax
        pushq %rcx
        pushq %rdx
        movq %r11, %rax
        movq %r11, %rdx
        shrq $32, %rdx
        movl $0xc0000100, %ecx
        wrmsr
        popq %rdx
        popq %rcx
        popq %rax
        popfq
        retq
        .globl osv_write_fs_base_r11_end
osv_write_fs_base_r11_end:
osv_read_fs_base_r11:
        pushq %rax
        pushq %rcx
        pushq %rdx
        movl $0xc0000100, %ecx
        rdmsr
        shlq $32, %rdx
        leaq (%rdx,%rax), %r11
        popq %rdx
        popq %rcx
        popq %rax
        retq

// What osv_syscall_table holds for calls whose handler is not in this image: an address of its own, by which Dispatch.cpp tells them apart.
        .section .text.osv_left_out_call, "ax", @progbits
        .globl osv_left_out_call
        .type osv_left_out_call, @function
osv_left_out_call:
        jmp osv_frame_call
        .size osv_left_out_call, . - osv_left_out_call

        .section .note.GNU-stack, "", @progbits
