#include "daemon/backend/blot.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Characters of a secret that give it away. Fewer may stand in a text by chance. */
#define MIN_WHOLE 6U /* where it is all of it, or the text ends within it */
#define MIN_CUT   12U
#define MIN_WORD  8U

static int add(Blot *b, const char *text, size_t len)
{
	if (b->n == b->cap) {
		size_t cap = b->cap > 0 ? b->cap * 2 : 4;
		BlotSecret *grown = reallocarray(b->secrets, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		b->secrets = grown;
		b->cap = cap;
	}
	b->secrets[b->n++] = (BlotSecret){ text, len };
	return 0;
}

int blot_add(Blot *b, const char *secret)
{
	size_t all = strlen(secret);
	int r = add(b, secret, all);

	for (size_t len; r == 0 && *secret; secret += len) {
		secret += strspn(secret, " ");
		len = strcspn(secret, " ");
		if (len >= MIN_WORD && len < all)
			r = add(b, secret, len);
	}
	return r;
}

void blot_done(Blot *b)
{
	free(b->secrets);
	*b = (Blot){ 0 };
}

/* \u0041 behind its backslash; -1: it is none. */
static int unicode(const char *p)
{
	int value = 0;

	if (*p != 'u')
		return -1;
	for (unsigned i = 1; i <= 4; i++) {
		if (!isxdigit((unsigned char)p[i]))
			return -1;
		value = value * 16 +
			(isdigit((unsigned char)p[i]) ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
	}
	return value;
}

/* How many bytes at `p` say the character; 0: they say another one. Backslashes count on neither
 * side: JSON puts them before some characters, and doubles them. */
static size_t says(const char *p, char c)
{
	size_t n = 0, slashes = strspn(p, "\\");

	if (c == ' ')
		while ((p[n] > 0 && p[n] <= ' ') || p[n] == 0x7f)
			n++;
	if (n > 0)
		return n;
	if (slashes > 0 && unicode(p + slashes) == c)
		return slashes + 5;
	return p[slashes] == c ? slashes + 1 : 0;
}

/* There is nothing more, or only the beginning of what is escaped. */
static bool ends(const char *p)
{
	size_t slashes = strspn(p, "\\");

	p += slashes;
	return !*p || (slashes > 0 && *p == 'u' && strlen(p) < 5);
}

/* How many bytes the text begins with that give the secret away. */
static size_t given_away(const char *text, const BlotSecret *s)
{
	size_t n = 0, said = 0;

	for (size_t i = 0; i < s->len; i++) {
		size_t bytes;

		if (s->text[i] == '\\' || (i > 0 && s->text[i] == ' ' && s->text[i - 1] == ' '))
			continue;
		bytes = says(text + n, s->text[i]);
		if (bytes == 0 && ends(text + n))
			return said >= MIN_WHOLE ? n + strlen(text + n) : 0;
		if (bytes == 0)
			return said >= MIN_CUT ? n : 0;
		n += bytes;
		said++;
	}
	return said >= MIN_WHOLE ? n : 0;
}

void blot_text(const Blot *b, char *text)
{
	/* Forward only, so that what is blotted is not looked at again, and secrets may overlap. */
	for (size_t left = 0; *text; text++) {
		for (size_t i = 0; i < b->n; i++) {
			size_t n = given_away(text, &b->secrets[i]);

			left = n > left ? n : left;
		}
		if (left > 0) {
			*text = '*';
			left--;
		}
	}
}
