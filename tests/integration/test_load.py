"""Many agents, and readers that hurt nobody.

LIONGATE_LOAD_AGENTS, LIONGATE_LOAD_BYTES: how much. Memory is looked at only where time is not scaled:
sanitizers have memory of their own."""

import os
import select
import threading
import time
import unittest

from common import *

MIB = 1024 * 1024
AGENTS = int(os.environ.get("LIONGATE_LOAD_AGENTS", "10000"))
BYTES = int(os.environ.get("LIONGATE_LOAD_BYTES", str(150 * MIB)))
CHUNK = 32 * 1024
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

    def __init__(self, client, until):
        super().__init__(daemon=True)
        self.client = client
        self.until = until
        self.lines = []
        self.arrived = None

    def run(self):
        n = 0
        while n < self.until:
            line = self.client.read_line(TIMEOUT * 3)
            if line is None:
                return
            self.lines.append(line)
            n += len(line) < 1000 and b'"type":"AgentCompleted"' in line
        self.arrived = time.monotonic()


class ManyAgents(unittest.TestCase):
    def test_ten_thousand(self):
        with Daemon("--max-running=20000", "--max-queued=20000") as daemon:
            daemon.start()
            client, watcher = daemon.client(), daemon.client()
            watcher.call("events.subscribe", after=0)
            request = '{"jsonrpc":"2.0","id":%d,"method":"agent.spawn","params":{"prompt":"agent %d","options":{"chunks":10,"delay_ms":1000}}}\n'
            data = "".join(request % (i, i) for i in range(AGENTS)).encode()
            replies = []
            reader = Reader(watcher, AGENTS)
            peak = 0
            started = time.monotonic()
            reader.start()
            send_reading(client, data, replies.append)
            while len(replies) < AGENTS:
                replies.append(client.read_line())
            spawned = time.monotonic() - started
            while reader.is_alive():
                reader.join(0.25)
                peak = max(peak, harness.rss_anon_kib(daemon.pid))
            self.assertIsNotNone(reader.arrived, "the stream ended")
            took = reader.arrived - started
            print(f"{AGENTS} agents: spawned in {spawned:.2f} s, all done in {took:.2f} s, RssAnon {peak / 1024:.1f} MiB")
            self.assertEqual(sum(b'"result"' in line for line in replies), AGENTS)
            self.check(daemon, reader.lines)
            self.assertLess(took, 15 * harness.SCALE)
            if MEASURE_MEMORY:
                self.assertLess(peak, 64 * 1024)

    def check(self, daemon, lines):
        events = [m["params"] for m in map(parse_strict, lines) if m["method"] == "event"]
        self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)))
        lives = check_lives(events, require_ended=True)
        self.assertEqual(len(lives), AGENTS)
        for life in lives.values():
            self.assertEqual((life.state, life.chunks), ("completed", 10))
        event_lines = [line for line in lines if b'"method":"event"' in line[:40]]
        self.assertEqual(daemon.log_lines()[: len(event_lines)], event_lines)


class SlowReader(unittest.TestCase):
    """One that reads nothing beside one that reads and one that replays all."""

    AGENTS = 20

    def produce(self):
        """Writes BYTES of events; returns when the last agent has ended."""
        chunks = max(BYTES // CHUNK // self.AGENTS, 1)
        options = {"chunks": chunks, "delay_ms": 0, "chunk_bytes": CHUNK}
        agents = [self.client.spawn(options=options) for _ in range(self.AGENTS)]
        for agent in agents:
            self.assertEqual(self.client.wait(agent, TIMEOUT * 6)["state"], "completed")

    def reader(self, after, ends):
        client = self.daemon.client()
        client.send(make_request("events.subscribe", {"after": after}, 1))
        reader = Reader(client, ends)
        reader.start()
        return reader

    def phase(self, replay_ends):
        """One reads live, one replays all. Returns the live one's lines and seconds, and the memory after."""
        newest = self.client.call("daemon.status")["log"]["newest_seq"]
        live = self.reader(newest, self.AGENTS)
        replay = self.reader(0, replay_ends)
        started = time.monotonic()
        self.produce()
        for reader in (live, replay):
            reader.join(TIMEOUT * 6)
            self.assertIsNotNone(reader.arrived, "a reader did not get all")
            reader.client.close()
        self.assertEqual(self.events(replay.lines)[-len(self.events(live.lines)) :], self.events(live.lines))
        return live.lines, live.arrived - started, harness.rss_anon_kib(self.daemon.pid)

    @staticmethod
    def events(lines):
        return [line for line in lines if b'"method":"event"' in line[:40]]

    def test_a_reader_cannot_hurt(self):
        with Daemon() as self.daemon:
            self.daemon.start()
            self.client = self.daemon.client()
            # Twice without it: the first round is for what any round costs once.
            self.phase(self.AGENTS)
            _, usual, before = self.phase(2 * self.AGENTS)
            slow = self.daemon.client(rcvbuf=65536)
            slow.call("events.subscribe")
            lines, took, after = self.phase(3 * self.AGENTS)
            print(
                f"{BYTES >> 20} MiB: {usual:.2f} s without, {took:.2f} s with a reader that reads nothing; "
                f"RssAnon {before} KiB, {after} KiB"
            )
            if MEASURE_MEMORY:
                self.assertLess(after - before, 1024)
            self.assertLess(took, 2 * usual + 1 * harness.SCALE)
            reader = Reader(slow, self.AGENTS)
            reader.start()
            reader.join(TIMEOUT * 6)
            self.assertIsNotNone(reader.arrived, "it then gets everything")
            self.assertEqual(self.events(reader.lines), self.events(lines))


if __name__ == "__main__":
    main()
