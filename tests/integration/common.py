"""What every file of integration tests starts with: `from common import *`."""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True

import checker  # noqa: E402,F401
import harness  # noqa: E402
from checker import (  # noqa: E402,F401
    ENDS,
    TIME,
    UUID,
    Log,
    check_event,
    check_lives,
    max_running,
)
from harness import (  # noqa: E402,F401
    Client,
    Closed,
    Daemon,
    DaemonCase,
    RpcError,
    Timeout,
    alive,
    check_error,
    check_reply,
    dumps,
    eventually,
    main,
    make_request,
    parse_strict,
    raw_bytes,
    run_check,
)

SCALE = harness.SCALE
TIMEOUT = harness.TIMEOUT
UNDER_VALGRIND = harness.UNDER_VALGRIND
PYTHON = harness.PYTHON
ROOT = harness.ROOT

STATUS = {"jsonrpc": "2.0", "id": 1, "method": "daemon.status"}
NOBODY = "00000000-0000-4000-8000-00000000dead"


def status(request_id):
    return {"jsonrpc": "2.0", "id": request_id, "method": "daemon.status"}


def slow_agent(chunks=1000, delay_ms=100):
    """Options of a mock agent that outlives its test."""
    return {"chunks": chunks, "delay_ms": delay_ms}


class Configured(Daemon):
    """Of a file and its drop-ins."""

    def __init__(self):
        super().__init__()
        self.config = os.path.join(self.dir, "test.conf")
        self.drop_in = os.path.join(self.config + ".d", "10-more.conf")
        os.mkdir(self.config + ".d")

    def command(self, *args):
        return [f"--config={self.config}" if word == "--no-config" else word for word in super().command(*args)]

    def write(self, text, path=None):
        with open(path or self.config, "w", encoding="utf-8") as f:
            f.write(text)

    def reload(self):
        """SIGHUP; returns what it says on standard error meanwhile, without the times, and its status afterwards."""
        before = len(self.stderr())
        self.signal(signal.SIGHUP)
        self.wait_notify("RELOADING=1", TIMEOUT)
        self.wait_notify("READY=1", TIMEOUT)
        lines = [line.partition(" ")[2] for line in self.stderr()[before:].splitlines()]
        return lines, self.status()

    def status(self):
        (line,) = self.wait_notify("STATUS=", TIMEOUT)
        return line.removeprefix("STATUS=")
