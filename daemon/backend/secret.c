#include "daemon/backend/secret.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/fd.h"

static const char *const prefixes[_SECRET_KIND_MAX] = {
	[SECRET_FILE] = "file:",
	[SECRET_CREDENTIAL] = "credential:",
	[SECRET_ENV] = "env:",
};

SecretKind secret_kind(const char *text)
{
	for (SecretKind kind = 0; kind < _SECRET_KIND_MAX; kind++)
		if (strncmp(text, prefixes[kind], strlen(prefixes[kind])) == 0)
			return kind;
	return _SECRET_KIND_INVALID;
}

/* The path or the name in it. */
static const char *place(const char *source, SecretKind kind)
{
	return source + strlen(prefixes[kind]);
}

const char *secret_source_fault(const char *source, bool env_too)
{
	SecretKind kind = secret_kind(source);
	const char *at = kind >= 0 ? place(source, kind) : NULL;

	if (!at || (kind == SECRET_ENV && !env_too))
		return env_too ? "must be file:PATH, credential:NAME or env:NAME"
			       : "must be \"credential:NAME\" or \"file:PATH\"";
	if (kind == SECRET_FILE)
		return at[0] == '/' ? NULL : "must name a file by an absolute path";
	if (kind == SECRET_ENV)
		return at[0] && !strchr(at, '=') ? NULL : "must name a variable";
	if (!at[0] || strchr(at, '/') || strcmp(at, ".") == 0 || strcmp(at, "..") == 0)
		return "must name a credential, not a path";
	return NULL;
}

static int find_path(SecretKind kind, const char *name, char path[PATH_MAX])
{
	const char *dir = kind == SECRET_CREDENTIAL ? getenv("CREDENTIALS_DIRECTORY") : NULL;
	int n;

	if (kind == SECRET_CREDENTIAL && (!dir || !*dir))
		return -ENOKEY;
	n = snprintf(path, PATH_MAX, "%s%s%s", dir ? dir : "", dir ? "/" : "", name);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Only a regular file: opening or reading anything else might take for ever. (So may one on a
 * mount that hangs.) One byte more than is allowed is read, to see that there is none. */
static ssize_t read_file(const char *path, size_t max, char *out)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return fd_pread_all(fd, out, max + 1, 0);
}

static ssize_t read_env(const char *name, size_t max, char *out)
{
	const char *value = getenv(name);
	size_t len = value ? strnlen(value, max + 1) : 0;

	if (!value)
		return -ENODATA;
	memcpy(out, value, len);
	return (ssize_t)len;
}

ssize_t secret_read(const char *source, size_t max, char *out)
{
	SecretKind kind = secret_kind(source);
	char path[PATH_MAX];
	ssize_t len = kind < 0 ? -ENOKEY : 0;

	if (kind == SECRET_ENV) {
		len = read_env(place(source, kind), max, out);
	} else if (kind >= 0) {
		len = find_path(kind, place(source, kind), path);
		if (len == 0)
			len = read_file(path, max, out);
	}
	if (len < 0)
		return len;
	if ((size_t)len > max)
		return -EFBIG;
	if (memchr(out, '\0', (size_t)len))
		return -EBADMSG;
	if (len > 0 && out[len - 1] == '\n')
		len--;
	out[len] = '\0';
	return len;
}

int secret_explain(int error, size_t max, Buf *b)
{
	switch (error) {
	case -EINVAL:
		return buf_append_str(b, "not a regular file");
	case -EFBIG:
		return buf_printf(b, "longer than %zu KiB", max / 1024);
	case -EBADMSG:
		return buf_append_str(b, "a NUL byte in it");
	case -ENOKEY:
		return buf_append_str(b, "the daemon was given no credentials");
	case -ENODATA:
		return buf_append_str(b, "the daemon was started without that variable");
	default:
		return buf_append_str(b, strerrordesc_np(-error));
	}
}

void secret_hide_process(void)
{
	/* The limit of cores would not do: it does not hold for a program that takes them by a
	 * pipe. Nor would a mark on the pages of the secret itself: libraries copy what they send.
	 */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void secret_limit_cores(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_CORE, &limit) < 0)
		return;
	limit.rlim_cur = 0;
	(void)setrlimit(RLIMIT_CORE, &limit);
}
