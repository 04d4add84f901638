/* The one logger for diagnostics: what the daemon has to say about itself. Agents' output never
 * goes here. (The log of events is eventlog/.)
 *
 * By default a line on standard error with time and level; a sink can be set that gets the same
 * with its fields, which is how the daemon writes to the journal.
 *
 * Thread: any; log_set_sink() before threads are started. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"

/* The levels of syslog(3), by the same numbers. */
typedef enum LogLevel {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
} LogLevel;

typedef struct LogRecord {
	LogLevel level;
	const char *message;  /* one line, without its newline */
	const char *agent_id; /* NULL where it is about no agent */
	const char *file;
	int line;
	const char *function;
} LogRecord;

typedef void (*LogSink)(const LogRecord *record);

void log_set_level(LogLevel level);
LogLevel log_get_level(void);
/* NULL: back to standard error. */
void log_set_sink(LogSink sink);
const char *log_level_to_string(LogLevel level);
/* The level, or -EINVAL. */
int log_level_from_string(const char *name) _must_check_;

void log_write(LogLevel level, const char *agent_id, const char *file, int line,
	const char *function, const char *format, ...) _printf_(6, 7);

#define log_at(level, agent_id, ...)                                                           \
	do {                                                                                   \
		if ((level) <= log_get_level())                                                \
			log_write(level, agent_id, __FILE__, __LINE__, __func__, __VA_ARGS__); \
	} while (0)

#define log_error(...)               log_at(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warning(...)             log_at(LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_notice(...)              log_at(LOG_LEVEL_NOTICE, NULL, __VA_ARGS__)
#define log_info(...)                log_at(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...)               log_at(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)
#define log_agent(level, agent, ...) log_at(level, agent, __VA_ARGS__)
