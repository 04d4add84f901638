/* daemon/backend/exec*.c: real programs, through a real reaper, on a real worker. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/utf8.h"
#include "daemon/backend/backend.h"
#include "daemon/loop/worker.h"
#include "daemon/reaper/reaper-client.h"
#include "daemon/reaper/reaper.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

/* Some use up three seconds of a processor, of which they may get little. */
#define LONG_MS  150000U
#define GRACE_MS 3000U

/* All that a run has said. Guarded by `lock`. */
typedef struct Agent {
	BackendRun *run;
	bool started, ended;
	int64_t pid;
	BackendEventType last;
	AgentErrorCode code;
	char message[1024], details[128];
	Buf output[_CHANNEL_MAX];
	Buf chunks; /* of both channels, '|' behind each */
	size_t n_chunks, longest;
	bool cut; /* a chunk was not UTF-8 */
	size_t pause_at_chunk;
} Agent;

static TempDir dir;
static Reaper reaper;
static Worker *worker;
static ReaperClient *client;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void on_event(const BackendEvent *e, void *userdata)
{
	Agent *a = userdata;
	pthread_mutex_lock(&lock);
	ck_assert(!a->ended);
	if (e->type == BACKEND_START) {
		ck_assert(!a->started);
		a->started = true;
		a->pid = e->pid;
	} else if (e->type == BACKEND_PARTIAL_OUTPUT) {
		ck_assert(a->started && e->chunk_len > 0);
		a->n_chunks++;
		a->longest = e->chunk_len > a->longest ? e->chunk_len : a->longest;
		a->cut |= !utf8_valid(e->chunk, e->chunk_len);
		ck_assert_int_eq(buf_append(&a->output[e->channel], e->chunk, e->chunk_len), 0);
		ck_assert_int_eq(buf_append(&a->chunks, e->chunk, e->chunk_len), 0);
		ck_assert_int_eq(buf_append_char(&a->chunks, '|'), 0);
		if (a->n_chunks == a->pause_at_chunk)
			a->run->backend->pause(a->run);
	} else {
		a->ended = true;
		a->last = e->type;
		a->code = e->code;
		snprintf(a->message, sizeof(a->message), "%s", e->message ? e->message : "");
		snprintf(a->details, sizeof(a->details), "%s", e->details ? e->details : "");
	}
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* A function that the worker calls while the test waits. */
typedef struct Call {
	MailboxItem item;
	void (*run)(void *arg);
	void *arg;
	bool done;
} Call;

static void deliver_call(MailboxItem *item, void *receiver)
{
	(void)receiver;
	Call *c = container_of(item, Call, item);
	c->run(c->arg);
	pthread_mutex_lock(&lock);
	c->done = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* False if it has not happened in time. */
static bool wait_for(const bool *flag, unsigned ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&lock);
	while (!*flag && pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until) == 0)
		;
	bool set = *flag;
	pthread_mutex_unlock(&lock);
	return set;
}

static void call(void (*run)(void *), void *arg)
{
	Call c = { .item.deliver = deliver_call, .run = run, .arg = arg };
	worker_post(worker, &c.item);
	ck_assert_msg(wait_for(&c.done, LONG_MS), "the worker is blocked");
}

static void sleep_ms(unsigned ms)
{
	bool never = false;
	wait_for(&never, ms);
}

static int on_start(Worker *w, void *userdata)
{
	(void)userdata;
	int r = reaper_client_new(worker_base(w), TAKE_FD(reaper.line_fds[0]), &client);
	worker_set_reaper(w, client);
	return r;
}

static void on_turn(Worker *w, void *userdata)
{
	(void)w;
	(void)userdata;
}

static void on_stop(Worker *w, void *userdata)
{
	(void)w;
	(void)userdata;
	reaper_client_free(client);
}

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	temp_dir_init(&dir);
	setenv("CREDENTIALS_DIRECTORY", dir.path, 1);
	setenv("SECRET_OF_THE_DAEMON", "1", 1);
	setenv("LANG", "C.UTF-8", 1);
	ck_assert_int_eq(reaper_fork(dir.path, 1, 0, DELEGATION_OFF, &reaper), 0);
	WorkerHooks hooks = { .on_start = on_start, .on_turn = on_turn, .on_stop = on_stop };
	ck_assert_int_eq(worker_new(0, &hooks, &worker), 0);
	ck_assert_int_eq(worker_start(worker), 0);
}

static void teardown(void)
{
	worker_free(worker);
	reaper_stop(&reaper);
	temp_dir_done(&dir);
}

static json_object *parse_options(const char *text)
{
	json_object *o;
	JsonxError error;
	RpcError rpc_error = { 0 };
	ck_assert_int_eq(jsonx_parse(text, strlen(text), &o, &error), 0);
	int r = schema_check(protocol_backend_find("exec")->options, o, "options", &rpc_error);
	ck_assert_msg(r == 0, "%s", rpc_error.message);
	rpc_error_done(&rpc_error);
	return o;
}

static void call_start(void *arg)
{
	BackendRun *run = arg;
	run->backend->start(run);
}

static void agent_new(Agent *a, const char *options, const char *prompt, size_t prompt_len)
{
	*a = (Agent){ 0 };
	BackendSpec spec = {
		.options = parse_options(options),
		.prompt = prompt,
		.prompt_len = prompt_len,
		.attempt = 1,
		.kill_grace_ms = GRACE_MS,
	};
	ck_assert_int_eq(uuid_generate(&spec.agent_id), 0);
	RpcError error = { 0 };
	ck_assert_int_eq(backend_exec.check(spec.options, &error), 0);
	ck_assert_int_eq(backend_exec.run_new(&spec, &a->run), 0);
	json_object_put(spec.options);
	a->run->worker = worker;
	a->run->on_event = on_event;
	a->run->userdata = a;
}

static void agent_start(Agent *a, const char *options, const char *prompt)
{
	agent_new(a, options, prompt, strlen(prompt));
	call(call_start, a->run);
}

/* A shell script as an agent; `more` are further options, each led by a comma. */
static void agent_shell(Agent *a, const char *script, const char *more, const char *prompt)
{
	_cleanup_buf_ Buf b = { 0 };
	json_object *text = json_object_new_string(script);
	ck_assert_int_eq(buf_printf(&b, "{\"argv\":[\"sh\",\"-c\",%s]%s}",
				 json_object_to_json_string(text), more),
		0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	json_object_put(text);
	agent_start(a, b.data, prompt);
}

static void call_free(void *arg)
{
	BackendRun *run = arg;
	run->backend->free(run);
}

static void agent_done(Agent *a)
{
	call(call_free, a->run);
	for (int i = 0; i < _CHANNEL_MAX; i++)
		buf_done(&a->output[i]);
	buf_done(&a->chunks);
}

static const char *text_of(Buf *b)
{
	ck_assert_int_eq(buf_terminate(b), 0);
	return b->data;
}

static const char *output_of(Agent *a)
{
	return text_of(&a->output[CHANNEL_OUTPUT]);
}

static void assert_ended(Agent *a, BackendEventType last, AgentErrorCode code, const char *details)
{
	ck_assert_msg(wait_for(&a->ended, LONG_MS), "it does not end");
	ck_assert_msg(a->last == last, "it ended otherwise: %s", a->message);
	if (last == BACKEND_ERROR) {
		ck_assert_str_eq(agent_error_to_string(a->code), agent_error_to_string(code));
		ck_assert_str_ne(a->message, "");
	}
	ck_assert_str_eq(a->details, details);
}

#define assert_done(a) assert_ended(a, BACKEND_DONE, 0, ",\"exit_code\":0")

static void wait_chunks(Agent *a, size_t n)
{
	for (unsigned i = 0; i < LONG_MS / 10; i++) {
		pthread_mutex_lock(&lock);
		bool there = a->n_chunks >= n;
		pthread_mutex_unlock(&lock);
		if (there)
			return;
		sleep_ms(10);
	}
	ck_abort_msg("it does not write");
}

static void call_cancel(void *arg)
{
	BackendRun *run = arg;
	run->backend->cancel(run, GRACE_MS);
}

static void call_pause(void *arg)
{
	BackendRun *run = arg;
	run->backend->pause(run);
}

static void call_resume(void *arg)
{
	BackendRun *run = arg;
	run->backend->resume(run);
}

typedef struct Send {
	Agent *agent;
	const char *bytes;
	size_t len;
	bool eof;
	ssize_t result;
} Send;

static void call_send(void *arg)
{
	Send *s = arg;
	s->result = backend_exec.send(s->agent->run, s->bytes, s->len, s->eof);
}

static ssize_t agent_send(Agent *a, const char *bytes, size_t len, bool eof)
{
	Send s = { .agent = a, .bytes = bytes, .len = len, .eof = eof };
	call(call_send, &s);
	return s.result;
}

static const struct {
	const char *script, *more, *output, *error;
	BackendEventType last;
	AgentErrorCode code;
	const char *details;
} endings[] = {
	{ "echo hello", "", "hello\n", "", BACKEND_DONE, 0, ",\"exit_code\":0" },
	{ "echo a; echo b >&2", "", "a\n", "b\n", BACKEND_DONE, 0, ",\"exit_code\":0" },
	{ "echo a; exit 3", "", "a\n", "", BACKEND_ERROR, AGENT_ERROR_EXIT, ",\"exit_code\":3" },
	{ "kill -9 $$", "", "", "", BACKEND_ERROR, AGENT_ERROR_SIGNAL, ",\"signal\":9" },
	{ "while :; do :; done", ",\"limits\":{\"cpu_seconds\":1}", "", "", BACKEND_ERROR,
		AGENT_ERROR_RESOURCE_LIMIT, ",\"signal\":24" },
	{ "trap '' XCPU; while :; do :; done", ",\"limits\":{\"cpu_seconds\":1}", "", "",
		BACKEND_ERROR, AGENT_ERROR_RESOURCE_LIMIT, ",\"signal\":9" },
	{ "cat", "", "the prompt", "", BACKEND_DONE, 0, ",\"exit_code\":0" },
	{ "cat", ",\"stdin\":\"none\"", "", "", BACKEND_DONE, 0, ",\"exit_code\":0" },
	{ "pwd", ",\"cwd\":\"/usr\"", "/usr\n", "", BACKEND_DONE, 0, ",\"exit_code\":0" },
	{ "sleep 1000 & (setsid sleep 1000 &) ; echo hi", "", "hi\n", "", BACKEND_DONE, 0,
		",\"exit_code\":0" },
	{ "exec >&- 2>&-; sleep 0.3; exit 4", "", "", "", BACKEND_ERROR, AGENT_ERROR_EXIT,
		",\"exit_code\":4" },
	/* As soon as the program is gone: there is only so much time. */
	{ "(trap '' TERM; while kill -0 $$; do :; done 2>/dev/null; echo late) & echo first", "",
		"first\nlate\n", "", BACKEND_DONE, 0, ",\"exit_code\":0" },
	/* The substitution ends when the trap is set. */
	{ "exec 3>&1; "
	  ": $( (trap 'echo farewell >&3; exit' TERM; exec >&-; sleep 1000 & wait) & ); echo first",
		"", "first\nfarewell\n", "", BACKEND_DONE, 0, ",\"exit_code\":0" },
	{ "printf 12345678", ",\"limits\":{\"output_bytes\":8}", "12345678", "", BACKEND_DONE, 0,
		",\"exit_code\":0" },
	{ "echo $FOO$LIONGATE_AGENT_ID | cut -c1-4; echo $SECRET_OF_THE_DAEMON",
		",\"env\":{\"FOO\":\"a=b\",\"LIONGATE_AGENT_ID\":\"zzzz\"}", "a=b", "",
		BACKEND_DONE, 0, ",\"exit_code\":0" },
};

START_TEST(ends_as_the_program_does)
{
	Agent a;
	agent_shell(&a, endings[_i].script, endings[_i].more, "the prompt");
	assert_ended(&a, endings[_i].last, endings[_i].code, endings[_i].details);
	if (!strstr(endings[_i].script, "LIONGATE"))
		ck_assert_str_eq(output_of(&a), endings[_i].output);
	else
		ck_assert(strncmp(output_of(&a), "a=b", 3) == 0 && !strstr(output_of(&a), "zzzz") &&
			  strcmp(output_of(&a) + 4, "\n\n") == 0);
	ck_assert_str_eq(text_of(&a.output[CHANNEL_ERROR]), endings[_i].error);
	ck_assert(a.started && a.pid > 0);
	ck_assert_int_eq(kill((pid_t)a.pid, 0), -1);
	agent_done(&a);
}
END_TEST

START_TEST(limits_open_files)
{
	Agent a;
	agent_shell(&a, "ulimit -n", ",\"limits\":{\"open_files\":33}", "");
	assert_done(&a);
	ck_assert_str_eq(output_of(&a), "33\n");
	agent_done(&a);
}
END_TEST

START_TEST(says_what_could_not_be_started)
{
	static const struct {
		const char *options, *in_message;
	} cases[] = {
		{ "{\"argv\":[\"no-such-program\"]}", "no-such-program" },
		{ "{\"argv\":[\"true\"],\"cwd\":\"/no/such\"}", "/no/such" },
		{ "{\"argv\":[\"true\"],\"env_from\":{\"KEY\":\"credential:none\"}}",
			"KEY from credential:none" },
		{ "{\"argv\":[\"true\"],\"env_from\":{\"KEY\":\"file:/dev/zero\"}}",
			"KEY from file:/dev/zero" },
		{ "{\"argv\":[\"true\"],\"env_from\":{\"KEY\":\"file:/no/such\"}}",
			"No such file or directory" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Agent a;
		agent_start(&a, cases[i].options, "");
		assert_ended(&a, BACKEND_ERROR, AGENT_ERROR_SPAWN_FAILED, "");
		ck_assert_msg(strstr(a.message, cases[i].in_message), "%s", a.message);
		ck_assert(!a.started);
		agent_done(&a);
	}
}
END_TEST

static void write_file(const char *name, const void *bytes, size_t len)
{
	int fd = openat(dir.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

START_TEST(resolves_secrets)
{
	static char big[64 * 1024 + 1];
	char options[512];
	Agent a;
	write_file("key", "s3cret\n", 7);
	snprintf(options, sizeof(options),
		",\"env\":{\"A\":\"x\",\"HOME\":\"/h\"},"
		"\"env_from\":{\"A\":\"credential:key\",\"B\":\"file:%s/key\"}",
		dir.path);
	agent_shell(&a, "echo \"$A,$B,$HOME\"; env | grep -c '^A='", options, "");
	assert_done(&a);
	ck_assert_str_eq(output_of(&a), "s3cret,s3cret,/h\n1\n");
	agent_done(&a);

	memset(big, 'x', sizeof(big));
	write_file("big", big, sizeof(big));
	write_file("nul", "s3c\0ret", 7);
	ck_assert_int_eq(mkfifoat(dir.fd, "fifo", 0600), 0);
	static const char *const bad[] = { "big", "nul", "fifo" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(options, sizeof(options), ",\"env_from\":{\"A\":\"credential:%s\"}",
			bad[i]);
		agent_shell(&a, "true", options, "");
		assert_ended(&a, BACKEND_ERROR, AGENT_ERROR_SPAWN_FAILED, "");
		ck_assert(!strstr(a.message, "s3c") && !strstr(a.message, "xxx"));
		agent_done(&a);
	}
}
END_TEST

START_TEST(feeds_a_long_prompt)
{
	size_t len = 3 * 1024 * 1024;
	char *prompt = malloc(len);
	for (size_t i = 0; i < len; i++)
		prompt[i] = (char)('a' + i % 23);

	Agent a;
	agent_new(&a, "{\"argv\":[\"cat\"]}", prompt, len);
	call(call_start, a.run);
	assert_done(&a);
	ck_assert_uint_eq(a.output[CHANNEL_OUTPUT].len, len);
	ck_assert(memcmp(a.output[CHANNEL_OUTPUT].data, prompt, len) == 0);
	agent_done(&a);

	/* One that never reads it, and one that goes away in the middle. */
	static const char *const scripts[] = { "{\"argv\":[\"sleep\",\"0.3\"]}",
		"{\"argv\":[\"head\",\"-c\",\"100000\"]}" };
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		agent_new(&a, scripts[i], prompt, len);
		call(call_start, a.run);
		assert_done(&a);
		ck_assert_uint_eq(a.output[CHANNEL_OUTPUT].len, i == 0 ? 0 : 100000);
		agent_done(&a);
	}
	free(prompt);
}
END_TEST

START_TEST(takes_input_while_it_runs)
{
	Agent a;
	agent_shell(&a, "exec cat", ",\"stdin\":\"open\",\"chunking\":\"line\"", "first\n");
	wait_chunks(&a, 1);
	ck_assert_int_eq(agent_send(&a, "second\n", 7, false), 7);
	wait_chunks(&a, 2);
	ck_assert_int_eq(agent_send(&a, "third", 5, true), 5);
	assert_done(&a);
	ck_assert_str_eq(text_of(&a.chunks), "first\n|second\n|third|");
	ck_assert_int_eq(agent_send(&a, "x", 1, false), -EPIPE);
	agent_done(&a);

	agent_shell(&a, "exec wc -c", ",\"stdin\":\"open\"", "");
	static char big[PROTOCOL_MAX_INPUT_BYTES + 1];
	ck_assert_int_eq(
		agent_send(&a, big, PROTOCOL_MAX_INPUT_BYTES, true), PROTOCOL_MAX_INPUT_BYTES);
	assert_done(&a);
	ck_assert_str_eq(output_of(&a), "1048576\n");
	agent_done(&a);

	/* As much as one may leave unread, in the pipe too, and no byte more. */
	agent_shell(&a, "exec sleep 1000", ",\"stdin\":\"open\"", "ab");
	ck_assert_int_eq(agent_send(&a, big, PROTOCOL_MAX_INPUT_BYTES - 1, false), -ENOBUFS);
	ck_assert_int_eq(agent_send(&a, big, 3, false), 5);
	ck_assert_int_eq(
		agent_send(&a, big, PROTOCOL_MAX_INPUT_BYTES - 5, false), PROTOCOL_MAX_INPUT_BYTES);
	ck_assert_int_eq(agent_send(&a, big, 1, false), -ENOBUFS);
	ck_assert_int_eq(agent_send(&a, big, 0, true), PROTOCOL_MAX_INPUT_BYTES);
	ck_assert_int_eq(agent_send(&a, big, 1, false), -EPIPE);
	agent_done(&a);

	agent_shell(&a, "exec 0<&-; echo ready; exec sleep 1000", ",\"stdin\":\"open\"", "");
	wait_chunks(&a, 1);
	ck_assert_int_eq(agent_send(&a, "x", 1, false), -EPIPE);
	agent_done(&a);

	agent_shell(&a, "echo ready; exec sleep 1000", "", "");
	wait_chunks(&a, 1);
	ck_assert_int_eq(agent_send(&a, "x", 1, false), -EPIPE);
	agent_done(&a);
}
END_TEST

/* Those that read go on when their first chunk has come. */
#define ASKS ",\"stdin\":\"open\""

static const struct {
	const char *script, *more, *chunks;
} chunkings[] = {
	{ "printf 'a\\nb\\n\\nc'", ",\"chunking\":\"line\"", "a\n|b\n|\n|c|" },
	{ "printf 'a'; sleep 0.1; printf 'b\\nc'; sleep 0.1; printf '\\n'",
		",\"chunking\":\"line\"", "ab\n|c\n|" },
	{ "printf 'a\\nb'; read x; printf 'c\\n'", ASKS, "a\nb|c\n|" },
	{ "printf 'x\\303'; read x; printf '\\251y'", ASKS, "x|\xc3\xa9y|" },
	{ "printf '\\360\\237'; sleep 0.1; printf '\\230'; sleep 0.1; printf '\\200'", "",
		"\xf0\x9f\x98\x80|" },
	{ "printf 'x\\303'", "", "x|\xc3|" },
	{ "printf 'x\\303'", ",\"chunking\":\"line\"", "x\xc3|" },
	{ "printf 'abc\\303\\251def'", ",\"limits\":{\"output_bytes\":4}", "abc|" },
};

static void go_on(Agent *a)
{
	ck_assert_int_gt(agent_send(a, "\n", 1, false), 0);
}

START_TEST(cuts_chunks)
{
	Agent a;
	agent_shell(&a, chunkings[_i].script, chunkings[_i].more, "");
	if (strcmp(chunkings[_i].more, ASKS) == 0) {
		wait_chunks(&a, 1);
		go_on(&a);
	}
	ck_assert(wait_for(&a.ended, LONG_MS));
	ck_assert_str_eq(text_of(&a.chunks), chunkings[_i].chunks);
	agent_done(&a);
}
END_TEST

START_TEST(cuts_long_lines_between_characters)
{
	static const char *const modes[] = { "", ",\"chunking\":\"line\"" };
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		Agent a;
		agent_shell(&a,
			"yes '\342\202\254\342\202\254' | head -c 2100000 | tr -d '\\n'; echo; "
			"echo end",
			modes[i], "");
		assert_done(&a);
		ck_assert_uint_eq(a.output[CHANNEL_OUTPUT].len, 1800000 + 5);
		ck_assert(!a.cut);
		ck_assert_uint_le(a.longest, PROTOCOL_MAX_CHUNK_BYTES);
		ck_assert(i == 0 || a.n_chunks == (1800000 + 65534) / 65535 + 1);
		agent_done(&a);
	}
}
END_TEST

START_TEST(output_limit_ends_it)
{
	static const char *const modes[] = { ",\"limits\":{\"output_bytes\":100001}",
		",\"limits\":{\"output_bytes\":100001},\"chunking\":\"line\"" };
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		Agent a;
		agent_shell(&a, "(trap '' TERM PIPE; yes '' & yes x >&2)", modes[i], "");
		ck_assert(wait_for(&a.ended, LONG_MS));
		ck_assert_int_eq(a.last, BACKEND_ERROR);
		ck_assert_int_eq(a.code, AGENT_ERROR_OUTPUT_LIMIT);
		ck_assert_uint_eq(
			a.output[CHANNEL_OUTPUT].len + a.output[CHANNEL_ERROR].len, 100001);
		agent_done(&a);
	}
}
END_TEST

START_TEST(cancel_delivers_the_last_words)
{
	Agent a;
	agent_shell(
		&a, "trap 'echo bye; exit 0' TERM; echo hi; while :; do sleep 0.05; done", "", "");
	wait_chunks(&a, 1);
	call(call_cancel, a.run);
	assert_ended(&a, BACKEND_ERROR, AGENT_ERROR_CANCELLED, ",\"exit_code\":0");
	ck_assert_str_eq(output_of(&a), "hi\nbye\n");
	agent_done(&a);

	agent_start(&a, "{\"argv\":[\"sleep\",\"1000\"]}", "");
	call(call_cancel, a.run);
	assert_ended(&a, BACKEND_ERROR, AGENT_ERROR_CANCELLED, ",\"signal\":15");
	call(call_cancel, a.run);
	agent_done(&a);
}
END_TEST

/* Nothing comes while it is paused, and nothing is lost, whatever happens meanwhile. */
START_TEST(pause_holds_everything)
{
	static const struct {
		const char *script, *more;
		size_t len;
	} cases[] = {
		{ "echo ready; read x; seq 100000", ASKS, 588901 },
		{ "echo ready; read x; seq 100000", ASKS ",\"chunking\":\"line\"", 588901 },
		{ "echo ready; read x; seq 1000", ASKS, 3899 },
		{ "echo ready; read x; seq 1000; kill -9 $$", ASKS ",\"chunking\":\"line\"", 3899 },
		/* The substitution ends when all is written. */
		{ "exec 3>&1; echo ready; read x; "
		  ": $( (seq 1000 >&3; exec >&-; exec sleep 1000) & )",
			ASKS, 3899 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Agent a;
		agent_shell(&a, cases[i].script, cases[i].more, "");
		wait_chunks(&a, 1);
		call(call_pause, a.run);
		go_on(&a);
		size_t before = a.n_chunks;
		sleep_ms(1200);
		ck_assert_uint_eq(a.n_chunks, before);
		ck_assert(!a.ended);
		call(call_resume, a.run);
		ck_assert(wait_for(&a.ended, LONG_MS));
		ck_assert_uint_eq(a.output[CHANNEL_OUTPUT].len, cases[i].len);
		agent_done(&a);
	}
}
END_TEST

static void call_start_paused(void *arg)
{
	BackendRun *run = arg;
	run->backend->start(run);
	run->backend->pause(run);
}

START_TEST(pause_in_the_middle_of_a_read)
{
	Agent a;
	agent_new(&a, "{\"argv\":[\"seq\",\"10000\"],\"chunking\":\"line\"}", "", 0);
	a.pause_at_chunk = 17;
	call(call_start, a.run);
	wait_chunks(&a, 17);
	sleep_ms(300);
	ck_assert_uint_eq(a.n_chunks, 17);
	call(call_resume, a.run);
	assert_done(&a);
	ck_assert_uint_eq(a.n_chunks, 10000);
	agent_done(&a);

	agent_new(&a, "{\"argv\":[\"seq\",\"10\"]}", "", 0);
	call(call_start_paused, a.run);
	sleep_ms(300);
	ck_assert(!a.started);
	call(call_resume, a.run);
	assert_done(&a);
	ck_assert_uint_eq(a.output[CHANNEL_OUTPUT].len, 21);
	agent_done(&a);
}
END_TEST

START_TEST(what_is_paused_can_end)
{
	char script[256];
	Agent a;
	snprintf(script, sizeof(script), "echo ready; read x; seq 1000; : >%s; exec sleep 1000",
		temp_dir_path(&dir, "written"));
	agent_shell(&a, script, ASKS, "");
	wait_chunks(&a, 1);
	call(call_pause, a.run);
	go_on(&a);
	for (unsigned i = 0; i < LONG_MS / 10 && access(temp_dir_path(&dir, "written"), F_OK) < 0;
		i++)
		sleep_ms(10);
	uint64_t cancelled_us = clock_monotonic_us();
	call(call_cancel, a.run);
	assert_ended(&a, BACKEND_ERROR, AGENT_ERROR_CANCELLED, ",\"signal\":15");
	ck_assert_uint_ge(clock_monotonic_us() - cancelled_us, 500 * USEC_PER_MSEC);
	agent_done(&a);

	/* What has nothing in its pipes ends by itself, and has begun before. */
	agent_new(&a, "{\"argv\":[\"true\"]}", "", 0);
	call(call_start_paused, a.run);
	assert_done(&a);
	ck_assert(a.started);
	agent_done(&a);
}
END_TEST

START_TEST(freeing_it_kills_it)
{
	Agent a;
	agent_shell(&a, "trap '' TERM; echo ready; while :; do sleep 1; done", "", "");
	wait_chunks(&a, 1);
	agent_done(&a);
	for (unsigned i = 0; i < LONG_MS / 10 && kill((pid_t)a.pid, 0) == 0; i++)
		sleep_ms(10);
	ck_assert_int_eq(kill((pid_t)a.pid, 0), -1);

	agent_new(&a, "{\"argv\":[\"true\"]}", "prompt", 6);
	backend_exec.free(a.run);
	backend_exec.free(NULL);
}
END_TEST

/* It would never end. */
START_TEST(a_torrent_lets_others_live)
{
	Agent torrent, a;
	agent_shell(&torrent, "exec yes", ",\"chunking\":\"line\"", "");
	wait_chunks(&torrent, 1);
	agent_shell(&a, "echo hi", "", "");
	assert_done(&a);
	agent_done(&a);
	agent_done(&torrent);
}
END_TEST

START_TEST(many_at_once)
{
	static Agent agents[100];
	for (size_t i = 0; i < ARRAY_SIZE(agents); i++)
		agent_shell(&agents[i], "cat; sleep 0.1; exit 2", "", "prompt");
	for (size_t i = 0; i < ARRAY_SIZE(agents); i++) {
		assert_ended(&agents[i], BACKEND_ERROR, AGENT_ERROR_EXIT, ",\"exit_code\":2");
		ck_assert_str_eq(output_of(&agents[i]), "prompt");
		agent_done(&agents[i]);
	}
}
END_TEST

START_TEST(reaper_dead)
{
	Agent running, later;
	agent_shell(&running, "echo ready; exec sleep 1000", "", "");
	wait_chunks(&running, 1);
	kill(reaper.pid, SIGKILL);
	ck_assert(wait_for(&running.ended, LONG_MS));
	ck_assert_int_eq(running.last, BACKEND_ERROR);
	agent_shell(&later, "echo", "", "");
	assert_ended(&later, BACKEND_ERROR, AGENT_ERROR_SPAWN_FAILED, "");
	agent_done(&running);
	agent_done(&later);
}
END_TEST

/* See test-reaper.c for what valgrind cannot do. */
static TCase *native_case(void)
{
	TCase *t = tcase_create("native");
	tcase_set_tags(t, "no-valgrind");
	tcase_set_timeout(t, 180);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, says_what_could_not_be_started);
	tcase_add_test(t, limits_open_files);
	return t;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("exec");
	TCase *t = tcase_create("exec");
	tcase_set_timeout(t, 180);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, ends_as_the_program_does, 0, ARRAY_SIZE(endings));
	tcase_add_test(t, resolves_secrets);
	tcase_add_test(t, feeds_a_long_prompt);
	tcase_add_test(t, takes_input_while_it_runs);
	tcase_add_loop_test(t, cuts_chunks, 0, ARRAY_SIZE(chunkings));
	tcase_add_test(t, cuts_long_lines_between_characters);
	tcase_add_test(t, output_limit_ends_it);
	tcase_add_test(t, cancel_delivers_the_last_words);
	tcase_add_test(t, pause_holds_everything);
	tcase_add_test(t, pause_in_the_middle_of_a_read);
	tcase_add_test(t, what_is_paused_can_end);
	tcase_add_test(t, freeing_it_kills_it);
	tcase_add_test(t, a_torrent_lets_others_live);
	tcase_add_test(t, many_at_once);
	tcase_add_test(t, reaper_dead);
	suite_add_tcase(s, t);
	suite_add_tcase(s, native_case());
	return s;
}
