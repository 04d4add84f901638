#include "client/candidates.h"

#include <string.h>

#include "client/text.h"

/* As much as stands beside a word on a terminal of 80 columns. */
#define ABOUT_WIDTH 60

void candidates_done(Candidates *c)
{
	buf_done(&c->offered);
}

static bool is_harmless(const Candidates *c, const char *word)
{
	_cleanup_buf_ Buf safe = { 0 };
	size_t len = strlen(word);

	/* Such a line would tell the script what to do. */
	if (len == 0 || (*word == ':' && c->before_len == 0))
		return false;
	return text_append_safe(&safe, word, len, false) == 0 && safe.len == len &&
	       memcmp(safe.data, word, len) == 0;
}

/* False if it was remembered before: each stands between newlines, of which it has none. */
static bool remember(Candidates *c, const char *word)
{
	size_t start = c->offered.len, len;

	if (buf_printf(&c->offered, "\n%s\n", word) < 0)
		return true;
	len = c->offered.len - start;
	if (start == 0 || !memmem(c->offered.data, start, c->offered.data + start, len))
		return true;
	c->offered.len = start;
	return false;
}

static void put_about(const Candidates *c, const char *about)
{
	size_t len = strlen(about), fit = text_fit(about, len, ABOUT_WIDTH);

	output_put(c->out, "\t", 1);
	output_safe(c->out, about, fit);
	if (fit < len)
		output_printf(c->out, "…");
}

void candidates_offer(Candidates *c, const char *word, const char *about)
{
	if (strncmp(word, c->word, strlen(c->word)) != 0 || !is_harmless(c, word) ||
		!remember(c, word))
		return;
	output_printf(c->out, "%.*s%s", (int)c->before_len, c->before, word);
	if (about && *about)
		put_about(c, about);
	output_put(c->out, "\n", 1);
}

void candidates_offer_files(const Candidates *c)
{
	output_printf(c->out, ":files\t%.*s\n", (int)c->before_len, c->before);
}

void candidates_offer_command(const Candidates *c)
{
	output_printf(c->out, ":command\n");
}
