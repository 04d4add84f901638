"""What several benchmarks do to a daemon and look at in one: agents, the catalog."""

import contextlib
import json
import os
import sqlite3
import time

import harness
from core import ROUND_SECONDS, Wrong


def expect(what, got, wanted):
    if got != wanted:
        raise Wrong(f"{what}: {got}, not {wanted}")


def spawn(bench, daemon, agents, params, until_ended=True):
    """Spawns agents, all alike, pipelined; what spawn-load says of it."""
    said = json.loads(
        bench.run([
            bench.program("spawn-load"), "--socket", daemon.socket, "--agents", str(agents),
            "--params", harness.dumps(params), "--until-ended", str(int(until_ended)),
        ])  # fmt: skip
    )
    if until_ended:
        expect("agents that completed", said["completed"], agents)
    return said


def newest_seq(client):
    return client.call("daemon.status")["log"]["newest_seq"]


def ask_catalog(daemon, query):
    """The one value that it answers with."""
    path = os.path.join(daemon.state, "catalog.db")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=ROUND_SECONDS)) as db:
        return db.execute(query).fetchone()[0]


def applied_seq(daemon):
    """Up to which event the catalog knows all."""
    return ask_catalog(daemon, "SELECT applied FROM meta")


def wait_catalog(daemon, client):
    """Waits until the catalog knows all that the log holds; returns how long that took."""
    began, newest = time.monotonic(), newest_seq(client)
    harness.eventually(lambda: applied_seq(daemon) >= newest, "the catalog keeps up", ROUND_SECONDS)
    return time.monotonic() - began
