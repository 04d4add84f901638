/* What is set on libcurl's easy handle of a request: what all have in common, and where it goes.
 *
 * Owns nothing. Thread: any (one at a time). */
#pragma once

#include "daemon/backend/curl.h"
#include "daemon/backend/http.h"

/* Takes all of it back, so that the handle can serve another request. -EBUSY: this one cannot. */
int http_clear(CURL *easy) _must_check_;
/* All but the body and the callbacks. The headers are lent to the handle, and are the caller's to
 * free. -ENOMEM. */
int http_set_up(
	CURL *easy, const HttpRequest *request, struct curl_slist **ret_headers) _must_check_;
