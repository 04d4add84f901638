#include "daemon/reaper/reaper-delegation.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "common/buf.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/str.h"
#include "daemon/reaper/reaper-cgroup.h"

#define LEAF           "daemon"
#define AGENTS         "agents"
#define MAX_FILE_BYTES (1024U * 1024)

static const char *const modes[_DELEGATION_MAX] = {
	[DELEGATION_AUTO] = "auto",
	[DELEGATION_ON] = "on",
	[DELEGATION_OFF] = "off",
};

static const char *const controllers[_CGROUP_CONTROLLER_MAX] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_PIDS] = "pids",
	[CGROUP_CPU] = "cpu",
};

const char *delegation_mode_to_string(DelegationMode mode)
{
	return mode < _DELEGATION_MAX ? modes[mode] : NULL;
}

int delegation_mode_from_string(const char *name)
{
	return str_find(modes, _DELEGATION_MAX, name);
}

const char *cgroup_controller_to_string(CgroupController controller)
{
	return controllers[controller];
}

static int read_text(int dir_fd, const char *name, Buf *b)
{
	int r = file_read(dir_fd, name, MAX_FILE_BYTES, b);
	return r < 0 ? r : buf_terminate(b);
}

/* The service manager says so to whoever asks: user.delegate, and before systemd 251 to root alone.
 */
static bool is_marked(int fd)
{
	static const char *const names[] = { "user.delegate", "trusted.delegate" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char value[2];
		if (fgetxattr(fd, names[i], value, sizeof(value)) == 1 && value[0] == '1')
			return true;
	}
	return false;
}

static bool is_owned(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && st.st_uid == geteuid();
}

/* Opens the cgroup that is ours to take, and puts its path, as /proc has it, into `path`. The
 * caller may be in its leaf already: so whoever started it has put it there. */
static int find_root(DelegationMode mode, const char *mount, Buf *path)
{
	_cleanup_free_ char *own = NULL;
	if (asprintf(&own, "%s%.*s", mount, (int)path->len, path->data) < 0)
		return -ENOMEM;
	_cleanup_close_ int fd = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (is_marked(fd))
		return TAKE_FD(fd);

	size_t leaf = sizeof("/" LEAF) - 1;
	if (path->len > leaf && memcmp(path->data + path->len - leaf, "/" LEAF, leaf) == 0) {
		_cleanup_close_ int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (parent >= 0 && is_marked(parent)) {
			path->len -= leaf;
			return TAKE_FD(parent);
		}
	}
	return mode == DELEGATION_ON && is_owned(fd) ? TAKE_FD(fd) : -ENOENT;
}

/* Is there anyone but us? -ENOENT: there is no such cgroup. */
static int has_others(int root_fd, const char *procs)
{
	_cleanup_buf_ Buf b = { 0 };
	int r = read_text(root_fd, procs, &b);
	if (r < 0)
		return r;
	for (char *line, *rest = b.data; (line = strsep(&rest, "\n"));)
		if (line[0] != '\0' && strtol(line, NULL, 10) != getpid())
			return 1;
	return 0;
}

static int check_alone(int root_fd)
{
	int r = has_others(root_fd, "cgroup.procs");
	if (r == 0)
		r = has_others(root_fd, LEAF "/cgroup.procs");
	if (r == -ENOENT)
		return 0;
	return r > 0 ? -EBUSY : r;
}

static int make_dir(int root_fd, const char *name)
{
	return mkdirat(root_fd, name, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* Which of those that were wanted are there for agents now. What is missing is no failure. */
static unsigned enable_controllers(int root_fd, int agents_fd)
{
	_cleanup_buf_ Buf b = { 0 };
	unsigned enabled = 0;
	if (read_text(root_fd, "cgroup.controllers", &b) < 0)
		return 0;
	for (char *word, *rest = b.data; (word = strsep(&rest, " \n"));)
		for (unsigned i = 0; i < _CGROUP_CONTROLLER_MAX; i++) {
			char text[16];
			if (strcmp(word, controllers[i]) != 0)
				continue;
			(void)snprintf(text, sizeof(text), "+%s", word);
			int r = reaper_cgroup_write(root_fd, "cgroup.subtree_control", text);
			if (r >= 0)
				r = reaper_cgroup_write(agents_fd, "cgroup.subtree_control", text);
			if (r < 0)
				log_warning("agents go without the cgroup controller %s: %s", word,
					strerror(-r));
			else
				enabled |= 1U << i;
		}
	return enabled;
}

/* With the caller in its leaf, and all of a dead daemon's programs gone. */
static int settle_in(int root_fd, Delegation *d)
{
	int r = check_alone(root_fd);
	if (r >= 0)
		r = make_dir(root_fd, LEAF);
	if (r >= 0)
		r = make_dir(root_fd, AGENTS);
	if (r < 0)
		return r;
	_cleanup_close_ int agents =
		openat(root_fd, AGENTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (agents < 0)
		return -errno;

	char pid[16];
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	r = reaper_cgroup_write(root_fd, LEAF "/cgroup.procs", pid);
	if (r < 0)
		return r;
	d->controllers = enable_controllers(root_fd, agents);
	d->agents_fd = TAKE_FD(agents);
	reaper_cgroup_clear(d);
	return 0;
}

static const char *explain(int error)
{
	switch (error) {
	case -ENOENT:
		return "no cgroup is delegated to the daemon";
	case -EBUSY:
		return "there are other processes in the daemon's cgroup";
	default:
		return strerrordesc_np(-error);
	}
}

/* Where none is wanted or given nobody has to be told, beyond what daemon.status says. */
static int do_without(DelegationMode mode, int error, Delegation *d)
{
	if (error == -ENOMEM)
		return error;
	(void)snprintf(d->reason, sizeof(d->reason), "%s", explain(error));
	if (mode == DELEGATION_ON) {
		log_error("there can be no cgroups for agents: %s", d->reason);
		return error;
	}
	if (error != -ENOENT)
		log_warning("there are no cgroups for agents: %s", d->reason);
	return 0;
}

int delegation_take_in(DelegationMode mode, const char *mount, const char *own, Delegation *ret)
{
	_cleanup_(delegation_done) Delegation d = DELEGATION_NONE;
	_cleanup_buf_ Buf path = { 0 };
	int r = buf_append_str(&path, own);
	if (r < 0)
		return r;

	_cleanup_close_ int root_fd = find_root(mode, mount, &path);
	r = root_fd < 0 ? root_fd : settle_in(root_fd, &d);
	if (r < 0) {
		r = do_without(mode, r, &d);
	} else if (asprintf(&d.path, "%.*s/" AGENTS "/", path.len > 1 ? (int)path.len : 0,
			   path.data) < 0) {
		d.path = NULL;
		r = -ENOMEM;
	}
	if (r < 0)
		return r;
	*ret = d;
	d = DELEGATION_NONE;
	return 0;
}

/* Where systemd has cgroup v2, beside the old hierarchies if need be. NULL: nowhere. */
static const char *find_mount(void)
{
	static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct statfs fs;
		if (statfs(places[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			return places[i];
	}
	return NULL;
}

int delegation_take(DelegationMode mode, Delegation *ret)
{
	*ret = DELEGATION_NONE;
	if (mode == DELEGATION_OFF) {
		(void)snprintf(ret->reason, sizeof(ret->reason), "the configuration says so");
		return 0;
	}
	_cleanup_buf_ Buf b = { 0 };
	const char *own = NULL, *mount = find_mount();
	int r = mount ? reaper_cgroup_path("/proc/self/cgroup", &b, &own) : -ENOENT;
	if (r < 0)
		return do_without(mode, r, ret);
	return delegation_take_in(mode, mount, own, ret);
}

void delegation_done(Delegation *d)
{
	if (d->agents_fd >= 0)
		close(d->agents_fd);
	free(d->path);
	*d = DELEGATION_NONE;
}
