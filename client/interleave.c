#include "client/interleave.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/uuid.h"

#define N_BUCKETS 256

typedef struct Held {
	ListNode node; /* in its bucket */
	ListNode age;  /* in by_age, unless the text is empty */
	char agent_id[UUID_TEXT_LEN + 1];
	Channel channel;
	Buf text; /* empty: the beginning of the line was given out, and its end has not come */
	uint64_t fed_us;
} Held;

struct Interleave {
	ListNode buckets[N_BUCKETS];
	ListNode by_age; /* what has waited longest comes first */
	size_t max_line_bytes;
	size_t max_total_bytes;
	size_t held_bytes;
	InterleaveOnLine on_line;
	void *userdata;
};

int interleave_new(size_t max_line_bytes, size_t max_total_bytes, InterleaveOnLine on_line,
	void *userdata, Interleave **ret)
{
	Interleave *il = calloc(1, sizeof(*il));

	if (!il)
		return -ENOMEM;
	for (size_t i = 0; i < N_BUCKETS; i++)
		list_init(&il->buckets[i]);
	list_init(&il->by_age);
	il->max_line_bytes = max_line_bytes;
	il->max_total_bytes = max_total_bytes;
	il->on_line = on_line;
	il->userdata = userdata;
	*ret = il;
	return 0;
}

static void held_free(Interleave *il, Held *h)
{
	list_remove(&h->node);
	list_remove(&h->age);
	il->held_bytes -= h->text.len;
	buf_done(&h->text);
	free(h);
}

void interleave_free(Interleave *il)
{
	if (!il)
		return;
	for (size_t i = 0; i < N_BUCKETS; i++) {
		list_foreach_safe (node, &il->buckets[i])
			held_free(il, container_of(node, Held, node));
	}
	free(il);
}

static ListNode *bucket_of(Interleave *il, const char *agent_id)
{
	uint32_t hash = 2166136261U;

	for (const char *p = agent_id; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619U;
	return &il->buckets[hash % N_BUCKETS];
}

static Held *find(Interleave *il, const char *agent_id, Channel channel)
{
	list_foreach (node, bucket_of(il, agent_id)) {
		Held *h = container_of(node, Held, node);

		if (h->channel == channel && strcmp(h->agent_id, agent_id) == 0)
			return h;
	}
	return NULL;
}

static int give(Interleave *il, const char *agent_id, Channel channel, const char *text, size_t len,
	bool unfinished)
{
	InterleaveLine line = { agent_id, channel, text, len, unfinished };

	return il->on_line(&line, il->userdata);
}

/* Of a line that has been given out to its last character nothing is left to give. */
static int give_held(Interleave *il, Held *h, bool unfinished)
{
	int r = 0;

	if (h->text.len > 0)
		r = give(il, h->agent_id, h->channel, h->text.data, h->text.len, unfinished);
	held_free(il, h);
	return r;
}

static int hold(Interleave *il, Held *h, const char *bytes, size_t len)
{
	int r = buf_append(&h->text, bytes, len);

	if (r < 0 || len == 0)
		return r;
	il->held_bytes += len;
	h->fed_us = clock_monotonic_us();
	list_remove(&h->age);
	list_append(&il->by_age, &h->age);
	return 0;
}

static int hold_new(Interleave *il, const char *agent_id, Channel channel, const char *bytes,
	size_t len, Held **ret)
{
	Held *h;
	int r;

	if (strlen(agent_id) > UUID_TEXT_LEN)
		return -EINVAL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	list_init(&h->node);
	list_init(&h->age);
	memcpy(h->agent_id, agent_id, strlen(agent_id) + 1);
	h->channel = channel;
	r = hold(il, h, bytes, len);
	if (r < 0) {
		held_free(il, h);
		return r;
	}
	list_append(bucket_of(il, agent_id), &h->node);
	*ret = h;
	return 0;
}

/* What stands behind the last newline. */
static int keep_rest(Interleave *il, Held *h, const char *agent_id, Channel channel,
	const char *bytes, size_t len)
{
	int r;

	if (len == 0)
		return 0;
	r = h ? hold(il, h, bytes, len) : hold_new(il, agent_id, channel, bytes, len, &h);
	if (r < 0)
		return r;
	if (h->text.len > il->max_line_bytes || il->held_bytes > il->max_total_bytes)
		return give_held(il, h, true);
	return 0;
}

int interleave_feed(
	Interleave *il, const char *agent_id, Channel channel, const char *bytes, size_t len)
{
	Held *h = find(il, agent_id, channel);
	const char *newline;
	int r;

	while (len > 0 && (newline = memchr(bytes, '\n', len))) {
		size_t n = (size_t)(newline - bytes);

		if (h) {
			r = hold(il, h, bytes, n);
			if (r == 0)
				r = give_held(il, h, false);
			h = NULL;
		} else {
			r = give(il, agent_id, channel, bytes, n, false);
		}
		if (r < 0)
			return r;
		bytes += n + 1;
		len -= n + 1;
	}
	return keep_rest(il, h, agent_id, channel, bytes, len);
}

static int flush_bucket(Interleave *il, ListNode *bucket, const char *agent_id)
{
	list_foreach_safe (node, bucket) {
		Held *h = container_of(node, Held, node);
		int r;

		if (agent_id && strcmp(h->agent_id, agent_id) != 0)
			continue;
		r = give_held(il, h, true);
		if (r < 0)
			return r;
	}
	return 0;
}

int interleave_flush(Interleave *il, const char *agent_id)
{
	if (agent_id)
		return flush_bucket(il, bucket_of(il, agent_id), agent_id);
	for (size_t i = 0; i < N_BUCKETS; i++) {
		int r = flush_bucket(il, &il->buckets[i], NULL);

		if (r < 0)
			return r;
	}
	return 0;
}

static Held *oldest(const Interleave *il)
{
	return list_empty(&il->by_age) ? NULL : container_of(il->by_age.next, Held, age);
}

uint64_t interleave_waiting_since(const Interleave *il)
{
	const Held *h = oldest(il);

	return h ? h->fed_us : UINT64_MAX;
}

int interleave_flush_waiting(Interleave *il, uint64_t since_us)
{
	Held *h;

	while ((h = oldest(il)) && h->fed_us <= since_us) {
		int r = give(il, h->agent_id, h->channel, h->text.data, h->text.len, true);

		list_remove(&h->age);
		il->held_bytes -= h->text.len;
		buf_clear(&h->text, 0);
		if (r < 0)
			return r;
	}
	return 0;
}
