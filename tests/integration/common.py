"""What every file of integration tests starts with: `from common import *`."""

import os
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
PYTHON = harness.PYTHON
ROOT = harness.ROOT

STATUS = {"jsonrpc": "2.0", "id": 1, "method": "daemon.status"}
NOBODY = "00000000-0000-4000-8000-00000000dead"


def status(request_id):
    return {"jsonrpc": "2.0", "id": request_id, "method": "daemon.status"}


def slow_agent(chunks=1000, delay_ms=100):
    """Options of a mock agent that outlives its test."""
    return {"chunks": chunks, "delay_ms": delay_ms}
