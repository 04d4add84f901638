/* What libcurl's result means to whoever called, and the sentence that says it.
 *
 * Owns nothing. Thread: any. */
#pragma once

#include <stddef.h>

#include "daemon/backend/curl.h"
#include "daemon/backend/http.h"

/* `detail` is what libcurl wrote into its error buffer, `os_error` an errno or 0. It writes one
 * sentence, which holds nothing that was secret in the request. */
HttpFailure http_failure_of(
	CURLcode code, const char *detail, int os_error, char *sentence, size_t size);
