"""Power cuts: the machine was started anew under a daemon, and the log lost what was not synced."""

import json
import os
import sqlite3
import uuid

from common import *

RECORD = 24
SMALL = ("--segment-bytes=65536", "--sync-interval=20ms")
CHATTY = {"chunks": 100000, "delay_ms": 1, "chunk_bytes": 1000}


class PowerCut(DaemonCase):
    args = SMALL + ("--retain-bytes=262144",)

    def catalog(self):
        return sqlite3.connect(os.path.join(self.daemon.state, "catalog.db"), isolation_level=None)

    def row(self, agent):
        """What the catalog says of it: state, attempt, last_seq."""
        db = self.catalog()
        try:
            return db.execute(
                "SELECT state, attempt, last_seq FROM agents WHERE agent_id = ?", (uuid.UUID(agent).bytes,)
            ).fetchone()
        finally:
            db.close()

    def set_row(self, agent, event):
        """As if its row had been written when `event` was its newest."""
        db = self.catalog()
        n = event["index"] + 1
        db.execute(
            "UPDATE agents SET last_seq = ?, chunks = ?, bytes = ? WHERE agent_id = ?",
            (event["seq"], n, n * CHATTY["chunk_bytes"], uuid.UUID(agent).bytes),
        )
        db.execute("UPDATE meta SET applied = ?, chunks = ?, bytes = ?", (event["seq"] - 20, n, n * 1000))
        db.close()

    def power_cut(self, lost_from=None):
        """kill -9, in another boot than the next start; events from `lost_from` on never got to the disk."""
        if self.daemon.process:
            self.daemon.kill()
        harness.wait_no_orphans()
        path = os.path.join(self.daemon.state, "log", "log.json")
        with open(path, encoding="utf-8") as f:
            meta = json.load(f)
        meta.update(clean=False, boot_id=NOBODY)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(meta, f)
        if lost_from:
            self.lose(lost_from)

    def lose(self, seq):
        for path in self.daemon.log_files():
            index = path.replace(".ndjson", ".idx")
            base = int(os.path.basename(path).split(".")[0])
            if base >= seq:
                os.unlink(path)
                os.unlink(index)
                continue
            with open(path, "rb") as f:
                lines = f.read().split(b"\n")[:-1]
            if base + len(lines) > seq:
                os.truncate(path, sum(len(line) + 1 for line in lines[: seq - base]))
                os.truncate(index, RECORD * (seq - base))

    def up(self, *args):
        self.daemon.start(*args)
        self.client = self.daemon.client()

    def pruned_past(self, seq):
        eventually(
            lambda: self.client.call("daemon.status")["log"]["oldest_seq"] > seq, "the log is pruned"
        )

    def run_past_its_start(self, **params):
        """An agent that ran when the daemon died, its AgentStarted being gone with retention: its chunks that are left.

        Its row knows the tenth of them from the end as the newest."""
        self.agent = self.client.spawn(options=CHATTY, **params)
        self.pruned_past(self.client.call("daemon.status")["log"]["newest_seq"] + 200)
        self.daemon.kill()
        self.assertEqual(self.row(self.agent)[:2], (1, 1))
        events = self.daemon.events_of(self.agent)
        self.assertEqual({e["type"] for e in events[-50:]}, {"AgentPartialOutput"})
        self.set_row(self.agent, events[-10])
        return events

    def interrupted(self, agent):
        got = self.client.wait(agent)
        self.assertEqual((got["state"], got["attempt"]), ("failed", 1))
        self.assertEqual(got["ending"]["code"], "interrupted")
        self.assertNotIn("AgentStarted", [e["type"] for e in self.daemon.events_of(agent)])
        return got

    def test_what_ran_is_not_run_again(self):
        events = self.run_past_its_start()
        self.power_cut()
        self.up()
        chunks = events[-1]["index"] + 1
        self.assertEqual(self.interrupted(self.agent)["chunks"], chunks)
        self.assertEqual(self.daemon.events_of(self.agent)[-1]["chunks"], chunks)

    def test_what_ran_is_not_run_again_though_its_row_is_ahead(self):
        events = self.run_past_its_start()
        self.power_cut(events[-15]["seq"])
        self.up()
        self.assertEqual(self.interrupted(self.agent)["chunks"], events[-16]["index"] + 1)

    def goes_on(self, last):
        with self.daemon.client() as watcher:
            watcher.call("events.subscribe", agents=[self.agent], after=last["seq"])
            started = watcher.wait_event(lambda e: e["type"] == "AgentStarted")
            chunk = watcher.wait_event(lambda e: "chunk" in e)
        self.assertEqual((started["attempt"], chunk["index"]), (2, last["index"] + 1))

    def test_chunks_go_on_where_they_were(self):
        events = self.run_past_its_start(on_restart="rerun")
        self.power_cut()
        self.up()
        self.goes_on(events[-1])

    def test_chunks_go_on_where_they_were_though_the_row_is_ahead(self):
        events = self.run_past_its_start(on_restart="rerun")
        self.power_cut(events[-15]["seq"])
        self.up()
        self.goes_on(events[-16])

    def test_a_row_that_is_ahead_is_put_right(self):
        """Its AgentStarted is lost; the next daemon is killed while it is queued."""
        first = self.client.spawn(options=slow_agent(), on_restart="rerun")
        agent = self.client.spawn(options={"chunks": 1, "delay_ms": 3600000})
        eventually(lambda: (self.row(agent) or (0,))[0] == 1, "its row says that it runs")
        started = next(e for e in self.daemon.events_of(agent) if e["type"] == "AgentStarted")
        self.power_cut(started["seq"])
        self.up("--max-running=1")
        self.assertEqual(self.client.call("agent.get", agent_id=agent)["state"], "queued")
        self.daemon.kill()
        self.up("--max-running=1")
        self.assertEqual(self.client.call("agent.get", agent_id=agent)["state"], "queued")
        self.client.call("agent.cancel", agent_id=first)
        with self.daemon.client() as watcher:
            watcher.call("events.subscribe", agents=[agent], after=0)
            self.assertEqual(watcher.wait_event(lambda e: e["type"] == "AgentStarted")["attempt"], 1)


if __name__ == "__main__":
    main()
