"""What lies on disk is damaged, held by others, or too much: what that may cost, and what it may not."""

import contextlib
import glob
import random
import sqlite3

from common import *

QUICK = {"chunks": 1, "delay_ms": 0}
SMALL = ("--segment-bytes=65536", "--sync-interval=20ms")


def indexes(daemon):
    return sorted(glob.glob(os.path.join(daemon.state, "log", "*.idx")))


class Counts(DaemonCase):
    def test_survive_a_restart(self):
        for _ in range(3):
            self.client.wait(self.client.spawn(options=QUICK))
        self.client.wait(self.client.spawn(options={"chunks": 1, "delay_ms": 0, "fail_after": 0}))
        gone = self.client.spawn(options=slow_agent())
        self.client.call("agent.cancel", agent_id=gone)
        self.daemon.restart()
        agents = self.connect().call("daemon.status")["agents"]
        self.assertEqual(agents, {"queued": 0, "running": 0, "completed": 3, "failed": 1, "cancelled": 1})


class Damage(DaemonCase):
    args = SMALL

    def fill(self, agents=200):
        requests = [self.client.request("agent.spawn", prompt="x" * 200, options=QUICK) for _ in range(agents)]
        for request in requests:
            self.client.wait(self.client.result(request)["agent_id"])

    def test_any_byte_of_an_index(self):
        """It costs the event, never the daemon."""
        self.fill()
        newest = self.client.call("daemon.status")["log"]["newest_seq"]
        self.assertGreater(len(indexes(self.daemon)), 2)
        chance = random.Random(4711)
        for path in indexes(self.daemon)[:-1]:
            with open(path, "r+b") as f:
                size = os.path.getsize(path)
                for _ in range(20):
                    f.seek(chance.randrange(size))
                    f.write(bytes([chance.randrange(256)]))
        client = self.connect()
        client.call("events.stats")
        client.call("events.stats", correlation_id="none")
        client.read_all(limit=1000)
        client.call("events.subscribe", after=0)
        last = 0
        while last < newest:
            note = client.note()
            if note["method"] == "event":
                self.assertEqual(note["params"]["seq"], last + 1, "what is missing was not announced")
                last += 1
            elif note["method"] == "gap":
                self.assertEqual(note["params"]["from"], last + 1)
                last = note["params"]["to"]

    def test_a_catalog_that_is_damaged_costs_no_event(self):
        self.fill(50)
        self.daemon.kill()
        before = self.daemon.log_lines()
        path = os.path.join(self.daemon.state, "catalog.db")
        for rest in glob.glob(path + "-*"):
            os.unlink(rest)
        with open(path, "r+b") as f:
            f.truncate(8192)
            f.seek(100)
            f.write(b"\xff" * 8000)
        self.daemon.start()
        self.assertEqual(self.daemon.log_lines()[: len(before)], before)
        agents = self.connect().call("agent.list", limit=1000)["agents"]
        self.assertEqual(len(agents), 50)

    def test_a_catalog_that_is_newer_than_the_log_is_called_so(self):
        self.fill(5)
        self.daemon.stop()
        db = sqlite3.connect(os.path.join(self.daemon.state, "catalog.db"), isolation_level=None)
        db.execute("UPDATE meta SET applied = 1 << 40")
        db.close()
        self.daemon.start()
        self.assertEqual(len(self.connect().call("agent.list")["agents"]), 5)
        self.assertIn("is newer than the log, and set aside", self.daemon.stderr())
        self.assertNotIn("damaged", self.daemon.stderr())

    def test_a_catalog_whose_tables_are_damaged(self):
        self.fill(5)
        for change in ("ALTER TABLE agents RENAME COLUMN state TO stale", "ALTER TABLE agents RENAME TO bgents"):
            self.daemon.stop()
            db = sqlite3.connect(os.path.join(self.daemon.state, "catalog.db"), isolation_level=None)
            db.execute(change)
            db.close()
            self.daemon.start()
            self.assertIn("is damaged, and set aside", self.daemon.stderr())
            self.assertEqual(len(self.connect().call("agent.list")["agents"]), 5)

    def test_chunks_go_on_behind_damage(self):
        """One in the middle is rotten, and its index is gone: the next attempt does not give an index twice."""
        agent = self.client.spawn(options={"chunks": 1000, "delay_ms": 1}, on_restart="rerun")
        self.client.call("events.subscribe", agents=[agent], after=0)
        self.client.wait_event(lambda e: e.get("index") == 20)
        self.daemon.kill()
        chunks = [e for e in self.daemon.events_of(agent) if "chunk" in e]
        for path in glob.glob(os.path.join(self.daemon.state, "catalog.db*")) + indexes(self.daemon):
            os.unlink(path)
        self.damage(chunks[10]["seq"])
        self.daemon.start()
        with self.daemon.client() as watcher:
            watcher.call("events.subscribe", agents=[agent], after=chunks[-1]["seq"])
            started = watcher.wait_event(lambda e: e["type"] == "AgentStarted")
            chunk = watcher.wait_event(lambda e: "chunk" in e)
        self.assertEqual((started["attempt"], chunk["index"]), (2, chunks[-1]["index"] + 1))

    def damage(self, seq):
        """No line any more."""
        for path in self.daemon.log_files():
            with open(path, "r+b") as f:
                data = f.read()
                at = data.find(b'{"jsonrpc":"2.0","method":"event","params":{"seq":%d,' % seq)
                if at >= 0:
                    f.seek(at)
                    f.write(b"#")

    def live_and_killed(self):
        """The ids of one that ran when the daemon was killed, and two that were queued."""
        self.daemon.restart("--max-running=1")
        client = self.connect()
        agents = [client.spawn("x" * 10, options=slow_agent()) for _ in range(3)]
        client.call("events.subscribe", after=0, types=["AgentStarted"])
        client.wait_event(lambda e: True)
        path = os.path.join(self.daemon.state, "catalog.db")
        db = sqlite3.connect(path, isolation_level=None)
        self.addCleanup(db.close)
        states = "SELECT count(*), total(state) FROM agents"
        eventually(lambda: db.execute(states).fetchone() == (3, 1.0), "the rows are written")
        self.daemon.kill()
        return agents, db

    def all_ended(self, agents):
        self.daemon.start("--max-running=1")
        client = self.connect()
        codes = [client.wait(agent)["ending"]["code"] for agent in agents]
        self.assertEqual(codes, ["interrupted", "spawn_failed", "spawn_failed"])
        self.daemon.restart()
        listed = self.connect().call("agent.list")["agents"]
        self.assertEqual([(a["agent_id"], a["state"]) for a in reversed(listed)], [(a, "failed") for a in agents])

    def test_live_rows_that_make_no_sense_are_ended(self):
        agents, db = self.live_and_killed()
        seqs = [seq for seq, in db.execute("SELECT seq FROM agents ORDER BY seq")]
        change = "UPDATE agents SET spec = replace(spec, '\"mock\"', '\"other\"') WHERE seq IN (?, ?)"
        db.execute(change, seqs[:2])
        db.execute("UPDATE agents SET spec = 'x' WHERE seq = ?", seqs[2:])
        self.all_ended(agents)
        db.execute("UPDATE agents SET spec = 'x' WHERE seq = ?", seqs[:1])
        listed = self.connect().call("agent.list")["agents"]
        self.assertEqual([a["agent_id"] for a in reversed(listed)], agents, "it spoils no list")

    def test_spawns_that_make_no_sense_are_ended(self):
        agents, db = self.live_and_killed()
        for path in glob.glob(os.path.join(self.daemon.state, "catalog.db*")) + indexes(self.daemon):
            os.unlink(path)
        for path in self.daemon.log_files():
            with open(path, "r+b") as f:
                data = f.read().replace(b'"backend":"mock"', b'"backend":"mack"')
                f.seek(0)
                f.write(data.replace(b'"group":"default"', b'"group":[2,3,4,5]', 1))
        self.all_ended(agents)


class Retention(DaemonCase):
    args = SMALL + ("--retain-bytes=262144",)

    def chatty(self):
        return self.client.spawn(options={"chunks": 100000, "delay_ms": 1, "chunk_bytes": 1000})

    def pruned_past(self, seq):
        return lambda: self.client.call("daemon.status")["log"]["oldest_seq"] > seq

    def test_a_running_agent_pins_nothing(self):
        agent = self.chatty()
        eventually(self.pruned_past(200), "the log is pruned beside a running agent")
        self.assertEqual(self.client.call("agent.get", agent_id=agent)["state"], "running")
        eventually(lambda: self.client.call("daemon.status")["log"]["bytes"] < 2 << 20, "it stays small")

    def test_a_reader_of_the_catalog_holds_nothing_up(self):
        """One that stays with an old state of it, as `liongated --check` does for a while."""
        other = sqlite3.connect(os.path.join(self.daemon.state, "catalog.db"), isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM agents").fetchone()
        self.chatty()
        for _ in range(3):
            eventually(self.pruned_past(self.client.call("daemon.status")["log"]["newest_seq"]), "the log is pruned")
        # Retention takes files out of the count first.
        eventually(lambda: self.on_disk() < 2 * 262144, "the files go")
        self.assertNotIn("catalog", self.daemon.stderr())

    def on_disk(self):
        total = 0
        for path in self.daemon.log_files():
            with contextlib.suppress(FileNotFoundError):
                total += os.path.getsize(path)
        return total

    def test_what_cannot_be_removed_is_no_hole(self):
        """The next ones stay, too, until it can."""
        oldest = self.daemon.log_files()[0]
        aside = os.path.join(self.daemon.dir, "aside")
        os.rename(oldest, aside)
        os.mkdir(oldest)
        agent = self.chatty()
        eventually(lambda: "old segments cannot be removed" in self.daemon.stderr(), "the oldest one stays")
        second = self.daemon.log_files()[1]
        eventually(lambda: self.client.call("daemon.status")["log"]["bytes"] > 600000, "more of them are old")
        self.assertIn(second, self.daemon.log_files())
        os.rmdir(oldest)
        os.rename(aside, oldest)
        eventually(lambda: "old segments can be removed again" in self.daemon.stderr(), "it is tried again")
        eventually(lambda: second not in self.daemon.log_files(), "all of them go")
        self.client.call("agent.cancel", agent_id=agent)

    def test_gives_the_disk_back(self):
        """Also of segments that were read before."""
        client = self.connect()
        self.client.wait(self.client.spawn(options={"chunks": 3, "delay_ms": 0, "chunk_bytes": 60000}))
        client.read_all(limit=1000)
        # More than what is hot, which is open too.
        self.client.wait(self.client.spawn(options={"chunks": 100, "delay_ms": 0, "chunk_bytes": 60000}))
        eventually(self.pruned_past(5), "the log is pruned")

        def is_open():
            for path in glob.glob(f"/proc/{self.daemon.pid}/fd/*"):
                with contextlib.suppress(FileNotFoundError):
                    if "/00000000000000000001." in os.readlink(path):
                        return True
            return False

        eventually(lambda: not is_open(), "what was pruned is closed")

    def counts(self):
        agents = self.client.call("daemon.status")["agents"]
        return agents["completed"], agents["failed"], agents["cancelled"]

    def test_what_is_gone_is_not_counted(self):
        for options in [{"chunks": 1}] * 3 + [{"chunks": 1, "fail_after": 0}] * 2:
            self.client.wait(self.client.spawn(options=options))
        self.client.call("agent.cancel", agent_id=self.client.spawn(options=slow_agent()))
        self.assertEqual(self.counts(), (3, 2, 1))
        agent = self.chatty()
        eventually(lambda: self.counts() == (0, 0, 0), "all of them have gone")
        self.client.call("agent.cancel", agent_id=agent)
        self.assertEqual(self.counts(), (0, 0, 1))
        self.daemon.restart()
        self.client = self.daemon.client()
        self.assertEqual(self.counts(), (0, 0, 1))

    def test_goes_on_after_the_catalog_was_busy(self):
        self.chatty()
        other = sqlite3.connect(os.path.join(self.daemon.state, "catalog.db"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        eventually(lambda: "catalog cannot be written" in self.daemon.stderr(), "the write fails")
        other.execute("ROLLBACK")
        other.close()
        newest = self.client.call("daemon.status")["log"]["newest_seq"]
        eventually(self.pruned_past(newest), "the log is pruned past the failure")


class Catalog(DaemonCase):
    """Another program holds the catalog's write lock."""

    def setUp(self):
        super().setUp()
        self.other = sqlite3.connect(os.path.join(self.daemon.state, "catalog.db"), isolation_level=None)
        self.addCleanup(self.other.close)

    def rows(self):
        return self.other.execute("SELECT count(*) FROM agents WHERE state >= 2").fetchone()[0]

    def fail_to_write(self, n=50):
        self.other.execute("BEGIN IMMEDIATE")
        for begin in range(0, n, 1000):
            count = min(1000, n - begin)
            requests = [self.client.request("agent.spawn", prompt="p", options=QUICK) for _ in range(count)]
            agents = [self.client.result(request)["agent_id"] for request in requests]
            requests = [self.client.request("agent.wait", agent_id=agent) for agent in agents]
            for request in requests:
                self.client.result(request)
        eventually(lambda: "catalog cannot be written" in self.daemon.stderr(), "the write fails")

    def test_who_waits_is_in_it_though_nothing_happens(self):
        for _ in range(5):
            self.client.spawn(options=slow_agent(delay_ms=1000000))
        count = self.other.execute
        eventually(lambda: count("SELECT count(*) FROM agents").fetchone()[0] == 5, "the rows are written")

    def test_tried_again_though_nothing_happens(self):
        self.fail_to_write()
        self.other.execute("ROLLBACK")
        eventually(lambda: self.rows() == 50, "the rows are written")
        eventually(lambda: "can be written again" in self.daemon.stderr(), "it says so")

    def test_tried_again_on_the_way_out(self):
        self.fail_to_write(9000)
        self.other.execute("ROLLBACK")
        self.daemon.stop()
        self.assertEqual(self.rows(), 9000)

    def test_no_more_agents_when_too_many_wait(self):
        self.fail_to_write(1)
        refused = None
        for _ in range(100):
            requests = [self.client.request("agent.spawn", prompt="p", options=QUICK) for _ in range(1000)]
            replies = [self.client.reply(request) for request in requests]
            refused = next((r for r in replies if "error" in r and r["error"]["code"] == 503), None)
            if refused:
                break
        data = check_error(refused, "log_unavailable")
        self.assertTrue(data["retryable"])
        self.other.execute("ROLLBACK")
        eventually(lambda: "result" in self.client.reply(self.client.request("agent.spawn", prompt="p")), "it accepts")


if __name__ == "__main__":
    main()
