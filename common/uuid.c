#include "common/uuid.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static inline bool hyphen_after(size_t byte)
{
	return byte == 3 || byte == 5 || byte == 7 || byte == 9;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -EINVAL;
}

/* getrandom(2) never cuts a request of up to 256 bytes short, and asked for so much at once it
 * costs a sixteenth. */
typedef struct Pool {
	uint8_t bytes[256];
	size_t left;
} Pool;

static _Thread_local Pool pool;

static int fill(Pool *p)
{
	ssize_t n;

	do
		n = getrandom(p->bytes, sizeof(p->bytes), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n != sizeof(p->bytes))
		return -EIO;
	p->left = sizeof(p->bytes);
	return 0;
}

int uuid_generate(Uuid *ret)
{
	Uuid u;
	int r = pool.left < sizeof(u) ? fill(&pool) : 0;

	if (r < 0)
		return r;
	pool.left -= sizeof(u);
	memcpy(u.bytes, pool.bytes + pool.left, sizeof(u));
	u.bytes[6] = (uint8_t)((u.bytes[6] & 0x0f) | 0x40);
	u.bytes[8] = (uint8_t)((u.bytes[8] & 0x3f) | 0x80);
	*ret = u;
	return 0;
}

int uuid_parse(const char *text, size_t len, Uuid *ret)
{
	Uuid u;

	if (len != UUID_TEXT_LEN)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(u.bytes); i++) {
		int high = hex_value(text[0]);
		int low = hex_value(text[1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		u.bytes[i] = (uint8_t)(high << 4 | low);
		text += 2;
		if (hyphen_after(i) && *text++ != '-')
			return -EINVAL;
	}
	*ret = u;
	return 0;
}

void uuid_format(const Uuid *u, char out[UUID_TEXT_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < sizeof(u->bytes); i++) {
		*out++ = hex[u->bytes[i] >> 4];
		*out++ = hex[u->bytes[i] & 15];
		if (hyphen_after(i))
			*out++ = '-';
	}
	*out = '\0';
}

bool uuid_equal(const Uuid *a, const Uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
