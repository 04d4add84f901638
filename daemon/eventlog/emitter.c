#include "daemon/eventlog/emitter.h"

#include <errno.h>
#include <string.h>

#include "daemon/eventlog/committer.h"

/* A block begins as large as the last one was, within bounds; one that gets larger than the upper is handed over before
 * the turn ends. */
#define BLOCK_MIN_BYTES  4096U
#define BLOCK_FULL_BYTES (240U * 1024)
/* With the event that makes it full, if that is like most. */
#define BLOCK_MAX_BYTES  (256U * 1024)

void emitter_init(Emitter *e, Committer *c)
{
	*e = (Emitter){ .committer = c, .usual_bytes = BLOCK_MIN_BYTES };
}

void emitter_done(Emitter *e)
{
	buf_done(&e->block);
}

JsonWriter *emitter_begin(Emitter *e)
{
	int r;

	if (e->block.len == 0)
		r = spares_reserve(committer_spares(e->committer), &e->block, e->usual_bytes);
	else
		r = buf_reserve(&e->block, sizeof(EventHead) + 512);
	if (r == 0 && e->block.len == 0)
		e->block.len = sizeof(EventBlock);
	e->head = e->block.len;
	jw_init(&e->writer, &e->block);
	if (r < 0)
		e->writer.error = r;
	else
		e->block.len += sizeof(EventHead);
	return &e->writer;
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
	};
	memcpy(e->block.data + e->head, &head, sizeof(head));
	e->n++;
	if (e->block.len >= BLOCK_FULL_BYTES)
		emitter_flush(e);
	return 0;
}

static size_t usual(size_t last_bytes)
{
	if (last_bytes >= BLOCK_FULL_BYTES)
		return BLOCK_MAX_BYTES;
	return last_bytes > BLOCK_MIN_BYTES ? last_bytes : BLOCK_MIN_BYTES;
}

void emitter_flush(Emitter *e)
{
	EventBlock *block;
	size_t len, cap = e->block.cap;

	if (e->n == 0)
		return;
	block = (EventBlock *)(void *)buf_take(&e->block, &len);
	e->usual_bytes = usual(len);
	block->len = len;
	block->cap = cap;
	block->n = e->n;
	e->n = 0;
	committer_take_block(e->committer, block);
}
