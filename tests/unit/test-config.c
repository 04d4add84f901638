/* daemon/config*.c */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/config-places.h"
#include "daemon/config.h"
#include "tests/lib/check-main.h"
#include "tests/lib/config-fixture.h"

#define MIB (1024ULL * 1024)

START_TEST(defaults)
{
	Config *c = NULL;

	ck_assert_int_eq(config_fixture_load_with(&c, (const char *[]){ "--no-config", NULL }), 0);
	ck_assert_ptr_null(c->socket);
	ck_assert_ptr_null(c->state_dir);
	ck_assert_uint_eq(c->workers, 0);
	ck_assert_uint_eq(c->stop_grace_us, 10 * USEC_PER_SEC);
	ck_assert_uint_eq(c->kill_grace_ms, 5000);
	ck_assert_int_eq(c->log_level, LOG_LEVEL_INFO);
	ck_assert_ptr_null(c->trace_agent);
	ck_assert_uint_eq(c->socket_mode, 0660);
	ck_assert_uint_eq(c->max_running, 1024);
	ck_assert_uint_eq(c->max_queued, 10000);
	ck_assert_uint_eq(c->max_clients, 4096);
	ck_assert_uint_eq(c->max_request_bytes, 4 * MIB);
	ck_assert_uint_eq(c->max_prompt_bytes, 4 * MIB);
	ck_assert_uint_eq(c->max_batch, 1000);
	ck_assert_int_eq(c->durability, DURABILITY_INTERVAL);
	ck_assert_int_eq(c->cgroups, DELEGATION_AUTO);
	ck_assert_uint_eq(c->sync_interval_us, USEC_PER_SEC);
	ck_assert_uint_eq(c->segment_bytes, 64 * MIB);
	ck_assert_uint_eq(c->retain_bytes, 0);
	ck_assert_uint_eq(c->retain_age_us, 0);
	ck_assert_int_eq(c->access_other, ROLE_NONE);
	ck_assert_uint_eq(c->n_groups + c->n_access, 0);
	config_free(c);
}
END_TEST

static const struct {
	const char *text;
	uint64_t bytes; /* 0: is refused */
} sizes[] = {
	{ "64MiB", 64 * MIB },
	{ "64 MiB", 64 * MIB },
	{ "64mib", 64 * MIB },
	{ "1GiB", 1024 * MIB },
	{ "64KiB", 65536 },
	{ "64K", 65536 },
	{ "2M", 2 * MIB },
	{ "1G", 1024 * MIB },
	{ "100MB", 100000000 },
	{ "100KB", 100000 },
	{ "70000B", 70000 },
	{ "70000", 70000 },
	{ "", 0 },
	{ "MiB", 0 },
	{ "-1", 0 },
	{ "1.5MiB", 0 },
	{ "0x10000", 0 },
	{ "64Mi", 0 },
	{ "64MiB x", 0 },
	{ "65535", 0 },
	{ "2GiB", 0 },
	{ "99999999999999999999999", 0 },
	{ "18446744073709551615K", 0 },
};

START_TEST(size)
{
	char text[128];
	Config *c = NULL;

	snprintf(text, sizeof(text), "[log]\nsegment_bytes = %s\n", sizes[_i].text);
	if (sizes[_i].bytes == 0) {
		ck_assert_int_eq(config_fixture_load(text, &c), -EINVAL);
		config_fixture_assert_error("c.conf:2: segment_bytes: ");
		return;
	}
	c = config_fixture_must_load(text);
	ck_assert_uint_eq(c->segment_bytes, sizes[_i].bytes);
	config_free(c);
}
END_TEST

static const struct {
	const char *text;
	bool ok;
	uint64_t us;
} times[] = {
	{ "1s", true, USEC_PER_SEC },
	{ "500ms", true, 500 * USEC_PER_MSEC },
	{ "250us", true, 250 },
	{ "2min", true, 120 * USEC_PER_SEC },
	{ "1h", true, 3600 * USEC_PER_SEC },
	{ "7d", true, 7 * 86400 * USEC_PER_SEC },
	{ "90", true, 90 * USEC_PER_SEC },
	{ "0", true, 0 },
	{ "3m", true, 180 * USEC_PER_SEC },
	{ "1M", false, 0 },
	{ "1S", false, 0 },
	{ "s", false, 0 },
	{ "-1s", false, 0 },
	{ "1000000000d", false, 0 },
};

START_TEST(time_of)
{
	char text[128];
	Config *c = NULL;

	snprintf(text, sizeof(text), "[log]\nretain_age = %s\n", times[_i].text);
	if (!times[_i].ok) {
		ck_assert_int_eq(config_fixture_load(text, &c), -EINVAL);
		config_fixture_assert_error("c.conf:2: retain_age: ");
		return;
	}
	c = config_fixture_must_load(text);
	ck_assert_uint_eq(c->retain_age_us, times[_i].us);
	config_free(c);
}
END_TEST

/* One line each, in the section that stands before the colon; and what the error says. */
static const struct {
	const char *text, *error;
} bad[] = {
	{ "[limits]\nmax_runing = 5\n",
		":2: unknown key 'max_runing' in [limits]; did you mean max_running?" },
	{ "[limits]\nmax-running = 5\n", "did you mean max_running?" },
	{ "[daemon]\nmax_running = 5\n",
		":2: unknown key 'max_running' in [daemon]: it belongs in [limits]" },
	{ "[limits]\nxyzzy = 5\n", ":2: unknown key 'xyzzy' in [limits]\n" },
	{ "[limit]\nmax_running = 5\n", ":1: unknown section [limit]; did you mean [limits]?" },
	{ "[xyzzy]\n",
		":1: unknown section [xyzzy]: there are [daemon], [limits], [log], [access], "
		"[group NAME] and [provider NAME]\n" },
	{ "[grup a]\n", ":1: unknown section [grup a]; did you mean [group NAME]?" },
	{ "max_running = 5\n", ":1: 'max_running' stands before the first [section]" },
	{ "[limits\n", ":1: a section is [NAME] on a line of its own" },
	{ "[limits] max_running = 5\n", ":1: a section is [NAME]" },
	{ "[limits]\nmax_running\n", ":2: 'max_running' is no KEY = VALUE" },
	{ "[limits]\n= 5\n", ":2: '' is no KEY = VALUE" },
	{ "[limits]\nmax_running = 5\n\nmax_running = 6\n",
		":4: [limits] max_running is set twice in this file, first at line 2" },
	{ "[limits]\nmax_running = 0\n",
		":2: max_running: 0 is out of range: it must be from 1 to 1000000" },
	{ "[limits]\nmax_running = five\n", ":2: max_running: 'five' is not a whole number" },
	{ "[limits]\nmax_request_bytes = 16MiB\n", "it must be from 4KiB to 15MiB" },
	{ "[limits]\nmax_request_bytes = 4095\n", "it must be from 4KiB to 15MiB" },
	{ "[daemon]\nsocket_mode = 0888\n", "'0888' is not an octal mode" },
	{ "[daemon]\nsocket_mode = 1777\n", "1777 is out of range: it must be from 0000 to 0777" },
	{ "[daemon]\nsocket = control.sock\n", "'control.sock' must be an absolute path" },
	{ "[daemon]\nkill_grace = 1us\n", "'1us' is not a time of whole milliseconds" },
	{ "[daemon]\nlog_level = loud\n", "'loud' is not error, warning, notice, info or debug" },
	{ "[daemon]\ntrace_agent = 0a1b, me\n",
		":2: trace_agent: '0a1b, me' must be ids of agents" },
	{ "[log]\ndurability = yes\n", "'yes' is not interval or fsync" },
	{ "[daemon]\ncgroups = yes\n", "'yes' is not auto, on or off" },
	{ "[access]\nother = root\n", ":2: other: 'root' is not none, observe, submit or admin" },
	{ "[access]\nuser.root = none\n", ":2: user.root: 'none' is not observe, submit or admin" },
	{ "[access]\nuser.no-such-user = submit\n",
		":2: user.no-such-user: there is no user 'no-such-user'" },
	{ "[access]\ngroup.no-such-group = submit\n", "there is no group 'no-such-group'" },
	{ "[access]\nuser. = submit\n", "there is no user ''" },
	{ "[access]\nuser.4294967295 = submit\n", "there is no user '4294967295'" },
	{ "[access]\nroot = submit\n", "it takes user.NAME, group.NAME and other" },
	{ "[access]\nuser.root = submit\nuser.0 = admin\n", ":3: [access] user.0 is set twice" },
	{ "[group]\nmax_running = 1\n", ":1: the group needs a name" },
	{ "[group a]\nmax_queued = 1\n",
		":2: unknown key 'max_queued' in [group a]: it takes max_running" },
	{ "[group a]\nmax_runing = 1\n",
		":2: unknown key 'max_runing' in [group a]; did you mean max_running?" },
	{ "[group a]\nmax_running = 1\n[group  a]\nmax_running = 2\n",
		":4: [group a] max_running is set twice" },
	{ "[daemon]\nsocket_group =; daemon\n", "'; daemon' must not hold a ';'" },
	{ "[group a ;b]\n", ":1: the group's name must be UTF-8" },
	{ "[daemon]\nsocket = /\xff\n", "must be UTF-8" },
};

START_TEST(refused)
{
	Config *c = NULL;

	ck_assert_int_eq(config_fixture_load(bad[_i].text, &c), -EINVAL);
	ck_assert_ptr_null(c);
	config_fixture_assert_error(bad[_i].error);
	ck_assert_ptr_nonnull(strstr(config_fixture_errors(), "/c.conf:"));
}
END_TEST

START_TEST(all_errors_at_once)
{
	Config *c = NULL;

	config_fixture_write("c.conf",
		"[daemon]\nworkers = many\nnonsense\n[log]\nsegment_bytes = 1\n"
		"[limits]\nmax_runing = 1\n");
	ck_assert_int_eq(config_fixture_load_with(
				 &c, (const char *[]){ "--config", config_fixture_path("c.conf"),
					     "--max-batch=x", "--nope=3", "--group..max_running=1",
					     "--access.user.no-such-user=submit", NULL }),
		-EINVAL);
	config_fixture_assert_error("c.conf:2: workers:");
	config_fixture_assert_error("c.conf:3: 'nonsense' is no KEY = VALUE");
	config_fixture_assert_error("c.conf:5: segment_bytes:");
	config_fixture_assert_error("c.conf:7: unknown key 'max_runing'");
	config_fixture_assert_error("liongated: --max-batch: 'x' is not a whole number");
	config_fixture_assert_error("liongated: --group..max_running: the group needs a name");
	config_fixture_assert_error("liongated: unknown option --nope\n");
	config_fixture_assert_error(
		"liongated: --access.user.no-such-user: there is no user 'no-such-user'");
}
END_TEST

START_TEST(everything_set)
{
	Config *c = config_fixture_must_load(
		"\xef\xbb\xbf; a comment\n# and another\n"
		"[daemon]\r\n  socket = /run/x y.sock\t\r\nstate_dir: /var/lib/x ; a note\n"
		"workers=3\nsocket_mode = 600\nsocket_group = adm\nlog_level=debug\n"
		"trace_agent = 0a1b, 00000000-\n"
		"stop_grace = 0\nkill_grace = 250ms\n"
		"[log]\ndurability = fsync\nretain_bytes = 10GiB\nretain_age = 30d\n"
		"[limits]\nmax_prompt_bytes = 1MiB\n"
		"[ group a.b c ] ; it\nmax_running = 2\n"
		"[access]\nuser.root = submit\ngroup.4242 = observe\nother = admin");

	ck_assert_str_eq(c->socket, "/run/x y.sock");
	ck_assert_str_eq(c->state_dir, "/var/lib/x");
	ck_assert_uint_eq(c->workers, 3);
	ck_assert_uint_eq(c->socket_mode, 0600);
	ck_assert_str_eq(c->socket_group, "adm");
	ck_assert_int_eq(c->log_level, LOG_LEVEL_DEBUG);
	ck_assert_str_eq(c->trace_agent, "0a1b, 00000000-");
	ck_assert_uint_eq(c->stop_grace_us, 0);
	ck_assert_uint_eq(c->kill_grace_ms, 250);
	ck_assert_int_eq(c->durability, DURABILITY_FSYNC);
	ck_assert_uint_eq(c->retain_bytes, 10240 * MIB);
	ck_assert_uint_eq(c->retain_age_us, 30 * 86400 * USEC_PER_SEC);
	ck_assert_uint_eq(c->max_prompt_bytes, MIB);
	ck_assert_uint_eq(c->n_groups, 1);
	ck_assert_str_eq(c->groups[0].name, "a.b c");
	ck_assert_uint_eq(c->groups[0].max_running, 2);
	ck_assert_uint_eq(c->n_access, 2);
	ck_assert(!c->access[0].is_group && c->access[0].id == 0);
	ck_assert_int_eq(c->access[0].role, ROLE_SUBMIT);
	ck_assert(c->access[1].is_group && c->access[1].id == 4242);
	ck_assert_int_eq(c->access[1].role, ROLE_OBSERVE);
	ck_assert_int_eq(c->access_other, ROLE_ADMIN);
	config_free(c);
}
END_TEST

START_TEST(printed_reads_back)
{
	_cleanup_buf_ Buf first = { 0 }, second = { 0 }, changed = { 0 }, fixed = { 0 };
	Config *a, *b;

	a = config_fixture_must_load(
		"[daemon]\nsocket = /run/a.sock\nkill_grace = 1500ms\nworkers = 7\n"
		"[log]\nsync_interval = 1001us\nsegment_bytes = 100MB\nretain_age = 36h\n"
		"[limits]\nmax_request_bytes = 4097\n"
		"[access]\nother = observe\nuser.0 = submit\ngroup.7 = admin\n"
		"[group a b.c]\nmax_running = 1\n[group \xc3\xa9]\nmax_running = 1000000\n");
	ck_assert_int_eq(config_print(a, &first), 0);
	ck_assert_int_eq(buf_terminate(&first), 0);
	b = config_fixture_must_load(first.data);
	ck_assert_int_eq(config_diff(a, b, &changed, &fixed), 0);
	ck_assert_uint_eq(changed.len + fixed.len, 0);
	ck_assert_int_eq(config_print(b, &second), 0);
	ck_assert_uint_eq(first.len, second.len);
	ck_assert_mem_eq(first.data, second.data, first.len);
	config_free(a);
	config_free(b);
}
END_TEST

START_TEST(drop_ins_in_order)
{
	Config *c = NULL;

	config_fixture_write("c.conf",
		"[limits]\nmax_running = 1\nmax_queued = 1\nmax_clients = 1\nmax_batch = 1\n"
		"[access]\nuser.7 = submit\n[group a]\nmax_running = 1\n");
	ck_assert_int_eq(mkdir(config_fixture_path("c.conf.d"), 0700), 0);
	config_fixture_write("c.conf.d/20.conf", "[limits]\nmax_queued = 3\nmax_clients = 3\n");
	config_fixture_write("c.conf.d/10.conf",
		"[limits]\nmax_running = 2\nmax_queued = 2\n"
		"[access]\nuser.7 = admin\n[group a]\nmax_running = 9\n");
	config_fixture_write("c.conf.d/30.conf~", "nonsense");
	config_fixture_write("c.conf.d/.hidden.conf", "nonsense");
	ck_assert_int_eq(
		config_fixture_load_with(&c, (const char *[]){ "--max-clients", "4", "--config",
						     config_fixture_path("c.conf"), NULL }),
		0);
	ck_assert_uint_eq(c->max_running, 2);
	ck_assert_uint_eq(c->max_queued, 3);
	ck_assert_uint_eq(c->max_clients, 4);
	ck_assert_uint_eq(c->max_batch, 1);
	ck_assert_uint_eq(c->n_access, 1);
	ck_assert_int_eq(c->access[0].role, ROLE_ADMIN);
	ck_assert_uint_eq(c->n_groups, 1);
	ck_assert_uint_eq(c->groups[0].max_running, 9);
	config_free(c);
}
END_TEST

START_TEST(paths_in_force_are_printed)
{
	_cleanup_buf_ Buf printed = { 0 };
	Config *a = NULL, *b;

	ck_assert_int_eq(setenv("STATE_DIRECTORY", "/var/lib/of-systemd:/var/lib/other", 1), 0);
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "/nonexistent/runtime", 1), 0);
	ck_assert_int_eq(config_fixture_load_with(&a, (const char *[]){ "--no-config", NULL }), 0);
	ck_assert_int_eq(config_print(a, &printed), 0);
	ck_assert_int_eq(buf_terminate(&printed), 0);
	ck_assert_ptr_nonnull(strstr(printed.data, "\n#state_dir = /var/lib/of-systemd\n"));
	ck_assert_ptr_nonnull(strstr(printed.data,
		config_places_is_service(geteuid())
			? "\n#socket = /run/liongate/control.sock\n"
			: "\n#socket = /nonexistent/runtime/liongate/control.sock\n"));
	b = config_fixture_must_load(printed.data);
	ck_assert_ptr_null(b->socket);
	ck_assert_ptr_null(b->state_dir);
	config_free(a);
	config_free(b);
}
END_TEST

static const struct {
	uid_t uid;
	bool service;
} users[] = {
	{ 0, true },
	{ 1, true },
	{ 999, true },
	{ 1000, false },
	{ 61183, false },
	{ 61184, true },
	{ 65519, true },
	{ 65520, false },
	{ 65533, false },
	{ 65534, true },
	{ 65535, false },
};

static void assert_place(int (*place)(uid_t uid, char **ret), uid_t uid, const char *expected)
{
	_cleanup_free_ char *path = NULL;

	ck_assert_int_eq(place(uid, &path), 0);
	ck_assert_str_eq(path, expected);
}

/* What a service user's daemon reads, keeps and listens at is the system's, all three of them. */
START_TEST(usual_places)
{
	bool service = users[_i].service;

	ck_assert_int_eq(setenv("HOME", "/home/x", 1), 0);
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "/run/user/x", 1), 0);
	ck_assert_int_eq(setenv("XDG_CONFIG_HOME", "not/absolute", 1), 0);
	ck_assert_int_eq(unsetenv("XDG_STATE_HOME"), 0);
	ck_assert_int_eq(unsetenv("STATE_DIRECTORY"), 0);
	ck_assert(config_places_is_service(users[_i].uid) == service);
	assert_place(config_places_file, users[_i].uid,
		service ? "/etc/liongate/liongated.conf"
			: "/home/x/.config/liongate/liongated.conf");
	assert_place(config_places_state_dir, users[_i].uid,
		service ? "/var/lib/liongate" : "/home/x/.local/state/liongate");
	assert_place(config_places_socket, users[_i].uid,
		service ? "/run/liongate/control.sock" : "/run/user/x/liongate/control.sock");
	ck_assert_int_eq(setenv("XDG_STATE_HOME", "/state", 1), 0);
	assert_place(config_places_state_dir, users[_i].uid,
		service ? "/var/lib/liongate" : "/state/liongate");
}
END_TEST

START_TEST(usual_place_of_a_user)
{
	Config *c = NULL;

	if (getuid() == 0 && setresuid(4242, 4242, 4242) < 0)
		return;
	if (getuid() < 1000)
		return;
	/* The directory belongs to whoever ran setup(): only reading is needed, of a missing file.
	 */
	ck_assert_int_eq(setenv("XDG_CONFIG_HOME", "/nonexistent", 1), 0);
	ck_assert_int_eq(config_fixture_load_with(&c, (const char *[]){ NULL }), 0);
	ck_assert_uint_eq(c->max_running, 1024);
	config_free(c);
}
END_TEST

START_TEST(missing_file)
{
	Config *c = NULL;

	ck_assert_int_eq(
		config_fixture_load_with(
			&c, (const char *[]){ "--config", config_fixture_path("none.conf"), NULL }),
		-EINVAL);
	config_fixture_assert_error("/none.conf: cannot be read: No such file or directory");
}
END_TEST

START_TEST(long_line)
{
	_cleanup_free_ char *text = malloc(20001);
	Config *c = NULL;

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', 20000);
	text[20000] = '\0';
	memcpy(text, "[log]\nretain_age = ", 19);
	ck_assert_int_eq(config_fixture_load(text, &c), -EINVAL);
	config_fixture_assert_error("c.conf:2: the line is longer than");
	ck_assert_ptr_null(strstr(config_fixture_errors(), ":3:"));
}
END_TEST

START_TEST(option_forms)
{
	Config *c = NULL;

	ck_assert_int_eq(config_fixture_load_with(&c,
				 (const char *[]){ "--no-config", "--max-running=1",
					 "--max_queued=2", "--max_clients", "3",
					 "--limits.max-batch", "4", "--group.a.b-c.max-running=5",
					 "--access.other=observe", "--access.user.0=submit",
					 "--access.group.0", "admin", "--max-running=6", NULL }),
		0);
	ck_assert_uint_eq(c->max_running, 6);
	ck_assert_uint_eq(c->max_queued, 2);
	ck_assert_uint_eq(c->max_clients, 3);
	ck_assert_uint_eq(c->max_batch, 4);
	ck_assert_str_eq(c->groups[0].name, "a.b-c");
	ck_assert_uint_eq(c->groups[0].max_running, 5);
	ck_assert_int_eq(c->access_other, ROLE_OBSERVE);
	ck_assert_uint_eq(c->n_access, 2);
	config_free(c);
}
END_TEST

static const struct {
	const char *arguments[4];
	const char *error;
} bad_options[] = {
	{ { "--max-runing=5" },
		"liongated: unknown option --max-runing; did you mean --max-running?\n" },
	{ { "--max-runing", "5" }, "unknown option --max-runing; did you mean --max-running?\n" },
	{ { "--chek-config" }, "unknown option --chek-config; did you mean --check-config?\n" },
	{ { "--xyzzy" }, "unknown option --xyzzy\n" },
	{ { "--other=admin" }, "unknown option --other" },
	{ { "start" }, "liongated: unexpected argument 'start'" },
	{ { "--max-running" }, "option --max-running needs a value\n" },
	{ { "--config" }, "option --config needs a value\n" },
	{ { "--config=" }, "option --config needs a value\n" },
	{ { "--state-dir=" }, "liongated: option --state-dir needs a value\n" },
	{ { "--socket", "" }, "option --socket needs a value\n" },
	{ { "--config=/x", "--no-config" }, "exclude each other\n" },
	{ { "--group.max_running=1" }, "unknown option --group.max_running" },
	{ { "--group.a.max-runing=1" },
		"unknown option --group.a.max-runing; did you mean --group.a.max-running?\n" },
};

START_TEST(refused_option)
{
	Config *c = NULL;

	ck_assert_int_eq(config_fixture_load_with(&c, bad_options[_i].arguments), -EINVAL);
	config_fixture_assert_error(bad_options[_i].error);
	ck_assert_ptr_eq(
		strchr(config_fixture_errors(), '\n'), strrchr(config_fixture_errors(), '\n'));
}
END_TEST

static const struct {
	const char *option;
	ConfigAction action;
} actions[] = {
	{ "--workers=1", CONFIG_RUN },
	{ "--check-config", CONFIG_ACTION_CHECK_CONFIG },
	{ "--print-config", CONFIG_ACTION_PRINT_CONFIG },
	{ "--check", CONFIG_ACTION_CHECK },
	{ "--help", CONFIG_ACTION_HELP },
	{ "-h", CONFIG_ACTION_HELP },
	{ "--version", CONFIG_ACTION_VERSION },
};

START_TEST(action)
{
	_cleanup_(config_options_done) ConfigOptions options = { 0 };
	_cleanup_buf_ Buf errors = { 0 };
	char option[32];
	char *argv[] = { option, option, NULL };

	snprintf(option, sizeof(option), "%s", actions[_i].option);
	ck_assert_int_eq(config_options_parse(2, argv, &options, &errors), 0);
	ck_assert_int_eq(options.action, actions[_i].action);
}
END_TEST

START_TEST(help_names_every_key)
{
	_cleanup_buf_ Buf help = { 0 };
	static const char *const some[] = { "--check-config", "--max-running=VALUE",
		"--state-dir=VALUE", "Default: 64MiB", "--access.other=VALUE", "--retain-age=VALUE",
		"--no-config", "--group.NAME.max-running=VALUE",
		"--provider.NAME.max-concurrent=VALUE", "--provider.NAME.header.NAME=VALUE" };

	ck_assert_int_eq(config_print_help(&help), 0);
	ck_assert_int_eq(buf_terminate(&help), 0);
	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		ck_assert_msg(strstr(help.data, some[i]) != NULL, "no %s", some[i]);
}
END_TEST

START_TEST(diff)
{
	_cleanup_buf_ Buf changed = { 0 }, fixed = { 0 };
	Config *a, *b;

	a = config_fixture_must_load("[group x]\nmax_running = 1\n[group y]\nmax_running = 1\n"
				     "[access]\nuser.1 = submit\nuser.2 = submit\n");
	b = config_fixture_must_load("[daemon]\nworkers = 2\nsocket = /s\nlog_level = debug\n"
				     "trace_agent = 0a1b\n[limits]\nmax_running = 5\n"
				     "[group y]\nmax_running = 2\n[group z]\nmax_running = 1\n"
				     "[access]\nuser.2 = submit\nuser.1 = admin\n");
	ck_assert_int_eq(config_diff(a, b, &changed, &fixed), 0);
	ck_assert_int_eq(buf_terminate(&changed), 0);
	ck_assert_int_eq(buf_terminate(&fixed), 0);
	ck_assert_str_eq(changed.data, "daemon.log_level, daemon.trace_agent, "
				       "limits.max_running, group.x.max_running, "
				       "group.y.max_running, group.z.max_running, access");
	ck_assert_str_eq(fixed.data, "daemon.socket, daemon.workers");
	config_free(a);
	config_free(b);
}
END_TEST

/* A section without its key says nothing: the group has no limit of its own, and is none that
 * differs. */
START_TEST(an_empty_group)
{
	_cleanup_buf_ Buf changed = { 0 }, fixed = { 0 }, printed = { 0 };
	Config *a = config_fixture_must_load("[group x]\n"), *b = config_fixture_must_load(""),
	       *again;

	ck_assert_uint_eq(a->n_groups, 1);
	ck_assert_uint_eq(a->groups[0].max_running, UINT32_MAX);
	ck_assert_int_eq(config_diff(a, b, &changed, &fixed), 0);
	ck_assert_uint_eq(changed.len + fixed.len, 0);
	ck_assert_int_eq(config_print(a, &printed), 0);
	ck_assert_int_eq(buf_terminate(&printed), 0);
	ck_assert_ptr_nonnull(strstr(printed.data, "\n#max_running =\n"));
	again = config_fixture_must_load(printed.data);
	ck_assert_uint_eq(again->groups[0].max_running, UINT32_MAX);
	config_free(a);
	config_free(b);
	config_free(again);
}
END_TEST

START_TEST(diff_ignores_order)
{
	_cleanup_buf_ Buf changed = { 0 }, fixed = { 0 };
	Config *a = config_fixture_must_load("[access]\nuser.1 = submit\nuser.2 = admin\n");
	Config *b = config_fixture_must_load("[access]\nuser.2 = admin\nuser.1 = submit\n");

	ck_assert_int_eq(config_diff(a, b, &changed, &fixed), 0);
	ck_assert_uint_eq(changed.len + fixed.len, 0);
	config_free(a);
	config_free(b);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("config");
	TCase *files = tcase_create("files"), *options = tcase_create("options");

	tcase_add_checked_fixture(files, config_fixture_setup, config_fixture_teardown);
	tcase_add_test(files, defaults);
	tcase_add_loop_test(files, size, 0, ARRAY_SIZE(sizes));
	tcase_add_loop_test(files, time_of, 0, ARRAY_SIZE(times));
	tcase_add_loop_test(files, refused, 0, ARRAY_SIZE(bad));
	tcase_add_test(files, all_errors_at_once);
	tcase_add_test(files, everything_set);
	tcase_add_test(files, printed_reads_back);
	tcase_add_test(files, drop_ins_in_order);
	tcase_add_test(files, missing_file);
	tcase_add_test(files, long_line);
	tcase_add_test(files, paths_in_force_are_printed);
	tcase_add_test(files, diff);
	tcase_add_test(files, an_empty_group);
	tcase_add_test(files, diff_ignores_order);
	tcase_add_loop_test(options, usual_places, 0, ARRAY_SIZE(users));
	tcase_add_test(options, usual_place_of_a_user);
	tcase_add_test(options, option_forms);
	tcase_add_loop_test(options, refused_option, 0, ARRAY_SIZE(bad_options));
	tcase_add_loop_test(options, action, 0, ARRAY_SIZE(actions));
	tcase_add_test(options, help_names_every_key);
	suite_add_tcase(suite, files);
	suite_add_tcase(suite, options);
	return suite;
}
