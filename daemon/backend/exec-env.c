#include "daemon/backend/exec-env.h"

#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "common/jsonx.h"
#include "daemon/backend/secret.h"
#include "daemon/reaper/reaper-proto.h"

#define SECRET_MAX_BYTES (64U * 1024)
#define DEFAULT_PATH     "/usr/local/bin:/usr/bin:/bin"

/* What the base consists of, in order; NULL: not there. The same for every program. */
static const char *const base_names[] = { "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG",
	"LC_ALL", "TMPDIR" };
static char *base_values[ARRAY_SIZE(base_names)];

static const char *from_passwd(const char *name, const struct passwd *user)
{
	if (strcmp(name, "PATH") == 0)
		return DEFAULT_PATH;
	if (!user)
		return NULL;
	if (strcmp(name, "HOME") == 0)
		return user->pw_dir;
	if (strcmp(name, "USER") == 0 || strcmp(name, "LOGNAME") == 0)
		return user->pw_name;
	return strcmp(name, "SHELL") == 0 ? user->pw_shell : NULL;
}

static void make_base(void)
{
	char text[4096];
	struct passwd entry, *user = NULL;
	if (getpwuid_r(getuid(), &entry, text, sizeof(text), &user) != 0)
		user = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(base_names); i++) {
		const char *value = getenv(base_names[i]);
		if (!value || value[0] == '\0')
			value = from_passwd(base_names[i], user);
		base_values[i] = value ? strdup(value) : NULL;
	}
}

static size_t var_bytes(const char *name, const char *value)
{
	return strlen(name) + 1 + strlen(value) + 1;
}

static int set(ExecEnv *e, const char *name, const char *value)
{
	/* Not asprintf(), which leaves copies behind while it grows. */
	size_t bytes = var_bytes(name, value);
	char *var = malloc(bytes);
	if (!var)
		return -ENOMEM;
	(void)snprintf(var, bytes, "%s=%s", name, value);
	/* There is room: exec_env_init() has counted. */
	e->vars[e->n++] = var;
	e->bytes += bytes;
	return 0;
}

static bool has(json_object *map, const char *name)
{
	return map && json_object_object_get_ex(map, name, NULL);
}

static int set_base(ExecEnv *e, json_object *env, json_object *env_from)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, make_base);
	for (size_t i = 0; i < ARRAY_SIZE(base_names); i++) {
		const char *name = base_names[i];
		if (!base_values[i] || has(env, name) || has(env_from, name))
			continue;
		int r = set(e, name, base_values[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int set_given(ExecEnv *e, json_object *env, json_object *env_from)
{
	if (!env)
		return 0;
	struct json_object_iterator at = json_object_iter_begin(env);
	struct json_object_iterator end = json_object_iter_end(env);
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
		const char *name = json_object_iter_peek_name(&at);
		if (strcmp(name, EXEC_ENV_AGENT_ID) == 0 || has(env_from, name))
			continue;
		int r = set(e, name, json_object_get_string(json_object_iter_peek_value(&at)));
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_secret(ExecEnv *e, const char *name, const char *source)
{
	ExecSecret *s = &e->secrets[e->n_secrets++];
	s->name = strdup(name);
	s->source = strdup(source);
	return s->name && s->source ? 0 : -ENOMEM;
}

static int add_secrets(ExecEnv *e, json_object *env_from)
{
	if (!env_from)
		return 0;
	struct json_object_iterator at = json_object_iter_begin(env_from);
	struct json_object_iterator end = json_object_iter_end(env_from);
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
		const char *name = json_object_iter_peek_name(&at);
		if (strcmp(name, EXEC_ENV_AGENT_ID) == 0)
			continue;
		int r = add_secret(
			e, name, json_object_get_string(json_object_iter_peek_value(&at)));
		if (r < 0)
			return r;
	}
	return 0;
}

int exec_env_init(ExecEnv *e, const char *agent_id, json_object *options)
{
	json_object *env = jsonx_get(options, "env", json_type_object);
	json_object *env_from = jsonx_get(options, "env_from", json_type_object);
	size_t n_env = env ? (size_t)json_object_object_length(env) : 0;
	size_t n_secrets = env_from ? (size_t)json_object_object_length(env_from) : 0;

	*e = (ExecEnv){ 0 };
	e->vars = calloc(ARRAY_SIZE(base_names) + n_env + n_secrets + 2, sizeof(*e->vars));
	e->secrets = calloc(n_secrets + 1, sizeof(*e->secrets));
	if (!e->vars || !e->secrets)
		return -ENOMEM;

	/* First, so that the reaper finds it soon. */
	int r = set(e, EXEC_ENV_AGENT_ID, agent_id);
	if (r >= 0)
		r = set_base(e, env, env_from);
	if (r >= 0)
		r = set_given(e, env, env_from);
	if (r >= 0)
		r = add_secrets(e, env_from);
	return r;
}

void exec_env_done(ExecEnv *e)
{
	for (size_t i = 0; i < e->n; i++) {
		explicit_bzero(e->vars[i], strlen(e->vars[i]));
		free(e->vars[i]);
	}
	free(e->vars);
	for (size_t i = 0; i < e->n_secrets; i++) {
		free(e->secrets[i].name);
		free(e->secrets[i].source);
	}
	free(e->secrets);
	*e = (ExecEnv){ 0 };
}

static int resolve_one(ExecEnv *e, const ExecSecret *s, char *text)
{
	ssize_t n = secret_read(s->source, SECRET_MAX_BYTES, text);
	if (n < 0)
		return (int)n;
	if (e->bytes + var_bytes(s->name, text) > REAPER_PAYLOAD_MAX_BYTES)
		return -E2BIG;
	return set(e, s->name, text);
}

static int explain(const ExecSecret *s, int error, Buf *why)
{
	int r = buf_printf(why, "cannot read %s from %s: ", s->name, s->source);
	if (r >= 0)
		r = error == -E2BIG
			    ? buf_append_str(why, "the environment is longer than 16 MiB with it")
			    : secret_explain(error, SECRET_MAX_BYTES, why);
	return r < 0 ? r : buf_terminate(why);
}

int exec_env_resolve(ExecEnv *e, Buf *why)
{
	if (e->n_secrets == 0)
		return 0;
	char *text = malloc(SECRET_MAX_BYTES + 2);
	int r = text ? 0 : -ENOMEM;
	for (size_t i = 0; r >= 0 && i < e->n_secrets; i++) {
		const ExecSecret *s = &e->secrets[i];
		r = resolve_one(e, s, text);
		if (r < 0 && explain(s, r, why) < 0)
			buf_done(why);
	}
	if (text)
		explicit_bzero(text, SECRET_MAX_BYTES + 2);
	free(text);
	return r;
}
