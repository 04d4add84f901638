/* The AgentProtocol: what a kind of agent has to do to be one.
 *
 * A backend takes part twice. On the main thread it looks at the options of a spawn (check) and
 * makes a run out of an accepted one (run_new), which is then handed to a worker. On the worker's
 * thread the run is started, and speaks through on_event: START once, ANSWERED at most once,
 * PARTIAL_OUTPUT any number of times, then exactly one of DONE, ERROR and RETRY, after which it is
 * silent for ever and waits to be freed.
 *
 * A backend never blocks, and never sees the registry, the log or a client. Total and idle time are
 * its runner's, who cancels it; one that calls a provider has the time-outs of that, idle among
 * them.
 *
 * Thread: each function says. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/protocol.h"
#include "common/rpc-error.h"
#include "common/uuid.h"
#include "daemon/backend/provider.h"

typedef struct Worker Worker;
typedef struct BackendRun BackendRun;
typedef struct Backend Backend;

typedef enum BackendEventType {
	BACKEND_START,
	BACKEND_ANSWERED, /* its provider takes calls, whatever becomes of this one: nobody but
			     main's limiter hears of it */
	BACKEND_PARTIAL_OUTPUT,
	BACKEND_DONE,
	BACKEND_ERROR,
	BACKEND_RETRY, /* this attempt is over, another is to follow: as final as ERROR */
} BackendEventType;

/* Lent for the duration of the call. */
typedef struct BackendEvent {
	BackendEventType type;

	/* START: the program's process, 0 where there is none. */
	int64_t pid;

	/* PARTIAL_OUTPUT: raw bytes. The backend sees to it that no border cuts a character in two
	 * and that no chunk is above PROTOCOL_MAX_CHUNK_BYTES (mock excepted). */
	Channel channel;
	const char *chunk;
	size_t chunk_len;

	/* ERROR, RETRY */
	AgentErrorCode code;
	const char *message;
	/* Nobody is to call the provider for now. */
	bool holds;
	/* RETRY: before the next attempt. Where it holds, of ERROR too: the pause that the provider
	 * asks for, 0 if it does not say how long a one. */
	uint32_t delay_ms;

	/* DONE, ERROR, RETRY: further members of the event as JSON text, each led by a comma
	 * (`,"exit_code":3`); NULL or "" for none. */
	const char *details;
} BackendEvent;

/* May not free the run. */
typedef void (*BackendOnEvent)(const BackendEvent *event, void *userdata);

/* What an accepted spawn says. Lent for the duration of run_new(). */
typedef struct BackendSpec {
	Uuid agent_id;
	uint32_t attempt;
	const char *prompt;
	size_t prompt_len;
	json_object *options; /* checked, defaults filled in */
	const char *input; /* what was sent to it before it ran, within PROTOCOL_MAX_INPUT_BYTES */
	size_t input_len;
	bool input_ended; /* and that was all */
	uint32_t kill_grace_ms;
	/* Of a backend that calls a provider. */
	ProviderSettings *provider; /* who keeps it takes a reference */
	uint32_t retries;           /* attempts that the provider has had of it */
	json_object *timeouts;      /* as the spawn gave them */
} BackendSpec;

/* The common head of every run; a backend embeds it first in a struct of its own. */
struct BackendRun {
	const Backend *backend;
	/* Filled in by the runner before start(). */
	Worker *worker;
	BackendOnEvent on_event;
	void *userdata;
};

struct Backend {
	const char *name; /* as in protocol_backend_find(), whose table has been checked already */

	/* It calls a provider, of the kind that is its name. */
	bool calls_provider;

	/* Main. What the table of options cannot say. NULL: nothing. 0; -EINVAL with *reterr;
	 * -ENOMEM. */
	int (*check)(json_object *options, RpcError *reterr);
	/* Main. Will a run with these options take what send() brings? NULL: none does. */
	bool (*takes_input)(json_object *options);
	/* Main. *ret owns whatever it needs of the spec. -errno. */
	int (*run_new)(const BackendSpec *spec, BackendRun **ret);

	/* Worker, all that follow. start() may call on_event already, and reports failure by an
	 * ERROR event; never both. */
	void (*start)(BackendRun *run);
	/* Asks it to end, `kill_grace_ms` being how long a program has between SIGTERM and SIGKILL:
	 * its last event follows, soon or late. Asked again, a shorter grace shortens it. */
	void (*cancel)(BackendRun *run, uint32_t kill_grace_ms);
	/* Takes no more intake until resume(): a pipe is not read, a timer is held. No event but
	 * DONE and ERROR comes meanwhile (and START, where it has not come yet, just before those;
	 * and ANSWERED). */
	void (*pause)(BackendRun *run);
	void (*resume)(BackendRun *run);
	/* Bytes for its standard input; `eof` closes it afterwards. Returns how many bytes it has
	 * not read now, or -EPIPE (takes no input, or no more), -ENOBUFS (above
	 * PROTOCOL_MAX_INPUT_BYTES; nothing was taken), -ENOMEM. NULL: it takes none. */
	ssize_t (*send)(BackendRun *run, const char *bytes, size_t len, bool eof);
	/* Any thread, if it was never started; else the worker, after its last event, or when the
	 * daemon ends at once. Bears NULL. */
	void (*free)(BackendRun *run);
};

extern const Backend backend_mock;
extern const Backend backend_exec;
extern const Backend backend_openai;
extern const Backend backend_anthropic;

#define BACKENDS 4U /* so many */

/* NULL if there is none of that name. */
const Backend *backend_find(const char *name);
