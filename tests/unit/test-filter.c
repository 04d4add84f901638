#include "daemon/control/filter.h"

#include <stdio.h>
#include <string.h>

#include "common/jsonx.h"
#include "tests/lib/check-main.h"
#include "tests/lib/log-fixture.h"
#include "tests/lib/make-agent.h"

static Filter *make_filter(const char *text)
{
	json_object *params = NULL;
	Filter *f = NULL;
	JsonxError why;

	ck_assert_int_eq(jsonx_parse(text, strlen(text), &params, &why), 0);
	ck_assert_int_eq(filter_new(params, &f), 0);
	/* It keeps nothing of them. */
	json_object_put(params);
	return f;
}

/* ---- What it asks of an agent ---- */

#define LABELS ",\"labels\":{\"a\":\"1\",\"b\":\"2\",\"empty\":\"\"}"

static const struct {
	const char *params;
	bool open, asks_agent;
	bool wants[3]; /* the agents below */
} cases[] = {
	{ "{}", true, false, { true, true, true } },
	{ "{\"types\":[]}", true, false, { true, true, true } },
	{ "{\"labels\":{}}", true, false, { true, true, true } },
	{ "{\"types\":[\"AgentError\"]}", false, false, { true, true, true } },
	{ "{\"correlation_id\":\"run\"}", false, true, { true, false, false } },
	{ "{\"correlation_id\":\"\"}", false, true, { false, true, false } },
	{ "{\"correlation_id\":\"ru\"}", false, true, { false, false, false } },
	{ "{\"labels\":{\"a\":\"1\"}}", false, true, { true, true, false } },
	{ "{\"labels\":{\"a\":\"1\",\"b\":\"2\"}}", false, true, { true, false, false } },
	{ "{\"labels\":{\"a\":\"2\"}}", false, true, { false, false, false } },
	{ "{\"labels\":{\"empty\":\"\"}}", false, true, { true, false, false } },
	{ "{\"labels\":{\"none\":\"\"}}", false, true, { false, false, false } },
	{ "{\"labels\":{\"a\":\"1\"},\"correlation_id\":\"run\"}", false, true,
		{ true, false, false } },
};

static const char *const agents[] = {
	(",\"correlation_id\":\"run\"" LABELS),
	",\"correlation_id\":\"\",\"labels\":{\"a\":\"1\",\"b\":\"3\"}",
	"",
};

START_TEST(test_agents)
{
	Filter *f = make_filter(cases[_i].params);

	ck_assert(filter_is_open(f) == cases[_i].open);
	ck_assert(filter_asks_agent(f) == cases[_i].asks_agent);
	for (size_t i = 0; i < ARRAY_SIZE(agents); i++) {
		Agent *a = make_agent(i, agents[i]);

		ck_assert_msg(filter_wants_agent(f, a) == cases[_i].wants[i], "%s: %zu",
			cases[_i].params, i);
		agent_free(a);
	}
	filter_free(f);
}
END_TEST

START_TEST(test_types)
{
	Filter *f = make_filter("{\"types\":[\"AgentSpawned\",\"AgentError\",\"AgentSpawned\"]}");

	for (uint8_t i = 1; i < _EVENT_TYPE_MAX; i++)
		ck_assert(filter_wants_type(f, i) ==
			  (i == EVENT_TYPE_AGENT_SPAWNED || i == EVENT_TYPE_AGENT_ERROR));
	filter_free(f);
	f = make_filter("{}");
	for (uint8_t i = 1; i < _EVENT_TYPE_MAX; i++)
		ck_assert(filter_wants_type(f, i));
	filter_free(f);
	filter_free(NULL);
}
END_TEST

static uint64_t *make_seqs(const uint64_t *seqs, size_t n)
{
	uint64_t *copy = malloc((n + 1) * sizeof(*copy));

	memcpy(copy, seqs, n * sizeof(*copy));
	return copy;
}

/* In any order, some twice; none at all lets none pass. */
START_TEST(test_listed)
{
	static const uint64_t seqs[] = { 900, 7, 7, 31, 1 };
	Filter *f = make_filter("{\"agents\":[\"x\"]}");
	Agent *a = make_agent(1, NULL);

	ck_assert(filter_is_open(f));
	filter_set_agents(f, make_seqs(seqs, ARRAY_SIZE(seqs)), ARRAY_SIZE(seqs));
	ck_assert(!filter_is_open(f));
	ck_assert(filter_asks_agent(f));
	for (uint64_t seq = 1; seq < 1000; seq++) {
		a->seq = seq;
		ck_assert(filter_wants_agent(f, a) ==
			  (seq == 1 || seq == 7 || seq == 31 || seq == 900));
	}
	filter_set_agents(f, make_seqs(seqs, 0), 0);
	ck_assert(!filter_is_open(f));
	a->seq = 7;
	ck_assert(!filter_wants_agent(f, a));
	agent_free(a);
	filter_free(f);
}
END_TEST

/* ---- On the reader's thread ---- */

#define N_AGENTS 40U

static LogFixture fixture;
static Reader *reader;
static uint64_t owners[N_AGENTS];

static void emit_spawned(uint64_t n, const char *members)
{
	EventMeta meta = { .type = EVENT_TYPE_AGENT_SPAWNED, .owner = &owners[n] };
	JsonWriter *w = emitter_begin(&fixture.emitter);

	jw_key_cstring(w, "type", "AgentSpawned");
	jw_key_cstring(w, "prompt", "p");
	jw_raw(w, members[0] == ',' ? members + 1 : "\"x\":1",
		members[0] == ',' ? strlen(members + 1) : 5);
	ck_assert_int_eq(emitter_end(&fixture.emitter, &meta), 0);
}

/* Agent n has seq n + 1, and is like agents[n % 3]. */
static void start_log(void)
{
	static const Uuid log_id = { { 1 } };
	Catalog *catalog = NULL;

	log_fixture_init(&fixture);
	log_fixture_start(&fixture);
	for (uint64_t n = 0; n < N_AGENTS; n++)
		emit_spawned(n, agents[n % 3]);
	log_fixture_wait(&fixture, N_AGENTS);
	ck_assert_int_eq(catalog_open(fixture.dir.path, &log_id, &catalog), 0);
	ck_assert_int_eq(
		reader_new(eventlog_dirfd(fixture.log), catalog, fixture.main, &reader), 0);
}

static void stop_log(void)
{
	reader_stop(reader);
	reader_free(reader);
	log_fixture_done(&fixture);
}

typedef struct Job {
	ReaderJob job;
	LogView view;
	void (*f)(Reader *r, const LogView *view);
	bool done;
} Job;

static bool run_job(ReaderJob *job, Reader *r)
{
	Job *j = container_of(job, Job, job);

	j->f(r, &j->view);
	return false;
}

static void job_done(ReaderJob *job)
{
	container_of(job, Job, job)->done = true;
}

static void on_reader(void (*f)(Reader *r, const LogView *view))
{
	Job j = {
		.job = { .run = run_job, .done = job_done },
		.view = eventlog_view(fixture.log),
		.f = f,
	};

	reader_post(reader, &j.job);
	while (!j.done)
		log_fixture_pump(&fixture);
	log_view_release(&j.view);
}

static int wants(const Filter *f, FilterMemory *m, Reader *r, const LogView *view, uint64_t agent,
	EventType type)
{
	IndexRecord record = { .agent = agent, .type = (uint8_t)type };

	return filter_wants_event(f, m, r, view, &record);
}

/* The same answers as main gives, the second time out of the memory. */
static void ask_all(Reader *r, const LogView *view)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Filter *f = make_filter(cases[i].params);
		FilterMemory m = { 0 };

		if (f->types != 0) {
			filter_free(f);
			continue;
		}
		for (unsigned n = 0; n < 2 * N_AGENTS; n++)
			ck_assert_msg(
				wants(f, &m, r, view, n % N_AGENTS + 1, EVENT_TYPE_AGENT_STARTED) ==
					cases[i].wants[n % N_AGENTS % 3],
				"%s: %u", cases[i].params, n);
		/* About no agent. */
		ck_assert_int_eq(
			wants(f, &m, r, view, 0, EVENT_TYPE_DAEMON_STARTED), !cases[i].asks_agent);
		filter_memory_done(&m);
		filter_memory_done(&m);
		filter_free(f);
	}
}

START_TEST(test_events)
{
	on_reader(ask_all);
}
END_TEST

static void ask_types_and_agents(Reader *r, const LogView *view)
{
	static const uint64_t seqs[] = { 4, 5, 6 };
	Filter *f = make_filter("{\"types\":[\"AgentError\"],\"labels\":{\"a\":\"1\"}}");
	FilterMemory m = { 0 };

	filter_set_agents(f, make_seqs(seqs, ARRAY_SIZE(seqs)), ARRAY_SIZE(seqs));
	ck_assert_int_eq(wants(f, &m, r, view, 4, EVENT_TYPE_AGENT_ERROR), 1);
	ck_assert_int_eq(wants(f, &m, r, view, 4, EVENT_TYPE_AGENT_STARTED), 0);
	ck_assert_int_eq(wants(f, &m, r, view, 6, EVENT_TYPE_AGENT_ERROR), 0);
	ck_assert_int_eq(wants(f, &m, r, view, 7, EVENT_TYPE_AGENT_ERROR), 0);
	ck_assert_int_eq(wants(f, &m, r, view, 0, EVENT_TYPE_AGENT_ERROR), 0);
	filter_memory_done(&m);
	filter_free(f);
}

START_TEST(test_types_and_agents)
{
	on_reader(ask_types_and_agents);
}
END_TEST

/* Agents of which nothing is to be found match nothing; and however many there are, the memory is
 * bounded and the answers stay right. */
static void ask_many(Reader *r, const LogView *view)
{
	Filter *f = make_filter("{\"labels\":{\"a\":\"1\"}}");
	FilterMemory m = { 0 };

	ck_assert_int_eq(wants(f, &m, r, view, 1, EVENT_TYPE_AGENT_ERROR), 1);
	ck_assert_uint_lt(m.cap * sizeof(*m.agents), 4096);
	for (uint64_t seq = N_AGENTS + 1; seq < 150000; seq++) {
		ck_assert_int_eq(wants(f, &m, r, view, seq, EVENT_TYPE_AGENT_ERROR), 0);
		ck_assert_uint_lt(m.n, m.cap);
	}
	ck_assert_uint_le(m.cap * sizeof(*m.agents), 1024UL * 1024);
	ck_assert_int_eq(wants(f, &m, r, view, 1, EVENT_TYPE_AGENT_ERROR), 1);
	ck_assert_int_eq(wants(f, &m, r, view, 3, EVENT_TYPE_AGENT_ERROR), 0);
	filter_memory_done(&m);
	filter_free(f);
}

START_TEST(test_many)
{
	on_reader(ask_many);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("filter");
	TCase *tc = tcase_create("filter"), *on_log = tcase_create("log"),
	      *mass = tcase_create("mass");

	tcase_add_loop_test(tc, test_agents, 0, ARRAY_SIZE(cases));
	tcase_add_test(tc, test_types);
	tcase_add_test(tc, test_listed);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(on_log, start_log, stop_log);
	tcase_set_timeout(on_log, 60);
	tcase_add_test(on_log, test_events);
	tcase_add_test(on_log, test_types_and_agents);
	suite_add_tcase(s, on_log);
	tcase_set_tags(mass, "mass");
	tcase_add_checked_fixture(mass, start_log, stop_log);
	tcase_set_timeout(mass, 60);
	tcase_add_test(mass, test_many);
	suite_add_tcase(s, mass);
	return s;
}
