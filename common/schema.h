/* Describes the parameters of a method as a table (of 64 fields at most), and does from that table
 * whatever is to be done with them: checking them, filling in defaults, writing them, printing them
 * as JSON Schema.
 *
 * Thread: any. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/json-writer.h"
#include "common/rpc-error.h"

typedef enum SchemaType {
	SCHEMA_STRING,
	SCHEMA_INTEGER,
	SCHEMA_NUMBER,
	SCHEMA_BOOLEAN,
	SCHEMA_OBJECT,     /* with `fields` */
	SCHEMA_STRING_MAP, /* an object whose values are all strings */
	SCHEMA_ANY_OBJECT, /* an object of any contents */
	SCHEMA_ARRAY,      /* of `items` */
	_SCHEMA_TYPE_MAX,
} SchemaType;

typedef struct SchemaField {
	const char *name; /* NULL ends a table */
	const char *doc;  /* one sentence */
	SchemaType type;
	bool required;
	const char *default_json; /* filled in where the member is absent; NULL: nothing is */
	int64_t min;              /* INTEGER: least and greatest value; both 0: any */
	int64_t max;
	uint64_t max_bytes;     /* STRING: longest; ANY_OBJECT, OBJECT: as JSON text; 0: any */
	uint32_t max_items;     /* ARRAY, STRING_MAP; 0: any */
	uint32_t min_items;     /* ARRAY */
	uint32_t max_key_bytes; /* STRING_MAP */
	bool no_nul;    /* STRING, STRING_MAP, and items: no U+0000, and not empty as a key */
	bool not_empty; /* STRING */
	const char *const *choices;       /* STRING: NULL-terminated */
	const struct SchemaField *fields; /* OBJECT */
	const struct SchemaField *items;  /* ARRAY: one field, its name not used */
} SchemaField;

/* Checks `object` (a JSON object) against the table and fills in the defaults, in place. What is
 * wrong goes to *reterr: `invalid_params` with data.param the path ("options.argv[0]"; `prefix`,
 * may be "", stands before it), or `too_large` with data.limit. A member that is null counts as
 * wrong, not as absent. 0, -EINVAL with *reterr set, -ENOMEM. */
int schema_check(const SchemaField *fields, json_object *object, const char *prefix,
	RpcError *reterr) _must_check_;

/* The same, but nothing is filled in; `object` may be NULL, which is one without members. */
int schema_check_given(const SchemaField *fields, json_object *object, const char *prefix,
	RpcError *reterr) _must_check_;
/* Fills in the default of the field `name`, which has one, if it is absent. -ENOMEM. */
int schema_fill(const SchemaField *fields, json_object *object, const char *name) _must_check_;

/* Writes the object, of which schema_check_given() has found that it is good, as schema_check()
 * would have made it: many times faster than with an object for each default. */
void schema_write(const SchemaField *fields, json_object *object, JsonWriter *w);
/* And the value of one field. */
void schema_write_value(const SchemaField *field, json_object *value, JsonWriter *w);

/* A new JSON Schema object for the field; the caller puts it. NULL: out of memory. */
json_object *schema_to_json(const SchemaField *field);
