#include "daemon/reaper/reaper-cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"

/* Of a name below agents/. */
#define PATH_BYTES     128U
/* Of a file that has numbers. */
#define MAX_FILE_BYTES (64U * 1024)
/* What is killed takes no time to die, unless it waits for a disk that does not answer. */
#define GIVE_UP_US     (10 * USEC_PER_SEC)
#define PAUSE_US       (2 * USEC_PER_MSEC)
/* Programs may nest theirs as they like; what is deeper stays. */
#define MAX_DEPTH      32U

int reaper_cgroup_write(int dir_fd, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd_write_all(fd, text, strlen(text));
}

static int write_number(int dir_fd, const char *name, uint64_t value)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return reaper_cgroup_write(dir_fd, name, text);
}

/* What it may have of memory is memory: where there is swap it would be as much again, and slow. */
static int set_memory(int fd, uint64_t bytes)
{
	int r = reaper_cgroup_write(fd, "memory.swap.max", "0");
	return r < 0 && r != -ENOENT ? r : write_number(fd, "memory.max", bytes);
}

static int set_limits(const Delegation *d, int fd, const ReaperRequest *q)
{
	int r = 0;
	if (q->processes > 0 && !delegation_has(d, CGROUP_PIDS))
		return -EOPNOTSUPP;
	if (q->processes > 0)
		r = write_number(fd, "pids.max", q->processes);
	if (r >= 0 && q->memory_bytes > 0 && delegation_has(d, CGROUP_MEMORY))
		r = set_memory(fd, q->memory_bytes);
	return r;
}

int reaper_cgroup_make(const Delegation *d, const ReaperRequest *request)
{
	const char *id = request->agent_id;
	if (mkdirat(d->agents_fd, id, 0755) < 0)
		return errno == EEXIST ? -EBUSY : -errno;
	_cleanup_close_ int fd = openat(d->agents_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : set_limits(d, fd, request);
	if (r >= 0)
		return TAKE_FD(fd);
	(void)unlinkat(d->agents_fd, id, AT_REMOVEDIR);
	return r;
}

static int path_of(char out[PATH_BYTES], const char *agent_id, const char *name)
{
	int n = snprintf(out, PATH_BYTES, "%s/%s", agent_id, name);
	return n < (int)PATH_BYTES ? 0 : -ENAMETOOLONG;
}

void reaper_cgroup_kill(const Delegation *d, const char *agent_id)
{
	char path[PATH_BYTES];
	/* Where that cannot be had the walk over processes does it alone. */
	if (path_of(path, agent_id, "cgroup.kill") == 0)
		(void)!reaper_cgroup_write(d->agents_fd, path, "1");
}

void reaper_cgroup_kill_all(const Delegation *d)
{
	(void)!reaper_cgroup_write(d->agents_fd, "cgroup.kill", "1");
}

/* False: there is no such file. */
static bool read_file(const Delegation *d, const char *agent_id, const char *name, Buf *b)
{
	char path[PATH_BYTES];
	b->len = 0;
	return path_of(path, agent_id, name) == 0 &&
	       file_read(d->agents_fd, path, MAX_FILE_BYTES, b) == 0 && buf_terminate(b) == 0;
}

/* Of a line `KEY NUMBER`; 0: there is none. */
static uint64_t find_number(const Buf *b, const char *key)
{
	size_t len = strlen(key);
	for (const char *line = b->data; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) == 0 && line[len] == ' ')
			return strtoull(line + len + 1, NULL, 10);
	}
	return 0;
}

void reaper_cgroup_tally(const Delegation *d, const char *agent_id, ReaperTally *ret)
{
	_cleanup_buf_ Buf b = { 0 };
	ReaperTally t = { .known = true, .cpu_over = ret->cpu_over };
	if (read_file(d, agent_id, "cpu.stat", &b))
		t.cpu_us = find_number(&b, "usage_usec");
	if (read_file(d, agent_id, "memory.peak", &b))
		t.memory_peak_bytes = strtoull(b.data, NULL, 10);
	if (read_file(d, agent_id, "memory.events", &b)) {
		t.memory_refused = find_number(&b, "oom");
		t.oom_kills = find_number(&b, "oom_kill");
	}
	if (read_file(d, agent_id, "pids.events", &b))
		t.forks_refused = find_number(&b, "max");
	*ret = t;
}

uint64_t reaper_cgroup_cpu_us(const Delegation *d, const char *agent_id)
{
	_cleanup_buf_ Buf b = { 0 };
	return read_file(d, agent_id, "cpu.stat", &b) ? find_number(&b, "usage_usec") : 0;
}

static int remove_at(int dir_fd, const char *name, unsigned depth);

/* Those below. */
static int remove_children(int dir_fd, const char *name, unsigned depth)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	int r = 0;
	for (const struct dirent *e; (e = readdir(dir));) {
		if (e->d_type != DT_DIR || strcmp(e->d_name, ".") == 0 ||
			strcmp(e->d_name, "..") == 0)
			continue;
		int removed = remove_at(fd, e->d_name, depth + 1);
		r = removed < 0 ? removed : r;
	}
	(void)closedir(dir);
	return r;
}

/* -EBUSY is also what the kernel says of one that has others below. */
static int remove_at(int dir_fd, const char *name, unsigned depth)
{
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if ((errno != EBUSY && errno != ENOTEMPTY) || depth >= MAX_DEPTH)
		return -errno;
	int r = remove_children(dir_fd, name, depth);
	if (r < 0)
		return r;
	return unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 ? 0 : -errno;
}

int reaper_cgroup_remove(const Delegation *d, const char *agent_id)
{
	return remove_at(d->agents_fd, agent_id, 0);
}

void reaper_cgroup_clear(const Delegation *d)
{
	const struct timespec pause = { .tv_nsec = (long)(PAUSE_US * 1000) };
	uint64_t until_us = clock_monotonic_us() + GIVE_UP_US;
	int r;
	do {
		reaper_cgroup_kill_all(d);
		r = remove_children(d->agents_fd, ".", 0);
		if (r == -EBUSY)
			(void)nanosleep(&pause, NULL);
	} while (r == -EBUSY && clock_monotonic_us() < until_us);
	if (r < 0)
		log_error("cgroups of agents that are no more cannot be removed: %s", strerror(-r));
}

int reaper_cgroup_path(const char *file, Buf *b, const char **ret)
{
	int r = file_read(AT_FDCWD, file, MAX_FILE_BYTES, b);
	if (r >= 0)
		r = buf_terminate(b);
	if (r < 0)
		return r;
	for (char *line, *rest = b->data; (line = strsep(&rest, "\n"));)
		if (strncmp(line, "0::/", 4) == 0) {
			*ret = line + 3;
			return 0;
		}
	return -ENOENT;
}

int reaper_cgroup_of(const Delegation *d, pid_t pid, char out[REAPER_AGENT_ID_SIZE])
{
	_cleanup_buf_ Buf b = { 0 };
	const char *path;
	char file[32];
	(void)snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
	if (reaper_cgroup_path(file, &b, &path) < 0 || strncmp(path, d->path, strlen(d->path)) != 0)
		return -ENOENT;
	const char *id = path + strlen(d->path);
	size_t len = strcspn(id, "/");
	if (len == 0 || len >= REAPER_AGENT_ID_SIZE)
		return -ENOENT;
	memcpy(out, id, len);
	out[len] = '\0';
	return 0;
}
