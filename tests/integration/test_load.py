"""Many agents, and readers that hurt nobody.

LIONGATE_LOAD_AGENTS, LIONGATE_LOAD_BYTES: how much. Memory is looked at only where time is not scaled:
sanitizers have memory of their own."""

import os
import select
import socket
import threading
import time
import unittest

from common import *

MIB = 1024 * 1024
AGENTS = int(os.environ.get("LIONGATE_LOAD_AGENTS", "10000"))
BYTES = int(os.environ.get("LIONGATE_LOAD_BYTES", str(100 * MIB)))
CHUNK = 32 * 1024
FAR = 3600 * 24
MEASURE_MEMORY = harness.SCALE == 1


def send_reading(client, data, on_line):
    """Writes much without letting the answers pile up."""
    client.sock.setblocking(False)
    view = memoryview(data)
    while view:
        readable, writable, _ = select.select([client.sock], [client.sock], [], TIMEOUT)
        if not readable and not writable:
            raise Timeout("nothing moves")
        if writable:
            view = view[client.sock.send(view[: 256 * 1024]) :]
        if readable:
            on_line(client.read_line())
            while client._lines:
                on_line(client.read_line())


class Reader(threading.Thread):
    """Takes lines as they come, and looks into them later: it must not be what is slow."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.client = client
        self.lines = []
        self.completed = 0
        self.changed = threading.Condition()
        self.start()

    def run(self):
        try:
            while (line := self.client.read_line(FAR)) is not None:
                self.lines.append(line)
                if len(line) < 1000 and b'"type":"AgentCompleted"' in line:
                    with self.changed:
                        self.completed += 1
                        self.changed.notify()
        except OSError:
            pass

    def wait_completed(self, n, timeout=TIMEOUT * 6):
        """Waits until it has seen the end of n agents; returns when that was."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.completed >= n, timeout):
                raise Timeout(f"a reader saw {self.completed} of {n} agents end")
            return time.monotonic()

    def close(self):
        """Ends the stream; what it got stays."""
        self.client.sock.shutdown(socket.SHUT_RDWR)
        self.join(TIMEOUT)
        self.client.close()

    def events(self, first=0):
        return [line for line in self.lines[first:] if b'"method":"event"' in line[:40]]


class Peak(threading.Thread):
    """The highest RssAnon of a daemon, in KiB, looked at four times a second."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.pid = daemon.pid
        self.highest = 0
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.25):
            self.highest = max(self.highest, harness.rss_anon_kib(self.pid))

    def stop(self):
        self.over.set()
        self.join()
        return self.highest


class ManyAgents(unittest.TestCase):
    def test_ten_thousand(self):
        with Daemon("--max-running=20000", "--max-queued=20000") as daemon:
            daemon.start()
            client, watcher = daemon.client(), daemon.client()
            watcher.call("events.subscribe", after=0)
            spawn = {"prompt": "p", "options": {"chunks": 10, "delay_ms": 1000}}
            requests = (make_request("agent.spawn", spawn, i) for i in range(AGENTS))
            data = "".join(dumps(request) + "\n" for request in requests).encode()
            replies = []
            started = time.monotonic()
            reader = Reader(watcher)
            peak = Peak(daemon)
            send_reading(client, data, replies.append)
            while len(replies) < AGENTS:
                replies.append(client.read_line())
            spawned = time.monotonic() - started
            took = reader.wait_completed(AGENTS) - started
            peak = peak.stop()
            reader.close()
            print(f"{AGENTS} agents: spawned in {spawned:.2f} s, done in {took:.2f} s, RssAnon {peak / 1024:.1f} MiB")
            self.assertEqual(sum(b'"result"' in line for line in replies), AGENTS)
            self.check(daemon, reader)
            # Ten of them are pauses; how much of the rest is this process's is not the daemon's doing.
            self.assertLess(took, 60 * harness.SCALE)
            self.assertLess(harness.cpu_seconds(daemon.pid), 8 * harness.SCALE)
            if MEASURE_MEMORY:
                self.assertLess(peak, 64 * 1024)

    def check(self, daemon, reader):
        events = [parse_strict(line)["params"] for line in reader.events()]
        self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)))
        lives = check_lives(events, require_ended=True)
        self.assertEqual(len(lives), AGENTS)
        for life in lives.values():
            self.assertEqual((life.state, life.chunks), ("completed", 10))
        self.assertTrue(daemon.log_lines()[: len(events)] == reader.events(), "the log and its reader differ")


class SlowReader(unittest.TestCase):
    """One that reads nothing beside one that reads and one that replays all."""

    AGENTS = 20
    ROUNDS = 3

    def produce(self):
        """Writes BYTES of events; returns when the last agent has ended."""
        chunks = max(BYTES // CHUNK // self.AGENTS, 1)
        options = {"chunks": chunks, "delay_ms": 0, "chunk_bytes": CHUNK}
        agents = [self.client.spawn(options=options) for _ in range(self.AGENTS)]
        for agent in agents:
            self.assertEqual(self.client.wait(agent, TIMEOUT * 6)["state"], "completed")

    def even_out(self):
        """What the daemon keeps of the newest events are whole batches, of a size that depends on how busy the machine
        is. Here are small ones in their place."""
        options = {"chunks": 200, "delay_ms": 1, "chunk_bytes": CHUNK}
        self.client.wait(self.client.spawn(options=options), TIMEOUT * 6)

    def settled_kib(self):
        """What was spare is freed once the log has been quiet for a while."""
        least, calm = harness.rss_anon_kib(self.daemon.pid), time.monotonic()

        def is_calm():
            nonlocal least, calm
            now = harness.rss_anon_kib(self.daemon.pid)
            if now < least:
                least, calm = now, time.monotonic()
            return time.monotonic() - calm > 2.5

        harness.eventually(is_calm, "memory falls no more")
        return least

    def subscribe(self, **params):
        client = self.daemon.client()
        client.call("events.subscribe", **params)
        return Reader(client)

    def phase(self):
        """One round of events, one reading live, one replaying all. Returns the seconds until the live one
        had it all, and the memory after."""
        ends = self.beside.completed + self.AGENTS
        replay = self.subscribe(after=0)
        started = time.monotonic()
        self.produce()
        took = self.beside.wait_completed(ends) - started
        self.even_out()
        self.beside.wait_completed(ends + 1)
        replay.wait_completed(ends + 1)
        replay.close()
        self.assertTrue(replay.events() == self.beside.events(), "two readers saw different events")
        return took, self.settled_kib()

    def test_a_reader_cannot_hurt(self):
        with Daemon() as self.daemon:
            self.daemon.start()
            self.client = self.daemon.client()
            self.beside = self.subscribe(after=0)
            # The first round is for what any round costs once. Memory is compared floor to floor: what a
            # reader costs for as long as it is there raises the floor, what a round costs goes again.
            self.phase()
            without = [self.phase() for _ in range(self.ROUNDS)]
            slow = self.daemon.client(rcvbuf=65536)
            slow.call("events.subscribe")
            known = len(self.beside.events())
            beside = [self.phase() for _ in range(self.ROUNDS)]
            # Whoever hurts does so each time; what else the machine does comes and goes.
            usual, took = max(seconds for seconds, _ in without), min(seconds for seconds, _ in beside)
            before, after = (min(kib for _, kib in phases) for phases in (without, beside))
            print(
                f"{self.ROUNDS} x {BYTES >> 20} MiB: {usual:.2f} s without, {took:.2f} s with a reader that reads "
                f"nothing; RssAnon {before} KiB, {after} KiB"
            )
            if MEASURE_MEMORY:
                self.assertLess(after - before, 1024)
            self.assertLess(took, 2 * usual + 1 * harness.SCALE)
            late = Reader(slow)
            late.wait_completed(self.ROUNDS * (self.AGENTS + 1))
            late.close()
            self.beside.close()
            self.assertTrue(late.events() == self.beside.events()[known:], "it then gets everything, in order")


if __name__ == "__main__":
    main()
