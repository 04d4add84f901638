/* What the programs of the benchmarks share: options, the clock, the payload.
 *
 * They are tools that a script runs and reads the output of: whatever goes wrong ends them, with a
 * line on standard error and status 1, so that no number comes of it.
 *
 * Thread: one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

/* A payload begins with its number and the time of its making, in decimal digits, each followed
 * by a blank. */
#define PAYLOAD_NUMBER_LEN 12
#define PAYLOAD_STAMP_LEN  20
#define PAYLOAD_HEAD_LEN   (PAYLOAD_NUMBER_LEN + 1 + PAYLOAD_STAMP_LEN + 1)

typedef struct BenchOption {
	const char *name; /* "--count" */
	uint64_t *number; /* where its value goes; or */
	const char **text;
} BenchOption;

/* Takes options, each followed by its value, off the command line; whatever else stands there is
 * fatal. The table ends with an entry without name. */
void bench_options(int argc, char **argv, const BenchOption *options);

_Noreturn void bench_die(const char *format, ...) _printf_(1, 2);
/* The same, with what errno says. */
_Noreturn void bench_die_errno(const char *what);

/* CLOCK_MONOTONIC: one clock for all processes of the machine. */
uint64_t bench_now_ns(void);
/* Sleeps until then, as exactly as the machine can. */
void bench_sleep_until_ns(uint64_t at_ns);
/* Processor time of this process, user and system. */
uint64_t bench_cpu_ns(void);

/* `len` bytes (>= PAYLOAD_HEAD_LEN), without a line end. */
void payload_make(char *out, size_t len, uint64_t number, uint64_t stamp_ns);
/* Writes `digits` digits, with leading zeros. */
void digits_write(char *out, size_t digits, uint64_t value);
/* Adds one to a number in decimal digits. */
void digits_increment(char *digits, size_t len);
/* UINT64_MAX: these are no digits. */
uint64_t digits_read(const char *digits, size_t len);

/* The stamp of a payload that must have this number; what is none is fatal. */
uint64_t payload_stamp(const char *payload, size_t len, uint64_t number);

/* Zeroed; no memory is fatal. */
void *bench_allocate(size_t n, size_t bytes);
void bench_sort_us(uint32_t *us, size_t n);
/* Of what is sorted; 0 where there is nothing. */
double bench_quantile_ms(const uint32_t *sorted_us, size_t n, double q);

/* Writes all of it to a blocking descriptor. */
void bench_write_all(int fd, const void *bytes, size_t n);
/* Connects to a Unix socket, or, where `address` is a number, to that port of the loopback. */
int bench_connect(const char *address);
