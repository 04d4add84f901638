/* Values of the configuration: numbers with units, times, modes, names; from text and to text.
 *
 * Owns nothing. Thread: any. */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "daemon/config-table.h"

#define CONFIG_WHY_BYTES      384
/* Longest text (a path, a name), and with room to spare what a line must hold. */
#define CONFIG_TEXT_MAX_BYTES 4095

static inline bool config_type_is_text(ConfigType type)
{
	return type <= CONFIG_TYPE_SOCKET;
}

/* Of keys that are no texts. -EINVAL, with what is wrong and what would be right in `why`. */
int config_value_parse(const ConfigKey *key, const char *text, uint64_t *ret,
	char why[CONFIG_WHY_BYTES]) _must_check_;
/* Of keys that are texts: whether the key may have it. -EINVAL as above. */
int config_value_check_text(
	const ConfigKey *key, const char *text, char why[CONFIG_WHY_BYTES]) _must_check_;
/* As config_value_parse() would read it back, in the largest unit that divides it. */
int config_value_print(ConfigType type, uint64_t value, Buf *b) _must_check_;

/* The field of the key in `base` (a Config or a ConfigGroup). */
uint64_t config_value_get(const ConfigKey *key, const void *base);
void config_value_put(const ConfigKey *key, void *base, uint64_t value);
char **config_value_text(const ConfigKey *key, void *base);
const char *config_value_get_text(const ConfigKey *key, const void *base);
