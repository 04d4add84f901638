/* A program that is run as an agent: writes numbered lines to its standard output, as fast as
 * they are taken, or at a rate, each with the time of its making. */
#include <string.h>

#include "tests/bench/bench.h"

#define NSEC_PER_SEC 1000000000ULL

typedef struct Lines {
	uint64_t count;
	uint64_t bytes; /* of a line, its end included */
	uint64_t rate;  /* a second; 0: as fast as they are taken */
} Lines;

static void write_paced(const Lines *l)
{
	_cleanup_free_ char *line = malloc(l->bytes);
	uint64_t began_ns = bench_now_ns();

	if (!line)
		bench_die("no memory");
	for (uint64_t i = 0; i < l->count; i++) {
		bench_sleep_until_ns(began_ns + i * NSEC_PER_SEC / l->rate);
		payload_make(line, l->bytes - 1, i, bench_now_ns());
		line[l->bytes - 1] = '\n';
		bench_write_all(STDOUT_FILENO, line, l->bytes);
	}
}

/* As many lines in one write as a pipe holds: who writes that much buffers it. */
static void write_fast(const Lines *l)
{
	enum { CAPACITY = 65536 };
	_cleanup_free_ char *block = malloc(CAPACITY);
	size_t len = 0;

	if (!block)
		bench_die("no memory");
	for (uint64_t i = 0; i < l->count; i++) {
		payload_make(block + len, l->bytes - 1, i, 0);
		block[len + l->bytes - 1] = '\n';
		len += l->bytes;
		if (len + l->bytes > CAPACITY || i + 1 == l->count) {
			bench_write_all(STDOUT_FILENO, block, len);
			len = 0;
		}
	}
}

int main(int argc, char **argv)
{
	Lines l = { .count = 1000, .bytes = 200 };
	const BenchOption options[] = {
		{ .name = "--count", .number = &l.count },
		{ .name = "--bytes", .number = &l.bytes },
		{ .name = "--rate", .number = &l.rate },
		{ 0 },
	};

	bench_options(argc, argv, options);
	if (l.bytes <= PAYLOAD_HEAD_LEN || l.bytes > 65536)
		bench_die("--bytes: from %d to 65536", PAYLOAD_HEAD_LEN + 1);
	if (l.rate > 0)
		write_paced(&l);
	else
		write_fast(&l);
	return 0;
}
