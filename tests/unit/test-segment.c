#include "daemon/eventlog/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/eventlog/log-view.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

static TempDir dir;

static void setup(void)
{
	temp_dir_init(&dir);
}

static void teardown(void)
{
	temp_dir_done(&dir);
}

static const struct {
	const char *name;
	uint64_t base; /* 0: it is none */
} names[] = {
	{ "00000000000000000001.ndjson", 1 },
	{ "00000000000000000042.ndjson", 42 },
	{ "18446744073709551615.ndjson", UINT64_MAX },
	{ "18446744073709551616.ndjson", 0 },
	{ "99999999999999999999.ndjson", 0 },
	{ "00000000000000000000.ndjson", 0 },
	{ "", 0 },
	{ ".ndjson", 0 },
	{ "1.ndjson", 0 },
	{ "0000000000000000001.ndjson", 0 },
	{ "000000000000000000001.ndjson", 0 },
	{ "00000000000000000001", 0 },
	{ "00000000000000000001.idx", 0 },
	{ "00000000000000000001.torn", 0 },
	{ "00000000000000000001.ndjson.tmp", 0 },
	{ "00000000000000000001.NDJSON", 0 },
	{ "+0000000000000000001.ndjson", 0 },
	{ "0000000000000000000x.ndjson", 0 },
	{ " 0000000000000000001.ndjson", 0 },
	{ "log.json", 0 },
};

START_TEST(test_names)
{
	char name[SEGMENT_NAME_LEN + 16];
	uint64_t base = 77;
	int r = segment_parse_name(names[_i].name, &base);

	if (names[_i].base == 0) {
		ck_assert_msg(r == -EINVAL && base == 77, "\"%s\"", names[_i].name);
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(base, names[_i].base);
	segment_name(base, ".ndjson", name);
	ck_assert_str_eq(name, names[_i].name);
}
END_TEST

static mode_t mode_of(const char *name)
{
	struct stat st;

	ck_assert_int_eq(fstatat(dir.fd, name, &st, 0), 0);
	return st.st_mode & 07777;
}

START_TEST(test_open)
{
	Segment *s = NULL, *other = NULL;

	ck_assert_int_eq(segment_open(dir.fd, 5, false, &s), -ENOENT);
	ck_assert_int_eq(segment_open_readonly(dir.fd, 5, &s), -ENOENT);
	ck_assert_ptr_null(s);
	ck_assert_int_eq(segment_open(dir.fd, 5, true, &s), 0);
	ck_assert_uint_eq(s->base, 5);
	ck_assert_uint_eq(mode_of("00000000000000000005.ndjson"), 0600);
	ck_assert_uint_eq(mode_of("00000000000000000005.idx"), 0600);
	ck_assert_int_eq(fcntl(s->fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(s->idx_fd, F_GETFD), FD_CLOEXEC);

	/* The index can be made anew, the lines cannot. */
	ck_assert_int_eq(unlinkat(dir.fd, "00000000000000000005.idx", 0), 0);
	ck_assert_int_eq(segment_open_readonly(dir.fd, 5, &other), -ENOENT);
	ck_assert_int_eq(segment_open(dir.fd, 5, false, &other), 0);
	segment_unref(other);
	ck_assert_int_eq(segment_open_readonly(dir.fd, 5, &other), 0);
	ck_assert_int_lt(write(other->fd, "x", 1), 0);
	segment_unref(other);
	ck_assert_ptr_eq(segment_ref(s), s);
	segment_unref(s);
	ck_assert_int_ge(fcntl(s->fd, F_GETFD), 0);
	segment_unref(s);
	segment_unref(NULL);
}
END_TEST

START_TEST(test_index)
{
	_cleanup_segment_ Segment *s = NULL;
	IndexRecord in[3] = { { .end = 10, .agent = 1 }, { .end = 25, .agent = 2 },
		{ .end = 26, .agent = UINT64_MAX } };
	IndexRecord out[5];
	uint32_t start = 99;

	ck_assert_int_eq(segment_open(dir.fd, 1, true, &s), 0);
	ck_assert_int_eq(segment_read_index(s, 0, out, 5), 0);
	ck_assert_int_eq(segment_line_start(s, 0, &start), 0);
	ck_assert_uint_eq(start, 0);
	ck_assert_int_eq(segment_line_start(s, 1, &start), -EBADMSG);
	ck_assert_int_eq(pwrite(s->idx_fd, in, sizeof(in), 0), sizeof(in));
	/* Half a record is none. */
	ck_assert_int_eq(pwrite(s->idx_fd, in, 23, sizeof(in)), 23);
	ck_assert_int_eq(segment_read_index(s, 0, out, 5), 3);
	ck_assert_int_eq(memcmp(out, in, sizeof(in)), 0);
	ck_assert_int_eq(segment_read_index(s, 2, out, 1), 1);
	ck_assert_uint_eq(out[0].agent, UINT64_MAX);
	ck_assert_int_eq(segment_read_index(s, 3, out, 1), 0);
	ck_assert_int_eq(segment_read_index(s, 1000, out, 5), 0);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_int_eq(segment_line_start(s, i + 1, &start), 0);
		ck_assert_uint_eq(start, in[i].end);
	}
	ck_assert_int_eq(segment_line_start(s, 4, &start), -EBADMSG);
}
END_TEST

/* ---- The table of segments ---- */

START_TEST(test_table)
{
	SegmentTable *t = segment_table_copy(NULL, 0, 1), *u;

	ck_assert_uint_eq(t->n, 1);
	t->infos[0] = (SegmentInfo){ .base = 5, .end = 10 };
	u = segment_table_copy(t, 0, 2);
	ck_assert_uint_eq(u->n, 3);
	ck_assert_uint_eq(u->infos[0].base, 5);
	u->infos[1] = (SegmentInfo){ .base = 10, .end = 20 };
	u->infos[2] = (SegmentInfo){ .base = 30, .end = UINT64_MAX };
	segment_table_unref(t);
	t = segment_table_copy(u, 1, 0);
	ck_assert_uint_eq(t->n, 2);
	ck_assert_uint_eq(t->infos[0].base, 10);
	segment_table_unref(t);
	t = u;
	ck_assert_uint_eq(segment_table_find(t, 1), 0);
	ck_assert_uint_eq(segment_table_find(t, 9), 0);
	ck_assert_uint_eq(segment_table_find(t, 10), 1);
	ck_assert_uint_eq(segment_table_find(t, 19), 1);
	ck_assert_uint_eq(segment_table_find(t, 20), 2);
	ck_assert_uint_eq(segment_table_find(t, UINT64_MAX - 1), 2);
	ck_assert_uint_eq(segment_table_find(t, UINT64_MAX), 3);
	t->refs++;
	segment_table_unref(t);
	segment_table_unref(t);
	segment_table_unref(NULL);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("segment");
	TCase *tc = tcase_create("segment");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_names, 0, ARRAY_SIZE(names));
	tcase_add_test(tc, test_open);
	tcase_add_test(tc, test_index);
	tcase_add_test(tc, test_table);
	suite_add_tcase(s, tc);
	return s;
}
