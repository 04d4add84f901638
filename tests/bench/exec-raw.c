/* The least that running programs and keeping their output can cost: COUNT times PROGRAM, PARALLEL
 * at a time, each with standard output and error in a pipe of its own, and what it writes appended
 * to FILE. No events, no time-outs, no memory of what ran. Prints one line of JSON. Usage: exec-raw
 * COUNT PARALLEL FILE PROGRAM [ARGUMENT...] */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/bench/bench.h"

#define MAX_PARALLEL 64
#define READ_BYTES   65536

typedef struct Loop {
	char **command;
	int log_fd;
	uint64_t wanted, parallel;
	uint64_t started, running, failed;
	uint64_t bytes;
	/* Of those that run. */
	pid_t pids[MAX_PARALLEL];
	struct pollfd pipes[MAX_PARALLEL];
} Loop;

static void start_one(Loop *l)
{
	posix_spawn_file_actions_t actions;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		bench_die_errno("pipe");
	r = posix_spawn_file_actions_init(&actions);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(
			&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO);
	if (r == 0)
		r = posix_spawnp(
			&l->pids[l->running], l->command[0], &actions, NULL, l->command, environ);
	if (r != 0)
		bench_die("%s: %s", l->command[0], strerror(r));
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	l->pipes[l->running] = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	l->running++;
	l->started++;
}

/* The last one takes its place. */
static void end_one(Loop *l, size_t i)
{
	int status;

	close(l->pipes[i].fd);
	if (waitpid(l->pids[i], &status, 0) < 0)
		bench_die_errno("waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		l->failed++;
	l->running--;
	l->pids[i] = l->pids[l->running];
	l->pipes[i] = l->pipes[l->running];
}

static void read_one(Loop *l, size_t i)
{
	char buffer[READ_BYTES];
	ssize_t n = read(l->pipes[i].fd, buffer, sizeof(buffer));

	if (n < 0)
		bench_die_errno("read");
	if (n == 0) {
		end_one(l, i);
		return;
	}
	l->bytes += (uint64_t)n;
	bench_write_all(l->log_fd, buffer, (size_t)n);
}

static void run(Loop *l)
{
	while (l->started < l->wanted || l->running > 0) {
		while (l->running < l->parallel && l->started < l->wanted)
			start_one(l);
		if (poll(l->pipes, l->running, -1) < 0)
			bench_die_errno("poll");
		/* From the end, for what ends is replaced by what was looked at already. */
		for (size_t i = l->running; i > 0; i--) {
			if (l->pipes[i - 1].revents)
				read_one(l, i - 1);
		}
	}
}

int main(int argc, char **argv)
{
	Loop l = { 0 };
	uint64_t began_ns;

	if (argc >= 5) {
		l.wanted = digits_read(argv[1], strlen(argv[1]));
		l.parallel = digits_read(argv[2], strlen(argv[2]));
	}
	if (l.wanted == 0 || l.wanted == UINT64_MAX || l.parallel == 0 || l.parallel > MAX_PARALLEL)
		bench_die("usage: exec-raw COUNT PARALLEL FILE PROGRAM [ARGUMENT...]");
	l.command = argv + 4;
	l.log_fd = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (l.log_fd < 0)
		bench_die_errno(argv[3]);
	began_ns = bench_now_ns();
	run(&l);
	printf("{\"seconds\":%.6f,\"failed\":%llu,\"bytes\":%llu}\n",
		(double)(bench_now_ns() - began_ns) / 1e9, (unsigned long long)l.failed,
		(unsigned long long)l.bytes);
	return 0;
}
