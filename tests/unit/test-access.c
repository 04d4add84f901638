/* daemon/control/access.c */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/control/access.h"
#include "tests/lib/check-main.h"

enum { USER = 60001, OTHER_USER = 60002, GROUP = 60100, OTHER_GROUP = 60101, STRANGER = 60999 };

static ConfigAccess entries[] = {
	{ .id = USER, .role = ROLE_OBSERVE },
	{ .id = OTHER_USER, .role = ROLE_SUBMIT },
	{ .is_group = true, .id = GROUP, .role = ROLE_ADMIN },
	{ .is_group = true, .id = OTHER_GROUP, .role = ROLE_OBSERVE },
};

static const struct {
	uid_t uid;
	gid_t groups[3];
	size_t n_groups;
	Role other;
	Role expected;
} cases[] = {
	{ .uid = 0, .expected = ROLE_ADMIN },
	{ .uid = USER, .expected = ROLE_OBSERVE },
	{ .uid = OTHER_USER, .expected = ROLE_SUBMIT },
	{ .uid = STRANGER, .expected = ROLE_NONE },
	{ .uid = STRANGER, .other = ROLE_OBSERVE, .expected = ROLE_OBSERVE },
	/* `other` is for those that nothing names. */
	{ .uid = USER, .other = ROLE_ADMIN, .expected = ROLE_OBSERVE },
	/* The greatest of all that fits. */
	{ .uid = USER, .groups = { 1, GROUP }, .n_groups = 2, .expected = ROLE_ADMIN },
	{ .uid = OTHER_USER, .groups = { OTHER_GROUP }, .n_groups = 1, .expected = ROLE_SUBMIT },
	{ .uid = STRANGER,
		.groups = { 1, 2, OTHER_GROUP },
		.n_groups = 3,
		.expected = ROLE_OBSERVE },
	/* A user's number is no group's, and the other way round. */
	{ .uid = GROUP, .expected = ROLE_NONE },
	{ .uid = STRANGER, .groups = { USER }, .n_groups = 1, .expected = ROLE_NONE },
};

START_TEST(role)
{
	Config config = {
		.access = entries,
		.n_access = ARRAY_SIZE(entries),
		.access_other = cases[_i].other,
	};

	ck_assert_int_eq(access_role(&config, cases[_i].uid, cases[_i].groups, cases[_i].n_groups),
		cases[_i].expected);
}
END_TEST

START_TEST(own_uid)
{
	Config config = { 0 };
	Peer peer;
	int fds[2];

	ck_assert_int_eq(access_role(&config, geteuid(), NULL, 0), ROLE_ADMIN);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(access_peer(fds[0], &config, &peer), 0);
	ck_assert_uint_eq(peer.uid, getuid());
	ck_assert_uint_eq(peer.gid, getgid());
	ck_assert_int_eq(peer.pid, getpid());
	ck_assert_int_eq(peer.role, ROLE_ADMIN);
	close(fds[0]);
	ck_assert_int_lt(access_peer(fds[0], &config, &peer), 0);
	close(fds[1]);
}
END_TEST

/* A socket that somebody else has made: the pair's peer is its maker, with all of its groups. */
static int socket_of(uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups)
{
	struct msghdr message = { 0 };
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct cmsghdr *header;
	int channel[2], fd, status;
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
	message.msg_iov = &iov;
	message.msg_iovlen = 1;
	message.msg_control = control;
	message.msg_controllen = sizeof(control);
	pid = fork();
	if (pid == 0) {
		int pair[2];

		if (setgroups(n_groups, groups) < 0 || setresgid(gid, gid, gid) < 0 ||
			setresuid(uid, uid, uid) < 0 ||
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			_exit(1);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		*(int *)(void *)CMSG_DATA(header) = pair[0];
		_exit(sendmsg(channel[1], &message, 0) == 1 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(recvmsg(channel[0], &message, MSG_CMSG_CLOEXEC), 1);
	header = CMSG_FIRSTHDR(&message);
	ck_assert_ptr_nonnull(header);
	fd = *(int *)(void *)CMSG_DATA(header);
	close(channel[0]);
	close(channel[1]);
	return fd;
}

static void check_peer(gid_t gid, size_t n_groups, Role expected)
{
	Config config = { .access = entries, .n_access = ARRAY_SIZE(entries) };
	gid_t groups[200] = { 0 };
	Peer peer;
	int fd;

	for (size_t i = 0; i < n_groups; i++)
		groups[i] = i + 1 == n_groups ? GROUP : (gid_t)(1000 + i);
	fd = socket_of(STRANGER, gid, groups, n_groups);
	ck_assert_int_eq(access_peer(fd, &config, &peer), 0);
	ck_assert_uint_eq(peer.uid, STRANGER);
	ck_assert_uint_eq(peer.gid, gid);
	ck_assert_int_eq(peer.role, expected);
	close(fd);
}

START_TEST(somebody_else)
{
	/* Only root can be somebody else. */
	if (geteuid() != 0)
		return;
	check_peer(STRANGER, 0, ROLE_NONE);
	check_peer(OTHER_GROUP, 0, ROLE_OBSERVE);
	check_peer(OTHER_GROUP, 1, ROLE_ADMIN);
	check_peer(STRANGER, 200, ROLE_ADMIN);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("access");
	TCase *tc = tcase_create("access");

	tcase_add_loop_test(tc, role, 0, ARRAY_SIZE(cases));
	tcase_add_test(tc, own_uid);
	tcase_add_test(tc, somebody_else);
	suite_add_tcase(s, tc);
	return s;
}
