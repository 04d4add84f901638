/* Loaded into a daemon by LD_PRELOAD: has it die at, or fail in, the n-th system call that touches
 * its state directory, or the n-th allocation, and counts the memory that is in use. Nothing of the
 * daemon is built otherwise for that, and no step of it is left out.
 *
 * FAULT_DIR names the directory, FAULT_CONTROL a file with a FaultControl, which the test has
 * mapped too: it may change its mind while the daemon runs, and read what has happened after its
 * death. Without them all works as always. Programs of agents do not inherit any of this; the
 * reaper, which is forked, is chosen by `child`.
 *
 * The calls go to the kernel directly, past libc's wrappers: there is nothing else to be looked up.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_FDS  4096
#define NAME_LEN 64

/* Bits of FaultControl.calls, and the words of `where`: tests/faults/injector.py has them too. */
typedef enum FaultCall {
	FAULT_OPEN, /* for writing, or to make it */
	FAULT_LOOK, /* for reading */
	FAULT_WRITE,
	FAULT_SYNC,
	FAULT_TRUNCATE,
	FAULT_ALLOCATE,
	FAULT_RENAME,
	FAULT_UNLINK,
	FAULT_MKDIR,
	FAULT_READ,
	FAULT_MALLOC,
	_FAULT_MAX,
} FaultCall;

static const char *const call_names[_FAULT_MAX] = {
	"open",
	"look",
	"write",
	"sync",
	"truncate",
	"allocate",
	"rename",
	"unlink",
	"mkdir",
	"read",
	"malloc",
};

typedef enum FaultAction {
	FAULT_NONE,
	FAULT_FAIL,        /* the call is not made, and fails with `error` */
	FAULT_SHORT,       /* a write writes half; if there are more that strike, they fail */
	FAULT_KILL_BEFORE, /* SIGKILL in place of the call */
	FAULT_KILL_IN, /* SIGKILL after half of what is to be written; for other calls: before */
	FAULT_KILL_AFTER,
} FaultAction;

typedef struct FaultControl {
	_Atomic uint64_t calls; /* which of them count */
	_Atomic uint64_t seen;  /* how many have */
	_Atomic uint64_t from;  /* the first that strikes; 0: none does */
	_Atomic uint64_t count; /* and how many in all */
	_Atomic uint64_t action, error, child;
	_Atomic uint64_t struck;
	_Atomic int64_t in_use; /* bytes that were allocated and not freed, since it is mapped */
	char where[128];        /* what was struck first */
} FaultControl;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *p);

static FaultControl *control;
static bool is_child;
static const char *dir;
static size_t dir_len;
static bool trace;                    /* LIONGATE_FAULT_TRACE: says on stderr where it strikes */
static char names[MAX_FDS][NAME_LEN]; /* of what is open below the directory; "": not that */

static void note_child(void)
{
	is_child = true;
}

/* For `addr2line -e liongated`. */
static void say_where(void)
{
	void *places[32];

	backtrace_symbols_fd(places, backtrace(places, 32), STDERR_FILENO);
}

static void on_crash(int number)
{
	say_where();
	signal(number, SIG_DFL);
	raise(number);
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAULT_CONTROL");
	const char *state = getenv("FAULT_DIR");
	void *map = MAP_FAILED, *places;
	int fd = path && state ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;

	if (fd >= 0) {
		dir = strdup(state);
		dir_len = dir ? strlen(dir) : 0;
		map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		syscall(SYS_close, fd);
	}
	trace = getenv("LIONGATE_FAULT_TRACE");
	unsetenv("LD_PRELOAD");
	unsetenv("FAULT_CONTROL");
	unsetenv("FAULT_DIR");
	pthread_atfork(NULL, NULL, note_child);
	backtrace(&places, 1); /* the first call allocates */
	signal(SIGSEGV, on_crash);
	if (map != MAP_FAILED && dir) {
		control = map;
		atomic_store(&control->in_use, 0);
	}
}

/* ---- What strikes ---- */

static void note_where(FaultCall call, const char *name)
{
	const char *words[] = { call_names[call], " ", name };
	size_t at = 0;

	/* No printf: that may allocate, which may be what is being struck. */
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (const char *p = words[i]; *p && at < sizeof(control->where) - 1; p++)
			control->where[at++] = *p;
	control->where[at] = '\0';
}

static FaultAction strike(FaultCall call, const char *name)
{
	uint64_t n, from, action;

	if (!control || (atomic_load(&control->child) != 0) != is_child ||
		!(atomic_load(&control->calls) & 1UL << call))
		return FAULT_NONE;
	n = atomic_fetch_add(&control->seen, 1) + 1;
	from = atomic_load(&control->from);
	if (from == 0 || n < from || n - from >= atomic_load(&control->count))
		return FAULT_NONE;
	action = atomic_load(&control->action);
	if (trace)
		say_where();
	if (atomic_fetch_add(&control->struck, 1) == 0)
		note_where(call, name);
	else if (action == FAULT_SHORT)
		action = FAULT_FAIL;
	return (FaultAction)action;
}

static void die(void)
{
	syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
	for (;;)
		pause();
}

/* True: the call is not made, and errno says why. */
static bool fails(FaultAction action)
{
	if (action == FAULT_KILL_BEFORE || action == FAULT_KILL_IN)
		die();
	if (action != FAULT_FAIL && action != FAULT_SHORT)
		return false;
	errno = (int)atomic_load(&control->error);
	return true;
}

static long after(FaultAction action, long result)
{
	if (action == FAULT_KILL_AFTER)
		die();
	return result;
}

/* ---- Which files ---- */

/* NULL: it is not below the directory. */
static const char *below(const char *path)
{
	if (!dir || strncmp(path, dir, dir_len) != 0)
		return NULL;
	if (path[dir_len] == '\0')
		return ".";
	return path[dir_len] == '/' ? path + dir_len + 1 : NULL;
}

static const char *name_of(int fd)
{
	return fd >= 0 && fd < MAX_FDS && names[fd][0] ? names[fd] : NULL;
}

/* The last part will do: no two directories have files of one name. */
static const char *name_at(int dirfd, const char *path)
{
	return path[0] == '/' ? below(path) : name_of(dirfd) ? path : NULL;
}

static void remember(int fd, const char *name)
{
	size_t len = strnlen(name, NAME_LEN - 1);

	if (fd < 0 || fd >= MAX_FDS)
		return;
	memcpy(names[fd], name, len);
	names[fd][len] = '\0';
}

/* ---- Calls that take a path ---- */

static int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
	const char *name = name_at(dirfd, path);
	bool look = (flags & (O_ACCMODE | O_CREAT)) == O_RDONLY;
	FaultAction action = name ? strike(look ? FAULT_LOOK : FAULT_OPEN, name) : FAULT_NONE;
	int fd;

	if (fails(action))
		return -1;
	fd = (int)after(action, syscall(SYS_openat, dirfd, path, flags, mode));
	if (name)
		remember(fd, name);
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define DEFINE_OPEN(function)                                \
	int function(const char *path, int flags, ...)       \
	{                                                    \
		va_list ap;                                  \
		mode_t mode;                                 \
                                                             \
		va_start(ap, flags);                         \
		mode = mode_of(flags, ap);                   \
		va_end(ap);                                  \
		return open_at(AT_FDCWD, path, flags, mode); \
	}

#define DEFINE_OPENAT(function)                                   \
	int function(int dirfd, const char *path, int flags, ...) \
	{                                                         \
		va_list ap;                                       \
		mode_t mode;                                      \
                                                                  \
		va_start(ap, flags);                              \
		mode = mode_of(flags, ap);                        \
		va_end(ap);                                       \
		return open_at(dirfd, path, flags, mode);         \
	}

DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

int renameat(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	const char *name = name_at(to_dirfd, to);
	FaultAction action = name ? strike(FAULT_RENAME, name) : FAULT_NONE;

	if (fails(action))
		return -1;
	return (int)after(action, syscall(SYS_renameat2, from_dirfd, from, to_dirfd, to, 0));
}

int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlinkat(int dirfd, const char *path, int flags)
{
	const char *name = name_at(dirfd, path);
	FaultAction action = name ? strike(FAULT_UNLINK, name) : FAULT_NONE;

	if (fails(action))
		return -1;
	return (int)after(action, syscall(SYS_unlinkat, dirfd, path, flags));
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int mkdir(const char *path, mode_t mode)
{
	const char *name = name_at(AT_FDCWD, path);
	FaultAction action = name ? strike(FAULT_MKDIR, name) : FAULT_NONE;

	if (fails(action))
		return -1;
	return (int)after(action, syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}

/* ---- Calls that take a descriptor ---- */

int close(int fd)
{
	if (fd >= 0 && fd < MAX_FDS)
		names[fd][0] = '\0';
	return (int)syscall(SYS_close, fd);
}

static FaultAction strike_fd(FaultCall call, int fd)
{
	const char *name = name_of(fd);

	return name ? strike(call, name) : FAULT_NONE;
}

/* `offset` < 0: where the file is. */
static ssize_t write_to(int fd, const void *bytes, size_t n, off_t offset)
{
	FaultAction action = strike_fd(FAULT_WRITE, fd);
	bool half = action == FAULT_SHORT || action == FAULT_KILL_IN;
	long done;

	if (half && n > 1)
		n /= 2;
	else if (fails(action))
		return -1;
	if (offset < 0)
		done = syscall(SYS_write, fd, bytes, n);
	else
		done = syscall(SYS_pwrite64, fd, bytes, n, offset);
	if (action == FAULT_KILL_IN)
		die();
	return after(action, done);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
	return write_to(fd, bytes, n, -1);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
	return write_to(fd, bytes, n, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t offset)
{
	return write_to(fd, bytes, n, offset);
}

#define DEFINE_SIMPLE(call, function, number, parameters, ...)                                \
	int function parameters                                                               \
	{                                                                                     \
		FaultAction action = strike_fd(call, fd);                                     \
                                                                                              \
		return fails(action) ? -1 : (int)after(action, syscall(number, __VA_ARGS__)); \
	}

DEFINE_SIMPLE(FAULT_SYNC, fsync, SYS_fsync, (int fd), fd)
DEFINE_SIMPLE(FAULT_SYNC, fdatasync, SYS_fdatasync, (int fd), fd)
DEFINE_SIMPLE(FAULT_TRUNCATE, ftruncate, SYS_ftruncate, (int fd, off_t len), fd, len)
DEFINE_SIMPLE(FAULT_TRUNCATE, ftruncate64, SYS_ftruncate, (int fd, off_t len), fd, len)
DEFINE_SIMPLE(FAULT_ALLOCATE, fallocate, SYS_fallocate, (int fd, int mode, off_t offset, off_t len),
	fd, mode, offset, len)
DEFINE_SIMPLE(FAULT_ALLOCATE, fallocate64, SYS_fallocate,
	(int fd, int mode, off_t offset, off_t len), fd, mode, offset, len)

static ssize_t read_from(int fd, void *bytes, size_t n, off_t offset)
{
	FaultAction action = strike_fd(FAULT_READ, fd);

	if (fails(action))
		return -1;
	if (offset < 0)
		return after(action, syscall(SYS_read, fd, bytes, n));
	return after(action, syscall(SYS_pread64, fd, bytes, n, offset));
}

ssize_t read(int fd, void *bytes, size_t n)
{
	return read_from(fd, bytes, n, -1);
}

ssize_t pread(int fd, void *bytes, size_t n, off_t offset)
{
	return read_from(fd, bytes, n, offset);
}

ssize_t pread64(int fd, void *bytes, size_t n, off_t offset)
{
	return read_from(fd, bytes, n, offset);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t n)
{
	FaultAction action = strike_fd(FAULT_READ, in);

	return fails(action) ? -1 : after(action, syscall(SYS_sendfile, out, in, offset, n));
}

ssize_t sendfile64(int out, int in, off_t *offset, size_t n)
{
	return sendfile(out, in, offset, n);
}

/* ---- Memory ---- */

static bool allocation_fails(void)
{
	return fails(strike(FAULT_MALLOC, ""));
}

static void *count(void *p)
{
	if (p && control && !is_child)
		atomic_fetch_add(&control->in_use, (int64_t)malloc_usable_size(p));
	return p;
}

static void discount(void *p)
{
	if (p && control && !is_child)
		atomic_fetch_sub(&control->in_use, (int64_t)malloc_usable_size(p));
}

void *malloc(size_t n)
{
	return allocation_fails() ? NULL : count(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return allocation_fails() ? NULL : count(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
	void *moved;

	if (allocation_fails())
		return NULL;
	discount(p);
	moved = __libc_realloc(p, n);
	count(moved ? moved : n > 0 ? p : NULL);
	return moved;
}

/* The others that give what free() takes. */
void *memalign(size_t alignment, size_t n)
{
	return count(__libc_memalign(alignment, n));
}

void *aligned_alloc(size_t alignment, size_t n)
{
	return memalign(alignment, n);
}

int posix_memalign(void **ret, size_t alignment, size_t n)
{
	void *p = memalign(alignment, n);

	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}

void free(void *p)
{
	discount(p);
	__libc_free(p);
}

static bool is_of_json_c(void *caller)
{
	Dl_info info;

	return dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "libjson-c");
}

/* json-c does not look at what strdup() of an object's key returns, and dies of it: that one
 * allocation never fails here. */
char *strdup(const char *text)
{
	bool spared = is_of_json_c(__builtin_return_address(0));
	size_t n = strlen(text) + 1;
	char *copy = spared ? count(__libc_malloc(n)) : malloc(n);

	return copy ? memcpy(copy, text, n) : NULL;
}
