#include "client/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static int wake_pipe[2] = { -1, -1 };
static volatile sig_atomic_t count;
static volatile sig_atomic_t last;
static volatile sig_atomic_t patience = 2;
static const char *volatile last_words;

static void leave_if_meant(void)
{
	if (count < patience)
		return;
	if (last_words)
		(void)!write(STDERR_FILENO, last_words, strlen(last_words));
	_exit(128 + last);
}

static void on_signal(int number)
{
	int saved = errno;

	last = number;
	count = count + 1;
	leave_if_meant();
	/* Full means that a wake-up is already waiting to be read. */
	if (write(wake_pipe[1], "", 1) < 0)
		errno = saved;
	errno = saved;
}

static int handle(int number)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction old, sa = { .sa_handler = on_signal };

	/* What nohup set to be ignored stays so. */
	if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
		return 0;
	/* One at a time: the handler counts. */
	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&sa.sa_mask, signals[i]);
	return sigaction(number, &sa, NULL) < 0 ? -errno : 0;
}

int interrupt_init(void)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };
	int r;

	if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	r = handle(SIGINT);
	if (r == 0)
		r = handle(SIGTERM);
	if (r == 0)
		r = handle(SIGHUP);
	if (r == 0 && sigaction(SIGPIPE, &sa, NULL) < 0)
		r = -errno;
	return r;
}

int interrupt_catch_quit(void)
{
	return handle(SIGQUIT);
}

void interrupt_set_patience(int signals)
{
	patience = signals;
	leave_if_meant();
}

void interrupt_set_last_words(const char *text)
{
	last_words = text;
}

int interrupt_fd(void)
{
	return wake_pipe[0];
}

int interrupt_take(void)
{
	char drain[16];
	bool any = false;

	while (read(wake_pipe[0], drain, sizeof(drain)) > 0)
		any = true;
	return any ? last : 0;
}

int interrupt_last(void)
{
	return last;
}

/* `fd`, unless it is -1, is the end of a pipe that somebody reads. */
static int sleep_beside(int fd, uint64_t ms)
{
	while (ms > 0) {
		struct pollfd p[] = {
			{ .fd = wake_pipe[0], .events = POLLIN },
			{ .fd = fd },
		};
		int slice = ms > INT_MAX ? INT_MAX : (int)ms;
		int n = poll(p, ARRAY_SIZE(p), slice);

		if (interrupt_take() != 0)
			return -EINTR;
		if (n > 0 && (p[1].revents & (POLLERR | POLLHUP | POLLNVAL)))
			return -EPIPE;
		ms -= (uint64_t)slice;
	}
	return interrupt_take() != 0 ? -EINTR : 0;
}

int interrupt_sleep(uint64_t ms)
{
	return sleep_beside(-1, ms);
}

int interrupt_sleep_watched(uint64_t ms)
{
	return sleep_beside(STDOUT_FILENO, ms);
}
