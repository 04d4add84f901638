#include "client/label-prefix.h"

#include <errno.h>
#include <string.h>

#include "client/describe.h"
#include "client/key-value.h"
#include "client/spawn.h"
#include "client/text.h"
#include "common/jsonx.h"

/* A watcher may live for weeks: beyond so many agents it forgets them all, and asks again. */
#define MAX_KNOWN 4096

void label_prefix_done(LabelPrefix *p)
{
	call_free(p->call);
	json_object_put(p->known);
	*p = (LabelPrefix){ 0 };
}

static int remember(LabelPrefix *p, const char *agent_id, json_object *labels)
{
	const char *value = jsonx_get_string(labels, p->key, NULL);

	if (p->known && json_object_object_length(p->known) >= MAX_KNOWN) {
		json_object_put(p->known);
		p->known = NULL;
	}
	if (!p->known)
		p->known = json_object_new_object();
	if (!p->known)
		return -ENOMEM;
	return key_value_add(p->known, agent_id, json_object_new_string(value ? value : ""));
}

int label_prefix_learn(LabelPrefix *p, json_object *event)
{
	if (describe_type(event) != EVENT_TYPE_AGENT_SPAWNED)
		return 0;
	return remember(p, describe_agent_id(event), jsonx_get(event, "labels", json_type_object));
}

/* Without an answer the agent goes by its id; the next line asks again. */
static int ask(LabelPrefix *p, const char *agent_id)
{
	_cleanup_json_ json_object *agent = NULL, *error = NULL;
	_cleanup_buf_ Buf params = { 0 };
	const char *path = NULL;
	int r;

	r = context_socket(p->ctx, &path);
	if (r != 0)
		return 0;
	if (!p->call && call_connect(path, &p->call) < 0)
		return 0;
	r = spawn_write_id(agent_id, &params);
	if (r == 0)
		r = call_request(p->call, "agent.get", &params, &agent, &error);
	if (r >= 0)
		return remember(p, agent_id, jsonx_get(agent, "labels", json_type_object));
	call_free(p->call);
	p->call = NULL;
	return r == -EINTR || r == -ENOMEM ? r : 0;
}

int label_prefix_append(const char *agent_id, Buf *b, void *userdata)
{
	LabelPrefix *p = userdata;
	size_t len;
	const char *value;

	if (*agent_id == '\0')
		return 0;
	if (!p->known || !json_object_object_get_ex(p->known, agent_id, NULL)) {
		int r = ask(p, agent_id);

		if (r < 0)
			return r;
	}
	value = jsonx_get_string(p->known, agent_id, &len);
	return value ? text_append_safe(b, value, len, false) : 0;
}
