#!/usr/bin/env python3
"""spawn-load and rhythm-load believe nothing: a daemon plays to them that leaves out, doubles, mixes up, and is
late. Usage: test_load.py SPAWN-LOAD RHYTHM-LOAD"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

AGENTS = 3
CHUNKS = 4
DELAY_MS = 10
LATE_MS = 1000
LIMIT = 60


def agent_id(number):
    return str(uuid.UUID(int=number << 64 | number))


def event(kind, number, **members):
    head = {"seq": 1, "time": "2026-11-28T14:19:50.392417Z", "type": kind, "agent_id": agent_id(number)}
    return {"jsonrpc": "2.0", "method": "event", "params": {**head, **members}}


def started(number):
    return event("AgentStarted", number, attempt=1, worker=0, queued_ms=0)


def chunk(number, index):
    return event("AgentPartialOutput", number, index=index, chunk="p", channel="output")


def completed(number, kind="AgentCompleted"):
    return event(kind, number, chunks=1, bytes=12, duration_ms=0)


def life(numbers, chunks=CHUNKS):
    """What agents do that are all punctual; a number is a time to wait, in milliseconds."""
    steps = [started(number) for number in numbers]
    for index in range(chunks):
        steps += [DELAY_MS, *(chunk(number, index) for number in numbers)]
    return steps + [completed(number) for number in numbers]


class Daemon:
    """Answers spawns, and once there are so many, plays the steps to whoever has subscribed."""

    def __init__(self, path, agents, steps, refuse):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(2)
        self.agents, self.steps, self.refuse = agents, steps, refuse
        self.spawned = 0
        self.watcher = None
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                peer, _ = self.listener.accept()
                peer.settimeout(LIMIT)
                threading.Thread(target=self.serve, args=(peer,), daemon=True).start()
        except OSError:
            pass  # the test is over

    def serve(self, peer):
        try:
            with peer, peer.makefile("rb") as lines:
                for line in lines:
                    self.answer(peer, json.loads(line))
        except OSError:
            pass  # it has seen enough

    def answer(self, peer, request):
        reply = {"jsonrpc": "2.0", "id": request["id"]}
        if request["method"] == "events.subscribe":
            self.watcher = peer
            send(peer, {**reply, "result": {}})
        elif self.refuse:
            send(peer, {**reply, "error": {"code": 429, "message": "no room"}})
        else:
            self.spawned += 1
            send(peer, {**reply, "result": {"agent_id": agent_id(self.spawned), "seq": 1, "created": True}})
            if self.spawned == self.agents:
                self.play()

    def play(self):
        for step in self.steps:
            if isinstance(step, int):
                time.sleep(step / 1000)
            else:
                send(self.watcher, step)
        self.watcher.shutdown(socket.SHUT_RDWR)


def send(peer, message):
    peer.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")


class Loads(unittest.TestCase):
    def run_against(self, program, steps, *args, agents=AGENTS, refuse=False):
        """What it says at its end: its result, or its complaint."""
        with tempfile.TemporaryDirectory(prefix="liongate-bench-") as directory:
            path = os.path.join(directory, "socket")
            daemon = Daemon(path, agents, steps, refuse)
            command = [program, "--socket", path, "--agents", str(agents), *args]
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
            daemon.listener.close()
        if done.returncode != 0:
            self.assertEqual(done.returncode, 1, done.stderr)
            return done.stderr
        return json.loads(done.stdout.splitlines()[-1])


class Spawn(Loads):
    def load(self, ends, **kwargs):
        return self.run_against(SPAWN_LOAD, ends, **kwargs)

    def test_all_is_well(self):
        result = self.load([completed(number) for number in (3, 1, 2)])
        self.assertEqual((result["completed"], result["failed"]), (3, 0))
        self.assertEqual((result["chunks"], result["bytes"]), (3, 36))
        self.assertGreater(result["ended_s"], 0)

    def test_one_fails(self):
        result = self.load([completed(1), completed(2, "AgentError"), completed(3)])
        self.assertEqual((result["completed"], result["failed"]), (2, 1))

    def test_somebody_else_ends(self):
        self.assertIn("others have ended", self.load([completed(1), completed(2), completed(4)]))

    def test_one_ends_twice(self):
        self.assertIn("others have ended", self.load([completed(1), completed(2), completed(2)]))

    def test_one_does_not_end(self):
        self.assertIn("closed the connection", self.load([completed(1), completed(2)]))

    def test_refused(self):
        self.assertIn("no room", self.load([], refuse=True))


class Rhythm(Loads):
    def load(self, steps, agents=AGENTS, **kwargs):
        args = ["--chunks", str(CHUNKS), "--delay-ms", str(DELAY_MS)]
        return self.run_against(RHYTHM_LOAD, steps, *args, agents=agents, **kwargs)

    def changed(self, change):
        steps = life(range(1, AGENTS + 1))
        change(steps)
        return self.load(steps)

    def test_all_is_well(self):
        result = self.load(life(range(1, AGENTS + 1)))
        self.assertIsInstance(result, dict, result)
        self.assertEqual(result["judged"], AGENTS * CHUNKS)

    def test_late_from_then_on(self):
        """Each chunk after the delay is late, and only one of them after the one before it."""
        steps = life([1])
        steps.insert(steps.index(chunk(1, 1)), LATE_MS)
        result = self.load(steps, agents=1)
        for name in ("late_p50_ms", "late_max_ms", "gap_max_ms"):
            self.assertGreater(result[name], LATE_MS / 2, name)
        self.assertLess(result["gap_p50_ms"], result["late_p50_ms"])

    def test_before_all_are_alive(self):
        """Chunks that came before are not judged."""
        steps = [started(1), chunk(1, 0), started(2), started(3)]
        steps += [step for step in life(range(1, AGENTS + 1))[AGENTS:] if step != chunk(1, 0)]
        self.assertEqual(self.load(steps)["judged"], AGENTS * CHUNKS - 1)

    def test_one_is_left_out(self):
        self.assertIn("came where", self.changed(lambda steps: steps.remove(chunk(2, 1))))

    def test_one_comes_twice(self):
        self.assertIn("came where", self.changed(lambda s: s.insert(s.index(chunk(2, 1)), chunk(2, 1))))

    def test_one_comes_too_much(self):
        complaint = self.changed(lambda s: s.insert(s.index(completed(1)), chunk(1, CHUNKS)))
        self.assertIn("came where", complaint)

    def test_the_last_is_missing(self):
        self.assertIn("without all", self.changed(lambda steps: steps.remove(chunk(3, CHUNKS - 1))))

    def test_one_starts_twice(self):
        self.assertIn("too many", self.changed(lambda steps: steps.insert(1, started(1))))

    def test_one_ends_before_all_are_alive(self):
        self.assertIn("before all", self.load([started(1), completed(1)]))

    def stamped(self, change=lambda payloads: None):
        """One agent whose chunks say when they were made: so many milliseconds ago."""
        now_ns = time.monotonic_ns()
        payloads = [f"{i:012} {now_ns - LATE_MS * 10**6:020} ..." for i in range(CHUNKS)]
        change(payloads)
        steps = [started(1), *(chunk(1, i) for i in range(CHUNKS)), completed(1)]
        for step, payload in zip(steps[1:], payloads):
            step["params"]["chunk"] = payload
        args = ["--chunks", str(CHUNKS), "--stamped", "1", "--params", '{"prompt":"p"}']
        return self.run_against(RHYTHM_LOAD, steps, *args, agents=1)

    def test_stamps(self):
        result = self.stamped()
        self.assertIsInstance(result, dict, result)
        self.assertEqual(result["judged"], CHUNKS)
        self.assertGreaterEqual(result["late_p50_ms"], LATE_MS)

    def test_a_stamp_of_another_chunk(self):
        self.assertIn("was due", self.stamped(lambda p: p.__setitem__(1, p[2])))

    def test_a_stamp_of_the_future(self):
        future = f"{0:012} {time.monotonic_ns() + 10**12:020} ..."
        self.assertIn("of the past", self.stamped(lambda p: p.__setitem__(0, future)))

    def test_no_stamp(self):
        self.assertIn("was due", self.stamped(lambda p: p.__setitem__(0, "hello")))

    def test_of_a_stranger(self):
        self.assertIn("did not start", self.changed(lambda steps: steps.insert(AGENTS, chunk(9, 0))))

    def test_one_fails(self):
        self.assertIn("unexpected", self.changed(lambda s: s.insert(AGENTS, completed(1, "AgentError"))))

    def test_refused(self):
        self.assertIn("no room", self.load([], refuse=True))


if __name__ == "__main__":
    SPAWN_LOAD, RHYTHM_LOAD = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
