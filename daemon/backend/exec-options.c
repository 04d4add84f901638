#include "daemon/backend/exec-options.h"

#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "common/utf8.h"
#include "daemon/backend/secret.h"

const char exec_options_no_cgroups[] = "needs cgroups of the daemon's own, which it does not have";

static bool processes_allowed;

void exec_options_allow_processes(bool allow)
{
	processes_allowed = allow;
}

static int refuse_name(RpcError *reterr, const char *map, const char *name, const char *what)
{
	_cleanup_buf_ Buf param = { 0 };
	int r = buf_printf(&param, "options.%s.%s", map, name);
	if (r >= 0)
		r = buf_terminate(&param);
	return r < 0 ? r : rpc_error_refuse(reterr, param.data, what);
}

static int check_map(json_object *options, const char *map, bool sources, RpcError *reterr)
{
	json_object *o = jsonx_get(options, map, json_type_object);
	if (!o)
		return 0;
	struct json_object_iterator at = json_object_iter_begin(o);
	struct json_object_iterator end = json_object_iter_end(o);
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
		const char *name = json_object_iter_peek_name(&at);
		if (name[0] == '\0' || strchr(name, '='))
			return refuse_name(reterr, map, name, "is no name of a variable");
		if (!sources)
			continue;
		const char *source = json_object_get_string(json_object_iter_peek_value(&at));
		const char *fault = secret_source_fault(source, false);
		if (fault)
			return refuse_name(reterr, map, name, fault);
	}
	return 0;
}

int exec_options_check(json_object *options, RpcError *reterr)
{
	json_object *argv = jsonx_get(options, "argv", json_type_array);
	json_object *program = argv ? json_object_array_get_idx(argv, 0) : NULL;
	if (!program || json_object_get_string_len(program) == 0)
		return rpc_error_refuse(reterr, "options.argv[0]", "must not be empty");

	const char *cwd = jsonx_get_string(options, "cwd", NULL);
	if (cwd && cwd[0] != '/')
		return rpc_error_refuse(reterr, "options.cwd", "must be an absolute path");

	json_object *limits = jsonx_get(options, "limits", json_type_object);
	if (!processes_allowed && limits && json_object_object_get_ex(limits, "processes", NULL))
		return rpc_error_refuse(
			reterr, "options.limits.processes", exec_options_no_cgroups);

	int r = check_map(options, "env", false, reterr);
	return r < 0 ? r : check_map(options, "env_from", true, reterr);
}

static int copy_argv(ExecOptions *o, json_object *argv)
{
	size_t n = argv ? json_object_array_length(argv) : 0;
	o->argv = calloc(n + 1, sizeof(*o->argv));
	if (!o->argv)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		o->argv[i] = strdup(json_object_get_string(json_object_array_get_idx(argv, i)));
		if (!o->argv[i])
			return -ENOMEM;
	}
	return 0;
}

static ExecStdin stdin_from_string(const char *name)
{
	if (name && strcmp(name, "none") == 0)
		return EXEC_STDIN_NONE;
	return name && strcmp(name, "open") == 0 ? EXEC_STDIN_OPEN : EXEC_STDIN_PROMPT;
}

bool exec_options_take_input(json_object *options)
{
	return stdin_from_string(jsonx_get_string(options, "stdin", NULL)) == EXEC_STDIN_OPEN;
}

int exec_options_init(ExecOptions *o, json_object *options)
{
	json_object *limits = jsonx_get(options, "limits", json_type_object);
	const char *chunking = jsonx_get_string(options, "chunking", NULL);
	*o = (ExecOptions){
		.input = stdin_from_string(jsonx_get_string(options, "stdin", NULL)),
		.by_line = chunking && strcmp(chunking, "line") == 0,
		.memory_bytes = jsonx_get_uint(limits, "memory_bytes", 0),
		.cpu_seconds = jsonx_get_uint(limits, "cpu_seconds", 0),
		.processes = jsonx_get_uint(limits, "processes", 0),
		.open_files = jsonx_get_uint(limits, "open_files", 0),
		.output_bytes = jsonx_get_uint(limits, "output_bytes", 0),
	};
	const char *cwd = jsonx_get_string(options, "cwd", NULL);
	if (cwd && !(o->cwd = strdup(cwd)))
		return -ENOMEM;
	return copy_argv(o, jsonx_get(options, "argv", json_type_array));
}

void exec_options_done(ExecOptions *o)
{
	for (size_t i = 0; o->argv && o->argv[i]; i++)
		free(o->argv[i]);
	free(o->argv);
	free(o->cwd);
	*o = (ExecOptions){ 0 };
}
