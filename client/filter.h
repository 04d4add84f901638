/* Which agents and events a command is about, as its options say.
 *
 * Owns the ids and the labels; the rest is lent from argv. Embedded: all zero lets everything
 * through. Thread: main. */
#pragma once

#include <json-c/json.h>

#include "client/context.h"
#include "client/option.h"
#include "common/json-writer.h"

/* Rows of the tables of options of those commands that have them. */
#define FILTER_OPTION_GROUP                                                     \
	{                                                                       \
		.name = "group", .kind = OPTION_STRING, .arg = "G",             \
		.help = "only agents of this group", .complete = COMPLETE_GROUP \
	}
#define FILTER_OPTION_CORRELATION_ID                                         \
	{                                                                    \
		.name = "correlation-id", .kind = OPTION_STRING, .arg = "C", \
		.help = "only agents that were spawned with it",             \
		.complete = COMPLETE_CORRELATION_ID                          \
	}
#define FILTER_OPTION_LABEL                                                                        \
	{                                                                                          \
		.name = "label", .kind = OPTION_LIST, .arg = "K=V",                                \
		.help = "only agents with this label; may be repeated", .complete = COMPLETE_LABEL \
	}

typedef struct Filter {
	char **agents; /* whole ids */
	size_t n_agents;
	uint64_t first_seq; /* of the oldest of them; 0: not known */
	const char *const *types;
	size_t n_types;
	const char *correlation_id; /* NULL: any */
	json_object *labels;        /* NULL: any */
	/* Each agent as it was when its id was asked for; or NULL. */
	void (*on_agent)(json_object *agent, void *userdata);
	void *userdata;
} Filter;

#define _cleanup_filter_ _cleanup_(filter_done)

void filter_done(Filter *f);

/* Asks the daemon for the whole ids, so that a prefix means the same agent ever after. */
int filter_add_agents(Context *ctx, Filter *f, const char *const *ids, size_t n) _must_check_;
/* `--label K=V`, each. */
int filter_set_labels(Context *ctx, Filter *f, const OptionValue *labels) _must_check_;

/* The first event that can pass. */
static inline uint64_t filter_first_seq(const Filter *f)
{
	return f->first_seq > 0 ? f->first_seq : 1;
}

/* Writes the members `agents`, `types`, `correlation_id` and `labels`. */
int filter_write(const Filter *f, JsonWriter *w) _must_check_;
/* Writes a key with an array of strings; nothing if there are none. */
void filter_write_strings(JsonWriter *w, const char *key, const char *const *items, size_t n);
int filter_write_labels(const Filter *f, JsonWriter *w) _must_check_;
