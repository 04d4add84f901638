#include "daemon/backend/sse.h"

#include <errno.h>
#include <string.h>

/* So much memory is kept from one event to the next. */
#define KEEP_BYTES 1024U

static const char bom[] = { '\xef', '\xbb', '\xbf' };

void sse_init(Sse *s, size_t max_bytes, SseOnEvent on_event, void *userdata)
{
	*s = (Sse){ .on_event = on_event, .userdata = userdata, .max_bytes = max_bytes };
}

void sse_done(Sse *s)
{
	buf_done(&s->held);
	s->data_len = 0;
}

static inline bool line_is_held(const Sse *s)
{
	return s->held.len > s->data_len;
}

/* What is lent would not outlast this call. */
static int keep_lent(Sse *s)
{
	if (!s->lent)
		return 0;

	int r = buf_append(&s->held, s->lent, s->lent_len);

	if (r < 0)
		return r;
	s->data_len = s->held.len;
	s->lent = NULL;
	return 0;
}

/* Behind what there is of the data; a line that is held may also be the first of it. */
static int join_data(Sse *s, const char *value, size_t len)
{
	int r;

	if (line_is_held(s)) {
		/* It moves down over the field's name. */
		char *to = s->held.data + s->data_len;

		if (s->has_data)
			*to++ = '\n';
		memmove(to, value, len);
		s->data_len = (size_t)(to + len - s->held.data);
		return 0;
	}
	r = keep_lent(s);
	if (r == 0)
		r = buf_append_char(&s->held, '\n');
	if (r == 0)
		r = buf_append(&s->held, value, len);
	s->data_len = s->held.len;
	return r;
}

static int add_data(Sse *s, const char *value, size_t len)
{
	size_t before = s->lent ? s->lent_len : s->data_len;
	int r = 0;

	if (before + s->has_data + len > s->max_bytes)
		return -EMSGSIZE;
	if (!s->has_data && !line_is_held(s)) {
		s->lent = value;
		s->lent_len = len;
	} else {
		r = join_data(s, value, len);
	}
	s->has_data = true;
	return r;
}

static void set_name(Sse *s, const char *value, size_t len)
{
	s->name_len = len < sizeof(s->name) ? len : sizeof(s->name);
	memcpy(s->name, value, s->name_len);
}

static int dispatch(Sse *s)
{
	const char *held = s->held.data ? s->held.data : "";
	const SseEvent event = {
		.name = s->name,
		.name_len = s->name_len,
		.data = s->lent ? s->lent : held,
		.data_len = s->lent ? s->lent_len : s->data_len,
	};
	int r = s->has_data ? s->on_event(&event, s->userdata) : 0;

	buf_clear(&s->held, KEEP_BYTES);
	s->data_len = 0;
	s->lent = NULL;
	s->name_len = 0;
	s->has_data = false;
	return r < 0 ? r : 0;
}

static inline bool is_name(const char *line, size_t len, const char *name)
{
	return len == strlen(name) && memcmp(line, name, len) == 0;
}

static int on_line(Sse *s, const char *line, size_t len)
{
	if (len > s->max_bytes)
		return -EMSGSIZE;
	if (!s->begun && len >= sizeof(bom) && memcmp(line, bom, sizeof(bom)) == 0) {
		line += sizeof(bom);
		len -= sizeof(bom);
	}
	s->begun = true;
	if (len == 0)
		return dispatch(s);

	const char *end = line + len, *colon = memchr(line, ':', len);
	const char *value = colon ? colon + 1 : end;
	size_t name_len = (size_t)((colon ? colon : end) - line);

	if (value < end && *value == ' ')
		value++;
	if (is_name(line, name_len, "data"))
		return add_data(s, value, (size_t)(end - value));
	if (is_name(line, name_len, "event"))
		set_name(s, value, (size_t)(end - value));
	if (!is_name(line, name_len, "error"))
		return 0;
	set_name(s, line, name_len);
	return add_data(s, value, (size_t)(end - value));
}

/* Puts aside what there is of a line. */
static int hold(Sse *s, const char *bytes, size_t n)
{
	int r;

	if (s->held.len - s->data_len + n > s->max_bytes)
		return -EMSGSIZE;
	r = keep_lent(s);
	return r < 0 ? r : buf_append(&s->held, bytes, n);
}

/* The line that is held, which is to have ended. */
static int end_held(Sse *s)
{
	int r = on_line(s, s->held.data + s->data_len, s->held.len - s->data_len);

	s->held.len = s->data_len;
	return r;
}

static int end_line(Sse *s, const char *bytes, size_t n)
{
	int r;

	if (!line_is_held(s))
		return on_line(s, bytes, n);
	r = hold(s, bytes, n);
	return r < 0 ? r : end_held(s);
}

static const char *find(const char *p, const char *end, char c)
{
	const char *found = memchr(p, c, (size_t)(end - p));

	return found ? found : end;
}

int sse_feed(Sse *s, const char *bytes, size_t len)
{
	if (len == 0)
		return 0;

	const char *p = bytes, *end = bytes + len;
	/* The next LF, looked for once: there may be many lines with other ends before it. */
	const char *lf = find(p, end, '\n');

	while (p < end) {
		if (s->after_cr && *p == '\n')
			p++;
		s->after_cr = false;
		if (lf < p)
			lf = find(p, end, '\n');

		const char *stop = find(p, lf, '\r');
		size_t n = (size_t)(stop - p);
		int r = stop < end ? end_line(s, p, n) : hold(s, p, n);

		if (r < 0)
			return r;
		if (stop == end)
			break;
		s->after_cr = *stop == '\r';
		p = stop + 1;
	}
	return keep_lent(s);
}

int sse_end(Sse *s)
{
	int r = line_is_held(s) ? end_held(s) : 0;

	return r < 0 ? r : dispatch(s);
}
