#include <errno.h>
#include <string.h>

#include "client/command.h"
#include "client/describe.h"
#include "client/key-value.h"
#include "client/render-text.h"
#include "client/spawn.h"
#include "common/clock.h"
#include "common/jsonx.h"

static bool is_empty(json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		return true;
	case json_type_string:
		return json_object_get_string_len(value) == 0;
	case json_type_array:
		return json_object_array_length(value) == 0;
	case json_type_object:
		return json_object_object_length(value) == 0;
	default:
		return false;
	}
}

/* As one could type it to a shell. */
static int append_word(Buf *b, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_@%+=:,./-";
	int r;

	if (*word && word[strspn(word, plain)] == '\0')
		return buf_append_str(b, word);
	r = buf_append_char(b, '\'');
	for (; r == 0 && *word; word++)
		r = *word == '\'' ? buf_append_str(b, "'\\''") : buf_append_char(b, *word);
	return r < 0 ? r : buf_append_char(b, '\'');
}

static int append_command_line(Buf *b, json_object *argv)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_object_array_length(argv); i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(argv, i));

		if (i > 0)
			r = buf_append_char(b, ' ');
		if (r == 0)
			r = append_word(b, word ? word : "");
	}
	return r;
}

static int add_text(json_object *fields, const char *key, const Buf *text)
{
	return key_value_add_string(fields, key, text->data ? text->data : "", text->len);
}

static int add_value(json_object *fields, const char *key, json_object *value)
{
	return is_empty(value) ? 0 : key_value_add(fields, key, json_object_get(value));
}

/* The program as a command line, and of the rest what says anything. */
static int add_options(json_object *fields, json_object *options)
{
	_cleanup_json_ json_object *rest = json_object_new_object();
	int r = rest ? 0 : -ENOMEM;

	json_object_object_foreach(options, key, value)
	{
		if (r == 0 && strcmp(key, "argv") == 0 &&
			json_object_is_type(value, json_type_array)) {
			_cleanup_buf_ Buf line = { 0 };

			r = append_command_line(&line, value);
			if (r == 0)
				r = add_text(fields, "program", &line);
		} else if (r == 0) {
			r = add_value(rest, key, value);
		}
	}
	return r < 0 ? r : add_value(fields, "options", rest);
}

static int add_ending(json_object *fields, json_object *ending)
{
	_cleanup_buf_ Buf words = { 0 };
	int r = describe_event(ending, &words);

	return r < 0 ? r : add_text(fields, "ending", &words);
}

static int add_waiting(json_object *fields, json_object *waiting)
{
	_cleanup_buf_ Buf words = { 0 };
	int r = describe_waiting(waiting, clock_realtime_us(), &words);

	return r < 0 ? r : add_text(fields, "waiting", &words);
}

static int add_member(json_object *fields, const char *key, json_object *value)
{
	bool is_object = json_object_is_type(value, json_type_object);

	if (is_object && strcmp(key, "options") == 0)
		return add_options(fields, value);
	if (is_object && strcmp(key, "ending") == 0)
		return add_ending(fields, value);
	if (is_object && strcmp(key, "waiting") == 0)
		return add_waiting(fields, value);
	return add_value(fields, key, value);
}

/* For a person: --json has it all. */
static void view(Output *o, json_object *agent)
{
	_cleanup_json_ json_object *fields = json_object_new_object();
	int r = fields ? 0 : -ENOMEM;

	if (!json_object_is_type(agent, json_type_object))
		return;
	json_object_object_foreach(agent, key, value)
	{
		if (r == 0)
			r = add_member(fields, key, value);
	}
	if (r == 0)
		render_text_fields(o, fields);
	else if (o->error == 0)
		o->error = r;
}

static int run(Context *ctx, const Args *args)
{
	_cleanup_json_ json_object *agent = NULL;
	_cleanup_buf_ Buf params = { 0 };
	int r;

	r = spawn_write_id(args->operands[0], &params);
	if (r == 0)
		r = context_call(ctx, "agent.get", &params, &agent);
	if (r == 0)
		output_result(&ctx->out, view, agent);
	return r;
}

const Command command_show = {
	.name = "show",
	.operands = "AGENT",
	.summary = "Show what is known of an agent",
	.details = "Without what is empty, and with the program as a command line; --json has "
		   "everything\n"
		   "as it is.\n",
	.example = "  liongatectl show 3f2a\n"
		   "  liongatectl show 3f2a --json | jq .ending\n",
	.min_operands = 1,
	.max_operands = 1,
	.complete = COMPLETE_AGENT,
	.run = run,
};
