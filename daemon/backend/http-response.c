#include "daemon/backend/http-response.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "daemon/backend/curl.h"

/* Who says more means "not today". */
#define MAX_RETRY_AFTER_MS (24LL * 3600 * 1000)

typedef struct View {
	const char *text;
	size_t len;
} View;

void http_response_init(HttpResponse *r)
{
	*r = (HttpResponse){ .retry_after_ms = -1 };
}

/* "12" or "1.5" in units of `unit_ms`; -1: it is no such number. */
static int64_t parse_number(View v, int64_t unit_ms)
{
	int64_t ms = 0, scale = unit_ms;
	size_t i = 0;

	for (; i < v.len && isdigit((unsigned char)v.text[i]); i++)
		if (ms <= MAX_RETRY_AFTER_MS)
			ms = ms * 10 + (v.text[i] - '0') * unit_ms;
	if (i == 0)
		return -1;
	if (i < v.len && v.text[i] == '.')
		for (i++; i < v.len && isdigit((unsigned char)v.text[i]); i++) {
			scale /= 10;
			ms += (v.text[i] - '0') * scale;
		}
	if (i < v.len)
		return -1;
	return ms < MAX_RETRY_AFTER_MS ? ms : MAX_RETRY_AFTER_MS;
}

static int64_t parse_date(View v, uint64_t now_s)
{
	char text[64];
	time_t then;

	if (v.len >= sizeof(text))
		return -1;
	memcpy(text, v.text, v.len);
	text[v.len] = '\0';
	then = curlapi()->getdate(text, NULL);
	if (then < 0)
		return -1;
	if ((uint64_t)then <= now_s)
		return 0;
	if ((uint64_t)then - now_s > MAX_RETRY_AFTER_MS / 1000)
		return MAX_RETRY_AFTER_MS;
	return (int64_t)((uint64_t)then - now_s) * 1000;
}

/* Only what can be shown as it is. */
static void copy(char *out, size_t size, View v)
{
	size_t n = 0;

	for (size_t i = 0; i < v.len && n + 1 < size; i++)
		if (v.text[i] >= ' ' && v.text[i] <= '~')
			out[n++] = v.text[i];
	out[n] = '\0';
}

static void take_content_type(HttpResponse *r, View v, uint64_t now_s)
{
	(void)now_s;
	copy(r->content_type, sizeof(r->content_type), v);
}

static void take_request_id(HttpResponse *r, View v, uint64_t now_s)
{
	(void)now_s;
	copy(r->request_id, sizeof(r->request_id), v);
}

static void take_retry_after(HttpResponse *r, View v, uint64_t now_s)
{
	int64_t ms = parse_number(v, 1000);

	if (ms < 0)
		ms = parse_date(v, now_s);
	/* The finer one has been there already. */
	if (r->retry_after_ms < 0)
		r->retry_after_ms = ms;
}

static void take_retry_after_ms(HttpResponse *r, View v, uint64_t now_s)
{
	int64_t ms = parse_number(v, 1);

	(void)now_s;
	if (ms >= 0)
		r->retry_after_ms = ms;
}

static const struct {
	const char *name;
	void (*take)(HttpResponse *r, View v, uint64_t now_s);
} wanted[] = {
	{ "content-type", take_content_type },
	{ "request-id", take_request_id },
	{ "retry-after", take_retry_after },
	{ "retry-after-ms", take_retry_after_ms },
	{ "x-request-id", take_request_id },
};

static View trim(View v)
{
	while (v.len > 0 && isspace((unsigned char)v.text[v.len - 1]))
		v.len--;
	while (v.len > 0 && isspace((unsigned char)v.text[0])) {
		v.text++;
		v.len--;
	}
	return v;
}

/* "HTTP/1.1 200 OK", "HTTP/2 200". */
static void take_status(HttpResponse *r, View line)
{
	const char *blank = memchr(line.text, ' ', line.len);
	size_t at = blank ? (size_t)(blank - line.text) + 1 : line.len;

	http_response_init(r);
	for (unsigned i = 0; i < 3 && at < line.len && isdigit((unsigned char)line.text[at]); i++)
		r->status = r->status * 10 + (line.text[at++] - '0');
}

void http_response_line(HttpResponse *r, const char *line, size_t len, uint64_t now_s)
{
	View all = { line, len };
	const char *colon = memchr(line, ':', len);

	if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
		take_status(r, all);
		return;
	}
	if (!colon)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		size_t n = strlen(wanted[i].name);

		if ((size_t)(colon - line) != n || strncasecmp(line, wanted[i].name, n) != 0)
			continue;
		wanted[i].take(r, trim((View){ colon + 1, len - n - 1 }), now_s);
	}
}
