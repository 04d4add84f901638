#include "daemon/control/listen-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "common/log.h"

/* How long another daemon that starts at the same place is waited for. */
#define LOCK_TRIES    20
#define LOCK_PAUSE_NS (50L * 1000 * 1000)

static int fill_address(const char *path, struct sockaddr_un *ret)
{
	size_t len = strlen(path);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len == 0 || len >= sizeof(ret->sun_path)) {
		log_error("the path of the control socket must have 1 to %zu bytes; %s has %zu",
			sizeof(ret->sun_path) - 1, path, len);
		return len == 0 ? -EINVAL : -ENAMETOOLONG;
	}
	memcpy(ret->sun_path, path, len + 1);
	return 0;
}

/* Two daemons that start at once must not both find the same stale file, and remove each
 * other's. The lock on the directory goes with its descriptor; where there is none to be had, it
 * is done without. */
static int lock_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			break;
		(void)nanosleep(&pause, NULL);
	}
	return fd;
}

static int cannot_make(const char *path, int error)
{
	log_error("the control socket cannot be made at %s: %s", path, strerror(error));
	return -error;
}

/* 0: nothing is there; 1: what a dead daemon left. */
static int look_at(const char *path, const struct sockaddr_un *address)
{
	_cleanup_close_ int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (probe < 0)
		return cannot_make(path, errno);
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : cannot_make(path, errno);
	if (!S_ISSOCK(st.st_mode)) {
		log_error("%s is there, and it is no socket", path);
		return -EEXIST;
	}
	if (connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		errno == EAGAIN || errno == EPROTOTYPE) {
		log_error("another process answers at %s", path);
		return -EADDRINUSE;
	}
	if (errno == ENOENT)
		return 0;
	return errno == ECONNREFUSED ? 1 : cannot_make(path, errno);
}

int listen_socket_check(const char *path)
{
	struct sockaddr_un address;
	int r = fill_address(path, &address);

	if (r == 0)
		r = look_at(path, &address);
	return r < 0 ? r : 0;
}

/* 0: nobody is there, and no file either. */
static int clear_place(const char *path, const struct sockaddr_un *address)
{
	int r = look_at(path, address);

	if (r <= 0)
		return r;
	log_info("%s was left by a daemon that is dead: it is taken over", path);
	return unlink(path) < 0 && errno != ENOENT ? cannot_make(path, errno) : 0;
}

static int set_access(const char *path, mode_t mode, const char *group)
{
	if (group) {
		const struct group *found = getgrnam(group);

		if (!found) {
			log_error("there is no group '%s' for the control socket", group);
			return -ENOENT;
		}
		if (chown(path, (uid_t)-1, found->gr_gid) < 0)
			return cannot_make(path, errno);
	}
	return chmod(path, mode) < 0 ? cannot_make(path, errno) : 0;
}

static int make_file(const char *path, const struct sockaddr_un *address, mode_t mode,
	const char *group, ListenSocket *s)
{
	struct stat st;
	int r;

	/* A socket file gets the mode that its socket has by then: nobody comes in before
	 * set_access(). */
	if (fchmod(s->fd, 0600) < 0 ||
		bind(s->fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return cannot_make(path, errno);
	if (lstat(path, &st) < 0) {
		r = cannot_make(path, errno);
		(void)unlink(path);
		return r;
	}
	s->device = st.st_dev;
	s->inode = st.st_ino;
	s->path = strdup(path);
	if (!s->path) {
		(void)unlink(path);
		return cannot_make(path, ENOMEM);
	}
	r = set_access(path, mode, group);
	if (r == 0 && listen(s->fd, SOMAXCONN) < 0)
		r = cannot_make(path, errno);
	return r;
}

int listen_socket_open(const char *path, mode_t mode, const char *group, ListenSocket *ret)
{
	ListenSocket s = { .fd = -1 };
	struct sockaddr_un address;
	_cleanup_close_ int lock = -1;
	int r = fill_address(path, &address);

	if (r < 0)
		return r;
	lock = lock_directory(path);
	r = clear_place(path, &address);
	if (r == 0) {
		s.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		r = s.fd < 0 ? cannot_make(path, errno)
			     : make_file(path, &address, mode, group, &s);
	}
	if (r < 0) {
		listen_socket_close(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void listen_socket_close(ListenSocket *s)
{
	struct stat st;

	if (s->path && lstat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode)
		(void)unlink(s->path);
	if (s->fd >= 0)
		close(s->fd);
	free(s->path);
	*s = (ListenSocket){ .fd = -1 };
}
