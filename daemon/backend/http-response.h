/* What is kept of a response's header, line by line.
 *
 * Owns nothing. Thread: any, once libcurl is loaded. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/backend/http.h"

void http_response_init(HttpResponse *r);
/* One line, with or without its end. A status line forgets what came before: that was "100
 * Continue". */
void http_response_line(HttpResponse *r, const char *line, size_t len, uint64_t now_s);
