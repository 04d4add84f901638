#include "daemon/eventlog/emitter.h"

#include <errno.h>
#include <string.h>

#include "daemon/eventlog/committer.h"

/* A block that gets larger than this is handed over before the turn ends. */
#define BLOCK_FULL_BYTES (256U * 1024)

void emitter_init(Emitter *e, Committer *c)
{
	*e = (Emitter){ .committer = c };
}

void emitter_done(Emitter *e)
{
	buf_done(&e->block);
}

JsonWriter *emitter_begin(Emitter *e)
{
	int r;

	if (e->block.len == 0)
		r = buf_reserve(&e->block, 4096);
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

void emitter_flush(Emitter *e)
{
	EventBlock *block;
	size_t len;

	if (e->n == 0)
		return;
	block = (EventBlock *)(void *)buf_take(&e->block, &len);
	block->len = len;
	block->n = e->n;
	e->n = 0;
	committer_take_block(e->committer, block);
}
