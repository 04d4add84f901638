/* libcurl, loaded on demand: an idle daemon without providers does without the 8 MiB that it and
 * its libraries map.
 *
 * Never linked, never unloaded (its threads that look up names may outlive whoever asked). Only the
 * functions that are used; their types are those of the headers.
 *
 * Thread: curlapi_load() main; the rest any that heard of it by a message since. */
#pragma once

#include <curl/curl.h>

#include "common/buf.h"

#define CURLAPI_FUNCTIONS(X)   \
	X(easy_cleanup)        \
	X(easy_getinfo)        \
	X(easy_init)           \
	X(easy_pause)          \
	X(easy_reset)          \
	X(easy_setopt)         \
	X(getdate)             \
	X(global_init)         \
	X(multi_add_handle)    \
	X(multi_assign)        \
	X(multi_cleanup)       \
	X(multi_info_read)     \
	X(multi_init)          \
	X(multi_remove_handle) \
	X(multi_setopt)        \
	X(multi_socket_action) \
	X(share_cleanup)       \
	X(share_init)          \
	X(share_setopt)        \
	X(slist_append)        \
	X(slist_free_all)      \
	X(version_info)

typedef struct CurlApi {
#define CURLAPI_MEMBER(name) __typeof__(&curl_##name) name;
	CURLAPI_FUNCTIONS(CURLAPI_MEMBER)
#undef CURLAPI_MEMBER
} CurlApi;

/* 0, also if it was loaded before; -ENOENT and a sentence in `why`. */
int curlapi_load(Buf *why) _must_check_;
/* NULL: not loaded. */
const CurlApi *curlapi(void);
