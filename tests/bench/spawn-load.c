/* Spawns agents, all alike, over one connection, pipelined, and waits until each is answered and,
 * unless told otherwise, has ended. Prints one line of JSON: how long it took from the first
 * request on, and what came.
 *
 * Who was answered must be who has ended: the ids of both are added up. */
#include <stdio.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/bench/load-client.h"

typedef struct Load {
	LoadClient client;
	const char *socket;
	const char *params; /* of agent.spawn, JSON text */
	uint64_t wanted, until_ended;
	uint64_t asked, answered, completed, failed;
	uint64_t chunks, bytes;           /* that those which ended say they put out */
	uint64_t answered_ids, ended_ids; /* sums */
	uint64_t began_ns, answered_ns, ended_ns;
} Load;

/* What is added for an agent: sums of different agents are not equal by chance. */
static uint64_t id_number(const char *line, size_t len)
{
	Uuid id = load_line_agent(line, len);
	uint64_t halves[2];

	memcpy(halves, id.bytes, sizeof(halves));
	halves[0] ^= halves[1] * 0x9e3779b97f4a7c15ULL;
	halves[0] *= 0xff51afd7ed558ccdULL;
	return halves[0] ^ (halves[0] >> 32);
}

static void take_answer(Load *l, const char *line, size_t len)
{
	l->answered_ids += id_number(line, len);
	if (++l->answered == l->wanted)
		l->answered_ns = bench_now_ns();
}

static void take_end(Load *l, const char *line, size_t len)
{
	if (load_line_is(line, len, "AgentCompleted"))
		l->completed++;
	else
		l->failed++;
	l->chunks += load_line_uint(line, len, "\"chunks\":");
	l->bytes += load_line_uint(line, len, "\"bytes\":");
	l->ended_ids += id_number(line, len);
	if (l->completed + l->failed == l->wanted)
		l->ended_ns = bench_now_ns();
}

static void take_lines(Load *l)
{
	const char *line;
	size_t len;

	while (load_client_next(&l->client, &line, &len)) {
		LoadLine kind = load_line_kind(line, len);

		if (kind == LOAD_RESULT)
			take_answer(l, line, len);
		else if (kind == LOAD_EVENT)
			take_end(l, line, len);
	}
}

static bool is_done(const Load *l)
{
	return l->answered == l->wanted &&
	       (!l->until_ended || l->completed + l->failed == l->wanted);
}

static void run(Load *l)
{
	if (l->until_ended)
		load_client_subscribe(&l->client, "[\"AgentCompleted\",\"AgentError\"]");
	l->began_ns = l->ended_ns = bench_now_ns();
	while (!is_done(l)) {
		load_client_spawn_ahead(&l->client, l->params, l->wanted, &l->asked);
		load_client_turn(&l->client, 1);
		take_lines(l);
	}
	if (l->until_ended && l->answered_ids != l->ended_ids)
		bench_die("others have ended than were answered");
}

static double seconds(const Load *l, uint64_t at_ns)
{
	return (double)(at_ns - l->began_ns) / 1e9;
}

int main(int argc, char **argv)
{
	Load l = { .wanted = 1, .until_ended = 1, .params = "{\"prompt\":\"p\"}" };
	const BenchOption options[] = {
		{ .name = "--socket", .text = &l.socket },
		{ .name = "--agents", .number = &l.wanted },
		{ .name = "--params", .text = &l.params },
		{ .name = "--until-ended", .number = &l.until_ended },
		{ 0 },
	};

	bench_options(argc, argv, options);
	if (!l.socket || l.wanted == 0)
		bench_die("--socket and some --agents are needed");
	load_client_init(&l.client, l.socket);
	run(&l);
	load_client_done(&l.client);
	printf("{\"answered_s\":%.6f,\"ended_s\":%.6f,\"completed\":%llu,\"failed\":%llu,"
	       "\"chunks\":%llu,"
	       "\"bytes\":%llu}\n",
		seconds(&l, l.answered_ns), seconds(&l, l.ended_ns),
		(unsigned long long)l.completed, (unsigned long long)l.failed,
		(unsigned long long)l.chunks, (unsigned long long)l.bytes);
	return 0;
}
