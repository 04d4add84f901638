/* Scope-bound cleanup and the few attributes that the whole project uses.
 *
 * A variable declared with _cleanup_(f) has f(&variable) called when it goes out of scope.
 * TAKE_PTR() and TAKE_FD() move the value out, so that the cleanup finds nothing to do.
 *
 * Thread: any. */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _must_check_   __attribute__((warn_unused_result))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_       __attribute__((unused))
#define LIKELY(x)      __builtin_expect(!!(x), 1)
#define UNLIKELY(x)    __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a)  (sizeof(a) / sizeof((a)[0]))

/* Makes `f_p(T *)`, to be named in _cleanup_(), out of a destructor `f(T)` that bears NULL. */
#define DEFINE_CLEANUP(type, f)                    \
	static inline _unused_ void f##_p(type *p) \
	{                                          \
		if (*p)                            \
			f(*p);                     \
	}

#define TAKE_PTR(p)                         \
	__extension__({                     \
		__typeof__(p) _taken = (p); \
		(p) = NULL;                 \
		_taken;                     \
	})

#define TAKE_FD(fd)                \
	__extension__({            \
		int _taken = (fd); \
		(fd) = -1;         \
		_taken;            \
	})

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _cleanup_free_  _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
