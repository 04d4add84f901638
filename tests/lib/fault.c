#include "tests/lib/fault.h"

#include <errno.h>
#include <stddef.h>

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

static int left = -1;

void fault_realloc_after(int n)
{
	left = n;
}

void *__wrap_realloc(void *p, size_t n)
{
	if (left == 0) {
		errno = ENOMEM;
		return NULL;
	}
	if (left > 0)
		left--;
	return __real_realloc(p, n);
}
