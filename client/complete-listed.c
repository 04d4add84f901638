#include "client/complete-listed.h"

#include <string.h>

#include "client/call.h"
#include "common/jsonx.h"
#include "common/protocol.h"
#include "common/socket-path.h"

/* Each, of connecting with asking and of the answer. */
#define TIMEOUT_MS 500

/* What a method lists, and what of each item is offered. */
typedef struct Listing {
	const char *method;
	const char *params;
	const char *list; /* the array in the result */
	void (*offer)(const ListedRequest *q, json_object *item);
} Listing;

/* "" where there is none, or one that no word of a shell can be. */
static const char *word_of(json_object *o, const char *key)
{
	size_t len;
	const char *word = jsonx_get_string(o, key, &len);

	return word && strlen(word) == len ? word : "";
}

static bool is_typed(const ListedRequest *q, const char *word)
{
	for (size_t i = 0; i < q->n_typed; i++) {
		if (strcmp(q->typed[i], word) == 0)
			return true;
	}
	return false;
}

/* Its prompt, else (a program need not have one) its first label. */
static int append_purpose(json_object *agent, Buf *b)
{
	const char *prompt = word_of(agent, "prompt");
	json_object *labels = jsonx_get(agent, "labels", json_type_object);
	struct json_object_iterator first;
	const char *key;

	if (*prompt)
		return buf_printf(b, ": %s", prompt);
	if (!labels || json_object_object_length(labels) == 0)
		return 0;
	first = json_object_iter_begin(labels);
	key = json_object_iter_peek_name(&first);
	return buf_printf(b, ": %s=%s", key, word_of(labels, key));
}

static void offer_agent(const ListedRequest *q, json_object *agent)
{
	const char *id = word_of(agent, "agent_id");
	_cleanup_buf_ Buf about = { 0 };

	if (strspn(id, "0123456789abcdef-") != strlen(id) || is_typed(q, id))
		return;
	if (buf_printf(&about, "%s %s", word_of(agent, "state"), word_of(agent, "backend")) == 0 &&
		append_purpose(agent, &about) == 0 && buf_terminate(&about) == 0)
		candidates_offer(q->candidates, id, about.data);
}

static void offer_correlation_id(const ListedRequest *q, json_object *agent)
{
	candidates_offer(q->candidates, word_of(agent, "correlation_id"), NULL);
}

static void offer_group(const ListedRequest *q, json_object *agent)
{
	candidates_offer(q->candidates, word_of(agent, "group"), NULL);
}

static void offer_labels(const ListedRequest *q, json_object *agent, bool with_value)
{
	json_object *labels = jsonx_get(agent, "labels", json_type_object);

	if (!labels)
		return;
	json_object_object_foreach(labels, key, value)
	{
		_cleanup_buf_ Buf word = { 0 };
		int r = buf_append_str(&word, key);

		(void)value;
		if (r == 0 && with_value)
			r = buf_printf(&word, "=%s", word_of(labels, key));
		if (r == 0 && buf_terminate(&word) == 0)
			candidates_offer(q->candidates, word.data, NULL);
	}
}

static void offer_label(const ListedRequest *q, json_object *agent)
{
	offer_labels(q, agent, true);
}

static void offer_label_key(const ListedRequest *q, json_object *agent)
{
	offer_labels(q, agent, false);
}

static bool is_of_backend(const ListedRequest *q, json_object *provider)
{
	return !q->backend || strcmp(word_of(provider, "kind"), q->backend) == 0;
}

static void offer_model(const ListedRequest *q, json_object *provider)
{
	if (is_of_backend(q, provider))
		candidates_offer(
			q->candidates, word_of(provider, "model"), word_of(provider, "name"));
}

static void offer_provider(const ListedRequest *q, json_object *provider)
{
	_cleanup_buf_ Buf about = { 0 };
	const char *model = word_of(provider, "model");

	if (is_of_backend(q, provider) &&
		buf_printf(&about, "%s%s%s", word_of(provider, "kind"), *model ? " " : "", model) ==
			0 &&
		buf_terminate(&about) == 0)
		candidates_offer(q->candidates, word_of(provider, "name"), about.data);
}

#define NEWEST      "{\"limit\":1000}"
#define NEWEST_LIVE "{\"limit\":1000,\"state\":[\"queued\",\"running\"]}"

static const Listing listings[_COMPLETE_MAX] = {
	[COMPLETE_AGENT] = { "agent.list", NEWEST, "agents", offer_agent },
	[COMPLETE_CORRELATION_ID] = { "agent.list", NEWEST, "agents", offer_correlation_id },
	[COMPLETE_GROUP] = { "agent.list", NEWEST, "agents", offer_group },
	[COMPLETE_LABEL] = { "agent.list", NEWEST, "agents", offer_label },
	[COMPLETE_LABEL_KEY] = { "agent.list", NEWEST, "agents", offer_label_key },
	[COMPLETE_LIVE_AGENT] = { "agent.list", NEWEST_LIVE, "agents", offer_agent },
	[COMPLETE_MODEL] = { "provider.list", "{}", "providers", offer_model },
	[COMPLETE_PROVIDER] = { "provider.list", "{}", "providers", offer_provider },
};

static int ask(const ListedRequest *q, const Listing *l, json_object **ret)
{
	_cleanup_(call_free_p) Call *call = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_buf_ Buf params = { 0 };
	uint64_t id;
	int r;

	r = socket_path_find(q->socket_option, &path);
	if (r == 0)
		r = call_connect_within(path, TIMEOUT_MS, &call);
	if (r == 0)
		r = buf_append_str(&params, l->params);
	if (r == 0)
		r = call_send(call, l->method, &params, &id);
	return r < 0 ? r : call_receive(call, TIMEOUT_MS, ret);
}

void listed_offer(const ListedRequest *q, Completion kind)
{
	_cleanup_json_ json_object *message = NULL;
	json_object *result = NULL, *list;
	const Listing *l = &listings[kind];
	const char *method = NULL;
	uint64_t id = 0;

	if (!l->method || ask(q, l, &message) < 0 ||
		call_classify(message, &id, &method, &result) != CALL_RESULT)
		return;
	list = jsonx_get(result, l->list, json_type_array);
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		l->offer(q, json_object_array_get_idx(list, i));
}
