#include "daemon/backend/curl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"

/* The first with CURLOPT_CA_CACHE_TIMEOUT and CURLOPT_QUICK_EXIT. */
#define LEAST_VERSION 0x075700U

static CurlApi api;
static bool loaded;

static const struct {
	const char *name;
	size_t offset;
} functions[] = {
#define CURLAPI_ENTRY(name) { "curl_" #name, offsetof(CurlApi, name) },
	CURLAPI_FUNCTIONS(CURLAPI_ENTRY)
#undef CURLAPI_ENTRY
};

_printf_(2, 3) static int refuse(Buf *why, const char *format, ...)
{
	va_list ap;
	int r;

	va_start(ap, format);
	r = buf_vprintf(why, format, ap);
	va_end(ap);
	return r < 0 ? r : -ENOENT;
}

static int find_functions(void *library, CurlApi *found, Buf *why)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *function = dlsym(library, functions[i].name);

		if (!function)
			return refuse(why, "%s has no %s()", LIBRARY, functions[i].name);
		memcpy((char *)found + functions[i].offset, &function, sizeof(function));
	}
	return 0;
}

static int check_version(const CurlApi *found, Buf *why)
{
	const curl_version_info_data *info = found->version_info(CURLVERSION_NOW);

	if (info->version_num < LEAST_VERSION)
		return refuse(why, "%s is version %s, which is too old", LIBRARY, info->version);
	if (!(info->features & CURL_VERSION_SSL) || !(info->features & CURL_VERSION_ASYNCHDNS))
		return refuse(
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
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return refuse(why, "libcurl cannot be loaded: %s", dlerror());
	r = find_functions(library, &found, why);
	if (r == 0)
		r = check_version(&found, why);
	if (r == 0 && found.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		r = refuse(why, "%s cannot be initialised", LIBRARY);
	if (r < 0) {
		dlclose(library);
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
