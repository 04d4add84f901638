#include "daemon/reaper/reaper-clone.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__) && defined(__LP64__)

/* The C library has no wrapper that gives the child a stack. The child must not return from here:
 * the parent's frame is not on its stack. */
static long clone_call(const struct clone_args *args, int (*fn)(void *arg), void *arg)
{
	long ret = SYS_clone3;
	__asm__ volatile(
		"syscall\n\t"
		"test %%rax, %%rax\n\t"
		"jnz 1f\n\t"
		"mov %[arg], %%rdi\n\t"
		"call *%[fn]\n\t"
		"mov %%eax, %%edi\n\t"
		"mov %[exit], %%eax\n\t"
		"syscall\n\t"
		"hlt\n"
		"1:"
		: "+a"(ret)
		: "D"(args), "S"(sizeof(*args)), [fn] "r"(fn), [arg] "r"(arg), [exit] "i"(SYS_exit)
		: "rcx", "r11", "cc", "memory");
	return ret;
}

#else

static long clone_call(const struct clone_args *args, int (*fn)(void *arg), void *arg)
{
	(void)args;
	(void)fn;
	(void)arg;
	return -ENOSYS;
}

#endif

pid_t reaper_clone(int (*fn)(void *arg), void *arg, void *stack, size_t size, int cgroup_fd)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = size,
		.cgroup = (uint64_t)cgroup_fd,
	};
	long pid = clone_call(&args, fn, arg);
	/* Linux before 5.7 does not know the flag, nor the size; a sandbox may have its own say. */
	if (pid == -E2BIG || pid == -EINVAL || pid == -EPERM)
		return -ENOSYS;
	return (pid_t)pid;
}
