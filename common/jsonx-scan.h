/* The validator behind jsonx_valid() and jsonx_parse(). Private to jsonx.
 *
 * Thread: any. */
#pragma once

#include "common/jsonx.h"

/* As jsonx_valid(), or jsonx_valid_lax(); and if a member's name has a U+0000 in it, *ret_nul_key
 * is where, else NULL. */
bool jsonx_scan(
	const char *text, size_t len, bool lax, JsonxError *reterr, const char **ret_nul_key);
