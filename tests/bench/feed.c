#include "tests/bench/feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void feed_expect(Feed *f, uint64_t number, size_t digits)
{
	char text[PAYLOAD_STAMP_LEN + 1];
	int n = snprintf(text, sizeof(text), "%0*" PRIu64, (int)digits, number);

	f->next_len = (size_t)n;
	memcpy(f->next, text, f->next_len);
}

static bool all_nines(const char *digits, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (digits[i] != '9')
			return false;
	}
	return true;
}

void feed_take_number(Feed *f, const char *digits)
{
	if (memcmp(digits, f->next, f->next_len) != 0)
		bench_die("expected number %.*s, got %.*s", (int)f->next_len, f->next,
			(int)f->next_len, digits);
	if (f->next[f->next_len - 1] != '9')
		f->next[f->next_len - 1]++;
	else if (all_nines(f->next, f->next_len))
		feed_expect(f, digits_read(f->next, f->next_len) + 1, 0);
	else
		digits_increment(f->next, f->next_len);
}

void feed_take_payload(Feed *f, const char *payload)
{
	if (f->delays_us) {
		uint64_t made_ns = digits_read(payload + PAYLOAD_NUMBER_LEN + 1, PAYLOAD_STAMP_LEN);

		if (made_ns == 0 || made_ns > f->now_ns)
			bench_die("a payload without its time: %.*s", PAYLOAD_HEAD_LEN, payload);
		f->delays_us[f->taken] = (uint32_t)((f->now_ns - made_ns) / 1000);
	}
	f->taken++;
}

size_t feed_read_until(Feed *f, const char *end)
{
	for (;;) {
		const char *found = memmem(f->rest, f->rest_len, end, strlen(end));
		ssize_t n;

		if (found)
			return (size_t)(found - f->rest) + strlen(end);
		n = recv(f->fd, f->rest + f->rest_len, sizeof(f->rest) - f->rest_len, 0);
		if (n <= 0)
			bench_die("no answer: %.*s", (int)f->rest_len, f->rest);
		f->rest_len += (size_t)n;
	}
}

bool feed_has(const Feed *f, size_t len, const char *words)
{
	return memmem(f->rest, len, words, strlen(words)) != NULL;
}

void feed_drop(Feed *f, size_t len)
{
	f->rest_len -= len;
	memmove(f->rest, f->rest + len, f->rest_len);
}
