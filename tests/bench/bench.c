#include "tests/bench/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "common/fd.h"

#define NSEC_PER_SEC  1000000000ULL
#define USEC_PER_MSEC 1000U

void bench_die(const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

void bench_die_errno(const char *what)
{
	bench_die("%s: %s", what, strerror(errno));
}

static const BenchOption *find_option(const BenchOption *options, const char *name)
{
	for (const BenchOption *o = options; o->name; o++) {
		if (strcmp(o->name, name) == 0)
			return o;
	}
	bench_die("there is no option %s", name);
}

void bench_options(int argc, char **argv, const BenchOption *options)
{
	for (int i = 1; i < argc; i += 2) {
		const BenchOption *o = find_option(options, argv[i]);
		char *end = NULL;

		if (i + 1 == argc)
			bench_die("%s: no value", argv[i]);
		if (o->text) {
			*o->text = argv[i + 1];
			continue;
		}
		errno = 0;
		*o->number = strtoull(argv[i + 1], &end, 10);
		if (errno != 0 || *end != '\0' || end == argv[i + 1])
			bench_die("%s: '%s' is no number", argv[i], argv[i + 1]);
	}
}

uint64_t bench_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

void bench_sleep_until_ns(uint64_t at_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(at_ns / NSEC_PER_SEC),
		.tv_nsec = (long)(at_ns % NSEC_PER_SEC),
	};

	/* Otherwise the kernel is free to come 50 us late. */
	prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static uint64_t timeval_ns(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * NSEC_PER_SEC + (uint64_t)tv.tv_usec * 1000;
}

uint64_t bench_cpu_ns(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) < 0)
		bench_die_errno("getrusage");
	return timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
}

void digits_write(char *out, size_t digits, uint64_t value)
{
	while (digits > 0) {
		out[--digits] = (char)('0' + value % 10);
		value /= 10;
	}
}

void digits_increment(char *digits, size_t len)
{
	while (len > 0 && digits[--len] == '9')
		digits[len] = '0';
	digits[len]++;
}

uint64_t digits_read(const char *digits, size_t len)
{
	uint64_t value = 0;

	for (size_t i = 0; i < len; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return UINT64_MAX;
		value = value * 10 + (uint64_t)(digits[i] - '0');
	}
	return value;
}

void payload_make(char *out, size_t len, uint64_t number, uint64_t stamp_ns)
{
	digits_write(out, PAYLOAD_NUMBER_LEN, number);
	out[PAYLOAD_NUMBER_LEN] = ' ';
	digits_write(out + PAYLOAD_NUMBER_LEN + 1, PAYLOAD_STAMP_LEN, stamp_ns);
	out[PAYLOAD_HEAD_LEN - 1] = ' ';
	memset(out + PAYLOAD_HEAD_LEN, '.', len - PAYLOAD_HEAD_LEN);
}

uint64_t payload_stamp(const char *payload, size_t len, uint64_t number)
{
	uint64_t stamp_ns;

	if (len < PAYLOAD_HEAD_LEN || digits_read(payload, PAYLOAD_NUMBER_LEN) != number)
		bench_die("%.*s came where number %llu was due", (int)len, payload,
			(unsigned long long)number);
	stamp_ns = digits_read(payload + PAYLOAD_NUMBER_LEN + 1, PAYLOAD_STAMP_LEN);
	if (stamp_ns > bench_now_ns())
		bench_die("%.*s has no time of the past", (int)len, payload);
	return stamp_ns;
}

void *bench_allocate(size_t n, size_t bytes)
{
	void *p = calloc(n, bytes);

	if (!p)
		bench_die("no memory");
	return p;
}

static int compare_us(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void bench_sort_us(uint32_t *us, size_t n)
{
	qsort(us, n, sizeof(*us), compare_us);
}

double bench_quantile_ms(const uint32_t *sorted_us, size_t n, double q)
{
	return n > 0 ? sorted_us[(size_t)((double)(n - 1) * q)] / (double)USEC_PER_MSEC : 0;
}

void bench_write_all(int fd, const void *bytes, size_t n)
{
	int r = fd_write_all(fd, bytes, n);

	if (r < 0) {
		errno = -r;
		bench_die_errno("write");
	}
}

static int connect_port(uint64_t port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		bench_die_errno("connect");
	/* A request that waits for the answer to the one before would measure Nagle. */
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		bench_die_errno("TCP_NODELAY");
	return fd;
}

int bench_connect(const char *address)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	uint64_t port = digits_read(address, strlen(address));
	int fd;

	if (port <= UINT16_MAX)
		return connect_port(port);
	if (strlen(address) >= sizeof(un.sun_path))
		bench_die("%s: too long for the path of a socket", address);
	memcpy(un.sun_path, address, strlen(address));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		bench_die_errno(address);
	return fd;
}
