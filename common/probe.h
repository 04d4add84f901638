/* Places at which a tracer (bpftrace, perf, SystemTap, gdb) may look into a running daemon: USDT
 * probes of the provider "liongate". Where nobody looks each is a nop; a build without <sys/sdt.h>
 * (-Dusdt=disabled) has none. docs/tracing.md lists them.
 *
 * Thread: any. */
#pragma once

#if HAVE_SYS_SDT_H

#include <sys/sdt.h>

/* The arguments are evaluated whether anybody looks or not. */
#define PROBE2(name, a, b)    DTRACE_PROBE2(liongate, name, a, b)
#define PROBE3(name, a, b, c) DTRACE_PROBE3(liongate, name, a, b, c)

#else

#define PROBE2(name, a, b)    ((void)(a), (void)(b))
#define PROBE3(name, a, b, c) ((void)(a), (void)(b), (void)(c))

#endif
