/* How an agent ended, as an exit code.
 *
 * Thread: main. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

/* `ending` is an agent's last event, or the fields of it that agent.get has. `own`: the exit code
 * of the program that it ran, where there is one, 128 + the signal that ended it. */
int outcome_exit_code(json_object *ending, bool own);
/* Of an agent as agent.get and agent.wait describe it. */
int outcome_of_agent(json_object *agent, bool own);
