/* daemon/config-named.c, daemon/config-provider.c: [provider NAME]. What all sections have in
 * common is in test-config.c. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/config.h"
#include "tests/lib/check-main.h"
#include "tests/lib/config-fixture.h"

START_TEST(defaults)
{
	Config *c = config_fixture_must_load("[provider x]\nkind = openai\n");
	const ConfigProvider *p = c->providers;

	ck_assert_uint_eq(c->n_providers, 1);
	ck_assert_str_eq(p->name, "x");
	ck_assert_int_eq(p->kind, PROVIDER_KIND_OPENAI);
	ck_assert(!p->base_url && !p->unix_socket && !p->ca_file && !p->proxy && !p->key &&
		  !p->model);
	ck_assert_uint_eq(p->headers.n, 0);
	ck_assert_uint_eq(p->max_concurrent, 0);
	ck_assert_uint_eq(p->requests_per_minute, 0);
	ck_assert_uint_eq(p->tokens_per_minute, 0);
	ck_assert_uint_eq(p->connect_ms, 10000);
	ck_assert_uint_eq(p->first_chunk_ms, 120000);
	ck_assert_uint_eq(p->idle_ms, 120000);
	ck_assert_uint_eq(p->total_ms, 0);
	ck_assert_uint_eq(p->max_attempts, 4);
	ck_assert_uint_eq(p->retry_base_ms, 500);
	ck_assert_uint_eq(p->retry_max_ms, 30000);
	config_free(c);
}
END_TEST

static const char everything[] =
	"[provider a b.c]\nkind = anthropic\nbase_url = https://[::1]:8443/x/\n"
	"ca_file = /etc/ca.pem\nproxy = socks5h://proxy.example:1080\nkey = credential:api\n"
	"model = m-1:latest\nheader.X-Team = blue; green\nheader.X-Secret = file:/run/secret\n"
	"max_concurrent = 8\nrequests_per_minute = 600\ntokens_per_minute = 4000000000\n"
	"connect_timeout = 500ms\nfirst_chunk_timeout = 0\nidle_timeout = 2min\n"
	"total_timeout = 1h\nmax_attempts = 1\nretry_base = 1\nretry_max = 1min\n"
	"[provider local]\nkind = openai\nunix_socket = /run/llm.sock\n"
	"base_url = http://localhost/v1\n";

START_TEST(everything_set)
{
	Config *c = config_fixture_must_load(everything);
	const ConfigProvider *p = c->providers;

	ck_assert_uint_eq(c->n_providers, 2);
	ck_assert_str_eq(p->name, "a b.c");
	ck_assert_int_eq(p->kind, PROVIDER_KIND_ANTHROPIC);
	ck_assert_str_eq(p->base_url, "https://[::1]:8443/x/");
	ck_assert_str_eq(p->ca_file, "/etc/ca.pem");
	ck_assert_str_eq(p->proxy, "socks5h://proxy.example:1080");
	ck_assert_str_eq(p->key, "credential:api");
	ck_assert_str_eq(p->model, "m-1:latest");
	ck_assert_uint_eq(p->headers.n, 2);
	ck_assert_str_eq(p->headers.items[0].name, "X-Team");
	ck_assert_str_eq(p->headers.items[0].value, "blue; green");
	ck_assert_str_eq(p->headers.items[1].value, "file:/run/secret");
	ck_assert_uint_eq(p->max_concurrent, 8);
	ck_assert_uint_eq(p->requests_per_minute, 600);
	ck_assert_uint_eq(p->tokens_per_minute, 4000000000U);
	ck_assert_uint_eq(p->connect_ms, 500);
	ck_assert_uint_eq(p->first_chunk_ms, 0);
	ck_assert_uint_eq(p->idle_ms, 120000);
	ck_assert_uint_eq(p->total_ms, 3600000);
	ck_assert_uint_eq(p->max_attempts, 1);
	ck_assert_uint_eq(p->retry_base_ms, 1000);
	ck_assert_uint_eq(p->retry_max_ms, 60000);
	ck_assert_str_eq(p[1].unix_socket, "/run/llm.sock");
	config_free(c);
}
END_TEST

START_TEST(printed_reads_back)
{
	_cleanup_buf_ Buf first = { 0 }, second = { 0 }, changed = { 0 }, fixed = { 0 };
	Config *a = config_fixture_must_load(everything), *b;

	ck_assert_int_eq(config_print(a, &first), 0);
	ck_assert_int_eq(buf_terminate(&first), 0);
	ck_assert_ptr_nonnull(strstr(first.data, "\nkey = credential:api\n"));
	ck_assert_ptr_nonnull(strstr(first.data, "\nheader.X-Secret = file:/run/secret\n"));
	ck_assert_ptr_nonnull(strstr(first.data, "\n#header.NAME =\n"));
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

/* What the file says, in [provider x] behind its kind; and the error. */
static const struct {
	const char *text, *error;
} bad[] = {
	{ "max_concurent = 8\n",
		":3: unknown key 'max_concurent' in [provider x]; did you mean max_concurrent?" },
	{ "xyzzy = 8\n",
		":3: unknown key 'xyzzy' in [provider x]: it takes kind, base_url, unix_socket, " },
	{ "kind = openai\n", ":3: [provider x] kind is set twice in this file, first at line 2" },
	{ "[provider x]\nkind = openai\n", ":4: [provider x] kind is set twice" },
	{ "[provider y]\n", ":3: [provider y] needs a kind: openai or anthropic" },
	{ "[provider y]\nmodel = m\n", ":3: [provider y] needs a kind" },
	{ "[provider y]\nkind = openia\n", ":4: kind: 'openia' is not openai or anthropic\n" },
	{ "[provider y]\nkind =\n", ":4: kind: '' is not openai or anthropic\n" },
	{ "[provider]\n", ":3: the provider needs a name: [provider NAME]" },
	{ "[provder y]\n", ":3: unknown section [provder y]; did you mean [provider NAME]?" },
	{ "max_concurrent = 1000001\n", ":3: max_concurrent: 1000001 is out of range" },
	{ "max_attempts = 0\n", ":3: max_attempts: 0 is out of range: it must be from 1 to 100" },
	{ "connect_timeout = 1us\n", ":3: connect_timeout: '1us' is not a time of whole" },
	{ "retry_base = 2s\nretry_max = 1s\n",
		":1: [provider x] has a retry_max below its retry_base" },
	{ "unix_socket = run.sock\n", ":3: unix_socket: 'run.sock' must be an absolute path" },
	{ "ca_file = ca.pem\n", ":3: ca_file: 'ca.pem' must be an absolute path" },
	{ "base_url = api.example/v1\n", ":3: base_url: it must be a URL: SCHEME://HOST\n" },
	{ "base_url = ftp://h/\n", ":3: base_url: it must begin with http:// or https://\n" },
	{ "base_url = https://\n", ":3: base_url: it must name a host" },
	{ "base_url = https:///v1\n", ":3: base_url: it must name a host" },
	{ "base_url = https://h:/\n", ":3: base_url: it must have a port from 1 to 65535" },
	{ "base_url = https://h:65536\n", ":3: base_url: it must have a port" },
	{ "base_url = https://h:0x1\n", ":3: base_url: it must have a port" },
	{ "base_url = https://[::1]x\n", ":3: base_url: it must have a port" },
	{ "base_url = https://[::1/\n", ":3: base_url: it must name a host" },
	{ "base_url = https://[1.2]/\n", ":3: base_url: it must name a host" },
	{ "base_url = https://h?a=b\n", ":3: base_url: it must not hold a '?' or a '#'" },
	{ "base_url = https://h/v1#b\n", ":3: base_url: it must not hold a '?' or a '#'" },
	{ "base_url = https://h/a b\n", ":3: base_url: it holds a character that no URL may" },
	{ "base_url = https://h\xc3\xa9/\n", ":3: base_url: it holds a character that no URL" },
	{ "proxy = proxy.example:3128\n", ":3: proxy: it must be a URL" },
	{ "proxy = ftp://proxy.example\n", ":3: proxy: it must begin with http://, https://, " },
	{ "proxy = http://proxy.example/x\n", ":3: proxy: it must not have a path" },
	{ "unix_socket = /s\nproxy = http://p\n",
		":1: [provider x] has a unix_socket and a proxy" },
	{ "key = file:key\n", ":3: key: it must name a file by an absolute path" },
	{ "key = credential:a/b\n", ":3: key: it must name a credential, not a path" },
	{ "key = env:\n", ":3: key: it must name a variable" },
	{ "header. = x\n", ":3: the name '' must name a header" },
	{ "header.a b = x\n", ":3: the name 'a b' holds a character that no header's name" },
	{ "header.content-length = 5\n",
		":3: the name 'content-length' is a header that the daemon sets by itself" },
	{ "header.X-A = caf\xc3\xa9\n", ":3: header.X-A: it holds a character that is not" },
	{ "header.X-A = file:x\n", ":3: header.X-A: it must name a file by an absolute path" },
	{ "header.X-A = 1\nheader.x-a = 2\n", ":4: [provider x] header.x-a is set twice" },
	{ "key = env:K\nheader.authorization = env:H\n",
		":1: [provider x] has a key and the header that the key goes in" },
};

START_TEST(refused)
{
	_cleanup_buf_ Buf text = { 0 };
	Config *c = NULL;

	ck_assert_int_eq(buf_printf(&text, "[provider x]\nkind = openai\n%s", bad[_i].text), 0);
	ck_assert_int_eq(buf_terminate(&text), 0);
	ck_assert_int_eq(config_fixture_load(text.data, &c), -EINVAL);
	config_fixture_assert_error(bad[_i].error);
	/* One mistake, one line. */
	ck_assert_ptr_eq(
		strchr(config_fixture_errors(), '\n'), strrchr(config_fixture_errors(), '\n'));
}
END_TEST

/* Where a secret was put that has no business there. */
static const char *const misplaced[] = {
	"key = hunter2\n",
	"key = file:hunter2\n",
	"key = sk;hunter2\n",
	"key = hunter2 x;\n",
	"key = \xffhunter2\n",
	"base_url = https://user:hunter2@host/\n",
	"base_url = https://host/?key=hunter2\n",
	"proxy = http://user:hunter2@proxy\n",
	"header.Authorization = \xc3\xa9hunter2\n",
	"header.Authorization = credential:/hunter2\n",
};

START_TEST(a_misplaced_secret_is_not_told)
{
	_cleanup_buf_ Buf text = { 0 };
	Config *c = NULL;

	ck_assert_int_eq(buf_printf(&text, "[provider x]\nkind = openai\n%s", misplaced[_i]), 0);
	ck_assert_int_eq(buf_terminate(&text), 0);
	ck_assert_int_eq(config_fixture_load(text.data, &c), -EINVAL);
	config_fixture_assert_error("c.conf:3: ");
	ck_assert_ptr_null(strstr(config_fixture_errors(), "hunter2"));
}
END_TEST

START_TEST(drop_ins_win)
{
	Config *c = NULL;

	config_fixture_write("c.conf",
		"[provider x]\nkind = openai\nkey = env:A\nbase_url = http://a\nmodel = m\n"
		"header.X-A = 1\nheader.X-B = 2\nheader.X-C = 3\n");
	ck_assert_int_eq(mkdir(config_fixture_path("c.conf.d"), 0700), 0);
	config_fixture_write("c.conf.d/1.conf",
		"[provider x]\nkey = none\nbase_url = http://b\nmodel =\nheader.x-b = two\n"
		"header.X-A =\n");
	ck_assert_int_eq(
		config_fixture_load_with(
			&c, (const char *[]){ "--config", config_fixture_path("c.conf"),
				    "--provider.x.header.X-C=three", "--provider.x.max-attempts=2",
				    "--provider.y.z.kind=anthropic", NULL }),
		0);
	ck_assert_uint_eq(c->n_providers, 2);
	ck_assert_ptr_null(c->providers[0].key);
	ck_assert_ptr_null(c->providers[0].model);
	ck_assert_str_eq(c->providers[0].base_url, "http://b");
	ck_assert_uint_eq(c->providers[0].max_attempts, 2);
	ck_assert_uint_eq(c->providers[0].headers.n, 2);
	for (size_t i = 0; i < 2; i++) {
		const ConfigHeader *h = &c->providers[0].headers.items[i];

		ck_assert_str_eq(h->value, strcmp(h->name, "x-b") == 0 ? "two" : "three");
	}
	ck_assert_str_eq(c->providers[1].name, "y.z");
	config_free(c);
}
END_TEST

static const struct {
	const char *arguments[4];
	const char *error;
} bad_options[] = {
	{ { "--provider.x.max-concurent=8" },
		"liongated: unknown option --provider.x.max-concurent; did you mean "
		"--provider.x.max-concurrent?\n" },
	{ { "--provider.max-concurrent=8" }, "unknown option --provider.max-concurrent\n" },
	{ { "--provider.header.X-A=8" }, "unknown option --provider.header.X-A\n" },
	{ { "--provider.x.xyzzy=8" }, "unknown option --provider.x.xyzzy\n" },
	{ { "--provider.x.max-concurrent=many" },
		"liongated: --provider.x.max-concurrent: 'many' is not a whole number\n" },
	{ { "--provider.x.model=m" }, "liongated: --provider.x.model: [provider x] needs a kind" },
	{ { "--provider.x.key=hunter2" }, "--provider.x.key: it must be file:PATH, " },
	{ { "--provider.x.header.X-A=a\r\nX-B: b", "--provider.x.kind=openai" },
		"--provider.x.header.X-A: it must not hold control characters\n" },
	{ { "--provider.x.base-url=http://h/\n", "--provider.x.kind=openai" },
		"--provider.x.base-url: it must not hold control characters\n" },
	{ { "--provider.x.header.=a", "--provider.x.kind=openai" }, "the name '' must name" },
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

START_TEST(diff)
{
	_cleanup_buf_ Buf changed = { 0 }, fixed = { 0 };
	Config *a = config_fixture_must_load(
		"[provider x]\nkind = openai\nheader.X-A = 1\nheader.X-B = 2\nmodel = m\n"
		"[provider y]\nkind = openai\n");
	Config *b = config_fixture_must_load(
		"[provider z]\nkind = anthropic\nkey = env:K\n"
		"[provider x]\nkind = openai\nheader.X-B = 2\nheader.X-A = 2\nidle_timeout = 1\n");

	ck_assert_int_eq(config_diff(a, b, &changed, &fixed), 0);
	ck_assert_int_eq(buf_terminate(&changed), 0);
	ck_assert_str_eq(changed.data,
		"provider.x.model, provider.x.header.NAME, provider.x.idle_timeout, "
		"provider.y.kind, provider.z.kind, provider.z.key");
	ck_assert_uint_eq(fixed.len, 0);
	config_free(a);
	config_free(b);
}
END_TEST

static const struct {
	const char *text;
	bool warns;
} bare[] = {
	{ "key = env:K\nbase_url = http://10.0.0.1:8000/v1\n", true },
	{ "key = env:K\nbase_url = HTTP://host\n", true },
	{ "key = env:K\nbase_url = http://[fe80::1]/\n", true },
	{ "key = env:K\nbase_url = http://localhost.example/\n", true },
	{ "key = env:K\nbase_url = http://mylocalhost/\n", true },
	{ "key = env:K\nbase_url = http://127.0.0.1.example/\n", true },
	{ "header.X-K = file:/k\nbase_url = http://host\n", true },
	{ "key = env:K\n", false },
	{ "key = env:K\nbase_url = https://host\n", false },
	{ "key = env:K\nbase_url = http://localhost:8000/v1\n", false },
	{ "key = env:K\nbase_url = http://a.LOCALHOST/\n", false },
	{ "key = env:K\nbase_url = http://127.8.0.1\n", false },
	{ "key = env:K\nbase_url = http://[::1]:80/\n", false },
	{ "key = env:K\nbase_url = http://host\nunix_socket = /s\n", false },
	{ "key = none\nheader.X-K = public\nbase_url = http://host\n", false },
};

START_TEST(warns_of_bare_keys)
{
	_cleanup_buf_ Buf text = { 0 }, warnings = { 0 };
	Config *c;

	ck_assert_int_eq(buf_printf(&text, "[provider x]\nkind = openai\n%s", bare[_i].text), 0);
	ck_assert_int_eq(buf_terminate(&text), 0);
	c = config_fixture_must_load(text.data);
	ck_assert_int_eq(config_warnings(c, &warnings), 0);
	ck_assert_int_eq(buf_terminate(&warnings), 0);
	if (bare[_i].warns)
		ck_assert_msg(
			strstr(warnings.data, "[provider x] sends its key without encryption"),
			"%s", warnings.data);
	else
		ck_assert_uint_eq(warnings.len, 0);
	config_free(c);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("config-provider");
	TCase *files = tcase_create("files"), *options = tcase_create("options");

	tcase_add_checked_fixture(files, config_fixture_setup, config_fixture_teardown);
	tcase_add_test(files, defaults);
	tcase_add_test(files, everything_set);
	tcase_add_test(files, printed_reads_back);
	tcase_add_loop_test(files, refused, 0, ARRAY_SIZE(bad));
	tcase_add_loop_test(files, a_misplaced_secret_is_not_told, 0, ARRAY_SIZE(misplaced));
	tcase_add_test(files, drop_ins_win);
	tcase_add_test(files, diff);
	tcase_add_loop_test(files, warns_of_bare_keys, 0, ARRAY_SIZE(bare));
	tcase_add_loop_test(options, refused_option, 0, ARRAY_SIZE(bad_options));
	suite_add_tcase(suite, files);
	suite_add_tcase(suite, options);
	return suite;
}
