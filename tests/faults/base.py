"""What every file of fault tests starts with: `from base import *`.

Each has a short form, which CI runs, and a long one (LIONGATE_FAULTS=long, as scripts/faults.sh has it). What is
chosen by chance comes from LIONGATE_FAULTS_SEED, which is printed, so that a run can be seen again."""

import collections
import os
import random
import re  # noqa: F401
import subprocess  # noqa: F401
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from common import *  # noqa: E402,F401,F403
from common import Closed, RpcError, Timeout  # noqa: E402
from injector import CHANGES, FOREVER, Injector, is_possible, require  # noqa: E402,F401

LONG = os.environ.get("LIONGATE_FAULTS") == "long"
SEED = int(os.environ.get("LIONGATE_FAULTS_SEED", random.randrange(1 << 30)))

# What a client meets when its daemon dies, or has no room for it.
GONE = (OSError, Closed, Timeout)


def amount(short, long):
    return long if LONG else short


def sample(n, most, chance):
    """All of 1 … n, or so many of them, spread out."""
    if n <= most:
        return list(range(1, n + 1))
    return [int(i * n / most + chance.random() * n / most) + 1 for i in range(most)]


def report(text):
    """A line of results, which scripts/faults.sh collects."""
    print(f"result: {text} (seed {SEED})", flush=True)


def until_idle(client):
    """For a daemon that is stopped next: what is still queued then has not ended, but runs in the one after it."""

    def idle():
        agents = client.call("daemon.status")["agents"]
        return agents["queued"] == agents["running"] == 0

    eventually(idle, "all agents have ended")


def ask(client, method, **params):
    """A call. A request that could not be read for want of memory is answered, too, but its id is not known."""
    request = client.request(method, **params)
    while request not in client.replies and None not in client.replies:
        if not client.pump():
            raise Closed("no reply")
    return client.result(request if request in client.replies else None, method=method)


class Tolerant:
    """Talks to a daemon in trouble: each call is answered, by a result, or by an error that says what is the matter.

    A daemon that has no memory for a connection may close it. Nothing may go without an answer."""

    ALLOWED = ("log_unavailable", "internal_error")

    def __init__(self, daemon, name="tolerant"):
        self.daemon = daemon
        self.name = name
        self.client = None
        self.refused = collections.Counter()

    def connected(self):
        if self.client is None:
            self.client = self.daemon.client(self.name)
        return self.client

    def call(self, method, allowed=ALLOWED, **params):
        """The result, or None."""
        try:
            return ask(self.connected(), method, **params)
        except RpcError as e:
            if e.reason not in allowed:
                raise
            self.refused[e.reason] += 1
        except (Closed, OSError):
            self.close()
            self.refused["closed"] += 1
        return None

    def spawn(self, **params):
        """Its id, or None."""
        result = self.call("agent.spawn", prompt="p", **params)
        return result and result["agent_id"]

    def close(self):
        if self.client:
            self.client.close()
            self.client = None
