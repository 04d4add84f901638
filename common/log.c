#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/utf8.h"

/* A line on standard error never gets longer than this, so that one write(2) to a pipe is atomic.
 */
#define LOG_LINE_MAX    4096
/* Leaves room for the time, the level, an agent's id, and the newline. */
#define LOG_MESSAGE_MAX (LOG_LINE_MAX - 256)
#define LOG_AGENT_MAX   128
#define ELLIPSIS        "\xe2\x80\xa6"

static const struct {
	LogLevel level;
	const char *name;
	const char *label;
} levels[] = {
	{ LOG_LEVEL_ERROR, "error", "ERROR" },
	{ LOG_LEVEL_WARNING, "warning", "WARNING" },
	{ LOG_LEVEL_NOTICE, "notice", "NOTICE" },
	{ LOG_LEVEL_INFO, "info", "INFO" },
	{ LOG_LEVEL_DEBUG, "debug", "DEBUG" },
};

static atomic_uint max_level = LOG_LEVEL_INFO;
static LogSink current_sink;

void log_set_level(LogLevel level)
{
	atomic_store_explicit(&max_level, level, memory_order_relaxed);
}

LogLevel log_get_level(void)
{
	return atomic_load_explicit(&max_level, memory_order_relaxed);
}

void log_set_sink(LogSink sink)
{
	current_sink = sink;
}

const char *log_level_to_string(LogLevel level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (levels[i].level == level)
			return levels[i].name;
	}
	return NULL;
}

int log_level_from_string(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcasecmp(levels[i].name, name) == 0)
			return (int)levels[i].level;
	}
	return -EINVAL;
}

static const char *level_label(LogLevel level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (levels[i].level == level)
			return levels[i].label;
	}
	return "LOG";
}

/* Takes the power over terminals, and over the frame of lines, out of the text: control characters
 * (those of Unicode's C1 block too), and bytes that are not UTF-8. */
static void make_harmless(char *text, size_t len)
{
	bool utf8 = utf8_valid(text, len);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\n' || c == '\t')
			text[i] = ' ';
		else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
			text[i] = '?';
		else if (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0)
			text[i] = text[i + 1] = '?';
	}
}

/* `len` is what the text would have had, `size` what there was room for. Returns its length. */
static size_t cut_with_ellipsis(char *text, size_t len, size_t size)
{
	if (len < size)
		return len;

	size_t keep = utf8_cut(text, size - 1, size - sizeof(ELLIPSIS));

	memcpy(text + keep, ELLIPSIS, sizeof(ELLIPSIS));
	return keep + sizeof(ELLIPSIS) - 1;
}

static void write_to_stderr(const LogRecord *record)
{
	char line[LOG_LINE_MAX], time[CLOCK_RFC3339_LEN + 1], agent[LOG_AGENT_MAX] = "";

	clock_format_rfc3339(clock_realtime_us(), time);
	if (record->agent_id) {
		int n = snprintf(agent, sizeof(agent), "agent %s: ", record->agent_id);

		if (n < 0)
			return;
		make_harmless(agent, strlen(agent));
	}

	int n = snprintf(line, sizeof(line), "%s %s %s%s\n", time, level_label(record->level),
		agent, record->message);

	/* Nobody is left to be told of a failure. */
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

void log_write(LogLevel level, const char *agent_id, const char *file, int line,
	const char *function, const char *format, ...)
{
	char message[LOG_MESSAGE_MAX];
	int saved_errno = errno;
	va_list ap;

	va_start(ap, format);
	int n = vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	if (n >= 0) {
		LogRecord record = {
			.level = level,
			.message = message,
			.agent_id = agent_id,
			.file = file,
			.line = line,
			.function = function,
		};

		make_harmless(message, cut_with_ellipsis(message, (size_t)n, sizeof(message)));
		if (current_sink)
			current_sink(&record);
		else
			write_to_stderr(&record);
	}
	errno = saved_errno;
}
