#include "client/outcome.h"

#include <string.h>

#include "client/exit-code.h"
#include "common/jsonx.h"

int outcome_exit_code(json_object *ending, bool own)
{
	const char *code = jsonx_get_string(ending, "code", NULL);

	/* How a program died of being ended from outside says nothing about the program. */
	if (code && strcmp(code, "cancelled") == 0)
		return EXIT_CODE_INTERRUPTED;
	if (code && strcmp(code, "timeout") == 0)
		return EXIT_CODE_TIMED_OUT;
	if (own && jsonx_get(ending, "exit_code", json_type_int))
		return (int)(jsonx_get_int(ending, "exit_code", 0) & 0xff);
	if (own && jsonx_get(ending, "signal", json_type_int))
		return (int)((128 + jsonx_get_int(ending, "signal", 0)) & 0xff);
	return code ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

int outcome_of_agent(json_object *agent, bool own)
{
	json_object *ending = jsonx_get(agent, "ending", json_type_object);
	const char *state = jsonx_get_string(agent, "state", NULL);

	if (ending)
		return outcome_exit_code(ending, own);
	if (state && strcmp(state, "cancelled") == 0)
		return EXIT_CODE_INTERRUPTED;
	return state && strcmp(state, "completed") == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
