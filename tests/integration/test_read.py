"""events.read, events.stats, agent.output, agent.list, agent.get, daemon.status."""

from common import *

MIB = 1024 * 1024
QUICK = {"chunks": 1, "delay_ms": 0}


class EventsRead(DaemonCase):
    def setUp(self):
        super().setUp()
        for i in range(10):
            self.client.wait(self.client.spawn(str(i), options={"chunks": 2, "delay_ms": 0}))
        self.log = self.daemon.events()

    def test_reply(self):
        page = self.client.call("events.read")
        self.assertEqual(set(page), {"log_id", "events", "seq", "more"})
        self.assertEqual(page["log_id"], self.client.call("daemon.status")["log_id"])
        self.assertEqual(page["events"], self.log)
        self.assertIs(page["more"], False)
        self.assertEqual(page["seq"], self.log[-1]["seq"])

    def test_paging(self):
        for limit in (1, 2, 7, len(self.log), 10000):
            self.assertEqual(self.client.read_all(limit=limit), self.log)

    def test_limit(self):
        page = self.client.call("events.read", limit=3)
        self.assertEqual((len(page["events"]), page["more"]), (3, True))
        self.assertEqual(page["seq"], page["events"][-1]["seq"])

    def test_after(self):
        for after in (0, 1, 5, self.log[-1]["seq"] - 1):
            page = self.client.call("events.read", after=after)
            self.assertEqual(page["events"], self.log[after:])
        page = self.client.call("events.read", after=self.log[-1]["seq"])
        self.assertEqual((page["events"], page["more"]), ([], False))
        self.assertEqual(page["seq"], self.log[-1]["seq"])

    def test_default_limit(self):
        for _ in range(30):
            self.client.wait(self.client.spawn(options={"chunks": 2, "delay_ms": 0}))
        page = self.client.call("events.read")
        self.assertEqual((len(page["events"]), page["more"]), (100, True))

    def test_where_to_go_on_with_a_filter(self):
        page = self.client.call("events.read", types=["AgentCompleted"], limit=4)
        self.assertEqual(len(page["events"]), 4)
        rest = self.client.call("events.read", types=["AgentCompleted"], after=page["seq"])
        both = page["events"] + rest["events"]
        self.assertEqual(both, [e for e in self.log if e["type"] == "AgentCompleted"])

    def test_nothing_matches(self):
        self.assertEqual(self.client.read_all(correlation_id="none"), [])

    def test_a_reply_of_4_mib_at_most(self):
        self.client.wait(self.client.spawn(options={"chunks": 15, "delay_ms": 0, "chunk_bytes": 700000}))
        log, events, after, pages = self.daemon.events(), [], 0, 0
        while True:
            request = self.client.request("events.read", after=after, limit=10000)
            line = self.client.read_line()
            self.assertLessEqual(len(line), 4 * MIB)
            reply = parse_strict(line)
            self.assertEqual(reply["id"], request)
            page = reply["result"]
            events += page["events"]
            pages += 1
            if not page["more"]:
                break
            self.assertGreater(page["seq"], after)
            after = page["seq"]
        self.assertEqual(events, log)
        self.assertGreaterEqual(pages, 3)

    def test_while_it_is_written(self):
        agents = [self.client.spawn(options={"chunks": 200, "delay_ms": 1}) for _ in range(5)]
        events, after = [], 0
        waiting = [self.connect() for _ in agents]
        for client, agent in zip(waiting, agents):
            client.request("agent.wait", agent_id=agent)
        while sum(e["type"] in ENDS for e in events) < 15:
            page = self.client.call("events.read", after=after, limit=50)
            events += page["events"]
            after = page["seq"]
        self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)))


class Segments(DaemonCase):
    """Reading over many sealed files."""

    args = ("--segment-bytes=65536",)

    def test_everything_is_there(self):
        options = {"chunks": 20, "delay_ms": 0, "chunk_bytes": 5000}
        agents = [self.client.spawn(str(i), options=options, correlation_id=f"c{i % 3}") for i in range(20)]
        for agent in agents:
            self.client.wait(agent)
        log = self.daemon.events()
        self.assertGreater(len(self.daemon.log_files()), 10)
        self.assertEqual(self.client.read_all(limit=77), log)
        own = [e for e in log if e.get("correlation_id") == "c1"]
        self.assertEqual(self.client.read_all(correlation_id="c1", limit=10), own)
        client = self.connect()
        client.call("events.subscribe", after=0)
        self.assertEqual(client.wait_note("live")[1], log)
        client = self.connect()
        client.call("events.subscribe", last=5, agents=[agents[0]])
        client.wait_event(lambda e: e["type"] == "AgentCompleted")
        for agent in agents:
            expected = b"".join(raw_bytes(e) for e in log if e.get("agent_id") == agent and "chunk" in e)
            self.assertEqual(self.client.output(agent), expected)
        stats = self.client.call("events.stats")
        self.assertEqual(stats["events"], len(log))


class Output(DaemonCase):
    def expected(self, agent, channel="output"):
        events = [e for e in self.daemon.events_of(agent) if e.get("channel") == channel]
        return b"".join(raw_bytes(e) for e in events)

    def test_reply(self):
        agent = self.client.spawn("P", options={"chunks": 2, "delay_ms": 0})
        self.client.wait(agent)
        page = self.client.call("agent.output", agent_id=agent)
        self.assertEqual(page["agent_id"], agent)
        self.assertEqual((page["state"], page["offset"]), ("completed", 0))
        self.assertEqual(page["text"].encode(), self.expected(agent))
        self.assertTrue(page["text"].endswith("Final from P"))
        self.assertNotIn("encoding", page)
        self.assertNotIn("next", page)

    def test_offsets(self):
        agent = self.client.spawn("P", options={"chunks": 10, "delay_ms": 0})
        self.client.wait(agent)
        whole = self.expected(agent)
        for offset in (0, 1, 5, 17, len(whole) - 1, len(whole)):
            for limit in (1, 7, 1000):
                page = self.client.call("agent.output", agent_id=agent, offset=offset, limit_bytes=limit)
                piece = raw_bytes(page)
                end = offset + len(piece)
                self.assertEqual((page["offset"], piece), (offset, whole[offset:end]))
                self.assertLessEqual(len(piece), limit)
                self.assertTrue(piece or offset == len(whole))
                self.assertEqual(page.get("next"), end if end < len(whole) else None)

    def test_pages_of_utf8(self):
        text = "aé€😀" * 50
        agent = self.client.spawn(options={"script": [{"after_ms": 0, "chunk": text}]})
        self.client.wait(agent)
        for limit in (4, 5, 6, 7, 11, 64):
            self.assertEqual(self.client.output(agent, limit_bytes=limit), text.encode())

    def test_bytes_that_are_no_utf8(self):
        agent = self.client.spawn_exec("/usr/bin/printf", r"\001\377\376\000abc\303")
        self.client.wait(agent)
        page = self.client.call("agent.output", agent_id=agent)
        self.assertEqual(page["encoding"], "base64")
        self.assertEqual(raw_bytes(page), b"\x01\xff\xfe\x00abc\xc3")
        self.assertEqual(self.client.output(agent, limit_bytes=2), b"\x01\xff\xfe\x00abc\xc3")

    def test_channels(self):
        agent = self.client.spawn_exec("/bin/sh", "-c", "echo out; echo error >&2; echo out2")
        self.client.wait(agent)
        self.assertEqual(self.client.output(agent), b"out\nout2\n")
        self.assertEqual(self.client.output(agent, "error"), b"error\n")
        self.assertEqual(self.client.output(agent, "reasoning"), b"")
        self.assertEqual(self.client.output(agent, "error", limit_bytes=2), b"error\n")

    def test_so_far(self):
        script = [{"after_ms": 0, "chunk": "first "}, {"after_ms": 600000, "chunk": "last"}]
        agent = self.client.spawn(options={"script": script})
        watcher = self.connect()
        watcher.call("events.subscribe", after=0)
        watcher.wait_event(lambda e: e["type"] == "AgentPartialOutput")
        page = self.client.call("agent.output", agent_id=agent)
        self.assertEqual((page["state"], page["text"]), ("running", "first "))
        self.assertNotIn("next", page)

    def test_every_seen_chunk_is_in_it(self):
        agent = self.client.spawn(options={"chunks": 100, "delay_ms": 1})
        watcher = self.connect()
        watcher.call("events.subscribe", after=0, types=["AgentPartialOutput"])
        seen = b""
        for _ in range(100):
            seen += raw_bytes(watcher.wait_event(lambda e: True))
            self.assertTrue(self.client.output(agent).startswith(seen))

    def test_nothing_yet(self):
        self.daemon.restart("--max-running=1")
        client = self.daemon.client()
        client.spawn(options=slow_agent())
        page = client.call("agent.output", agent_id=client.spawn())
        self.assertEqual((page["state"], page["text"], page["offset"]), ("queued", "", 0))
        self.assertNotIn("next", page)

    def test_large(self):
        agent = self.client.spawn(options={"chunks": 12, "delay_ms": 0, "chunk_bytes": 1000000})
        self.client.wait(agent)
        page = self.client.call("agent.output", agent_id=agent)
        self.assertEqual(page["next"], len(raw_bytes(page)))
        self.assertLessEqual(page["next"], 4 * MIB)
        whole = self.expected(agent)
        self.assertEqual(self.client.output(agent), whole)
        self.assertEqual(self.client.output(agent, limit_bytes=999999), whole)
        self.assertEqual(self.client.output(agent, limit_bytes=4 * MIB), whole)


class List(DaemonCase):
    def listed(self, **params):
        agents, before = [], {}
        while True:
            page = self.client.call("agent.list", **params, **before)
            self.assertLessEqual(len(page["agents"]), params.get("limit", 100))
            agents += page["agents"]
            if "next" not in page:
                return agents
            before = {"before": page["next"]}

    def ids(self, **params):
        return [a["agent_id"] for a in self.listed(**params)]

    def test_empty(self):
        self.assertEqual(self.client.call("agent.list"), {"agents": []})

    def test_newest_first_and_paging(self):
        agents = [self.client.spawn(str(i), options=QUICK) for i in range(250)]
        self.client.wait(agents[-1])
        agents.reverse()
        for limit in (1, 7, 100, 249, 250, 251, 1000):
            self.assertEqual(self.ids(limit=limit), agents)
        page = self.client.call("agent.list")
        self.assertEqual([a["agent_id"] for a in page["agents"]], agents[:100])
        self.assertIn("next", page)

    def test_before(self):
        results = [self.client.call("agent.spawn", prompt="p", options=QUICK) for _ in range(5)]
        self.assertEqual(self.client.call("agent.list", before=0), {"agents": []})
        page = self.client.call("agent.list", before=results[3]["seq"])
        self.assertEqual([a["agent_id"] for a in page["agents"]], [r["agent_id"] for r in results[2::-1]])

    def test_an_entry_is_what_get_says(self):
        agent = self.client.spawn("p" * 300, options=QUICK, labels={"a": "b"}, context={"c": 1}, correlation_id="c")
        whole = self.client.wait(agent)
        entry = self.client.call("agent.list")["agents"][0]
        self.assertNotIn("options", entry)
        self.assertNotIn("context", entry)
        self.assertEqual(entry["prompt"], "p" * 200)
        del whole["options"], whole["context"]
        whole["prompt"] = entry["prompt"]
        self.assertEqual(entry, whole)

    def test_the_prompt_is_cut_by_characters(self):
        for prompt in ("€" * 300, "😀" * 201, "é" * 200, "a" * 199 + "😀b", "x"):
            self.client.spawn(prompt, options=QUICK)
            self.assertEqual(self.client.call("agent.list", limit=1)["agents"][0]["prompt"], prompt[:200])

    def test_just_ended_running_and_queued(self):
        self.daemon.restart("--max-running=2")
        self.client = self.daemon.client()
        old = [self.client.spawn(options=QUICK) for _ in range(5)]
        for agent in old:
            self.client.wait(agent)
        running = [self.client.spawn(options=slow_agent()) for _ in range(2)]
        watcher = self.connect()
        watcher.call("events.subscribe", after=0, agents=running, types=["AgentStarted"])
        for _ in running:
            watcher.wait_event(lambda e: True)
        queued = self.client.spawn()
        entries = self.listed()
        self.assertEqual([a["agent_id"] for a in entries], [queued] + running[::-1] + old[::-1])
        self.assertEqual([a["state"] for a in entries], ["queued"] + ["running"] * 2 + ["completed"] * 5)

    def test_what_has_just_ended_is_seen_at_once(self):
        for i in range(100):
            agent = self.client.spawn(str(i), options=QUICK)
            self.client.wait(agent)
            entries = self.listed(limit=10)
            self.assertEqual((entries[0]["agent_id"], entries[0]["state"]), (agent, "completed"))
            self.assertEqual(len(entries), i + 1)
            self.assertEqual(len({a["agent_id"] for a in entries}), i + 1)

    def test_what_is_long_past(self):
        agents = [self.client.spawn(str(i), options=QUICK, correlation_id=f"c{i % 2}") for i in range(30)]
        for agent in agents:
            self.client.wait(agent)
        before = self.listed()
        self.daemon.restart()
        self.client = self.daemon.client()
        self.assertEqual(self.listed(), before)
        self.assertEqual(self.ids(correlation_id="c1", limit=4), agents[1::2][::-1])
        for entry in before:
            whole = self.client.call("agent.get", agent_id=entry["agent_id"])
            self.assertEqual({k: whole[k] for k in entry}, entry)
            self.assertEqual(self.client.wait(entry["agent_id"]), whole)

    def test_filters(self):
        wanted = {}
        for i in range(24):
            params = {
                "correlation_id": f"c{i % 2}",
                "labels": {"m": str(i % 3), "x": "y"},
                "group": f"g{i % 4}",
            }
            if i % 6 == 5:
                agent = self.client.spawn_exec("/bin/false", **params)
            else:
                agent = self.client.spawn(options=slow_agent() if i % 5 == 0 else QUICK, **params)
            wanted[agent] = (i, params)
            if i % 5 and i % 6 != 5:
                self.client.wait(agent)
            elif i % 6 == 5:
                self.client.wait(agent)

        def check(expected, **params):
            numbers = [i for i, p in wanted.values() if expected(i, p)][::-1]
            self.assertEqual([wanted[a][0] for a in self.ids(**params)], numbers, params)
            self.assertEqual([wanted[a][0] for a in self.ids(limit=2, **params)], numbers, params)

        def state(i):
            return "failed" if i % 6 == 5 else "running" if i % 5 == 0 else "completed"

        watcher = self.connect()
        watcher.call("events.subscribe", after=0, types=["AgentStarted"])
        for _ in wanted:
            watcher.wait_event(lambda e: True)
        check(lambda i, p: p["correlation_id"] == "c1", correlation_id="c1")
        check(lambda i, p: p["labels"]["m"] == "2", labels={"m": "2"})
        check(lambda i, p: p["labels"]["m"] == "2", labels={"m": "2", "x": "y"})
        check(lambda i, p: False, labels={"m": "2", "x": "z"})
        check(lambda i, p: p["group"] == "g3", group="g3")
        check(lambda i, p: i % 6 == 5, backend="exec")
        check(lambda i, p: i % 6 != 5, backend="mock")
        for one in ("failed", "running", "completed", "queued", "cancelled"):
            check(lambda i, p, one=one: state(i) == one, state=[one])
        check(lambda i, p: state(i) != "completed", state=["failed", "running"])
        check(
            lambda i, p: state(i) == "completed" and p["group"] == "g1" and p["correlation_id"] == "c1",
            state=["completed"],
            group="g1",
            correlation_id="c1",
        )

    def test_paging_while_agents_come_and_end(self):
        agents = [self.client.spawn(options={"chunks": 3, "delay_ms": i % 30}) for i in range(200)]
        page = self.client.call("agent.list", limit=10)
        seen = [a["agent_id"] for a in page["agents"]]
        while "next" in page:
            self.client.spawn(options=QUICK)
            page = self.client.call("agent.list", limit=10, before=page["next"])
            seen += [a["agent_id"] for a in page["agents"]]
        self.assertEqual(seen, agents[::-1])


class Get(DaemonCase):
    def test_members(self):
        params = {
            "prompt": "p",
            "options": {"chunks": 2, "delay_ms": 0},
            "labels": {"a": "b"},
            "context": {"c": [1]},
            "group": "g",
            "correlation_id": "c",
            "priority": 3,
        }
        agent = self.client.call("agent.spawn", **params)["agent_id"]
        self.client.wait(agent)
        got = self.client.call("agent.get", agent_id=agent)
        events = self.daemon.events_of(agent)
        for name, value in params.items():
            self.assertEqual(got[name], value, name)
        self.assertEqual((got["agent_id"], got["backend"], got["state"]), (agent, "mock", "completed"))
        self.assertEqual((got["attempt"], got["uid"]), (1, events[0]["uid"]))
        self.assertEqual((got["first_seq"], got["last_seq"]), (events[0]["seq"], events[-1]["seq"]))
        self.assertEqual((got["chunks"], got["bytes"]), (events[-1]["chunks"], events[-1]["bytes"]))
        self.assertEqual(got["spawned_at"], events[0]["time"])
        self.assertEqual(got["started_at"], events[1]["time"])
        self.assertEqual(got["ended_at"], events[-1]["time"])
        for name in ("chunks", "bytes", "duration_ms"):
            self.assertEqual(got["ending"][name], events[-1][name])
        self.assertNotIn("pid", got)

    def test_running(self):
        agent = self.client.spawn_exec("/bin/sh", "-c", "echo $$; exec sleep 1000")
        watcher = self.connect()
        watcher.call("events.subscribe", after=0)
        chunk = watcher.wait_event(lambda e: e["type"] == "AgentPartialOutput")
        got = self.client.call("agent.get", agent_id=agent)
        self.assertEqual(got["state"], "running")
        self.assertEqual(got["pid"], int(chunk["chunk"]))
        self.assertEqual((got["chunks"], got["bytes"]), (1, len(chunk["chunk"])))
        self.assertGreaterEqual(got["last_seq"], chunk["seq"])
        for name in ("ended_at", "ending"):
            self.assertNotIn(name, got)
        self.assertRegex(got["started_at"], TIME)

    def test_queued(self):
        self.daemon.restart("--max-running=1")
        client = self.daemon.client()
        client.spawn(options=slow_agent())
        got = client.call("agent.get", agent_id=client.spawn())
        self.assertEqual(got["state"], "queued")
        for name in ("started_at", "ended_at", "ending", "pid"):
            self.assertNotIn(name, got)
        self.assertEqual((got["chunks"], got["bytes"]), (0, 0))

    def test_failed(self):
        agent = self.client.spawn_exec("/bin/sh", "-c", "exit 7")
        self.client.wait(agent)
        ending = self.client.call("agent.get", agent_id=agent)["ending"]
        self.assertEqual((ending["code"], ending["exit_code"]), ("exit", 7))
        self.assertTrue(ending["message"])


class Status(DaemonCase):
    def test_members(self):
        got = self.client.call("daemon.status")
        self.assertEqual(got["protocol"], 1)
        self.assertTrue(got["version"])
        self.assertRegex(got["instance_id"], UUID)
        self.assertRegex(got["log_id"], UUID)
        self.assertEqual(got["pid"], self.daemon.pid)
        self.assertGreaterEqual(got["uptime_ms"], 0)
        self.assertGreaterEqual(got["workers"], 1)
        self.assertEqual(set(got["agents"]), {"queued", "running", "completed", "failed", "cancelled"})
        self.assertEqual((got["clients"], got["subscribers"]), (1, 0))
        self.assertEqual((got["log"]["oldest_seq"], got["log"]["newest_seq"]), (1, 1))
        self.assertEqual(got["log"]["durability"], "interval")
        for name, value in {
            "max_running": 1024,
            "max_queued": 10000,
            "max_clients": 4096,
            "max_request_bytes": 4 * MIB,
            "max_prompt_bytes": 4 * MIB,
            "max_batch": 1000,
        }.items():
            self.assertEqual(got["limits"][name], value, name)

    def test_first_event(self):
        event = self.daemon.events()[0]
        got = self.client.call("daemon.status")
        self.assertEqual(event["type"], "DaemonStarted")
        self.assertEqual((event["version"], event["instance_id"]), (got["version"], got["instance_id"]))
        self.assertEqual((event["seq"], event["requeued"], event["interrupted"]), (1, 0, 0))
        self.assertNotIn("lost", event)

    def test_counters(self):
        watchers = [self.connect() for _ in range(3)]
        for watcher in watchers[:2]:
            watcher.call("events.subscribe")
        watchers[2].call("daemon.status")
        got = self.client.call("daemon.status")
        self.assertEqual((got["clients"], got["subscribers"]), (4, 2))
        for watcher in watchers:
            watcher.close()
        eventually(lambda: self.client.call("daemon.status")["clients"] == 1, "clients that left are not counted")
        self.assertEqual(self.client.call("daemon.status")["subscribers"], 0)

    def test_newest_seq(self):
        for _ in range(20):
            seq = self.client.call("agent.spawn", prompt="p", options=QUICK)["seq"]
            self.assertGreaterEqual(self.client.call("daemon.status")["log"]["newest_seq"], seq)

    def test_configured(self):
        self.daemon.restart("--max-running=7", "--durability=fsync", "--workers=2")
        got = self.daemon.client().call("daemon.status")
        self.assertEqual((got["limits"]["max_running"], got["log"]["durability"], got["workers"]), (7, "fsync", 2))


class Stats(DaemonCase):
    def expected(self, correlation_id=None):
        events = self.daemon.events()
        if correlation_id:
            events = [e for e in events if e.get("correlation_id") == correlation_id]
        by_type = {}
        for event in events:
            by_type[event["type"]] = by_type.get(event["type"], 0) + 1
        lives = check_lives(events).values()
        return {
            "events": len(events),
            "by_type": by_type,
            "agents": {
                "spawned": len(lives),
                **{s: sum(life.state == s for life in lives) for s in ("completed", "failed", "cancelled")},
            },
            "chunks": sum(life.chunks for life in lives),
            "bytes": sum(life.bytes for life in lives),
        }

    def check(self, **params):
        got = self.client.call("events.stats", **params)
        got["by_type"] = {k: n for k, n in got["by_type"].items() if n}
        self.assertEqual(got, self.expected(**params))

    def test_stats(self):
        self.check()
        agents = []
        for i in range(30):
            options = {"chunks": 3, "delay_ms": 0, "chunk_bytes": 100}
            if i % 3 == 0:
                options["fail_after"] = 1
            agents.append(self.client.spawn(options=options, correlation_id=f"c{i % 2}"))
        for agent in agents:
            self.client.wait(agent)
        for _ in range(3):
            agent = self.client.spawn(options=slow_agent(delay_ms=600000), correlation_id="c1")
            self.client.call("agent.cancel", agent_id=agent)
        self.check()
        self.check(correlation_id="c0")
        self.check(correlation_id="c1")
        self.check(correlation_id="none")
        self.daemon.restart()
        self.client = self.daemon.client()
        self.check()
        self.check(correlation_id="c1")

    def test_of_agents_that_live(self):
        self.client.spawn_exec("/bin/sh", "-c", "echo up; exec sleep 1000")
        watcher = self.connect()
        watcher.call("events.subscribe", after=0)
        watcher.wait_event(lambda e: e["type"] == "AgentPartialOutput")
        self.check()


if __name__ == "__main__":
    main()
