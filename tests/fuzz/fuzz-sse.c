/* However a stream is cut, its events are those that the standard says, which is done here once
 * more, on the whole of it.
 *
 * Input: two bytes the bound, four bytes the seed of the cuts, the rest the stream. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/backend/sse.h"
#include "tests/fuzz/fuzz.h"

/* What is given out, as text. */
static void tell(Buf *b, const char *name, size_t name_len, const char *data, size_t data_len)
{
	FUZZ_CHECK(buf_printf(b, "%zu %zu ", name_len, data_len) == 0);
	FUZZ_CHECK(buf_append(b, name, name_len) == 0);
	FUZZ_CHECK(buf_append(b, data, data_len) == 0);
}

static int on_event(const SseEvent *event, void *userdata)
{
	tell(userdata, event->name, event->name_len, event->data, event->data_len);
	return 0;
}

/* ---- As the standard has it, but for the field `error` ---- */

typedef struct Model {
	Buf told, data; /* each line of the data with an LF behind it */
	char name[SSE_MAX_NAME_BYTES];
	size_t name_len, max_bytes;
} Model;

static bool is_field(const char *line, size_t len, const char *name)
{
	size_t n = strlen(name);

	return len >= n && memcmp(line, name, n) == 0 && (len == n || line[n] == ':');
}

static void model_dispatch(Model *m)
{
	if (m->data.len > 0)
		tell(&m->told, m->name, m->name_len, m->data.data, m->data.len - 1);
	m->data.len = m->name_len = 0;
}

/* False: something is above the bound. */
static bool model_line(Model *m, const char *line, size_t len)
{
	const char *value = memchr(line, ':', len);
	size_t n;

	if (len == 0)
		model_dispatch(m);
	value = value ? value + 1 : line + len;
	if (value < line + len && *value == ' ')
		value++;
	n = (size_t)(line + len - value);
	if (is_field(line, len, "error")) {
		m->name_len = strlen("error");
		memcpy(m->name, "error", m->name_len);
	}
	if (is_field(line, len, "data") || is_field(line, len, "error")) {
		if (m->data.len + n > m->max_bytes)
			return false;
		FUZZ_CHECK(buf_append(&m->data, value, n) == 0);
		FUZZ_CHECK(buf_append_char(&m->data, '\n') == 0);
	} else if (is_field(line, len, "event")) {
		m->name_len = n < sizeof(m->name) ? n : sizeof(m->name);
		memcpy(m->name, value, m->name_len);
	}
	return true;
}

static bool model_run(Model *m, const char *p, const char *end)
{
	bool first = true;

	for (const char *line = p; line <= end; first = false) {
		size_t n = 0, bom;

		while (line + n < end && line[n] != '\n' && line[n] != '\r')
			n++;
		if (n > m->max_bytes)
			return false;
		bom = first && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
		/* What has no end is no line: but for the end of the stream it would be empty. */
		if ((line + n < end || n > bom) && !model_line(m, line + bom, n - bom))
			return false;
		line += n;
		line += end - line >= 2 && line[0] == '\r' && line[1] == '\n' ? 2 : 1;
	}
	model_dispatch(m);
	return true;
}

/* ---- As it is done ---- */

static int feed_pieces(Sse *s, uint32_t random, const char *p, const char *end)
{
	int r = 0;

	while (r == 0 && p < end) {
		size_t n;

		random = random * 1664525 + 1013904223;
		n = (random >> 8) % (random >> 28 ? 16 : 4096);
		if (n > (size_t)(end - p))
			n = (size_t)(end - p);
		r = sse_feed(s, p, n);
		p += n;
	}
	return r < 0 ? r : sse_end(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data + 6, *end = (const char *)data + size;
	_cleanup_buf_ Buf told = { 0 };
	Model m = { 0 };
	uint32_t random;
	bool good;
	Sse s;
	int r;

	if (size < 6)
		return 0;
	m.max_bytes = (size_t)data[0] | (size_t)data[1] << 8;
	memcpy(&random, data + 2, sizeof(random));
	good = model_run(&m, p, end);
	sse_init(&s, m.max_bytes, on_event, &told);
	r = feed_pieces(&s, random, p, end);
	FUZZ_CHECK(r == (good ? 0 : -EMSGSIZE));
	FUZZ_CHECK(told.len == m.told.len);
	FUZZ_CHECK(told.len == 0 || memcmp(told.data, m.told.data, told.len) == 0);
	sse_done(&s);
	buf_done(&m.told);
	buf_done(&m.data);
	return 0;
}
