#include "daemon/control/access.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

static bool is_meant(const ConfigAccess *entry, uid_t uid, const gid_t *groups, size_t n_groups)
{
	if (!entry->is_group)
		return entry->id == uid;
	for (size_t i = 0; i < n_groups; i++)
		if (entry->id == groups[i])
			return true;
	return false;
}

Role access_role(const Config *config, uid_t uid, const gid_t *groups, size_t n_groups)
{
	Role role = ROLE_NONE;

	if (uid == 0 || uid == geteuid())
		return ROLE_ADMIN;
	for (size_t i = 0; i < config->n_access; i++) {
		const ConfigAccess *entry = &config->access[i];

		if (entry->role > role && is_meant(entry, uid, groups, n_groups))
			role = entry->role;
	}
	return role == ROLE_NONE ? config->access_other : role;
}

/* The supplementary groups and, last, the primary one. The caller frees *ret. */
static int read_groups(int fd, gid_t primary, gid_t **ret, size_t *ret_n)
{
	socklen_t bytes = 0;

	for (;;) {
		gid_t *groups = malloc(bytes + sizeof(*groups));

		if (!groups)
			return -ENOMEM;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) == 0) {
			size_t n = bytes / sizeof(*groups);

			groups[n] = primary;
			*ret = groups;
			*ret_n = n + 1;
			return 0;
		}
		free(groups);
		/* It says in `bytes` how much room it wants. */
		if (errno != ERANGE)
			return -errno;
	}
}

int access_peer(int fd, const Config *config, Peer *ret)
{
	_cleanup_free_ gid_t *groups = NULL;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	size_t n_groups = 0;
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	r = read_groups(fd, cred.gid, &groups, &n_groups);
	if (r < 0)
		return r;
	*ret = (Peer){
		.uid = cred.uid,
		.gid = cred.gid,
		.pid = cred.pid,
		.role = access_role(config, cred.uid, groups, n_groups),
	};
	return 0;
}
