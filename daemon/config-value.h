/* Values of the configuration: numbers with units, times, modes, names; from text and to text.
 *
 * Owns nothing. Thread: any. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "daemon/backend/provider-config.h"
#include "daemon/config-table.h"

#define CONFIG_WHY_BYTES      384
/* Longest text (a path, a name), and with room to spare what a line must hold. */
#define CONFIG_TEXT_MAX_BYTES 4095

static inline bool config_type_is_text(ConfigType type)
{
	return type < CONFIG_TYPE_HEADERS;
}

/* A number, or a name out of a table. */
static inline bool config_type_is_number(ConfigType type)
{
	return type > CONFIG_TYPE_HEADERS;
}

/* Of keys that are numbers. -EINVAL, with what is wrong and what would be right in `why`. */
int config_value_parse(const ConfigKey *key, const char *text, uint64_t *ret,
	char why[CONFIG_WHY_BYTES]) _must_check_;
/* Of keys that are texts, and of one header: whether the key may have it. -EINVAL as above. What
 * might be a secret that stands where it should not is not told. */
int config_value_check_text(
	const ConfigKey *key, const char *text, char why[CONFIG_WHY_BYTES]) _must_check_;
/* Whether it is one that the key can be given: a number that is not stands for what no number says.
 */
bool config_value_fits(const ConfigKey *key, uint64_t value);
/* As config_value_parse() would read it back, in the largest unit that divides it. */
int config_value_print(ConfigType type, uint64_t value, Buf *b) _must_check_;

/* The field of the key in `base` (a Config, or an item of a section with a name). */
uint64_t config_value_get(const ConfigKey *key, const void *base);
void config_value_put(const ConfigKey *key, void *base, uint64_t value);
char **config_value_text(const ConfigKey *key, void *base);
const char *config_value_get_text(const ConfigKey *key, const void *base);
ConfigHeaders *config_value_headers(const ConfigKey *key, void *base);
const ConfigHeaders *config_value_get_headers(const ConfigKey *key, const void *base);
bool config_value_equal(const ConfigKey *key, const void *a, const void *b);
/* What the field owns; nothing in it may be used after that. */
void config_value_free(const ConfigKey *key, void *base);
