#include "tests/lib/libc-signals.h"

#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

void libc_signals_ignore(void)
{
	/* The kernel's struct sigaction begins with the handler, see rt_sigaction(2). */
	struct {
		void (*handler)(int sig);
		uint64_t rest[8];
	} action = { .handler = SIG_IGN };

	for (long sig = 32; sig < SIGRTMIN; sig++)
		ck_assert_int_eq(syscall(SYS_rt_sigaction, sig, &action, NULL, NSIG / 8), 0);
}
