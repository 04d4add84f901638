"""The checker itself: it must find every kind of broken promise, or all that rests on it is worth nothing."""

import os
import shutil
import tempfile
import unittest

from common import *

AGENT = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"


def event(seq, kind, agent=None, **members):
    params = {"seq": seq, "time": "2026-01-01T00:00:00.000000Z", "type": kind}
    if agent:
        params["agent_id"] = agent
    return {"jsonrpc": "2.0", "method": "event", "params": {**params, **members}}


def spawned(seq, agent, **members):
    defaults = {"prompt": "p", "backend": "mock", "options": {}, "labels": {}, "group": "default"}
    defaults.update({"priority": 0, "on_restart": "fail", "uid": 0})
    return event(seq, "AgentSpawned", agent, **{**defaults, **members})


def started(seq, agent, attempt=1):
    return event(seq, "AgentStarted", agent, attempt=attempt, worker=0, queued_ms=0)


def chunk(seq, agent, index, text="abc", **members):
    return event(seq, "AgentPartialOutput", agent, index=index, chunk=text, channel="output", **members)


def completed(seq, agent, chunks, size):
    return event(seq, "AgentCompleted", agent, chunks=chunks, bytes=size, duration_ms=1)


def error(seq, agent, code, chunks=0, size=0):
    return event(seq, "AgentError", agent, code=code, message="m", chunks=chunks, bytes=size, duration_ms=1)


DAEMON = event(1, "DaemonStarted", version="v", instance_id=AGENT, requeued=0, interrupted=0)


def sound_log():
    return [
        DAEMON,
        spawned(2, AGENT, labels={"a": "b"}),
        started(3, AGENT),
        spawned(4, OTHER),
        chunk(5, AGENT, 0),
        started(6, OTHER),
        chunk(7, AGENT, 1, "gA==", encoding="base64"),
        chunk(8, OTHER, 0),
        completed(9, AGENT, 2, 4),
        error(10, OTHER, "provider", 1, 3),
    ]


def reply(request_id, **result):
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def subscribe(request_id=1, newest=0, **params):
    result = reply(request_id, log_id=AGENT, oldest_seq=1, newest_seq=newest)
    return [make_request("events.subscribe", params, request_id), result]


class Checks(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="liongate-test-")
        self.addCleanup(shutil.rmtree, self.dir)
        os.makedirs(os.path.join(self.dir, "state", "log"))
        os.mkdir(os.path.join(self.dir, "captures"))

    def write(self, name, messages, tail=b""):
        lines = b"".join(dumps(m).encode() + b"\n" for m in messages)
        with open(os.path.join(self.dir, name), "wb") as f:
            f.write(lines + tail)

    def check(self, log, *captures, tail=b"", **flags):
        self.write("state/log/00000000000000000001.ndjson", log, tail)
        for name in os.listdir(os.path.join(self.dir, "captures")):
            os.unlink(os.path.join(self.dir, "captures", name))
        for i, capture in enumerate(captures):
            self.write(f"captures/c{i}.ndjson", capture)
        return checker.check(os.path.join(self.dir, "captures"), os.path.join(self.dir, "state"), **flags)

    def broken(self, why, log, *captures, **flags):
        with self.assertRaisesRegex(checker.Violation, why):
            self.check(log, *captures, **flags)

    def test_sound(self):
        log = sound_log()
        live = {"jsonrpc": "2.0", "method": "live", "params": {"seq": 10}}
        self.check(
            log,
            subscribe(after=0) + log,
            subscribe(after=4) + log[4:7],
            subscribe(after=0, agents=[AGENT]) + [e for e in log if e["params"].get("agent_id") == AGENT] + [live],
            subscribe(after=0, labels={"a": "b"}) + [log[1], log[2], log[4], log[6], log[8]],
            subscribe(newest=10, last=2, types=["AgentPartialOutput"]) + [log[6], log[7], live],
            [make_request("agent.spawn", {"prompt": "p"}, 1), reply(1, agent_id=AGENT, seq=2, created=True)],
            [make_request("agent.wait", {"agent_id": AGENT}, 1), reply(1, agent_id=AGENT, state="completed")],
            log[3:6],
        )
        self.check(log[:6], running=True, torn=True, tail=b'{"jsonrpc":"2.0","met')

    def test_the_log(self):
        log = sound_log()
        self.broken("stands twice", log + [log[-1]])
        self.broken("are missing", log[:4] + log[5:])
        self.broken("are missing", log[:2] + [log[3], log[2]] + log[4:])
        self.broken("seq 1 after 2", [log[1], log[0]] + log[2:])
        self.broken("inside a line", log, tail=b'{"json')
        self.broken("no event", log, tail=b"\0\0\0\n")
        self.broken("no event", log, tail=b"\n")
        lost = event(14, "DaemonStarted", version="v", instance_id=AGENT, requeued=0, interrupted=0)
        self.broken("are missing", log + [lost])
        lost["params"]["lost"] = {"from": 11, "to": 13}
        self.check(log + [lost])

    def test_what_was_seen(self):
        log = sound_log()
        self.broken("not in the log", log, [chunk(11, AGENT, 2)])
        self.broken("otherwise", log, [chunk(5, AGENT, 0, "abd")])
        spawn = make_request("agent.spawn", {"prompt": "p"}, 1)
        self.broken("not in the log", log, [spawn, reply(1, agent_id=AGENT, seq=12, created=True)])
        self.broken("which is", log, [spawn, reply(1, agent_id=AGENT, seq=3, created=True)])
        waited = [make_request("agent.wait", {"agent_id": OTHER}, 1), reply(1, agent_id=OTHER, state="completed")]
        self.broken("was completed, is failed", log, waited)
        self.broken("the log has no end", log[:8], waited, running=True)

    def test_subscriptions(self):
        log = sound_log()
        live = {"jsonrpc": "2.0", "method": "live", "params": {"seq": 10}}
        self.broken("never delivered", log, subscribe(after=0) + log[:4] + log[5:])
        self.broken("never delivered", log, subscribe(after=0) + log[1:])
        self.broken("never delivered", log, subscribe(after=0) + log[:9] + [live])
        self.broken("twin", log, subscribe(after=0) + log[:4] + [log[3]])
        self.broken("twin", log, subscribe(after=0) + log[:2] + [log[3], log[2]])
        self.broken("twin", log, subscribe(after=4) + log[3:])
        self.broken("twin", log, subscribe(after=0) + log[:9] + [live, log[9]])
        self.broken("does not match", log, subscribe(after=0, agents=[AGENT]) + log[1:4])
        self.broken("never delivered", log, subscribe(newest=10, last=3) + log[8:])
        gap = {"jsonrpc": "2.0", "method": "gap", "params": {"from": 5, "to": 6}}
        self.check(log, subscribe(after=0) + log[:4] + [gap] + log[6:])

    def test_lives(self):
        log = sound_log()
        self.broken("never ended", log[:9])
        self.check(log[:9], running=True)
        self.broken("after AgentCompleted", log + [error(11, AGENT, "cancelled", 2, 4)])
        self.broken("index", log[:4] + [chunk(5, AGENT, 1)] + log[5:], running=True)
        self.broken("chunks", log[:8] + [completed(9, AGENT, 3, 4)] + log[9:])
        self.broken("bytes", log[:8] + [completed(9, AGENT, 2, 5)] + log[9:])
        self.broken("before AgentSpawned", [DAEMON, started(2, AGENT)], running=True)
        self.broken("spawned twice", [DAEMON, spawned(2, AGENT), spawned(3, AGENT)], running=True)
        self.broken("not run", [DAEMON, spawned(2, AGENT), chunk(3, AGENT, 0)], running=True)
        self.broken("not started", [DAEMON, spawned(2, AGENT), completed(3, AGENT, 0, 0)])
        self.check([DAEMON, spawned(2, AGENT), error(3, AGENT, "cancelled")])
        twice = [DAEMON, spawned(2, AGENT), started(3, AGENT), started(4, AGENT, 2)]
        self.broken("without on_restart", twice, running=True)
        self.check([DAEMON, spawned(2, AGENT, on_restart="rerun")] + twice[2:], running=True)
        needless = chunk(5, AGENT, 0, "YWJj", encoding="base64")
        self.broken("though its bytes are UTF-8", log[:4] + [needless], running=True)
        self.broken("code", [DAEMON, spawned(2, AGENT), error(3, AGENT, "nope")])


if __name__ == "__main__":
    main()
