/* Backends `openai` and `anthropic`: a call to a language model, whose answer streams in. One run
 * is one request.
 *
 * Thread: llm_run_new main; all else the worker's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/dice.h"
#include "common/json-writer.h"
#include "common/jsonx.h"
#include "daemon/backend/backend.h"
#include "daemon/backend/http.h"
#include "daemon/backend/llm-dialect.h"
#include "daemon/loop/worker.h"

/* Of a line of the stream, and of one event. */
#define MAX_EVENT_BYTES (16U * 1024 * 1024)

/* Of the body of a response that is no stream, for the message in it. */
#define MAX_REFUSAL_BYTES (16U * 1024)

/* A provider gives no more than 64. */
#define MAX_HEADERS 80U

/* A longer pause is not waited for. */
#define LONGEST_PAUSE_MS (3600LL * 1000)

/* What the body of a response is, which its first byte tells: servers call a stream JSON, and a
 * page nothing at all. */
typedef enum Form {
	FORM_UNKNOWN, /* nothing came yet */
	FORM_STREAM,
	FORM_JSON,
	FORM_OTHER,
} Form;

/* Who comes back after a pause that all were given comes as much later at the most. */
#define LONGEST_SPREAD_MS 1000U

typedef struct LlmRun {
	BackendRun base;
	const LlmDialect *dialect;
	ProviderSettings *provider;
	char *model; /* that is asked for */
	HttpCall *call;
	LlmDecoder decoder;
	Sse sse;
	Form form;
	Buf body;    /* of the request, until it is sent */
	Buf refusal; /* the body of a response that is no stream */
	Buf details; /* of its last event */
	HttpTimeouts timeouts;
	uint64_t started_us, first_us; /* monotonic; 0: not yet */
	uint32_t retries;
	bool ended;
} LlmRun;

static LlmRun *llm(BackendRun *run)
{
	return container_of(run, LlmRun, base);
}

/* ---- Its last event ---- */

static void write_string(JsonWriter *w, const char *key, const char *text)
{
	if (text && text[0])
		jw_key_string(w, key, text, strlen(text));
}

/* What the provider said, who may have said what it was sent. */
static void write_said(const LlmRun *l, JsonWriter *w, const char *key, char *text)
{
	if (text)
		provider_settings_scrub(l->provider, text);
	write_string(w, key, text);
}

/* Members that follow others: each begins with a comma. "" without memory for them. */
static const char *finish_details(LlmRun *l, JsonWriter *w)
{
	if (jw_finish(w) < 0 || buf_terminate(&l->details) < 0)
		return "";
	return l->details.data;
}

static const char *answer_details(LlmRun *l)
{
	LlmAnswer *a = &l->decoder.answer;
	JsonWriter w;

	l->details.len = 0;
	if (buf_append_char(&l->details, ',') < 0)
		return "";
	jw_init(&w, &l->details);
	jw_key_uint(&w, "first_chunk_ms",
		((l->first_us > 0 ? l->first_us : clock_monotonic_us()) - l->started_us) /
			USEC_PER_MSEC);
	write_said(l, &w, "finish_reason", a->finish_reason);
	if (a->model)
		write_said(l, &w, "model", a->model);
	else
		write_string(&w, "model", l->model);
	if (a->has_usage) {
		jw_key(&w, "usage");
		jw_object_begin(&w);
		jw_key_uint(&w, "input_tokens", a->input_tokens);
		jw_key_uint(&w, "output_tokens", a->output_tokens);
		jw_object_end(&w);
	}
	return finish_details(l, &w);
}

static const char *error_details(LlmRun *l, const char *which)
{
	HttpResponse response = { 0 };
	JsonWriter w;

	if (l->call)
		response = *http_response(l->call);
	l->details.len = 0;
	if (buf_append_char(&l->details, ',') < 0)
		return "";
	jw_init(&w, &l->details);
	write_string(&w, "provider", l->provider->name);
	write_string(&w, "which", which);
	if (response.status > 0)
		jw_key_uint(&w, "http_status", (uint64_t)response.status);
	write_said(l, &w, "request_id", response.request_id);
	return finish_details(l, &w);
}

static void say_end(LlmRun *l, const BackendEvent *event)
{
	if (l->ended)
		return;
	l->ended = true;
	l->base.on_event(event, l->base.userdata);
}

static void say_done(LlmRun *l)
{
	say_end(l, &(BackendEvent){ .type = BACKEND_DONE, .details = answer_details(l) });
}

/* Between nothing and twice as long with each attempt: AWS's "full jitter", so that those that
 * failed together do not come back together. Nor do those that were given the same pause, of which
 * a tenth does as well. */
static uint32_t jitter_ms(const LlmRun *l, uint64_t pause_ms)
{
	const ProviderSettings *p = l->provider;
	uint64_t most = p->retry_base_ms;
	uint64_t spread = pause_ms / 10 < LONGEST_SPREAD_MS ? pause_ms / 10 : LONGEST_SPREAD_MS;

	for (uint32_t i = 0; i < l->retries && most < p->retry_max_ms; i++)
		most *= 2;
	if (most > p->retry_max_ms)
		most = p->retry_max_ms;
	if (most < spread)
		most = spread;
	return (uint32_t)(dice_throw() % (most + 1));
}

typedef struct Fault {
	AgentErrorCode code;
	bool transient;    /* another attempt may fare better */
	bool holds;        /* but none of anybody's before the pause is over */
	const char *which; /* of the time-outs; NULL */
	int64_t pause_ms;  /* that the provider asks for; -1: it does not */
} Fault;

static void fail(LlmRun *l, Fault fault, const char *message)
{
	/* It may hold what the provider said: see write_said(). */
	_cleanup_free_ char *said = strdup(message);
	BackendEvent event = {
		.type = BACKEND_ERROR,
		.code = fault.code,
		.message = said ? said : "out of memory",
		.details = error_details(l, fault.which),
	};
	bool again = fault.transient && l->first_us == 0 && fault.pause_ms <= LONGEST_PAUSE_MS &&
		     l->retries + 1 < l->provider->max_attempts;
	uint32_t pause_ms = 0;

	if (fault.pause_ms > 0)
		pause_ms = (uint32_t)(fault.pause_ms < LONGEST_PAUSE_MS ? fault.pause_ms
									: LONGEST_PAUSE_MS);
	if (said)
		provider_settings_scrub(l->provider, said);
	if (again)
		event.type = BACKEND_RETRY;
	event.holds = fault.holds;
	if (fault.holds)
		event.delay_ms = pause_ms;
	else if (again)
		event.delay_ms = pause_ms + jitter_ms(l, pause_ms);
	say_end(l, &event);
}

/* ---- What is no stream ---- */

static Fault fault_of_status(long status)
{
	Fault fault = { .code = AGENT_ERROR_PROVIDER, .pause_ms = -1, .holds = status == 429 };

	if (status == 429)
		fault.code = AGENT_ERROR_RATE_LIMITED;
	else if (status == 401 || status == 403)
		fault.code = AGENT_ERROR_UNAUTHORIZED;
	fault.transient = status == 429 || status == 408 || status == 409 || status >= 500;
	return fault;
}

/* What the body says, if it says anything. */
static int append_said(const LlmRun *l, Buf *message)
{
	static const char gzip[] = { '\x1f', '\x8b' };
	const Buf *body = &l->refusal;
	size_t before = message->len;
	int r;

	if (body->len >= sizeof(gzip) && memcmp(body->data, gzip, sizeof(gzip)) == 0)
		return buf_append_str(message, ": it is compressed, which was not asked for");
	r = buf_append_str(message, ": ");
	if (r == 0)
		r = llm_error_message(body->data, body->len, message);
	if (r == 0 && message->len == before + strlen(": "))
		message->len = before;
	return r;
}

/* Long before the first chunk, where a model thinks first. What would be no better a second time is
 * an answer, too. */
static void on_head(void *userdata)
{
	LlmRun *l = userdata;

	if (!l->ended && !fault_of_status(http_response(l->call)->status).transient)
		l->base.on_event(&(BackendEvent){ .type = BACKEND_ANSWERED }, l->base.userdata);
}

static void refuse(LlmRun *l)
{
	const HttpResponse *response = http_response(l->call);
	Fault fault = fault_of_status(response->status);
	_cleanup_buf_ Buf message = { 0 };
	int r;

	if (fault.transient)
		fault.pause_ms = response->retry_after_ms;
	/* Who is overloaded, and says for how long, has had too much of all. */
	if (fault.pause_ms > 0 && (response->status == 503 || response->status == 529))
		fault.holds = true;
	r = buf_printf(&message, "%s answers %ld", l->provider->name, response->status);
	if (r == 0 && response->status >= 300 && response->status < 400)
		r = buf_append_str(&message, ", which leads elsewhere: that is not followed");
	else if (r == 0)
		r = append_said(l, &message);
	if (r == 0)
		r = buf_terminate(&message);
	fail(l, fault, r == 0 ? message.data : "the provider refuses the request");
}

/* ---- What is one ---- */

static int on_chunk(Channel channel, const char *text, size_t len, void *userdata)
{
	LlmRun *l = userdata;
	BackendEvent event = {
		.type = BACKEND_PARTIAL_OUTPUT,
		.channel = channel,
		.chunk = text,
		.chunk_len = len,
	};

	if (l->first_us == 0) {
		l->first_us = clock_monotonic_us();
		http_progress(l->call);
	}
	l->base.on_event(&event, l->base.userdata);
	return l->ended ? -ECANCELED : 0;
}

static int on_sse(const SseEvent *event, void *userdata)
{
	LlmRun *l = userdata;
	int r;

	l->decoder.went_on = false;
	r = l->dialect->on_event(&l->decoder, event);
	/* A tool call may come for long before it can be given out; what only keeps the connection
	 * alive is no progress. */
	if (l->decoder.went_on && !l->ended && (l->first_us > 0 || l->decoder.tools.n > 0))
		http_progress(l->call);
	return r;
}

/* An error within the stream, in the provider's words. */
static void fail_within(LlmRun *l)
{
	const LlmAnswer *a = &l->decoder.answer;
	_cleanup_buf_ Buf message = { 0 };
	int r = buf_printf(&message, "%s says ", l->provider->name);

	if (r == 0 && a->error_type)
		r = buf_printf(&message, "%s: ", a->error_type);
	else if (r == 0 && a->error_status > 0)
		r = buf_printf(&message, "%u: ", a->error_status);
	if (r == 0)
		r = buf_append_str(
			&message, a->error_message ? a->error_message : "there was an error");
	if (r == 0)
		r = buf_terminate(&message);
	fail(l, fault_of_status(a->error_status),
		r == 0 ? message.data : "the provider says that there was an error");
}

/* What reading the stream came to. */
static void settle(LlmRun *l, int error)
{
	static const char *const messages[] = {
		"the stream holds what makes no sense: no JSON of this API, or no UTF-8",
		"the answer, or one event of it, is larger than may be",
		"out of memory",
	};
	Fault fault = { .code = AGENT_ERROR_PROTOCOL, .pause_ms = -1 };

	if (l->ended)
		return;
	if (error == -EREMOTEIO) {
		fail_within(l);
	} else if (error == -EBADMSG || error == -EMSGSIZE) {
		fail(l, fault, messages[error == -EMSGSIZE]);
	} else if (error < 0) {
		fault.code = AGENT_ERROR_RESOURCE_LIMIT;
		fail(l, fault, messages[2]);
	} else if (l->decoder.answer.finished) {
		say_done(l);
	}
}

/* Of a body that begins so, after any blanks. */
static Form form_of(const HttpResponse *response, char first)
{
	static const char html[] = "text/html", not_of_a_stream[] = { '<', '\x1f' /* gzip */ };

	if (response->status != 200 ||
		strncasecmp(response->content_type, html, strlen(html)) == 0 ||
		memchr(not_of_a_stream, first, sizeof(not_of_a_stream)))
		return FORM_OTHER;
	return first == '{' || first == '[' ? FORM_JSON : FORM_STREAM;
}

/* JSON may be the whole answer; of all else only the beginning is looked at. */
static int keep_body(LlmRun *l, const char *bytes, size_t len)
{
	size_t most = l->form == FORM_JSON ? MAX_EVENT_BYTES : MAX_REFUSAL_BYTES;
	size_t room = most - l->refusal.len;

	if (len > room && l->form == FORM_JSON)
		return -EMSGSIZE;
	return buf_append(&l->refusal, bytes, len < room ? len : room);
}

static int on_body(const char *bytes, size_t len, void *userdata)
{
	LlmRun *l = userdata;
	int r;

	if (l->ended)
		return 0; /* the rest of it, so that the connection may serve again */
	while (l->form == FORM_UNKNOWN && len > 0 && memchr(" \t\r\n", *bytes, 4)) {
		bytes++;
		len--;
	}
	if (len == 0)
		return 0;
	if (l->form == FORM_UNKNOWN)
		l->form = form_of(http_response(l->call), *bytes);
	r = l->form == FORM_STREAM ? sse_feed(&l->sse, bytes, len) : keep_body(l, bytes, len);
	settle(l, r);
	return r < 0 ? r : 0;
}

static void fail_unstreamed(LlmRun *l)
{
	const Fault fault = { .code = AGENT_ERROR_PROTOCOL, .pause_ms = -1 };
	const char *type = http_response(l->call)->content_type;
	_cleanup_buf_ Buf message = { 0 };
	int r = buf_printf(&message, "%s answers with %s, not with a stream of events",
		l->provider->name, type[0] ? type : "what has no type");

	if (r == 0)
		r = append_said(l, &message);
	if (r == 0)
		r = buf_terminate(&message);
	fail(l, fault, r == 0 ? message.data : "the answer is no stream of events");
}

/* A body of JSON: all of an answer, or an error. */
static void on_json(LlmRun *l)
{
	int r = l->dialect->on_whole(&l->decoder, l->refusal.data, l->refusal.len);

	if (r == -EBADMSG)
		fail_unstreamed(l);
	else
		settle(l, r);
}

/* The response is complete. */
static void on_complete(LlmRun *l)
{
	const Fault fault = { .code = AGENT_ERROR_PROTOCOL, .pause_ms = -1 };
	int r;

	if (http_response(l->call)->status != 200) {
		refuse(l);
		return;
	}
	if (l->form == FORM_JSON || l->form == FORM_OTHER) {
		(l->form == FORM_JSON ? on_json : fail_unstreamed)(l);
		return;
	}
	r = sse_end(&l->sse);
	if (r == 0 && !l->ended)
		r = l->dialect->on_end(&l->decoder);
	if (r == -EBADMSG)
		fail(l, fault, "the stream ends before the answer does");
	else
		settle(l, r);
}

static const char *which_timeout(HttpFailure failure)
{
	switch (failure) {
	case HTTP_TIMEOUT_CONNECT:
		return "connect";
	case HTTP_TIMEOUT_FIRST_CHUNK:
		return "first_chunk";
	case HTTP_TIMEOUT_IDLE:
		return "idle";
	default:
		return NULL;
	}
}

static Fault fault_of_failure(const LlmRun *l, HttpFailure failure)
{
	Fault fault = { .code = AGENT_ERROR_CONNECTION, .pause_ms = -1 };

	fault.which = which_timeout(failure);
	fault.transient =
		failure == HTTP_CONNECT || failure == HTTP_RESOLVE || failure == HTTP_RESET;
	if (fault.which)
		fault.code = AGENT_ERROR_TIMEOUT;
	else if (failure == HTTP_NO_MEMORY)
		fault.code = AGENT_ERROR_RESOURCE_LIMIT;
	else if (failure == HTTP_PROTOCOL ||
		 (failure == HTTP_RESET && http_response(l->call)->status == 200))
		fault.code = AGENT_ERROR_PROTOCOL; /* a stream that has begun */
	return fault;
}

static void on_done(HttpFailure failure, const char *why, void *userdata)
{
	LlmRun *l = userdata;
	const ProviderSettings *p = l->provider;
	_cleanup_buf_ Buf message = { 0 };
	int r;

	if (l->ended)
		return;
	if (failure == HTTP_OK) {
		on_complete(l);
		return;
	}
	r = buf_printf(&message, "%s (%s): %s", p->name,
		p->unix_socket ? p->unix_socket : p->base_url, why);
	if (r == 0)
		r = buf_terminate(&message);
	fail(l, fault_of_failure(l, failure), r == 0 ? message.data : why);
}

/* ---- The request ---- */

static uint32_t timeout_ms(json_object *timeouts, const char *name, uint32_t otherwise)
{
	uint64_t ms = jsonx_get_uint(timeouts, name, otherwise);

	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static void llm_free(BackendRun *run);

static int llm_run_new(const BackendSpec *spec, BackendRun **ret, const Backend *backend)
{
	LlmRequest request = {
		.options = spec->options,
		.prompt = spec->prompt,
		.prompt_len = spec->prompt_len,
		.model = jsonx_get_string(spec->options, "model", NULL),
	};
	const ProviderSettings *p = spec->provider;
	LlmRun *l;
	int r;

	/* Only a log that is none of ours lacks it. */
	if (!p)
		return -EBADMSG;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->base.backend = backend;
	l->dialect = llm_dialect_find(backend->name);
	l->provider = provider_settings_ref(spec->provider);
	l->retries = spec->retries;
	l->timeouts = (HttpTimeouts){
		.connect_ms = timeout_ms(spec->timeouts, "connect_ms", p->connect_ms),
		.first_chunk_ms = timeout_ms(spec->timeouts, "first_chunk_ms", p->first_chunk_ms),
		.idle_ms = timeout_ms(spec->timeouts, "idle_ms", p->idle_ms),
	};
	llm_decoder_init(
		&l->decoder, l->dialect, &(LlmOutput){ .on_chunk = on_chunk, .userdata = l });
	sse_init(&l->sse, MAX_EVENT_BYTES, on_sse, l);
	if (!request.model)
		request.model = p->model ? p->model : "";
	l->model = strdup(request.model);
	r = l->model ? l->dialect->write_request(&request, &l->body) : -ENOMEM;
	if (r < 0) {
		llm_free(&l->base);
		return r;
	}
	*ret = &l->base;
	return 0;
}

static int openai_run_new(const BackendSpec *spec, BackendRun **ret)
{
	return llm_run_new(spec, ret, &backend_openai);
}

static int anthropic_run_new(const BackendSpec *spec, BackendRun **ret)
{
	return llm_run_new(spec, ret, &backend_anthropic);
}

static int get_client(Worker *w, HttpClient **ret)
{
	int r = 0;

	*ret = worker_http(w);
	if (!*ret) {
		r = http_client_new(w, ret);
		if (r == 0)
			worker_set_http(w, *ret);
	}
	return r;
}

static bool is_given(const ProviderSettings *p, const char *header)
{
	size_t len = strcspn(header, ":") + 1;

	for (size_t i = 0; i < p->n_headers; i++)
		if (strncasecmp(p->headers[i], header, len) == 0)
			return true;
	return false;
}

/* What the provider gives itself goes before what its dialect would send. */
static size_t add_headers(
	const ProviderSettings *p, const char *const *from, const char **headers, size_t n)
{
	for (; *from && n < MAX_HEADERS; from++)
		if (!is_given(p, *from))
			headers[n++] = *from;
	return n;
}

/* -E2BIG */
static int collect_headers(const LlmRun *l, const char *key, const char **headers)
{
	static const char *const common[] = { "Content-Type: application/json",
		"Accept: text/event-stream", NULL };
	const ProviderSettings *p = l->provider;
	size_t n = add_headers(p, common, headers, 0);

	n = add_headers(p, l->dialect->headers, headers, n);
	for (size_t i = 0; i < p->n_headers && n < MAX_HEADERS; i++)
		headers[n++] = p->headers[i];
	if (key && n < MAX_HEADERS)
		headers[n++] = key;
	headers[n] = NULL;
	return n < MAX_HEADERS ? 0 : -E2BIG;
}

static int send_request(LlmRun *l)
{
	const ProviderSettings *p = l->provider;
	const char *headers[MAX_HEADERS + 1];
	_cleanup_buf_ Buf url = { 0 }, key = { 0 };
	HttpCallbacks callbacks = {
		.on_head = on_head,
		.on_body = on_body,
		.on_done = on_done,
		.userdata = l,
	};
	HttpRequest request = {
		.unix_socket = p->unix_socket,
		.headers = headers,
		.body = l->body.data,
		.body_len = l->body.len,
		.ca_file = p->ca_file,
		.proxy = p->proxy,
		.timeouts = l->timeouts,
	};
	HttpClient *client;
	int r = get_client(l->base.worker, &client);

	if (r == 0)
		r = buf_printf(&url, "%s%s", p->base_url, l->dialect->path);
	if (r == 0)
		r = buf_terminate(&url);
	if (r == 0 && p->key)
		r = buf_printf(&key, "%s%s", l->dialect->key_header, p->key);
	if (r == 0 && p->key)
		r = buf_terminate(&key);
	if (r == 0)
		r = collect_headers(l, key.data, headers);
	request.url = url.data;
	if (r == 0)
		r = http_start(client, &request, &callbacks, &l->call);
	if (key.data)
		explicit_bzero(key.data, key.cap);
	buf_done(&l->body);
	return r;
}

static void llm_start(BackendRun *run)
{
	LlmRun *l = llm(run);
	BackendEvent event = { .type = BACKEND_START };
	int r;

	l->started_us = clock_monotonic_us();
	run->on_event(&event, run->userdata);
	r = send_request(l);
	if (r < 0)
		settle(l, r);
}

static void llm_cancel(BackendRun *run, uint32_t kill_grace_ms)
{
	LlmRun *l = llm(run);
	const char *details;

	(void)kill_grace_ms;
	if (l->ended)
		return;
	details = error_details(l, NULL);
	http_cancel(l->call);
	l->call = NULL;
	say_end(l, &(BackendEvent){ .type = BACKEND_ERROR,
			   .code = AGENT_ERROR_CANCELLED,
			   .message = "the call was given up",
			   .details = details });
}

static void llm_pause(BackendRun *run)
{
	if (!llm(run)->ended && llm(run)->call)
		http_pause(llm(run)->call);
}

static void llm_resume(BackendRun *run)
{
	if (!llm(run)->ended && llm(run)->call)
		http_resume(llm(run)->call);
}

static void llm_free(BackendRun *run)
{
	LlmRun *l;

	if (!run)
		return;
	l = llm(run);
	http_cancel(l->call);
	llm_decoder_done(&l->decoder);
	sse_done(&l->sse);
	buf_done(&l->body);
	buf_done(&l->refusal);
	buf_done(&l->details);
	provider_settings_unref(l->provider);
	free(l->model);
	free(l);
}

static int openai_check(json_object *options, RpcError *reterr)
{
	return llm_openai.check(options, reterr);
}

static int anthropic_check(json_object *options, RpcError *reterr)
{
	return llm_anthropic.check(options, reterr);
}

#define LLM_BACKEND(dialect)                                                            \
	{                                                                               \
		.name = #dialect, .calls_provider = true, .check = dialect##_check,     \
		.run_new = dialect##_run_new, .start = llm_start, .cancel = llm_cancel, \
		.pause = llm_pause, .resume = llm_resume, .free = llm_free,             \
	}

const Backend backend_openai = LLM_BACKEND(openai);
const Backend backend_anthropic = LLM_BACKEND(anthropic);
