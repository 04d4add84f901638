#include "daemon/eventlog/spares.h"

#include <stdbool.h>
#include <stdlib.h>

struct SparePiece {
	SparePiece *next;
};

int spares_init(Spares *s)
{
	*s = (Spares){ 0 };
	return -pthread_mutex_init(&s->lock, NULL);
}

void spares_drop(Spares *s)
{
	SparePiece *pieces = NULL, *next;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < SPARES_CLASSES; i++) {
		for (SparePiece *piece = s->first[i]; piece; piece = next) {
			next = piece->next;
			piece->next = pieces;
			pieces = piece;
		}
		s->first[i] = NULL;
	}
	s->bytes = 0;
	pthread_mutex_unlock(&s->lock);
	for (; pieces; pieces = next) {
		next = pieces->next;
		free(pieces);
	}
}

void spares_done(Spares *s)
{
	spares_drop(s);
	pthread_mutex_destroy(&s->lock);
}

/* The least class whose pieces hold `bytes`; SPARES_CLASSES: none does. */
static size_t class_of(size_t bytes)
{
	size_t class = 0;

	while (class < SPARES_CLASSES && bytes > (size_t)SPARES_MIN_BYTES << class)
		class ++;
	return class;
}

int spares_reserve(Spares *s, Buf *b, size_t bytes)
{
	size_t class = class_of(bytes), cap = (size_t)SPARES_MIN_BYTES << class;
	SparePiece *piece;

	if (bytes <= SPARES_MIN_BYTES / 2 || class == SPARES_CLASSES)
		return buf_reserve(b, bytes);
	pthread_mutex_lock(&s->lock);
	piece = s->first[class];
	if (piece) {
		s->first[class] = piece->next;
		s->bytes -= cap;
	}
	pthread_mutex_unlock(&s->lock);
	if (!piece)
		return buf_reserve(b, cap);
	*b = (Buf){ .data = (char *)piece, .cap = cap };
	return 0;
}

void spares_give(Spares *s, void *memory, size_t cap)
{
	size_t class = class_of(cap);
	bool kept = false;

	if (memory && class < SPARES_CLASSES && cap == (size_t)SPARES_MIN_BYTES << class) {
		SparePiece *piece = memory;

		pthread_mutex_lock(&s->lock);
		kept = s->bytes + cap <= SPARES_MAX_BYTES;
		if (kept) {
			piece->next = s->first[class];
			s->first[class] = piece;
			s->bytes += cap;
		}
		pthread_mutex_unlock(&s->lock);
	}
	if (!kept)
		free(memory);
}
