"""liongated --check: finds every kind of damage, and finds none where there is none. Changes nothing."""

import json
import os
import re
import shutil
import sqlite3
import struct
import tempfile
import unittest

from common import *

RECORD = 24
PREFIX = b'{"jsonrpc":"2.0","method":"event","params":'
N_ENDED = 12


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def make_state(state_root):
    """A state directory with several segments, two starts, and all kinds of ends."""
    with Daemon("--segment-bytes=65536", "--kill-grace=100ms") as daemon:
        daemon.start()
        client = daemon.client()
        ids = [client.spawn(f"p{i}", options={"chunks": 60, "delay_ms": 0}) for i in range(N_ENDED - 3)]
        ids.append(client.spawn("fails", options={"chunks": 9, "delay_ms": 0, "fail_after": 3}))
        ids.append(client.spawn_exec("/bin/sh", "-c", r"printf '\377\376'; exit 3"))
        for agent in ids:
            client.wait(agent)
        cancelled = client.spawn("c", options=slow_agent())
        client.call("agent.cancel", agent_id=cancelled)
        daemon.restart()
        daemon.stop()
        shutil.copytree(daemon.state, state_root)


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="liongate-test-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        make_state(os.path.join(cls.dir, "good"))

    def setUp(self):
        self.state = os.path.join(self.dir, self._testMethodName)
        shutil.copytree(os.path.join(self.dir, "good"), self.state)
        log = os.path.join(self.state, "log")
        self.segments = [os.path.join(log, n) for n in sorted(os.listdir(log)) if n.endswith(".ndjson")]
        self.assertGreater(len(self.segments), 2)

    def path(self, name):
        return os.path.join(self.state, name)

    def index(self, segment):
        return segment.replace(".ndjson", ".idx")

    def found(self, *patterns, n=None):
        """It is damaged, each pattern is in a line of its own, and nothing is changed."""
        before = {p: read(p) for p in self.files()}
        status, text = run_check(self.state)
        self.assertEqual(status, 1, text)
        for pattern in patterns:
            self.assertTrue(re.search(pattern, text, re.M), f"no {pattern!r} in\n{text}")
        last = text.splitlines()[-1]
        self.assertTrue(re.fullmatch(r"1 problem|\d+ problems", last), text)
        if n is not None:
            self.assertEqual(last.split()[0], str(n), text)
        self.assertEqual({p: read(p) for p in self.files()}, before)
        return text

    def files(self):
        log = self.path("log")
        return [self.path("catalog.db")] * os.path.exists(self.path("catalog.db")) + [
            os.path.join(log, n) for n in os.listdir(log)
        ]

    def sound(self):
        status, text = run_check(self.state)
        self.assertEqual((status, text.splitlines()[-1]), (0, "all is well"), text)
        return text

    def lines(self, segment):
        return read(segment).splitlines(keepends=True)

    def edit_event(self, wanted, change, reindex=False):
        """Changes the first event for which wanted(event) holds. Returns (its segment, its seq)."""
        for segment in self.segments:
            lines = self.lines(segment)
            for i, line in enumerate(lines):
                event = json.loads(line)["params"]
                if not wanted(event):
                    continue
                seq = event["seq"]
                change(event)
                lines[i] = PREFIX + dumps(event).encode() + b"}\n"
                write(segment, b"".join(lines))
                return os.path.basename(segment), seq
        raise AssertionError("no such event")

    def sql(self, text, *values):
        db = sqlite3.connect(self.path("catalog.db"))
        with db:
            db.execute(text, values)
        db.close()

    # Good ones

    def test_good(self):
        before = {p: read(p) for p in self.files()}
        text = self.sound()
        self.assertIn(f"{N_ENDED} agents ({N_ENDED} ended)", text)
        self.assertEqual({p: read(p) for p in self.files()}, before)
        os.unlink(self.path("catalog.db"))
        self.assertIn("note: catalog.db: there is none", self.sound())

    def test_killed(self):
        with Daemon("--segment-bytes=65536") as daemon:
            for _ in range(3):
                daemon.start()
                client = daemon.client()
                for i in range(10):
                    client.request("agent.spawn", prompt=f"p{i}", options={"chunks": 100, "delay_ms": 1})
                client.call("events.subscribe", after=0)
                client.wait_event(lambda e: e["type"] == "AgentPartialOutput" and e["index"] > 20)
                daemon.kill()
            daemon.start()
            daemon.stop()
            status, text = run_check(daemon.state)
            self.assertEqual(status, 0, text)

    def test_beside_a_daemon(self):
        args = ("--segment-bytes=65536", "--retain-bytes=400000", "--sync-interval=10ms")
        with Daemon(*args) as daemon:
            daemon.start()
            client = daemon.client()
            for i in range(200):
                client.request("agent.spawn", prompt=f"p{i}", options={"chunks": 40 + i, "delay_ms": i % 3})
            for _ in range(30):
                status, text = run_check(daemon.state)
                self.assertEqual(status, 0, text)
                self.assertIn("(a daemon is running)", text)

    def test_no_state(self):
        status, text = run_check(self.path("nowhere"))
        self.assertEqual(status, 1)
        self.assertIn("cannot be looked at", text)

    def test_no_log(self):
        status, text = run_check(self.dir)
        self.assertEqual((status, text), (1, f"{self.dir} holds no log\n"))

    # Lines

    def test_flipped_byte(self):
        segment = self.segments[1]
        data = bytearray(read(segment))
        at = data.index(b'"chunk":"P') + 9
        data[at] ^= 1
        write(segment, data)
        name = os.path.basename(segment)
        self.found(rf"^{name}: seq \d+, byte \d+: the line is not the one that the index has the CRC of", n=1)

    def test_every_flipped_bit_of_a_line(self):
        segment = self.segments[-1]
        good = read(segment)
        start = len(good) - len(self.lines(segment)[-1])
        for at in range(start, len(good), 7):
            data = bytearray(good)
            data[at] ^= 1 << at % 8
            write(segment, data)
            self.found(os.path.basename(segment))

    def test_not_json(self):
        segment = self.segments[0]
        lines = self.lines(segment)
        lines[5] = lines[5].replace(b'"type":', b"'type':")
        write(segment, b"".join(lines))
        self.found(r"seq 6, byte \d+: the event is not JSON: .* \(byte \d+ of the line\)")
        lines[5] = b"\0" * (len(lines[5]) - 1) + b"\n"
        write(segment, b"".join(lines))
        self.found(r"seq 6, byte \d+: the line is no notification of an event")

    def test_swapped_lines(self):
        segment = self.segments[1]
        lines = self.lines(segment)
        seq = json.loads(lines[4])["params"]["seq"]
        lines[4], lines[5] = lines[5], lines[4]
        write(segment, b"".join(lines))
        self.found(rf"seq {seq}, .* its seq is {seq + 1}", rf"seq {seq + 1}, .* its seq is {seq}")

    def test_deleted_line(self):
        segment = self.segments[1]
        lines = self.lines(segment)
        del lines[7]
        write(segment, b"".join(lines))
        self.found(r"the line says that its seq is", r"records for \d+ lines", r"gap \d+-\d+", n=3)

    def test_torn_tail(self):
        segment = self.segments[-1]
        good = read(segment)
        for n in (1, 2, len(self.lines(segment)[-1]) - 1):
            write(segment, good[:-n])
            self.found(r"bytes after seq \d+, byte \d+ are torn; the next start cuts them off")
        write(segment, good[: -len(self.lines(segment)[-1])])
        self.found(r"the index has \d+ records for \d+ lines")

    def test_torn_in_the_middle(self):
        write(self.segments[0], read(self.segments[0])[:-9])
        self.found(r"are torn$", r"gap \d+-\d+, which nothing announces")

    def test_padding(self):
        write(self.segments[-1], read(self.segments[-1]) + b"\0" * 4096)
        self.found(r"4096 bytes after seq \d+, byte \d+ are torn", n=1)

    # Segments and numbers

    def test_missing_segment(self):
        os.unlink(self.segments[1])
        self.found(r"gap \d+-\d+, which nothing announces")

    def test_rows_are_counted_all(self):
        # Without a log every row is beyond its end; there are as many as before.
        for segment in self.segments:
            os.unlink(segment)
            os.unlink(self.index(segment))
        status, text = run_check(self.state)
        self.assertEqual(status, 1, text)
        self.assertIn(f"the catalog has {N_ENDED} rows", text)
        self.assertIn("0 segments, 0 agents (0 ended)", text)

    def test_one_of_each(self):
        with Daemon() as daemon:
            daemon.start()
            client = daemon.client()
            client.wait(client.spawn(options={"chunks": 0}))
            daemon.stop()
            status, text = run_check(daemon.state)
        self.assertEqual(status, 0, text)
        self.assertIn(" 1 segment, 1 agent (1 ended); the catalog has 1 row and", text)

    def test_oldest_segments_gone(self):
        os.unlink(self.segments[0])
        os.unlink(self.index(self.segments[0]))
        self.sound()

    def test_announced_gap(self):
        # As if the power had failed: no clean stop, another boot.
        meta = json.loads(read(self.path("log/log.json")))
        meta.update(clean=False, boot_id=NOBODY)
        write(self.path("log/log.json"), dumps(meta).encode())
        with Daemon() as daemon:
            shutil.copytree(self.state, daemon.state)
            daemon.start()
            daemon.stop()
            status, text = run_check(daemon.state)
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r"note: \d{20}\.ndjson: seq \d+, byte 0: gap \d+-\d+, which is announced")

    def test_overlap(self):
        first = json.loads(self.lines(self.segments[1])[0])["params"]["seq"]
        for path in (self.segments[1], self.index(self.segments[1])):
            os.rename(path, path.replace(f"{first:020}", f"{first - 3:020}"))
        self.found(r"it begins before the end of the segment before it")

    # Index

    def test_missing_index(self):
        os.unlink(self.index(self.segments[1]))
        self.found(r"its index, \d{20}\.idx, is missing", n=1)

    def test_short_index(self):
        index = self.index(self.segments[0])
        write(index, read(index)[:-RECORD])
        self.found(r"records for \d+ lines", n=1)
        write(index, read(index)[:-1])
        self.found(r"ends within a record")

    def test_garbage_index(self):
        index = self.index(self.segments[0])
        write(index, os.urandom(len(read(index))))
        self.found(r"the index has it end at byte", r"more problems$")

    def test_every_field_of_a_record(self):
        index = self.index(self.segments[0])
        good = read(index)
        lines = self.lines(self.segments[0])
        self.assertIn(b"DaemonStarted", lines[0])
        for i in (0, next(i for i, line in enumerate(lines) if b"AgentPartialOutput" in line)):
            for byte in range(RECORD - 1):
                data = bytearray(good)
                data[i * RECORD + byte] ^= 1
                write(index, data)
                self.found(rf"seq {i + 1}, byte \d+: the (index|line) ", n=1)

    # Lives

    def test_lives(self):
        def is_type(kind, **members):
            return lambda e: e["type"] == kind and all(e.get(k) == v for k, v in members.items())

        def put(member, value):
            return lambda e: e.__setitem__(member, value)

        cases = [
            (is_type("AgentPartialOutput", index=7), put("index", 8), r"`index` is 8, not 7"),
            (is_type("AgentCompleted"), put("chunks", 61), r"`chunks` is 61, not 60"),
            (is_type("AgentCompleted"), put("bytes", 1), r"`bytes` is 1, not \d+"),
            (is_type("AgentCompleted"), lambda e: e.pop("bytes"), r"`bytes` is missing"),
            (is_type("AgentStarted"), put("attempt", 2), r"`attempt` is 2, not 1"),
            (is_type("AgentStarted"), put("type", "AgentWaiting"), r"AgentPartialOutput for an agent that is queued"),
            (is_type("AgentPartialOutput", index=3), put("agent_id", NOBODY), r"for an agent that was not spawned"),
            (is_type("AgentPartialOutput", index=3), put("agent_id", "x"), r"`agent_id` is no UUID"),
            (is_type("AgentPartialOutput", index=3), put("channel", "x"), r"has not the members that it must have"),
            (is_type("AgentPartialOutput", index=3), put("time", "x"), r"`time` is no time"),
            (is_type("AgentPartialOutput", index=3), put("type", "x"), r"no type that is known"),
            (is_type("AgentPartialOutput", index=59), put("type", "AgentRetrying"), r"AgentCompleted for an agent that is queued"),
        ]
        good = {s: read(s) for s in self.segments}
        for wanted, change, pattern in cases:
            with self.subTest(pattern):
                for segment, data in good.items():
                    write(segment, data)
                name, seq = self.edit_event(wanted, change)
                self.found(rf"^\d+\.ndjson: seq \d+, byte \d+: .*{pattern}")

    def test_twice(self):
        """An event after the last one, and a second AgentSpawned: appended, with their index records missing."""
        lines = [line for segment in self.segments for line in self.lines(segment)]
        seq = len(lines)
        for kind, pattern in (
            ("AgentCompleted", "AgentCompleted for an agent that is ended"),
            ("AgentSpawned", "the agent was spawned before"),
        ):
            event = next(e for e in (json.loads(line)["params"] for line in lines) if e["type"] == kind)
            event["seq"] = seq + 1
            good = read(self.segments[-1])
            write(self.segments[-1], good + PREFIX + dumps(event).encode() + b"}\n")
            self.found(rf"seq {seq + 1}, byte \d+: {pattern}", r"records for \d+ lines")
            write(self.segments[-1], good)

    # log.json

    def test_meta(self):
        good = json.loads(read(self.path("log/log.json")))
        for change, pattern in (
            ({"seq_ceiling": 5}, r"log.json: its seq_ceiling, 5, is below the end of the log"),
            ({"log_id": "x"}, r"log.json: it is damaged"),
        ):
            write(self.path("log/log.json"), dumps({**good, **change}).encode())
            self.found(pattern, n=1)
        os.unlink(self.path("log/log.json"))
        self.found(r"log.json: it is missing", n=1)

    # Catalog

    def test_catalog(self):
        update = "UPDATE agents SET {} WHERE seq = (SELECT min(seq) FROM agents)"
        cases = [
            (update.format("state = 3"), r"says that the agent is failed; the log, that it is completed"),
            (update.format("state = 1"), r"row \d+ knows the agent|says that the agent is running|totals differ"),
            (update.format("chunks = chunks + 1"), r"has chunks 61; in the log it is 60"),
            (update.format("bytes = bytes + 1"), r"has bytes \d+; in the log it is \d+"),
            (update.format("last_seq = last_seq - 1"), r"has last_seq \d+; in the log it is \d+"),
            (update.format("agent_id = zeroblob(16)"), r"row \d+ is of an agent that is not in the log"),
            ("DELETE FROM agents WHERE seq = (SELECT max(seq) FROM agents)", r"there is no row for agent [-0-9a-f]{36}"),
            ("UPDATE meta SET applied = 999999", r"applied up to 999999, beyond the end of the log"),
            ("UPDATE meta SET spawned = spawned + 1", r"the totals differ from the sums of the rows"),
            ("PRAGMA user_version = 77", r"it cannot be read"),
        ]
        good = read(self.path("catalog.db"))
        for statement, pattern in cases:
            with self.subTest(statement):
                write(self.path("catalog.db"), good)
                self.sql(statement)
                self.found(rf"^catalog\.db: .*({pattern})")

    def test_catalog_bytes(self):
        good = read(self.path("catalog.db"))
        write(self.path("catalog.db"), b"no database at all" + good[18:])
        self.found(r"catalog.db: it cannot be read")
        page = bytearray(good)
        page[4096 * 3 : 4096 * 3 + 200] = os.urandom(200)
        write(self.path("catalog.db"), page)
        self.found(r"catalog.db")


if __name__ == "__main__":
    main()
