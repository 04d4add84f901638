/* [access]: who has which role. Names are looked up when the configuration is read, so that nothing
 * asks for them while a client waits. */
#include "daemon/config-builder.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

/* What the look-up of a name may need at most; a group's entry carries its members. */
#define LOOKUP_MAX_BYTES (16U * 1024 * 1024)

/* 0; -ENOENT: no such name; -errno. */
static int lookup_once(bool is_group, const char *name, char *room, size_t size, uint32_t *ret)
{
	struct passwd user, *user_found = NULL;
	struct group group, *group_found = NULL;
	int error;

	if (is_group)
		error = getgrnam_r(name, &group, room, size, &group_found);
	else
		error = getpwnam_r(name, &user, room, size, &user_found);
	if (group_found)
		*ret = group_found->gr_gid;
	else if (user_found)
		*ret = user_found->pw_uid;
	else if (error == 0 || error == ESRCH || error == EBADF || error == EPERM)
		return -ENOENT; /* getpwnam(3): some sources of names say "none" in these ways */
	else
		return -error;
	return 0;
}

static int lookup_name(bool is_group, const char *name, uint32_t *ret)
{
	int r = -ERANGE;

	for (size_t size = 4096; r == -ERANGE && size <= LOOKUP_MAX_BYTES; size *= 4) {
		_cleanup_free_ char *room = malloc(size);

		if (!room)
			return -ENOMEM;
		r = lookup_once(is_group, name, room, size, ret);
	}
	return r;
}

static int lookup(bool is_group, const char *name, uint32_t *ret)
{
	unsigned long long number;
	char *end;

	if (!*name || name[strspn(name, "0123456789")] != '\0')
		return lookup_name(is_group, name, ret);
	errno = 0;
	number = strtoull(name, &end, 10);
	/* The last number means "none" to the kernel. */
	if (errno != 0 || number >= UINT32_MAX)
		return -ENOENT;
	*ret = (uint32_t)number;
	return 0;
}

static int put(Config *c, bool is_group, uint32_t id, Role role)
{
	ConfigAccess *grown;

	for (size_t i = 0; i < c->n_access; i++) {
		if (c->access[i].is_group != is_group || c->access[i].id != id)
			continue;
		c->access[i].role = role;
		return 0;
	}
	grown = reallocarray(c->access, c->n_access + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	c->access = grown;
	c->access[c->n_access++] = (ConfigAccess){ .is_group = is_group, .id = id, .role = role };
	return 0;
}

/* By number: a name and its number in one file are the same key twice. */
static int once(ConfigBuilder *b, bool is_group, uint32_t id)
{
	_cleanup_buf_ Buf key = { 0 };
	int r;

	r = buf_printf(&key, "[access] %s.%u", is_group ? "group" : "user", id);
	if (r == 0)
		r = buf_terminate(&key);
	return r < 0 ? r : config_builder_once(b, key.data);
}

int config_access_set(ConfigBuilder *b, const char *name, const char *value)
{
	bool is_group = strncmp(name, "group.", 6) == 0;
	const char *who = name + (is_group ? 6 : 5);
	int r, role = role_from_string(value);
	uint32_t id = 0;

	if (role <= ROLE_NONE) {
		r = config_builder_fault(b, name, "'%.64s' is not observe, submit or admin", value);
		if (r < 0)
			return r;
	}
	r = lookup(is_group, who, &id);
	if (r == -ENOMEM)
		return r;
	if (r == -ENOENT)
		return config_builder_fault(
			b, name, "there is no %s '%.128s'", is_group ? "group" : "user", who);
	if (r < 0)
		return config_builder_fault(b, name, "looking up the %s failed: %s",
			is_group ? "group" : "user", strerror(-r));
	r = once(b, is_group, id);
	if (r <= 0 || role <= ROLE_NONE)
		return r < 0 ? r : 0;
	return put(b->config, is_group, id, (Role)role);
}
