/* Has many agents alive at once, each of which puts out a chunk at a fixed rhythm, and says how
 * late they came. Prints "alive" once all of them run, and at the end one line of JSON.
 *
 * An agent's start and its chunks are due one delay after another, and where the first of them lies
 * on the clock is what the most punctual of them says. So what delays one chunk counts once, and
 * what delays all that follow counts for each of them (`late`); `gap` is how much too late each
 * came after the one before it. Chunks that came before all agents were alive are not judged, but
 * every agent must have had each chunk once, and in order.
 *
 * Chunks that are payloads with the time of their sending (--stamped 1) are late by how long ago
 * that is, all of them. Agents are mocks, or what --params spawns. */
#include <stdio.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/bench/load-client.h"

#define NSEC_PER_USEC 1000U
#define USEC_PER_MSEC 1000

enum { WATCH, ASK, _CLIENT_MAX };

/* Where the number of an agent is found. */
typedef struct Place {
	Uuid id;
	uint32_t number; /* from 1; 0: this place is free */
} Place;

typedef struct Rhythm {
	LoadClient clients[_CLIENT_MAX];
	const char *socket;
	const char *params; /* of agent.spawn; NULL: of a mock agent */
	uint64_t agents, chunks, delay_ms;
	uint64_t stamped; /* the chunks say when they were made */
	uint64_t asked, alive, ended;
	Place *places;
	size_t n_places; /* a power of two */
	uint64_t began_us, now_us;
	uint32_t *seen;    /* of each agent: how many arrivals */
	uint32_t *before;  /* how many of them were there when all were alive */
	uint32_t *arrived; /* chunks + 1 of each agent, µs after began_us: its start, then its
			      chunks */
	uint32_t *late;    /* µs, of the chunks that are judged */
	uint32_t *gaps;
	size_t judged;
} Rhythm;

static uint64_t now_us(void)
{
	return bench_now_ns() / NSEC_PER_USEC;
}

static void set_up(Rhythm *m)
{
	m->n_places = 1;
	while (m->n_places < m->agents * 2)
		m->n_places *= 2;
	m->places = bench_allocate(m->n_places, sizeof(*m->places));
	m->seen = bench_allocate(m->agents, sizeof(*m->seen));
	m->before = bench_allocate(m->agents, sizeof(*m->before));
	m->arrived = bench_allocate(m->agents * (m->chunks + 1), sizeof(*m->arrived));
	m->late = bench_allocate(m->agents * m->chunks, sizeof(*m->late));
	m->gaps = bench_allocate(m->agents * m->chunks, sizeof(*m->gaps));
	for (size_t i = 0; i < _CLIENT_MAX; i++)
		load_client_init(&m->clients[i], m->socket);
}

static void tear_down(Rhythm *m)
{
	for (size_t i = 0; i < _CLIENT_MAX; i++)
		load_client_done(&m->clients[i]);
	free(m->places);
	free(m->seen);
	free(m->before);
	free(m->arrived);
	free(m->late);
	free(m->gaps);
}

static Place *find_place(const Rhythm *m, const Uuid *id)
{
	uint64_t hash;
	size_t i;

	memcpy(&hash, id->bytes, sizeof(hash));
	i = hash & (m->n_places - 1);
	while (m->places[i].number > 0 && !uuid_equal(&m->places[i].id, id))
		i = (i + 1) & (m->n_places - 1);
	return &m->places[i];
}

static void take_arrival(Rhythm *m, uint32_t number, uint64_t which)
{
	uint32_t *seen = &m->seen[number - 1];

	if (*seen != which || which > m->chunks)
		bench_die("chunk %llu came where %u was due", (unsigned long long)which, *seen);
	m->arrived[(number - 1) * (m->chunks + 1) + which] = (uint32_t)(m->now_us - m->began_us);
	(*seen)++;
}

static void take_start(Rhythm *m, Place *place, const Uuid *id)
{
	if (place->number > 0 || m->alive == m->agents)
		bench_die("an agent too many has started");
	place->id = *id;
	place->number = (uint32_t)++m->alive;
	take_arrival(m, place->number, 0);
	if (m->alive < m->agents)
		return;
	memcpy(m->before, m->seen, m->agents * sizeof(*m->seen));
	printf("alive\n");
	fflush(stdout);
}

static void take_end(Rhythm *m, const Place *place)
{
	if (m->alive < m->agents)
		bench_die("one has ended before all were alive");
	if (m->seen[place->number - 1] != m->chunks + 1)
		bench_die("an agent has ended without all of its chunks");
	m->ended++;
}

static void take_stamp(Rhythm *m, const char *line, size_t len, uint64_t index)
{
	static const char key[] = "\"chunk\":\"";
	const char *chunk = memmem(line, len, key, sizeof(key) - 1);
	uint64_t stamp_ns;

	if (!chunk)
		bench_die("there is no chunk in: %.*s", (int)len, line);
	chunk += sizeof(key) - 1;
	stamp_ns = payload_stamp(chunk, (size_t)(line + len - chunk), index);
	m->late[m->judged++] = (uint32_t)(m->now_us - stamp_ns / NSEC_PER_USEC);
}

static void take_chunk(Rhythm *m, uint32_t number, const char *line, size_t len)
{
	uint64_t index = load_line_uint(line, len, "\"index\":");

	take_arrival(m, number, index + 1);
	if (m->stamped)
		take_stamp(m, line, len, index);
}

static void take_event(Rhythm *m, const char *line, size_t len)
{
	Uuid id = load_line_agent(line, len);
	Place *place = find_place(m, &id);

	if (load_line_is(line, len, "AgentStarted"))
		take_start(m, place, &id);
	else if (place->number == 0)
		bench_die("of an agent that did not start: %.*s", (int)len, line);
	else if (load_line_is(line, len, "AgentPartialOutput"))
		take_chunk(m, place->number, line, len);
	else if (load_line_is(line, len, "AgentCompleted"))
		take_end(m, place);
	else
		bench_die("unexpected: %.*s", (int)len, line);
}

static void take_lines(Rhythm *m, LoadClient *c)
{
	const char *line;
	size_t len;

	while (load_client_next(c, &line, &len)) {
		if (load_line_kind(line, len) == LOAD_EVENT)
			take_event(m, line, len);
	}
}

static void run(Rhythm *m)
{
	char params[128];

	snprintf(params, sizeof(params),
		"{\"prompt\":\"p\",\"options\":{\"chunks\":%llu,\"delay_ms\":%llu}}",
		(unsigned long long)m->chunks, (unsigned long long)m->delay_ms);
	load_client_subscribe(&m->clients[WATCH],
		"[\"AgentStarted\",\"AgentPartialOutput\",\"AgentCompleted\",\"AgentError\"]");
	m->began_us = now_us();
	while (m->ended < m->agents) {
		load_client_spawn_ahead(
			&m->clients[ASK], m->params ? m->params : params, m->agents, &m->asked);
		load_client_turn(m->clients, _CLIENT_MAX);
		m->now_us = now_us();
		for (size_t i = 0; i < _CLIENT_MAX; i++)
			take_lines(m, &m->clients[i]);
	}
}

static void judge_agent(Rhythm *m, size_t agent)
{
	const uint32_t *arrived = m->arrived + agent * (m->chunks + 1);
	int64_t delay_us = (int64_t)m->delay_ms * USEC_PER_MSEC, first_due = INT64_MAX;

	for (size_t i = 0; i <= m->chunks; i++) {
		int64_t due = (int64_t)arrived[i] - (int64_t)i * delay_us;

		first_due = due < first_due ? due : first_due;
	}
	for (size_t i = m->before[agent]; i <= m->chunks; i++) {
		int64_t gap = (int64_t)arrived[i] - (int64_t)arrived[i - 1] - delay_us;

		m->late[m->judged] = (uint32_t)(arrived[i] - first_due - (int64_t)i * delay_us);
		m->gaps[m->judged++] = gap > 0 ? (uint32_t)gap : 0;
	}
}

static void report(Rhythm *m)
{
	for (size_t i = 0; i < m->agents && !m->stamped; i++)
		judge_agent(m, i);
	bench_sort_us(m->late, m->judged);
	bench_sort_us(m->gaps, m->judged);
	printf("{\"judged\":%zu,\"late_p50_ms\":%.3f,\"late_p99_ms\":%.3f,\"late_max_ms\":%.3f,"
	       "\"gap_p50_ms\":%.3f,\"gap_p99_ms\":%.3f,\"gap_max_ms\":%.3f}\n",
		m->judged, bench_quantile_ms(m->late, m->judged, 0.5),
		bench_quantile_ms(m->late, m->judged, 0.99),
		bench_quantile_ms(m->late, m->judged, 1),
		bench_quantile_ms(m->gaps, m->judged, 0.5),
		bench_quantile_ms(m->gaps, m->judged, 0.99),
		bench_quantile_ms(m->gaps, m->judged, 1));
}

int main(int argc, char **argv)
{
	Rhythm m = { .agents = 1, .chunks = 1, .delay_ms = 1000 };
	const BenchOption options[] = {
		{ .name = "--socket", .text = &m.socket },
		{ .name = "--agents", .number = &m.agents },
		{ .name = "--chunks", .number = &m.chunks },
		{ .name = "--delay-ms", .number = &m.delay_ms },
		{ .name = "--params", .text = &m.params },
		{ .name = "--stamped", .number = &m.stamped },
		{ 0 },
	};

	bench_options(argc, argv, options);
	if (!m.socket || m.agents == 0 || m.chunks == 0)
		bench_die("--socket, and some --agents and --chunks are needed");
	set_up(&m);
	run(&m);
	report(&m);
	tear_down(&m);
	return 0;
}
