#include "common/dlib.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

int dlib_refuse(Buf *why, const char *format, ...)
{
	va_list ap;
	int r;

	va_start(ap, format);
	r = buf_vprintf(why, format, ap);
	va_end(ap);
	return r < 0 ? r : -ENOENT;
}

int dlib_load(const char *library, const DlibFunction *functions, size_t n, void *ret_api,
	void **ret_library, Buf *why)
{
	void *opened = dlopen(library, RTLD_NOW | RTLD_LOCAL);

	if (!opened)
		return dlib_refuse(why, "%s cannot be loaded: %s", library, dlerror());
	for (size_t i = 0; i < n; i++) {
		void *function = dlsym(opened, functions[i].name);

		if (!function) {
			dlclose(opened);
			return dlib_refuse(why, "%s has no %s()", library, functions[i].name);
		}
		memcpy((char *)ret_api + functions[i].offset, &function, sizeof(function));
	}
	*ret_library = opened;
	return 0;
}

void dlib_unload(void *library)
{
	dlclose(library);
}
