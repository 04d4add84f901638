#include "daemon/backend/curl.h"

#include <stdbool.h>

#include "common/dlib.h"

#define LIBRARY "libcurl.so.4"

/* The first with CURLOPT_CA_CACHE_TIMEOUT and CURLOPT_QUICK_EXIT. */
#define LEAST_VERSION 0x075700U

static CurlApi api;
static bool loaded;

static const DlibFunction functions[] = {
#define CURLAPI_ENTRY(name) { "curl_" #name, offsetof(CurlApi, name) },
	CURLAPI_FUNCTIONS(CURLAPI_ENTRY)
#undef CURLAPI_ENTRY
};

static int check_version(const CurlApi *found, Buf *why)
{
	const curl_version_info_data *info = found->version_info(CURLVERSION_NOW);

	if (info->version_num < LEAST_VERSION)
		return dlib_refuse(
			why, "%s is version %s, which is too old", LIBRARY, info->version);
	if (!(info->features & CURL_VERSION_SSL) || !(info->features & CURL_VERSION_ASYNCHDNS))
		return dlib_refuse(
			why, "%s has no TLS, or would block while it looks up a name", LIBRARY);
	return 0;
}

int curlapi_load(Buf *why)
{
	CurlApi found;
	void *library;
	int r;

	if (loaded)
		return 0;
	r = dlib_load(LIBRARY, functions, ARRAY_SIZE(functions), &found, &library, why);
	if (r < 0)
		return r;
	r = check_version(&found, why);
	if (r == 0 && found.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		r = dlib_refuse(why, "%s cannot be initialised", LIBRARY);
	if (r < 0) {
		dlib_unload(library);
		return r;
	}
	api = found;
	loaded = true;
	return 0;
}

const CurlApi *curlapi(void)
{
	return loaded ? &api : NULL;
}
