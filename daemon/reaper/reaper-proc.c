#include "daemon/reaper/reaper-proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/fd.h"

/* Programs may have larger environments; the daemon puts the name that is looked for first. */
#define ENVIRON_MAX_BYTES (1024U * 1024)

/* Of the kernel's, in the flags that /proc shows. */
#define PF_EXITING 0x4U

void pid_list_done(PidList *l)
{
	free(l->pids);
	*l = (PidList){ 0 };
}

int pid_list_push(PidList *l, pid_t pid)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		pid_t *pids = reallocarray(l->pids, cap, sizeof(*pids));
		if (!pids)
			return -ENOMEM;
		l->pids = pids;
		l->cap = cap;
	}
	l->pids[l->n++] = pid;
	return 0;
}

/* Reads at most `size` bytes of a file of /proc. */
static ssize_t read_proc(const char *path, char *out, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	return fd_pread_all(fd, out, size, 0);
}

int reaper_proc_stat(pid_t pid, ReaperProc *ret)
{
	enum {
		FIELD_PPID = 4,
		FIELD_PGRP,
		FIELD_SESSION,
		FIELD_FLAGS = 9,
		FIELD_THREADS = 20,
		FIELD_START_TIME = 22,
	};
	char path[64], text[1024];
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);

	ssize_t n = read_proc(path, text, sizeof(text) - 1);
	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';

	/* The name stands in parentheses and may hold anything, those included. */
	char *p = strrchr(text, ')');
	if (!p || p[1] != ' ' || p[2] == '\0')
		return -ESRCH;
	p += 3;

	uint64_t fields[FIELD_START_TIME + 1] = { 0 };
	for (size_t i = FIELD_PPID; i <= FIELD_START_TIME; i++)
		fields[i] = strtoull(p, &p, 10);

	*ret = (ReaperProc){
		.pid = pid,
		.ppid = (pid_t)fields[FIELD_PPID],
		.pgrp = (pid_t)fields[FIELD_PGRP],
		.session = (pid_t)fields[FIELD_SESSION],
		.start_time = fields[FIELD_START_TIME],
		.dying = (fields[FIELD_FLAGS] & PF_EXITING) && fields[FIELD_THREADS] <= 1,
	};
	return 0;
}

int reaper_proc_check(void)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	return access(path, R_OK) < 0 ? -ENOTSUP : 0;
}

/* Pids in decimal, each followed by a space. */
static int read_children(const char *path, PidList *l)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;

	char text[4096];
	pid_t pid = 0;
	for (;;) {
		ssize_t n = read(fd, text, sizeof(text));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		for (ssize_t i = 0; i < n; i++) {
			if (isdigit((unsigned char)text[i])) {
				pid = pid * 10 + (text[i] - '0');
			} else if (pid > 0) {
				int r = pid_list_push(l, pid);
				if (r < 0)
					return r;
				pid = 0;
			}
		}
	}
}

int reaper_proc_children(pid_t pid, PidList *l)
{
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;

	int r = 0;
	for (const struct dirent *e; r >= 0 && (e = readdir(dir));) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		(void)snprintf(
			path, sizeof(path), "/proc/%d/task/%s/children", (int)pid, e->d_name);
		r = read_children(path, l);
		if (r == -ESRCH) /* a thread that has just ended */
			r = 0;
	}
	(void)closedir(dir);
	return r;
}

int reaper_proc_agent_id(pid_t pid, char *out, size_t size)
{
	static const char key[] = "LIONGATE_AGENT_ID=";
	static char text[ENVIRON_MAX_BYTES + 1];
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);

	ssize_t n = read_proc(path, text, ENVIRON_MAX_BYTES);
	/* What has let go of its memory, on its way to become a zombie, is root's in /proc. */
	if (n == 0 || n == -ESRCH || n == -EACCES || n == -EPERM)
		return -EAGAIN;
	if (n < 0)
		return -ENOENT;
	text[n] = '\0';

	int r = -ENOENT;
	for (const char *p = text; r < 0 && p < text + n; p += strlen(p) + 1) {
		if (strncmp(p, key, sizeof(key) - 1) != 0)
			continue;
		(void)snprintf(out, size, "%s", p + sizeof(key) - 1);
		r = 0;
	}
	explicit_bzero(text, (size_t)n); /* there may be secrets beside it */
	return r;
}
