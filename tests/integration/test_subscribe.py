"""events.subscribe: replay and live without a seam, filters, until idle, cursors, gaps, slow readers."""

import os
import random
import threading
import uuid

from common import *

MIB = 1024 * 1024
QUICK = {"chunks": 1, "delay_ms": 0}


class SubscribeCase(DaemonCase):
    def subscriber(self, **params):
        client = self.connect()
        client.info = client.call("events.subscribe", **params)
        return client

    def quick(self, n=1, **params):
        agents = [self.client.spawn(options=QUICK, **params) for _ in range(n)]
        for agent in agents:
            self.client.wait(agent)
        return agents

    def upto(self, client, seq):
        """The notifications of a subscription up to the event with this seq, live ones aside."""
        events = []
        while not events or events[-1]["seq"] < seq:
            note = client.note()
            self.assertIsNotNone(note, "the stream ended")
            if note["method"] == "event":
                events.append(note["params"])
            else:
                self.assertEqual(note["method"], "live", note)
        return events

    def newest(self):
        return self.client.call("daemon.status")["log"]["newest_seq"]


class Replay(SubscribeCase):
    def test_reply(self):
        self.quick(3)
        status = self.client.call("daemon.status")
        info = self.subscriber(after=0).info
        self.assertEqual(info["log_id"], status["log_id"])
        self.assertEqual(info["oldest_seq"], status["log"]["oldest_seq"])
        self.assertEqual(info["newest_seq"], status["log"]["newest_seq"])
        self.assertEqual(info["oldest_seq"], 1)

    def test_reply_is_written_before_any_event(self):
        self.quick(20)
        client = self.connect()
        request = client.request("events.subscribe", after=0)
        self.assertEqual(client.read_message()["id"], request)

    def test_the_lines_are_the_logs_own(self):
        self.quick(20, labels={"é": "€"})
        client = self.subscriber(after=0)
        lines = []
        while len(lines) < self.newest():
            line = client.read_line()
            if parse_strict(line)["method"] == "event":
                lines.append(line)
        self.assertEqual(lines, self.daemon.log_lines())

    def test_after(self):
        self.quick(10)
        newest = self.newest()
        for after in (0, 1, 2, newest // 2, newest - 1):
            events = self.upto(self.subscriber(after=after), newest)
            self.assertEqual([e["seq"] for e in events], list(range(after + 1, newest + 1)))

    def test_after_the_newest(self):
        self.quick(3)
        newest = self.newest()
        client = self.subscriber(after=newest)
        self.quick(1)
        self.assertEqual(client.wait_event(lambda e: True)["seq"], newest + 1)

    def test_from_now_on(self):
        self.quick(5)
        client = self.subscriber()
        newest = client.info["newest_seq"]
        self.quick(1)
        self.assertEqual(client.wait_event(lambda e: True)["seq"], newest + 1)

    def test_last(self):
        self.quick(10)
        newest = self.newest()
        for n in (1, 2, 7, newest, newest + 1, 10000):
            events = self.upto(self.subscriber(last=n), newest)
            self.assertEqual([e["seq"] for e in events], list(range(max(newest - n, 0) + 1, newest + 1)))

    def test_last_counts_matching_events(self):
        agents = self.quick(10, correlation_id="c")
        self.quick(10, correlation_id="d")
        ends = [e["seq"] for e in self.daemon.events() if e["type"] == "AgentCompleted" and e["agent_id"] in agents]
        for n in (1, 3, 10, 50):
            client = self.subscriber(last=n, types=["AgentCompleted"], correlation_id="c")
            self.assertEqual([e["seq"] for e in self.upto(client, ends[-1])], ends[-n:])

    def test_last_goes_on_live(self):
        self.quick(3)
        client = self.subscriber(last=2)
        newest = client.info["newest_seq"]
        self.quick(2)
        events = self.upto(client, self.newest())
        self.assertEqual([e["seq"] for e in events], list(range(newest - 1, self.newest() + 1)))

    def test_last_is_of_when_it_was_asked(self):
        """In a batch it is delivered after the replies, before which more may have been logged."""
        self.quick(1)
        client = self.daemon.client()
        subscribe = {"jsonrpc": "2.0", "id": 1, "method": "events.subscribe", "params": {"last": 1}}
        spawn = {"jsonrpc": "2.0", "id": 2, "method": "agent.spawn", "params": {"prompt": "p"}}
        client.send([subscribe, spawn])
        reply = {r["id"]: r["result"] for r in client.read_message()}
        first = client.read_message()
        self.assertEqual(first["params"]["seq"], reply[1]["newest_seq"])

    def test_live(self):
        self.quick(10)
        newest = self.newest()
        client = self.subscriber(after=0)
        live, events = client.wait_note("live")
        self.assertEqual([e["seq"] for e in events], list(range(1, newest + 1)))
        self.assertEqual(live, {"seq": newest})
        self.quick(1)
        self.assertEqual(client.wait_event(lambda e: True)["seq"], newest + 1)

    def test_a_known_log_id(self):
        info = self.subscriber(after=0).info
        self.subscriber(after=0, log_id=info["log_id"])


class Seam(SubscribeCase):
    def test_joining_while_it_streams(self):
        agents = [self.client.spawn(options={"chunks": 400, "delay_ms": 1}) for _ in range(10)]
        clients = []
        for _ in range(20):
            # Each joins when the one before has seen some more: at ever other moments, with no sleep.
            clients.append(self.subscriber(after=0))
            clients[-1].wait_event(lambda e, n=random.randint(1, 400): e["seq"] >= min(n, 4000))
        for agent in agents:
            self.client.wait(agent)
        newest = self.newest()
        lines = self.daemon.events()
        for client in clients:
            seen = self.upto(client, newest)
            self.assertEqual(seen, lines[newest - len(seen):newest])

    def test_joining_at_a_cursor(self):
        for _ in range(3):
            self.client.spawn(options=slow_agent(chunks=100000, delay_ms=1))
        for _ in range(50):
            after = self.newest()
            client = self.subscriber(after=after)
            self.assertEqual(client.wait_event(lambda e: True)["seq"], after + 1)
            client.close()

    def test_coming_back_again_and_again(self):
        agents = [self.client.spawn(options={"chunks": 300, "delay_ms": 1}) for _ in range(5)]
        seqs, ended, cursor = [], 0, 0
        while ended < len(agents):
            client = self.subscriber(after=cursor)
            for _ in range(random.randint(1, 150)):
                note = client.note()
                if note["method"] == "event":
                    seqs.append(note["params"]["seq"])
                    ended += note["params"]["type"] in ENDS
                cursor = note["params"]["seq"]
                if ended == len(agents):
                    break
            client.close()
        self.assertEqual(seqs, list(range(1, len(seqs) + 1)))

    def test_equal_streams(self):
        clients = [self.connect(rcvbuf=random.choice((None, 4096))) for _ in range(20)]
        for i, client in enumerate(clients):
            client.call("events.subscribe", **({"after": 0} if i % 2 else {"after": 0, "types": ALL_TYPES}))
        agents = [self.client.spawn(options={"chunks": 100, "delay_ms": i % 3}) for i in range(20)]
        for agent in agents:
            self.client.wait(agent)
        newest = self.newest()
        log = self.daemon.events()[:newest]
        for client in clients:
            self.assertEqual(self.upto(client, newest), log)


ALL_TYPES = [
    "DaemonStarted",
    "DaemonStopping",
    "AgentSpawned",
    "AgentStarted",
    "AgentWaiting",
    "AgentRetrying",
    "AgentPartialOutput",
    "AgentCompleted",
    "AgentError",
]


class Filters(SubscribeCase):
    def setUp(self):
        super().setUp()
        self.agents = []
        for i in range(12):
            params = {"labels": {"parity": str(i % 2), "third": str(i % 3)}}
            if i % 4:
                params["correlation_id"] = f"c{i % 4}"
            self.agents.append(self.client.spawn(str(i), options={"chunks": 2, "delay_ms": 0}, **params))
        for agent in self.agents:
            self.client.wait(agent)

    def expected(self, wanted):
        return [e["seq"] for e in self.daemon.events() if wanted(e)]

    def check(self, wanted, **params):
        """The same filter must give the same by replay, by events.read, and live."""
        seqs = self.expected(wanted)
        self.assertTrue(seqs)
        replayed = self.upto(self.subscriber(after=0, **params), seqs[-1])
        self.assertEqual([e["seq"] for e in replayed], seqs)
        live, events = self.subscriber(after=0, **params).wait_note("live")
        self.assertEqual([e["seq"] for e in events], seqs)
        self.assertGreaterEqual(live["seq"], seqs[-1])
        self.assertEqual([e["seq"] for e in self.client.read_all(**params)], seqs)
        self.assertEqual([e["seq"] for e in self.client.read_all(limit=3, **params)], seqs)

    def test_types(self):
        self.check(lambda e: e["type"] == "AgentCompleted", types=["AgentCompleted"])
        self.check(lambda e: e["type"] in ("AgentStarted", "DaemonStarted"), types=["AgentStarted", "DaemonStarted"])

    def test_all_types(self):
        self.check(lambda e: True, types=ALL_TYPES)

    def test_agents(self):
        self.check(lambda e: e.get("agent_id") == self.agents[3], agents=[self.agents[3]])
        some = self.agents[2:9:3]
        self.check(lambda e: e.get("agent_id") in some, agents=some)

    def test_correlation_id(self):
        self.check(lambda e: e.get("correlation_id") == "c2", correlation_id="c2")

    def labelled(self, labels):
        return {
            e["agent_id"]
            for e in self.daemon.events()
            if e["type"] == "AgentSpawned" and all(e["labels"].get(k) == v for k, v in labels.items())
        }

    def test_labels(self):
        for labels in ({"parity": "1"}, {"parity": "0", "third": "2"}):
            agents = self.labelled(labels)
            self.check(lambda e, a=agents: e.get("agent_id") in a, labels=labels)

    def test_together(self):
        agents = self.labelled({"parity": "1"})
        self.check(
            lambda e: e.get("agent_id") in agents
            and e.get("correlation_id") == "c1"
            and e["type"] in ("AgentSpawned", "AgentPartialOutput"),
            labels={"parity": "1"},
            correlation_id="c1",
            types=["AgentSpawned", "AgentPartialOutput"],
        )

    def test_live(self):
        clients = {
            "types": self.subscriber(types=["AgentCompleted"]),
            "correlation_id": self.subscriber(correlation_id="new"),
            "labels": self.subscriber(labels={"new": "yes"}),
        }
        before = self.newest()
        for i in range(10):
            params = {"correlation_id": "new"} if i % 2 else {"labels": {"new": "yes", "i": str(i)}}
            self.client.wait(self.client.spawn(options={"chunks": 3, "delay_ms": 0}, **params))
        log = [e for e in self.daemon.events() if e["seq"] > before]
        labelled = {e["agent_id"] for e in log if e["type"] == "AgentSpawned" and e["labels"].get("new") == "yes"}
        wanted = {
            "types": lambda e: e["type"] == "AgentCompleted",
            "correlation_id": lambda e: e.get("correlation_id") == "new",
            "labels": lambda e: e["agent_id"] in labelled,
        }
        for name, client in clients.items():
            expected = [e for e in log if wanted[name](e)]
            self.assertEqual(self.upto(client, expected[-1]["seq"]), expected, name)

    def test_nothing_matches(self):
        live, events = self.subscriber(after=0, correlation_id="none").wait_note("live")
        self.assertEqual(events, [])
        self.assertGreaterEqual(live["seq"], self.newest())


class FiltersOfOldSegments(Filters):
    """The same from sealed segments, most of whose events are others'."""

    args = ("--segment-bytes=65536",)

    def setUp(self):
        super().setUp()
        self.quick(300)
        self.daemon.restart()
        self.client = self.connect()
        self.log = os.path.join(self.daemon.state, "log")

    def postings(self):
        return [os.path.join(self.log, name) for name in os.listdir(self.log) if name.endswith(".post")]

    def test_postings_are_made_again(self):
        wanted = {"agents": [self.agents[3]]}
        self.check(lambda e: e.get("agent_id") == self.agents[3], **wanted)
        first = min(self.postings())
        with open(first, "rb") as f:
            good = f.read()
        for bad in (b"", good[: len(good) // 2], b"\0" * len(good), good[:20] + b"\xff" + good[21:], b"x" * 10):
            with open(first, "wb") as f:
                f.write(bad)
            self.daemon.restart()
            self.client = self.connect()
            self.check(lambda e: e.get("agent_id") == self.agents[3], **wanted)
            with open(first, "rb") as f:
                self.assertEqual(f.read(), good)

    def test_postings_of_what_is_sealed(self):
        before = len(self.postings())
        self.quick(300)
        eventually(lambda: len(self.postings()) > before, "the segments that are sealed get theirs")


class Until(SubscribeCase):
    def test_idle(self):
        agents = [self.client.spawn(options={"chunks": 5, "delay_ms": 10 * i}, correlation_id="c") for i in range(4)]
        self.client.spawn(options=slow_agent(), correlation_id="d")
        client = self.subscriber(after=0, correlation_id="c", until="idle")
        events, end = client.until_end()
        log = self.daemon.events()
        self.assertEqual(events, [e for e in log if e.get("correlation_id") == "c"])
        self.assertEqual(len([e for e in events if e["type"] in ENDS]), len(agents))
        self.assertGreaterEqual(end, events[-1]["seq"])

    def test_idle_already(self):
        agent = self.quick(1)[0]
        events, end = self.subscriber(after=0, agents=[agent], until="idle").until_end()
        self.assertEqual(events, self.daemon.events_of(agent))
        self.assertGreaterEqual(end, events[-1]["seq"])

    def test_of_the_whole_daemon(self):
        self.client.spawn(options={"chunks": 3, "delay_ms": 50})
        events, _ = self.subscriber(after=0, until="idle").until_end()
        check_lives(events, require_ended=True)
        self.assertEqual(events, self.daemon.events())

    def test_queued_agents_count(self):
        self.daemon.restart("--max-running=1")
        self.client = self.connect()
        agents = [self.client.spawn(options={"chunks": 2, "delay_ms": 30}, correlation_id="q") for _ in range(4)]
        events, _ = self.subscriber(after=0, correlation_id="q", until="idle").until_end()
        self.assertEqual(len([e for e in events if e["type"] == "AgentCompleted"]), len(agents))

    def test_over_means_over(self):
        agent = self.quick(1)[0]
        client = self.subscriber(after=0, agents=[agent], until="idle")
        client.until_end()
        self.quick(3)
        client.call("daemon.status")
        self.assertEqual(len(client.notes), 0)
        client.call("events.subscribe", after=0)
        self.assertEqual(self.upto(client, self.newest()), self.daemon.events())

    def test_spawned_before_on_the_same_connection(self):
        """What was asked for in the lines before counts, though the log does not know it yet."""
        client = self.daemon.client()
        for n, extra in enumerate(({}, {"correlation_id": "first"}, {"agent_id": str(uuid.uuid4()), "correlation_id": "own"})):
            with self.subTest(extra):
                spawn = {"prompt": "p", "options": {"chunks": 2, "delay_ms": 0}, **extra}
                subscribe = {"after": 0, "until": "idle"}
                if extra:
                    subscribe["correlation_id"] = extra["correlation_id"]
                client.send_raw(
                    b"".join(
                        dumps({"jsonrpc": "2.0", "id": f"{n}{method}", "method": method, "params": params}).encode() + b"\n"
                        for method, params in (("agent.spawn", spawn), ("events.subscribe", subscribe))
                    )
                )
                agent, completed, end = None, set(), None
                while not end:
                    message = client.read_message()
                    if message.get("id") == f"{n}agent.spawn":
                        agent = message["result"]["agent_id"]
                    elif message.get("method") == "event" and message["params"]["type"] == "AgentCompleted":
                        completed.add(message["params"]["agent_id"])
                    end = message.get("method") == "end"
                self.assertIn(agent, completed)

    def test_types_may_hide_the_end(self):
        # `until` looks at the agents that match, not at the events that are shown.
        agent = self.client.spawn(options={"chunks": 3, "delay_ms": 20})
        client = self.subscriber(after=0, agents=[agent], types=["AgentPartialOutput"], until="idle")
        events, _ = client.until_end()
        self.assertEqual([e["index"] for e in events], [0, 1, 2])


class Unsubscribe(SubscribeCase):
    def test_one_at_a_time(self):
        client = self.subscriber(after=0)
        client.fail("events.subscribe", "already_subscribed")
        client.fail("events.subscribe", "already_subscribed", after=0)
        client.call("events.unsubscribe")
        client.call("events.subscribe")

    def test_silence_after_the_reply(self):
        client = self.subscriber(after=0)
        client.call("events.unsubscribe")
        client.notes.clear()
        self.quick(5)
        client.call("daemon.status")
        self.assertEqual(len(client.notes), 0)

    def test_cursor(self):
        agents = [self.client.spawn(options={"chunks": 300, "delay_ms": 1}) for _ in range(5)]
        client = self.connect()
        seqs, cursor, ended = [], 0, 0
        while ended < len(agents):
            client.call("events.subscribe", after=cursor)
            for _ in range(random.randint(1, 100)):
                note = client.note()
                if note["method"] == "event":
                    seqs.append(note["params"]["seq"])
                    ended += note["params"]["type"] in ENDS
                if ended == len(agents):
                    break
            cursor = client.call("events.unsubscribe")["seq"]
            late = [n["params"] for n in client.notes if n["method"] == "event"]
            client.notes.clear()
            seqs += [e["seq"] for e in late]
            ended += sum(e["type"] in ENDS for e in late)
            self.assertGreaterEqual(cursor, seqs[-1] if seqs else 0)
        self.assertEqual(seqs, list(range(1, len(seqs) + 1)))

    def test_cursor_with_a_filter(self):
        client = self.connect()
        seqs, cursor = [], 0
        for _ in range(10):
            client.call("events.subscribe", after=cursor, types=["AgentCompleted"])
            agent = self.quick(2)[-1]
            client.wait_event(lambda e, a=agent: seqs.append(e["seq"]) or e["agent_id"] == a)
            cursor = client.call("events.unsubscribe")["seq"]
            self.quick(1)
        client.call("events.subscribe", after=cursor, types=["AgentCompleted"])
        seqs += [e["seq"] for e in client.wait_note("live")[1]]
        self.assertEqual(seqs, [e["seq"] for e in self.daemon.events() if e["type"] == "AgentCompleted"])


class Cursor(SubscribeCase):
    def test_live_every_ten_seconds_while_nothing_matches(self):
        client = self.subscriber(correlation_id="none")
        start = client.info["newest_seq"]
        self.client.spawn(options={"chunks": 1000, "delay_ms": 100})
        seqs = []
        while not seqs or seqs[-1] < start + 20:
            live, events = client.wait_note("live", timeout=TIMEOUT + 12)
            self.assertEqual(events, [])
            seqs.append(live["seq"])
        self.assertEqual(seqs, sorted(set(seqs)))
        self.assertLessEqual(seqs[-1], self.newest())


class Slow(SubscribeCase):
    def test_one_that_stops_reading(self):
        # Far more than any socket buffer; nobody else waits for it, and it loses nothing.
        slow = [self.connect(rcvbuf=4096), self.connect()]
        for client, params in zip(slow, ({"after": 0}, {"after": 0, "correlation_id": "c"})):
            client.call("events.subscribe", **params)
        quick = self.subscriber(after=0)
        agents = [
            self.client.spawn(options={"chunks": 100, "delay_ms": 0, "chunk_bytes": 60000}, correlation_id="c")
            for _ in range(5)
        ]
        for agent in agents:
            self.client.wait(agent)
        log = self.daemon.events()
        self.assertEqual(self.upto(quick, log[-1]["seq"]), log)
        self.assertEqual(self.upto(slow[0], log[-1]["seq"]), log)
        own = [e for e in log if e.get("correlation_id") == "c"]
        self.assertEqual(self.upto(slow[1], own[-1]["seq"]), own)

    def test_live_again_when_it_has_caught_up(self):
        client = self.connect(rcvbuf=4096)
        client.call("events.subscribe", after=0)
        client.wait_note("live")
        agent = self.client.spawn(options={"chunks": 200, "delay_ms": 0, "chunk_bytes": 60000})
        self.client.wait(agent)
        newest = self.newest()
        live, events = client.wait_note("live")
        while live["seq"] < newest:
            live, more = client.wait_note("live")
            events += more
        self.assertEqual(events[-1]["type"], "AgentCompleted")

    def test_live_again_from_memory(self):
        # Less than is kept in memory, more than a socket takes.
        for params in ({"after": 0}, {"after": 0, "types": ["AgentPartialOutput", "AgentCompleted"]}):
            client = self.connect(rcvbuf=4096)
            client.call("events.subscribe", **params)
            client.wait_note("live")
            self.client.wait(self.client.spawn(options={"chunks": 40, "delay_ms": 0, "chunk_bytes": 60000}))
            newest = self.newest()
            client.wait_event(lambda e: e["seq"] == newest)
            note = client.note()
            self.assertEqual((note["method"], note["params"]), ("live", {"seq": newest}))
            client.close()

    def test_slow_with_threads_reading(self):
        clients = [self.subscriber(after=0) for _ in range(4)]
        seen = [None] * 4

        def read(i):
            seen[i] = [e["seq"] for e in self.upto(clients[i], 2000)]

        threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        agents = [self.client.spawn(options={"chunks": 250, "delay_ms": 0, "chunk_bytes": 1000}) for _ in range(8)]
        for agent in agents:
            self.client.wait(agent)
        for thread in threads:
            thread.join(TIMEOUT)
        self.assertEqual(seen, [list(range(1, 2001))] * 4)


class Unsynced(SubscribeCase):
    """Further behind than what is kept in memory, and no further than the last sync: it goes out without being read."""

    args = ("--sync-interval=10s",)

    def test_slow(self):
        for size in (60000, 900, 7):
            slow = self.connect(rcvbuf=4096)
            slow.call("events.subscribe", after=self.newest())
            options = {"chunks": min(20_000_000 // size, 30_000), "delay_ms": 0, "chunk_bytes": size}
            self.client.wait(self.client.spawn(options=options), TIMEOUT * 2)
            log = self.daemon.log_lines()
            got = []
            while not got or parse_strict(got[-1])["params"]["seq"] < len(log):
                line = slow.read_line()
                if parse_strict(line)["method"] == "event":
                    got.append(line)
            self.assertTrue(got == log[-len(got) :], "the log and its reader differ")
            self.assertEqual(len(got), options["chunks"] + 3)
            slow.close()


class Listed(SubscribeCase):
    """subscriber.list."""

    def listed(self, **params):
        return self.client.call("subscriber.list", **params)

    def test_nobody(self):
        self.assertEqual(self.listed(), {"newest_seq": self.newest(), "subscribers": []})

    def test_what_it_tells(self):
        agents = self.quick(2)
        filters = (
            {},
            {"types": ["AgentError", "AgentSpawned"], "correlation_id": "c"},
            {"agents": agents, "labels": {"é": "\"", "k": "v"}, "until": "idle"},
        )
        clients = [self.subscriber(**params) for params in filters]
        newest = self.newest()
        clients[0].wait_note("live")
        answer = self.listed()
        self.assertEqual((answer["newest_seq"], len(answer["subscribers"])), (newest, 2), "the third has ended")
        for entry, params in zip(answer["subscribers"], filters):
            self.assertRegex(entry.pop("since"), TIME)
            entry["types"] = sorted(entry.get("types", []))
            expected = {"uid": os.getuid(), "pid": os.getpid(), "next_seq": newest + 1, "lag_events": 0, "lag_bytes": 0}
            self.assertEqual({key: entry[key] for key in expected}, expected)
            self.assertEqual(entry["types"], sorted(params.get("types", [])))
            self.assertEqual(entry.get("correlation_id"), params.get("correlation_id"))

    def test_a_filter_by_agents(self):
        agent = self.client.spawn(options=slow_agent(), labels={"é": "\""})
        self.subscriber(agents=[agent], labels={"é": "\""}, until="idle")
        (entry,) = self.listed()["subscribers"]
        self.assertEqual((entry["agents"], entry["labels"], entry["until"]), (1, 1, "idle"))
        self.assertNotIn(agent, dumps(entry))

    def test_an_entry_has_a_bound(self):
        """However much its client asked for."""
        labels = {"\1" * 126 + f"{i:02}": "\1" * 512 for i in range(32)}
        self.subscriber(labels=labels, correlation_id="\1" * 256)
        (entry,) = self.listed()["subscribers"]
        self.assertEqual(entry["labels"], 32)
        self.assertLess(len(dumps(entry)), 4096)

    def test_pages(self):
        kinds = ({}, {"correlation_id": "c"}, {"types": ["AgentError"]})
        clients = [self.subscriber(**kinds[i % 3]) for i in range(7)]
        ids = [entry["id"] for entry in self.listed()["subscribers"]]
        self.assertEqual((len(ids), ids), (7, sorted(set(ids))))
        self.assertNotIn("next", self.listed(limit=7))
        seen, after = [], 0
        while after is not None:
            page = self.listed(limit=3, after=after)
            seen += [entry["id"] for entry in page["subscribers"]]
            after = page.get("next")
        self.assertEqual(seen, ids)
        clients[0].call("events.unsubscribe")
        clients[1].close()
        eventually(lambda: [e["id"] for e in self.listed()["subscribers"]] == ids[2:], "two have gone")
        self.subscriber()
        self.assertGreater(self.listed()["subscribers"][-1]["id"], ids[-1], "a number is not given twice")

    def test_lag(self):
        reader = self.connect(rcvbuf=4096)
        reader.call("events.subscribe")
        self.client.wait(self.client.spawn(options={"chunks": 200, "delay_ms": 0, "chunk_bytes": 4096}))
        newest = self.newest()
        (entry,) = self.listed()["subscribers"]
        self.assertGreater(entry["lag_events"], 0)
        self.assertEqual(entry["next_seq"] + entry["lag_events"], newest + 1)
        self.assertEqual(entry["lag_bytes"], sum(len(line) + 1 for line in self.daemon.log_lines()[-entry["lag_events"] :]))
        self.upto(reader, newest)
        eventually(lambda: self.listed()["subscribers"][0]["lag_events"] == 0, "it has caught up")


class Gaps(SubscribeCase):
    args = ("--segment-bytes=65536", "--retain-bytes=131072")

    def churn(self, wanted):
        """Writes until retention has taken everything up to `wanted`."""

        def oldest():
            agent = self.client.spawn(options={"chunks": 10, "delay_ms": 0, "chunk_bytes": 20000})
            self.client.wait(agent)
            seq = self.client.call("daemon.status")["log"]["oldest_seq"]
            return seq if seq > wanted else None

        return eventually(oldest, "retention takes the oldest segments")

    def test_a_cursor_that_is_gone(self):
        self.churn(20)
        client = self.subscriber(after=1)
        gap, events = client.wait_note("gap")
        self.assertEqual(events, [])
        self.assertEqual(gap["from"], 2)
        self.assertGreaterEqual(gap["to"], client.info["oldest_seq"] - 1)
        self.assertEqual(client.wait_event(lambda e: True)["seq"], gap["to"] + 1)

    def test_what_is_gone_is_not_served_from_memory(self):
        # Some 740 KB, which a daemon would keep in memory.
        agent = str(uuid.uuid4())
        self.client.spawn(agent_id=agent, options=QUICK)
        old = self.client.wait(agent)["last_seq"]
        for _ in range(37):
            self.client.wait(self.client.spawn(options={"chunks": 20, "delay_ms": 0, "chunk_bytes": 1000}))
        eventually(lambda: self.client.call("daemon.status")["log"]["oldest_seq"] > old, "it is pruned")
        self.client.fail("events.read", "pruned", after=1)
        for params in ({}, {"types": ["AgentPartialOutput", "AgentSpawned"]}):
            client = self.subscriber(after=1, **params)
            gap, events = client.wait_note("gap")
            self.assertEqual((gap["from"], events), (2, []))
            self.assertGreaterEqual(gap["to"], old)
            self.assertGreater(client.wait_event(lambda e: True)["seq"], gap["to"])
        eventually(lambda: "error" in self.client.reply(self.client.request("agent.get", agent_id=agent)), "it is forgotten")
        self.client.fail("agent.get", "not_found", agent_id=agent)
        self.assertTrue(self.client.call("agent.spawn", prompt="other", agent_id=agent)["created"])

    def test_the_oldest_there_is(self):
        self.churn(20)
        client = self.subscriber(after=0)
        note = client.note()
        self.assertEqual(note["method"], "event")
        self.assertGreaterEqual(note["params"]["seq"], client.info["oldest_seq"])

    def test_one_that_was_too_slow(self):
        client = self.connect(rcvbuf=4096)
        client.call("events.subscribe", after=0)
        self.churn(self.newest() + 100)
        newest = self.newest()
        cursor, gaps = 0, 0
        while cursor < newest:
            note = client.note()
            if note["method"] == "event":
                self.assertEqual(note["params"]["seq"], cursor + 1, "nothing is skipped silently")
                cursor += 1
            elif note["method"] == "gap":
                gaps += 1
                self.assertEqual(note["params"]["from"], cursor + 1)
                self.assertGreaterEqual(note["params"]["to"], note["params"]["from"])
                cursor = note["params"]["to"]
        self.assertGreaterEqual(gaps, 1)
        live, events = client.wait_note("live")
        self.assertEqual((live["seq"], events), (newest, []))


if __name__ == "__main__":
    main()
