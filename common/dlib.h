/* Libraries that are loaded on demand: who does not need them does without the memory and the time
 * that mapping them takes.
 *
 * Never linked; their types and the signatures of their functions are those of their headers.
 *
 * Thread: any. */
#pragma once

#include <stddef.h>

#include "common/buf.h"

/* A function, and where in the caller's table the pointer to it stands. */
typedef struct DlibFunction {
	const char *name;
	size_t offset;
} DlibFunction;

/* 0 with the table at `ret_api` filled in; *ret_library is for dlib_unload(). -ENOENT and a
 * sentence in `why`: there is no such library, or it lacks one of the functions. -ENOMEM. */
int dlib_load(const char *library, const DlibFunction *functions, size_t n, void *ret_api,
	void **ret_library, Buf *why) _must_check_;
void dlib_unload(void *library);

/* -ENOENT with that sentence in `why`, or -ENOMEM. */
int dlib_refuse(Buf *why, const char *format, ...) _printf_(2, 3) _must_check_;
