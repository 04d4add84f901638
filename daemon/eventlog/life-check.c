#include "daemon/eventlog/life-check.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/jsonx.h"

#define FIRST_CAP 1024

#define IN(stage) (1U << (stage))

/* Which events an agent may have where it is, and where they take it. */
static const struct {
	unsigned from;
	LifeStage to;
} moves[_EVENT_TYPE_MAX] = {
	[EVENT_TYPE_AGENT_WAITING] = { IN(LIFE_QUEUED), LIFE_QUEUED },
	[EVENT_TYPE_AGENT_STARTED] = { IN(LIFE_QUEUED), LIFE_RUNNING },
	[EVENT_TYPE_AGENT_RETRYING] = { IN(LIFE_RUNNING), LIFE_QUEUED },
	[EVENT_TYPE_AGENT_PARTIAL_OUTPUT] = { IN(LIFE_RUNNING), LIFE_RUNNING },
	[EVENT_TYPE_AGENT_COMPLETED] = { IN(LIFE_RUNNING), LIFE_ENDED },
	[EVENT_TYPE_AGENT_ERROR] = { IN(LIFE_QUEUED) | IN(LIFE_RUNNING), LIFE_ENDED },
};

static const char *const stages[_LIFE_STAGE_MAX] = {
	[LIFE_NONE] = "not there",
	[LIFE_UNKNOWN] = "not known",
	[LIFE_QUEUED] = "queued",
	[LIFE_RUNNING] = "running",
	[LIFE_ENDED] = "ended",
};

/* ---- The table ---- */

static Life *place(Life *table, size_t cap, const Uuid *id)
{
	uint64_t a, b;
	size_t i;

	/* Clients may choose ids, so not all of their bytes need be random. */
	memcpy(&a, id->bytes, 8);
	memcpy(&b, id->bytes + 8, 8);
	a ^= b * 0x9e3779b97f4a7c15ULL;
	a *= 0xff51afd7ed558ccdULL;
	for (i = (size_t)(a >> 32) & (cap - 1); table[i].stage != LIFE_NONE;
		i = (i + 1) & (cap - 1))
		if (uuid_equal(&table[i].id, id))
			break;
	return &table[i];
}

static int make_room(LifeCheck *c)
{
	size_t cap = c->cap > 0 ? c->cap * 2 : FIRST_CAP;
	Life *table;

	if (c->cap > 0 && c->n < c->cap / 4 * 3)
		return 0;
	table = calloc(cap, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < c->cap; i++)
		if (c->table[i].stage != LIFE_NONE)
			*place(table, cap, &c->table[i].id) = c->table[i];
	free(c->table);
	c->table = table;
	c->cap = cap;
	return 0;
}

Life *life_check_find(const LifeCheck *c, const Uuid *id)
{
	Life *l = c->table ? place(c->table, c->cap, id) : NULL;

	return l && l->stage != LIFE_NONE ? l : NULL;
}

void life_check_done(LifeCheck *c)
{
	free(c->table);
	c->table = NULL;
	c->cap = c->n = 0;
}

/* ---- Events ---- */

void life_check_hole(LifeCheck *c, uint64_t seq)
{
	c->hole_seq = seq;
}

static void check_count(
	const LifeCheck *c, json_object *event, const char *member, bool known, uint64_t expected)
{
	uint64_t said = jsonx_get_uint(event, member, UINT64_MAX);

	if (said == UINT64_MAX)
		findings_problem(c->findings, "`%s` is missing", member);
	else if (known && said != expected)
		findings_problem(
			c->findings, "`%s` is %" PRIu64 ", not %" PRIu64, member, said, expected);
}

static void check_started(const LifeCheck *c, Life *l, json_object *event)
{
	check_count(c, event, "attempt", l->whole, l->attempt + 1ULL);
	l->attempt = (uint32_t)jsonx_get_uint(event, "attempt", 0);
}

static void check_chunk(const LifeCheck *c, Life *l, json_object *event, const IndexRecord *record)
{
	check_count(c, event, "index", l->counted, l->chunks);
	l->chunks = jsonx_get_uint(event, "index", l->chunks) + 1;
	l->counted = true;
	l->bytes += record->raw_bytes;
}

static void check_end(const LifeCheck *c, Life *l, json_object *event, const IndexRecord *record)
{
	check_count(c, event, "chunks", l->counted, l->chunks);
	check_count(c, event, "bytes", l->whole, l->bytes);
	/* What the catalog is to have. */
	l->chunks = jsonx_get_uint(event, "chunks", 0);
	l->bytes = jsonx_get_uint(event, "bytes", 0);
	if (record->type == EVENT_TYPE_AGENT_COMPLETED)
		l->state = AGENT_STATE_COMPLETED;
	else if (record->code == AGENT_ERROR_CANCELLED)
		l->state = AGENT_STATE_CANCELLED;
	else
		l->state = AGENT_STATE_FAILED;
}

static void move(const LifeCheck *c, Life *l, const IndexRecord *record)
{
	if (l->stage != LIFE_UNKNOWN && !(moves[record->type].from & IN(l->stage)))
		findings_problem(c->findings, "%s for an agent that is %s",
			protocol_event_name(record->type), stages[l->stage]);
	l->stage = (uint8_t)moves[record->type].to;
}

/* An agent that the log has not named before. */
static void begin(LifeCheck *c, Life *l, const Uuid *id, uint64_t seq, uint64_t number,
	const IndexRecord *record)
{
	bool spawned = record->type == EVENT_TYPE_AGENT_SPAWNED;

	c->n++;
	*l = (Life){
		.id = *id,
		.number = spawned ? seq : 0,
		.stage = spawned ? LIFE_QUEUED : LIFE_UNKNOWN,
		.whole = spawned,
		.counted = spawned,
	};
	/* Else its AgentSpawned is what is missing. */
	if (!spawned && (c->hole_seq == 0 || number >= c->hole_seq))
		findings_problem(c->findings, "%s for an agent that was not spawned",
			protocol_event_name(record->type));
}

static void follow(LifeCheck *c, Life *l, json_object *event, const IndexRecord *record)
{
	if (l->last_seq < c->hole_seq && l->stage != LIFE_ENDED) {
		l->stage = LIFE_UNKNOWN;
		l->whole = l->counted = false;
	}
	if (record->type == EVENT_TYPE_AGENT_SPAWNED) {
		findings_problem(c->findings, "the agent was spawned before");
		return;
	}
	move(c, l, record);
	if (record->type == EVENT_TYPE_AGENT_STARTED)
		check_started(c, l, event);
	else if (record->type == EVENT_TYPE_AGENT_RETRYING)
		check_count(c, event, "attempt", l->whole, l->attempt + 1ULL);
	else if (record->type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT)
		check_chunk(c, l, event, record);
	else if (l->stage == LIFE_ENDED)
		check_end(c, l, event, record);
}

int life_check_event(
	LifeCheck *c, json_object *event, uint64_t seq, const IndexRecord *record, uint64_t number)
{
	size_t len;
	const char *text = jsonx_get_string(event, "agent_id", &len);
	Life *l;
	Uuid id;

	if (record->type < EVENT_TYPE_AGENT_SPAWNED)
		return 0;
	if (!text || uuid_parse(text, len, &id) < 0) {
		findings_problem(c->findings, "`agent_id` is no UUID");
		return 0;
	}
	if (make_room(c) < 0)
		return -ENOMEM;
	l = place(c->table, c->cap, &id);
	if (l->stage == LIFE_NONE)
		begin(c, l, &id, seq, number, record);
	if (l->number != seq)
		follow(c, l, event, record);
	if (l->number == 0)
		l->number = number;
	l->last_seq = seq;
	if (seq <= c->applied)
		l->known_seq = seq;
	return 0;
}
