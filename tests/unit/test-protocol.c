#include "common/protocol.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/fd.h"
#include "common/jsonx.h"
#include "tests/lib/check-main.h"

#ifndef SOURCE_ROOT
#error "where the documentation is"
#endif

/* ---- Names and numbers ---- */

/* The numbers stand in files: what they mean may not change. */
static const char *const events[_EVENT_TYPE_MAX] = { NULL, "DaemonStarted", "DaemonStopping",
	"AgentSpawned", "AgentStarted", "AgentWaiting", "AgentRetrying", "AgentPartialOutput",
	"AgentCompleted", "AgentError" };
static const char *const channels[_CHANNEL_MAX] = { "output", "error", "reasoning", "tool_call" };
static const char *const errors[_AGENT_ERROR_MAX] = { "none", "cancelled", "timeout", "exit",
	"signal", "spawn_failed", "provider", "rate_limited", "unauthorized", "connection",
	"protocol", "resource_limit", "output_limit", "interrupted", "shutdown", "dependency" };
static const char *const states[_AGENT_STATE_MAX] = { "queued", "running", "completed", "failed",
	"cancelled" };
static const char *const roles[_ROLE_MAX] = { "none", "observe", "submit", "admin" };

static const char *const unknown[] = { "", "x", "Output", "agentspawned", "AgentSpawned ",
	"none " };

START_TEST(test_names)
{
	for (int i = 1; i < _EVENT_TYPE_MAX; i++) {
		ck_assert_str_eq(protocol_event_name((EventType)i), events[i]);
		ck_assert_int_eq(protocol_event_from_name(events[i]), i);
		ck_assert_ptr_nonnull(protocol_event_doc((EventType)i));
	}
	for (int i = 0; i < _CHANNEL_MAX; i++) {
		ck_assert_str_eq(channel_to_string((Channel)i), channels[i]);
		ck_assert_int_eq(channel_from_string(channels[i]), i);
	}
	for (int i = 0; i < _AGENT_ERROR_MAX; i++)
		ck_assert_str_eq(agent_error_to_string((AgentErrorCode)i), errors[i]);
	for (int i = 0; i < _AGENT_STATE_MAX; i++) {
		ck_assert_str_eq(agent_state_to_string((AgentState)i), states[i]);
		ck_assert_int_eq(agent_state_from_string(states[i]), i);
		ck_assert(agent_state_is_final((AgentState)i) == (i >= AGENT_STATE_COMPLETED));
	}
	for (int i = 0; i < _ROLE_MAX; i++) {
		ck_assert_str_eq(role_to_string((Role)i), roles[i]);
		ck_assert_int_eq(role_from_string(roles[i]), i);
	}
}
END_TEST

START_TEST(test_unknown_names)
{
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		ck_assert_int_eq(protocol_event_from_name(unknown[i]), -EINVAL);
		ck_assert_int_eq(channel_from_string(unknown[i]), -EINVAL);
		ck_assert_int_eq(agent_state_from_string(unknown[i]), -EINVAL);
		ck_assert_int_eq(role_from_string(unknown[i]), -EINVAL);
		ck_assert_ptr_null(protocol_backend_find(unknown[i]));
		ck_assert_int_eq(protocol_method_find(unknown[i], strlen(unknown[i])), -ENOENT);
	}
	ck_assert_int_eq(protocol_method_find("agent.spawnX", 11), METHOD_AGENT_SPAWN);
	ck_assert_int_eq(protocol_method_find("agent.spawnX", 12), -ENOENT);
	ck_assert_int_eq(protocol_method_find("agent.spaw", 10), -ENOENT);
	ck_assert_int_eq(protocol_method_find("agent.spawn\0", 12), -ENOENT);
}
END_TEST

/* ---- The tables ---- */

static void assert_fields(const SchemaField *fields, const char *where);

static void assert_field(const SchemaField *f, const char *where)
{
	ck_assert_msg(f->type < _SCHEMA_TYPE_MAX, "%s", where);
	ck_assert_msg(f->min <= f->max, "%s: nothing is from min to max", where);
	ck_assert_msg(!f->max_items || f->min_items <= f->max_items, "%s", where);
	ck_assert_msg((f->type == SCHEMA_ARRAY) == !!f->items, "%s: items", where);
	ck_assert_msg((f->type == SCHEMA_OBJECT) == !!f->fields, "%s: fields", where);
	ck_assert_msg(!f->choices || (f->type == SCHEMA_STRING && f->choices[0]), "%s", where);
	ck_assert_msg(!(f->required && f->default_json), "%s: required, with a default", where);
	if (f->items)
		assert_field(f->items, where);
	if (f->fields)
		assert_fields(f->fields, where);
}

static void assert_name(const char *name, const char *where)
{
	for (const char *p = name; *p; p++)
		ck_assert_msg(islower((unsigned char)*p) || *p == '_', "%s: %s", where, name);
}

static void assert_fields(const SchemaField *fields, const char *where)
{
	for (const SchemaField *f = fields; f->name; f++) {
		char place[128];

		(void)snprintf(place, sizeof(place), "%s.%s", where, f->name);
		assert_name(f->name, place);
		assert_field(f, place);
		ck_assert_msg(f->doc && f->doc[0], "%s has no doc", place);
		ck_assert_msg(
			f->doc[strlen(f->doc) - 1] == '.', "%s: its doc is no sentence", place);
		for (const SchemaField *other = fields; other < f; other++)
			ck_assert_msg(strcmp(other->name, f->name) != 0, "%s stands twice", place);
	}
}

/* The defaults are what the table itself allows: an object without what must be there but with them
 * passes. */
static void assert_defaults(const SchemaField *fields, const char *where)
{
	_cleanup_json_ json_object *o = json_object_new_object();
	_cleanup_rpc_error_ RpcError e = { 0 };

	for (const SchemaField *f = fields; f->name; f++) {
		json_object *value = NULL;
		JsonxError why;

		if (!f->default_json)
			continue;
		ck_assert_msg(
			jsonx_parse(f->default_json, strlen(f->default_json), &value, &why) == 0,
			"%s.%s", where, f->name);
		json_object_object_add(o, f->name, value);
	}
	/* Names what is missing first, if anything; what is there has been looked at before. */
	if (schema_check(fields, o, "", &e) < 0)
		ck_assert_msg(strstr(e.message, "is missing"), "%s: %s", where, e.message);
}

START_TEST(test_methods)
{
	for (int i = 0; i < _METHOD_MAX; i++) {
		const ProtocolMethod *m = protocol_method((MethodId)i);

		ck_assert_ptr_nonnull(m->name);
		ck_assert_int_eq(protocol_method_find(m->name, strlen(m->name)), i);
		ck_assert_ptr_nonnull(strchr(m->name, '.'));
		ck_assert_msg(m->summary && m->summary[0], "%s", m->name);
		ck_assert_msg(m->result && m->result[0], "%s", m->name);
		ck_assert_msg(m->role > ROLE_NONE && m->role < _ROLE_MAX, "%s", m->name);
		assert_fields(m->params, m->name);
		assert_defaults(m->params, m->name);
	}
}
END_TEST

START_TEST(test_backends)
{
	const char *const *names = protocol_backend_names();
	size_t n = 0;

	for (; names[n]; n++) {
		const ProtocolBackend *b = protocol_backend_find(names[n]);

		ck_assert_ptr_nonnull(b);
		ck_assert_str_eq(b->name, names[n]);
		ck_assert_ptr_nonnull(b->summary);
		assert_fields(b->options, b->name);
		assert_defaults(b->options, b->name);
	}
	ck_assert_uint_gt(n, 0);
}
END_TEST

/* What is choosable is what there is: the events, states, channels and backends of other tables. */
START_TEST(test_choices)
{
	const SchemaField *spawn = protocol_method(METHOD_AGENT_SPAWN)->params;
	const SchemaField *subscribe = protocol_method(METHOD_EVENTS_SUBSCRIBE)->params;
	const SchemaField *list = protocol_method(METHOD_AGENT_LIST)->params;
	const SchemaField *output = protocol_method(METHOD_AGENT_OUTPUT)->params;

	for (; strcmp(spawn->name, "backend") != 0; spawn++)
		continue;
	for (size_t i = 0; spawn->choices[i] || protocol_backend_names()[i]; i++)
		ck_assert_str_eq(spawn->choices[i], protocol_backend_names()[i]);
	for (; strcmp(subscribe->name, "types") != 0; subscribe++)
		continue;
	for (int i = 1; i <= _EVENT_TYPE_MAX; i++)
		ck_assert_pstr_eq(
			subscribe->items->choices[i - 1], i < _EVENT_TYPE_MAX ? events[i] : NULL);
	for (; strcmp(list->name, "state") != 0; list++)
		continue;
	for (int i = 0; i <= _AGENT_STATE_MAX; i++)
		ck_assert_pstr_eq(list->items->choices[i], i < _AGENT_STATE_MAX ? states[i] : NULL);
	for (; strcmp(output->name, "channel") != 0; output++)
		continue;
	for (int i = 0; i <= _CHANNEL_MAX; i++)
		ck_assert_pstr_eq(output->choices[i], i < _CHANNEL_MAX ? channels[i] : NULL);
}
END_TEST

/* ---- The documentation ---- */

static Buf doc;

static void read_doc(void)
{
	ck_assert_msg(file_read(AT_FDCWD, SOURCE_ROOT "/docs/protocol.md", 1024 * 1024, &doc) == 0,
		"docs/protocol.md cannot be read");
	ck_assert_int_eq(buf_terminate(&doc), 0);
}

static void free_doc(void)
{
	buf_done(&doc);
}

/* What stands under a heading, up to the next of its level or above. The caller frees it. */
static char *section(const char *hashes, const char *title)
{
	char heading[128];
	const char *begin, *end;

	(void)snprintf(heading, sizeof(heading), "\n%s %s\n", hashes, title);
	begin = strstr(doc.data, heading);
	ck_assert_msg(begin != NULL, "no heading `%s %s`", hashes, title);
	begin += strlen(heading);
	end = doc.data + doc.len;
	for (size_t level = strlen(hashes); level >= 2; level--) {
		const char *next;

		(void)snprintf(heading, sizeof(heading), "\n%.*s ", (int)level, "####");
		next = strstr(begin - 1, heading);
		if (next && next < end)
			end = next;
	}
	return strndup(begin, (size_t)(end - begin));
}

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* As a whole word, between backticks somewhere. */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	bool code = false;

	for (const char *p = text; *p; p++) {
		if (*p == '`')
			code = !code;
		if (code && strncmp(p, word, len) == 0 && !is_word_char(p[len]) &&
			!is_word_char(p[-1]))
			return true;
	}
	return false;
}

static void assert_documented(const char *text, const SchemaField *fields, const char *where)
{
	for (const SchemaField *f = fields; f->name; f++) {
		ck_assert_msg(has_word(text, f->name), "%s: %s is not in docs/protocol.md", where,
			f->name);
		for (size_t i = 0; f->choices && f->choices[i]; i++)
			ck_assert_msg(has_word(text, f->choices[i]),
				"%s.%s: %s is not in docs/protocol.md", where, f->name,
				f->choices[i]);
		if (f->fields)
			assert_documented(text, f->fields, where);
		if (f->items && f->items->fields)
			assert_documented(text, f->items->fields, where);
	}
}

START_TEST(test_doc_methods)
{
	_cleanup_free_ char *methods = section("##", "Methods");
	size_t n = 0;

	for (int i = 0; i < _METHOD_MAX; i++) {
		const ProtocolMethod *m = protocol_method((MethodId)i);
		_cleanup_free_ char *text = section("###", m->name);
		char anchor[64] = "", row[256];

		for (const char *p = m->name; *p; p++)
			if (*p != '.')
				(void)snprintf(anchor + strlen(anchor),
					sizeof(anchor) - strlen(anchor), "%c", *p);
		(void)snprintf(row, sizeof(row), "\n| [`%s`](#%s) | %s | %s |\n", m->name, anchor,
			role_to_string(m->role), m->summary);
		ck_assert_msg(strstr(methods, row), "no row%s", row);
		assert_documented(text, m->params, m->name);
	}
	for (const char *p = methods; (p = strstr(p, "\n### ")); p++)
		n++;
	ck_assert_uint_eq(n, _METHOD_MAX);
}
END_TEST

START_TEST(test_doc_backends)
{
	for (const char *const *name = protocol_backend_names(); *name; name++) {
		_cleanup_free_ char *text = section("###", *name);

		assert_documented(text, protocol_backend_find(*name)->options, *name);
	}
}
END_TEST

/* Calls for each name of the notation `{name, name?}`; returns how many there are. */
static size_t each_member(
	const char *notation, void (*check)(const char *name, const char *text), const char *text)
{
	const char *p = notation + 1;
	size_t n = 0;

	ck_assert_int_eq(notation[0], '{');
	while (*p != '}') {
		size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyz_");
		char name[64];

		ck_assert_msg(len > 0 && len < sizeof(name), "%s", notation);
		(void)snprintf(name, sizeof(name), "%.*s", (int)len, p);
		check(name, text);
		p += len + (p[len] == '?');
		ck_assert_msg(*p == '}' || strncmp(p, ", ", 2) == 0, "%s", notation);
		p += strspn(p, ", ");
		n++;
	}
	return n;
}

static void check_has_word(const char *name, const char *text)
{
	ck_assert_msg(has_word(text, name), "%s is not in %s", name, text);
}

START_TEST(test_doc_event_members)
{
	_cleanup_free_ char *text = section("##", "Events");

	for (int i = 1; i < _EVENT_TYPE_MAX; i++) {
		_cleanup_free_ char *row = NULL;
		const char *begin;
		char head[64];

		(void)snprintf(head, sizeof(head), "\n| `%s` |", events[i]);
		begin = strstr(text, head);
		ck_assert_msg(begin != NULL, "no row for %s", events[i]);
		row = strndup(begin + strlen(head), strcspn(begin + 1, "\n") + 1 - strlen(head));
		ck_assert_uint_gt(
			each_member(protocol_event_members((EventType)i), check_has_word, row), 0);
	}
	each_member(PROTOCOL_EVENT_MEMBERS, check_has_word, text);
	each_member(PROTOCOL_AGENT_EVENT_MEMBERS, check_has_word, text);
}
END_TEST

START_TEST(test_doc_limits)
{
	_cleanup_free_ char *text = section("##", "Limits");

	for (const ProtocolLimit *l = protocol_limits(); l->name; l++) {
		char cells[128];

		(void)snprintf(cells, sizeof(cells), " | `%s` | %llu ", l->name,
			(unsigned long long)l->value);
		ck_assert_msg(strstr(text, cells) != NULL, "no row with%s", cells);
	}
}
END_TEST

START_TEST(test_doc_events)
{
	_cleanup_free_ char *text = section("##", "Events");

	for (int i = 1; i < _EVENT_TYPE_MAX; i++)
		ck_assert_msg(has_word(text, events[i]), "%s", events[i]);
	for (int i = 0; i < _CHANNEL_MAX; i++)
		ck_assert_msg(has_word(text, channels[i]), "%s", channels[i]);
	for (int i = 1; i < _AGENT_ERROR_MAX; i++)
		ck_assert_msg(has_word(text, errors[i]), "%s", errors[i]);
}
END_TEST

START_TEST(test_doc_errors)
{
	_cleanup_free_ char *text = section("##", "Errors");

	for (int i = 0; i < _RPC_REASON_MAX; i++) {
		const char *name = rpc_reason_to_string((RpcReason)i);
		const char *row, *end;
		char begin[64];

		(void)snprintf(begin, sizeof(begin), "\n| %d | `%s` |",
			rpc_reason_code((RpcReason)i), name);
		row = strstr(text, begin);
		ck_assert_msg(row != NULL, "no row%s", begin);
		end = strchr(row + 1, '\n');
		ck_assert_msg(rpc_reason_retryable((RpcReason)i) ==
				      !!memmem(row, (size_t)(end - row), "; retryable", 11),
			"%s: retryable", name);
	}
}
END_TEST

START_TEST(test_doc_rest)
{
	for (int i = ROLE_OBSERVE; i < _ROLE_MAX; i++)
		ck_assert_msg(has_word(doc.data, roles[i]), "%s", roles[i]);
	for (int i = 0; i < _AGENT_STATE_MAX; i++)
		ck_assert_msg(has_word(doc.data, states[i]), "%s", states[i]);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("protocol");
	TCase *tables = tcase_create("tables"), *docs = tcase_create("docs");

	tcase_add_test(tables, test_names);
	tcase_add_test(tables, test_unknown_names);
	tcase_add_test(tables, test_methods);
	tcase_add_test(tables, test_backends);
	tcase_add_test(tables, test_choices);
	suite_add_tcase(s, tables);
	tcase_add_checked_fixture(docs, read_doc, free_doc);
	tcase_add_test(docs, test_doc_methods);
	tcase_add_test(docs, test_doc_backends);
	tcase_add_test(docs, test_doc_events);
	tcase_add_test(docs, test_doc_event_members);
	tcase_add_test(docs, test_doc_errors);
	tcase_add_test(docs, test_doc_limits);
	tcase_add_test(docs, test_doc_rest);
	suite_add_tcase(s, docs);
	return s;
}
