#include "daemon/eventlog/emitter.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/probe.h"
#include "daemon/eventlog/committer.h"

/* A block begins with twice the room that the last one took, and is handed over before the turn
 * ends when one more event like the last would not fit into the largest. */
#define BLOCK_SMALL_BYTES 4096U
#define BLOCK_PIECE_BYTES (128U * 1024)

/* What an event is given room for before anything is known of it. */
#define BEGIN_BYTES (sizeof(EventHead) + 512)

void emitter_init(Emitter *e, Committer *c)
{
	*e = (Emitter){ .committer = c, .begin_bytes = BLOCK_SMALL_BYTES };
}

void emitter_done(Emitter *e)
{
	buf_done(&e->block);
}

JsonWriter *emitter_begin(Emitter *e)
{
	int r;

	if (e->block.len == 0)
		r = spares_reserve(committer_spares(e->committer), &e->block, e->begin_bytes);
	else
		r = buf_reserve(&e->block, BEGIN_BYTES);
	if (r == 0 && e->block.len == 0)
		e->block.len = sizeof(EventBlock);
	e->head = e->block.len;
	e->emitted_us = 0;
	jw_init(&e->writer, &e->block);
	if (r < 0)
		e->writer.error = r;
	else
		e->block.len += sizeof(EventHead);
	return &e->writer;
}

void emitter_trace(Emitter *e)
{
	e->emitted_us = clock_monotonic_us();
}

int emitter_end(Emitter *e, const EventMeta *meta)
{
	size_t body_len, padding;
	EventHead head;
	int r = jw_finish(&e->writer);

	if (r == 0)
		r = buf_reserve(&e->block, _Alignof(EventHead));
	if (r < 0) {
		e->block.len = e->head;
		return r;
	}
	body_len = e->block.len - e->head - sizeof(EventHead);
	padding = -body_len & (_Alignof(EventHead) - 1);
	e->block.len += padding;
	head = (EventHead){
		.meta = *meta,
		.body_len = body_len,
		.size = e->block.len - e->head,
		.emitted_us = e->emitted_us,
	};
	memcpy(e->block.data + e->head, &head, sizeof(head));
	e->n++;
	PROBE3(emitted, meta->agent, meta->type, body_len);
	if (e->block.len + BEGIN_BYTES + head.size > BLOCK_PIECE_BYTES)
		emitter_flush(e);
	return 0;
}

void emitter_flush(Emitter *e)
{
	EventBlock *block;
	size_t len, cap = e->block.cap;

	if (e->n == 0)
		return;
	block = (EventBlock *)(void *)buf_take(&e->block, &len);
	e->begin_bytes = BLOCK_SMALL_BYTES;
	while (e->begin_bytes < 2 * len && e->begin_bytes < BLOCK_PIECE_BYTES)
		e->begin_bytes *= 2;
	block->len = len;
	block->cap = cap;
	block->n = e->n;
	e->n = 0;
	committer_take_block(e->committer, block);
}
