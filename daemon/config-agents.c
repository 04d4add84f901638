#include "daemon/config-agents.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/protocol.h"

#define SEPARATORS ", \t"

/* NULL: there are no more. */
static const char *next_item(const char **rest, size_t *ret_len)
{
	const char *item = *rest + strspn(*rest, SEPARATORS);

	*ret_len = strcspn(item, SEPARATORS);
	*rest = item + *ret_len;
	return *ret_len > 0 ? item : NULL;
}

static bool begins_an_id(const char *item, size_t len)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (len < PROTOCOL_MIN_PREFIX_CHARS || len > UUID_TEXT_LEN)
		return false;
	for (size_t i = 0; i < len; i++)
		if (form[i] == '-' ? item[i] != '-' : !isxdigit((unsigned char)item[i]))
			return false;
	return true;
}

const char *config_agents_fault(const char *list)
{
	const char *item;
	size_t len;

	while ((item = next_item(&list, &len)))
		if (!begins_an_id(item, len))
			return "must be ids of agents, or their beginnings of 4 or more "
			       "characters, with commas between them";
	return NULL;
}

bool config_agents_include(const char *list, const Uuid *id)
{
	char text[UUID_TEXT_LEN + 1];
	const char *item;
	size_t len;

	if (!list)
		return false;
	uuid_format(id, text);
	while ((item = next_item(&list, &len)))
		if (strncasecmp(item, text, len) == 0)
			return true;
	return false;
}
