/* daemon/backend/provider.c: from the configuration to what a run works with. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "daemon/backend/provider.h"
#include "tests/lib/check-main.h"
#include "tests/lib/config-fixture.h"

static Config *config;
static Buf why;

static void teardown(void)
{
	config_free(config);
	config = NULL;
	buf_done(&why);
	config_fixture_teardown();
}

/* The first provider of a file that has `text` in [provider x]; the source "file:@NAME" is NAME in
 * the directory. */
static int make(const char *text, ProviderSettings **ret)
{
	_cleanup_buf_ Buf all = { 0 };
	const char *at = strstr(text, "file:@");
	size_t before = at ? (size_t)(at - text) + 5 : strlen(text);

	config_free(config);
	config = NULL;
	buf_done(&why);
	ck_assert_int_eq(buf_printf(&all, "[provider x]\n%.*s%s%s", (int)before, text,
				 at ? config_fixture_path("") : "", at ? at + 6 : ""),
		0);
	ck_assert_int_eq(buf_terminate(&all), 0);
	config = config_fixture_must_load(all.data);
	return provider_settings_new(config->providers, ret, &why);
}

static ProviderSettings *must_make(const char *text)
{
	ProviderSettings *p = NULL;

	ck_assert_msg(make(text, &p) == 0, "%s", why.data);
	ck_assert_uint_eq(why.len, 0);
	return p;
}

static const struct {
	const char *text, *base_url;
} urls[] = {
	{ "kind = openai\n", "https://api.openai.com/v1" },
	{ "kind = anthropic\n", "https://api.anthropic.com" },
	{ "kind = openai\nunix_socket = /s\n", "http://localhost" },
	{ "kind = openai\nunix_socket = /s\nbase_url = http://x/v1\n", "http://x/v1" },
	{ "kind = openai\nbase_url = https://h:8443/v1//\n", "https://h:8443/v1" },
	{ "kind = openai\nbase_url = https://h/\n", "https://h" },
};

START_TEST(has_a_base_url)
{
	ProviderSettings *p = must_make(urls[_i].text);

	ck_assert_str_eq(p->base_url, urls[_i].base_url);
	provider_settings_unref(p);
}
END_TEST

START_TEST(takes_all_over)
{
	ProviderSettings *p = must_make(
		"kind = anthropic\nca_file = /ca\nproxy = http://p\nmodel = m\nmax_concurrent = 1\n"
		"requests_per_minute = 2\ntokens_per_minute = 3\nconnect_timeout = 4ms\n"
		"first_chunk_timeout = 5ms\nidle_timeout = 6ms\ntotal_timeout = 7ms\n"
		"max_attempts = 8\nretry_base = 9ms\nretry_max = 10ms\nheader.X-A = a b\n");

	ck_assert_str_eq(p->name, "x");
	ck_assert_str_eq(p->kind, "anthropic");
	ck_assert_ptr_null(p->unix_socket);
	ck_assert_str_eq(p->ca_file, "/ca");
	ck_assert_str_eq(p->proxy, "http://p");
	ck_assert_str_eq(p->model, "m");
	ck_assert_ptr_null(p->key);
	ck_assert_uint_eq(p->max_concurrent, 1);
	ck_assert_uint_eq(p->requests_per_minute, 2);
	ck_assert_uint_eq(p->tokens_per_minute, 3);
	ck_assert_uint_eq(p->connect_ms, 4);
	ck_assert_uint_eq(p->first_chunk_ms, 5);
	ck_assert_uint_eq(p->idle_ms, 6);
	ck_assert_uint_eq(p->total_ms, 7);
	ck_assert_uint_eq(p->max_attempts, 8);
	ck_assert_uint_eq(p->retry_base_ms, 9);
	ck_assert_uint_eq(p->retry_max_ms, 10);
	ck_assert_uint_eq(p->n_headers, 1);
	ck_assert_str_eq(p->headers[0], "X-A: a b");
	ck_assert_ptr_null(p->headers[1]);
	provider_settings_unref(p);
}
END_TEST

START_TEST(outlives_its_configuration)
{
	ProviderSettings *p = must_make("kind = openai\nmodel = m\n"), *again;

	config_free(config);
	config = NULL;
	again = provider_settings_ref(p);
	provider_settings_unref(p);
	ck_assert_str_eq(again->model, "m");
	provider_settings_unref(again);
	provider_settings_unref(NULL);
}
END_TEST

/* Also: the process is hidden as soon as it has a secret, and not before. */
START_TEST(reads_secrets)
{
	ProviderSettings *p;

	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
	provider_settings_unref(must_make("kind = openai\nheader.X-A = public\n"));
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);

	config_fixture_write("key", "sk-1\r\n");
	ck_assert_int_eq(setenv("A_HEADER", "Basic abc", 1), 0);
	p = must_make("kind = openai\nkey = file:@key\nheader.X-A = env:A_HEADER\n"
		      "header.X-B = public\n");
	ck_assert_str_eq(p->key, "sk-1");
	ck_assert_uint_eq(p->n_headers, 2);
	ck_assert_str_eq(p->headers[0], "X-A: Basic abc");
	ck_assert_str_eq(p->headers[1], "X-B: public");
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	provider_settings_unref(p);
}
END_TEST

static const struct {
	const char *secret;
	const char *reason;
} unusable[] = {
	{ "", "it is empty" },
	{ "\n", "it is empty" },
	{ "hunter2\nX-Evil: 1\n", "it holds a character that is not printable ASCII" },
	{ "hunter2\rx", "it holds a character that is not printable ASCII" },
	{ "hunter2\t", "it holds a character that is not printable ASCII" },
	{ "\xef\xbb\xbfhunter2\n", "it holds a character that is not printable ASCII" },
	{ "hunter2 \n", "it begins or ends with a blank" },
};

START_TEST(refuses_secrets)
{
	ProviderSettings *p = NULL;

	config_fixture_write("key", unusable[_i].secret);
	ck_assert_int_eq(make("kind = openai\nkey = file:@key\n", &p), -EINVAL);
	ck_assert_ptr_null(p);
	ck_assert_msg(strstr(why.data, unusable[_i].reason) != NULL, "%s", why.data);
	ck_assert_ptr_nonnull(strstr(why.data, "provider x: the key cannot be used from file:/"));
	ck_assert_ptr_null(strstr(why.data, "hunter2"));

	ck_assert_int_eq(make("kind = openai\nheader.X-A = file:@key\n", &p), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why.data, "provider x: the header X-A cannot be used from "));
	ck_assert_ptr_null(strstr(why.data, "hunter2"));
}
END_TEST

START_TEST(says_what_cannot_be_read)
{
	ProviderSettings *p = NULL;

	ck_assert_int_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	ck_assert_int_eq(make("kind = openai\nkey = file:/nonexistent/key\n", &p), -ENOENT);
	ck_assert_str_eq(why.data, "provider x: the key cannot be read from file:/nonexistent/key: "
				   "No such file or directory");
	ck_assert_int_eq(make("kind = openai\nkey = credential:k\n", &p), -ENOKEY);
	ck_assert_str_eq(why.data, "provider x: the key cannot be read from credential:k: the "
				   "daemon was given no credentials");
	ck_assert_int_eq(make("kind = openai\nheader.A = env:NO_SUCH\n", &p), -ENODATA);
	ck_assert_str_eq(why.data, "provider x: the header A cannot be read from env:NO_SUCH: the "
				   "daemon was started without that variable");
	ck_assert_ptr_null(p);
}
END_TEST

START_TEST(bounds_a_secret)
{
	char text[16 * 1024 + 2];
	ProviderSettings *p = NULL;

	memset(text, 'k', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	config_fixture_write("key", text);
	ck_assert_int_eq(make("kind = openai\nkey = file:@key\n", &p), -EFBIG);
	ck_assert_ptr_nonnull(strstr(why.data, "longer than 16 KiB"));
	text[sizeof(text) - 2] = '\0';
	config_fixture_write("key", text);
	p = must_make("kind = openai\nkey = file:@key\n");
	ck_assert_str_eq(p->key, text);
	provider_settings_unref(p);
}
END_TEST

static const struct {
	const char *said, *left;
} reflections[] = {
	{ "bad key sk-of-this-test", "bad key ***************" },
	{ "bad Bearer T0KEN-of-it, bad T0KEN-of-it", "bad ******************, bad ***********" },
	/* A header that is written out is no secret, and may be any word. */
	{ "{\"provider\":\"x\"}", "{\"provider\":\"x\"}" },
};

START_TEST(scrubs_secrets)
{
	ProviderSettings *p;
	char text[64];

	config_fixture_write("key", "sk-of-this-test\n");
	ck_assert_int_eq(setenv("A_HEADER", "Bearer T0KEN-of-it", 1), 0);
	p = must_make("kind = openai\nkey = file:@key\nheader.X-A = env:A_HEADER\n"
		      "header.X-B = \"provider\":\n");
	(void)snprintf(text, sizeof(text), "%s", reflections[_i].said);
	provider_settings_scrub(p, text);
	ck_assert_str_eq(text, reflections[_i].left);
	provider_settings_unref(p);
}
END_TEST

static const struct {
	const char *text;
	bool same;
} callers[] = {
	{ "base_url = http://a\nkey = env:A_KEY\nheader.A = a\n", true },
	{ "base_url = http://a/\nkey = env:SAME_KEY\nheader.A = a\nmodel = m\n"
	  "max_concurrent = 1\n",
		true },
	{ "base_url = http://b\nkey = env:A_KEY\nheader.A = a\n", false },
	{ "base_url = http://a\nkey = env:B_KEY\nheader.A = a\n", false },
	{ "base_url = http://a\nheader.A = a\n", false },
	{ "base_url = http://a\nkey = env:A_KEY\nheader.A = b\n", false },
	{ "base_url = http://a\nkey = env:A_KEY\nheader.A = a\nheader.B = b\n", false },
	{ "base_url = http://a\nkey = env:A_KEY\n", false },
	{ "base_url = http://a\nkey = env:A_KEY\nheader.A = a\nunix_socket = /s\n", false },
};

START_TEST(knows_the_same_caller)
{
	_cleanup_buf_ Buf text = { 0 };
	ProviderSettings *a, *b;

	ck_assert_int_eq(setenv("A_KEY", "sk-a", 1), 0);
	ck_assert_int_eq(setenv("SAME_KEY", "sk-a", 1), 0);
	ck_assert_int_eq(setenv("B_KEY", "sk-b", 1), 0);
	ck_assert_int_eq(buf_printf(&text, "kind = openai\n%s", callers[_i].text), 0);
	ck_assert_int_eq(buf_terminate(&text), 0);
	a = must_make("kind = openai\nbase_url = http://a\nkey = env:A_KEY\nheader.A = a\n");
	b = must_make(text.data);
	ck_assert_int_eq(provider_settings_is_same_caller(a, b), callers[_i].same);
	ck_assert_int_eq(provider_settings_is_same_caller(b, a), callers[_i].same);
	provider_settings_unref(a);
	provider_settings_unref(b);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("provider");
	TCase *t = tcase_create("provider");

	tcase_add_checked_fixture(t, config_fixture_setup, teardown);
	tcase_add_loop_test(t, has_a_base_url, 0, ARRAY_SIZE(urls));
	tcase_add_test(t, takes_all_over);
	tcase_add_test(t, outlives_its_configuration);
	tcase_add_test(t, reads_secrets);
	tcase_add_loop_test(t, refuses_secrets, 0, ARRAY_SIZE(unusable));
	tcase_add_test(t, says_what_cannot_be_read);
	tcase_add_test(t, bounds_a_secret);
	tcase_add_loop_test(t, scrubs_secrets, 0, ARRAY_SIZE(reflections));
	tcase_add_loop_test(t, knows_the_same_caller, 0, ARRAY_SIZE(callers));
	suite_add_tcase(s, t);
	return s;
}
