/* Any text as a configuration file: what loads is printed as text that loads to the same, and what
 * does not load has a reason. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"
#include "daemon/config.h"
#include "tests/fuzz/fuzz.h"

static int load_text(const void *text, size_t len, Config **ret, Buf *errors)
{
	_cleanup_close_ int fd = memfd_create("config", MFD_CLOEXEC);
	char path[64];
	ConfigOptions options = { .config_file = path };

	FUZZ_CHECK(fd >= 0 && fd_write_all(fd, text, len) == 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return config_load(&options, ret, errors);
}

static void check_same(const Config *a, const Config *b)
{
	_cleanup_buf_ Buf changed = { 0 }, fixed = { 0 };

	FUZZ_CHECK(config_diff(a, b, &changed, &fixed) == 0);
	FUZZ_CHECK(changed.len == 0 && fixed.len == 0);
}

static void check_printed(const Config *c)
{
	_cleanup_buf_ Buf once = { 0 }, twice = { 0 }, errors = { 0 };
	Config *again = NULL;

	FUZZ_CHECK(config_print(c, &once) == 0);
	FUZZ_CHECK(load_text(once.data, once.len, &again, &errors) == 0);
	FUZZ_CHECK(config_print(again, &twice) == 0);
	FUZZ_CHECK(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
	check_same(c, again);
	config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ Buf errors = { 0 };
	Config *c = NULL;
	int r = load_text(data, size, &c, &errors);

	FUZZ_CHECK(r == 0 || r == -EINVAL);
	if (r == 0) {
		FUZZ_CHECK(errors.len == 0);
		check_printed(c);
	} else {
		FUZZ_CHECK(!c && errors.len > 0 && errors.data[errors.len - 1] == '\n');
	}
	config_free(c);
	return 0;
}
