"""Has a daemon die at, or fail in, the n-th system call that touches its state directory, or the n-th allocation; tells
how much memory it has in use.

The other half is preload.c. The two share a page of memory: a fault can be set while the daemon runs, and what it
did can be read after its death."""

import errno
import mmap
import os
import struct
import unittest

import harness

PRELOAD = os.environ.get(
    "LIONGATE_FAULT_PRELOAD", os.path.join(harness.ROOT, "build", "tests", "faults", "preload.so")
)

CALLS = ("open", "look", "write", "sync", "truncate", "allocate", "rename", "unlink", "mkdir", "read", "malloc")
CHANGES = tuple(call for call in CALLS if call not in ("look", "read", "malloc"))
ACTIONS = ("none", "fail", "short", "kill-before", "kill-in", "kill-after")
FIELDS = ("calls", "seen", "from", "count", "action", "error", "child", "struck", "in_use")
FOREVER = (1 << 64) - 1


def is_instrumented(path):
    """A sanitizer has its own hands on the same functions."""
    with open(path, "rb") as f:
        data = f.read()
    return b"__asan_init" in data or b"__tsan_init" in data


def is_possible():
    return not os.environ.get("LIONGATE_TEST_WRAPPER") and not is_instrumented(harness.DAEMON[-1])


def require():
    if not is_possible():
        raise unittest.SkipTest("nothing can be loaded into the daemon here")


class Injector:
    """Of one harness.Daemon, and of all that it starts from now on."""

    def __init__(self, daemon):
        require()
        path = os.path.join(daemon.dir, "fault-control")
        with open(path, "w+b") as f:
            f.truncate(mmap.PAGESIZE)
            self._map = mmap.mmap(f.fileno(), mmap.PAGESIZE)
        self._daemon = daemon
        self.attach()

    def attach(self):
        self._daemon.env.update(
            LD_PRELOAD=PRELOAD, FAULT_CONTROL=os.path.join(self._daemon.dir, "fault-control"), FAULT_DIR=self._daemon.state
        )

    def detach(self):
        """What is started from now on works as always."""
        for name in ("LD_PRELOAD", "FAULT_CONTROL", "FAULT_DIR"):
            self._daemon.env.pop(name, None)

    def _get(self, field):
        return struct.unpack_from("<Q", self._map, 8 * FIELDS.index(field))[0]

    def _set(self, field, value):
        struct.pack_into("<Q", self._map, 8 * FIELDS.index(field), value)

    def watch(self, calls=CHANGES, child=False):
        """Counts these from now on, and none of them fails."""
        self._set("from", 0)
        self._set("calls", sum(1 << CALLS.index(call) for call in calls))
        self._set("child", child)
        self._set("seen", 0)
        self._set("struck", 0)

    def strike(self, n, action, error=errno.EIO, count=1, **kwargs):
        """The n-th from now on (1: the next one), and `count` in all."""
        self.watch(**kwargs)
        self._set("action", ACTIONS.index(action))
        self._set("error", error)
        self._set("count", count)
        self._set("from", n)

    def heal(self):
        self._set("from", 0)

    @property
    def seen(self):
        return self._get("seen")

    @property
    def struck(self):
        return self._get("struck")

    @property
    def in_use(self):
        """Bytes that the daemon has allocated and not freed, but for those of before it came here."""
        return struct.unpack_from("<q", self._map, 8 * FIELDS.index("in_use"))[0]

    @property
    def where(self):
        """What was struck first: "write 00000000000000000001.idx"."""
        at = 8 * len(FIELDS)
        return self._map[at : at + 128].split(b"\0")[0].decode("utf-8", "replace")

    def close(self):
        self._map.close()
