"""What one client may cost the others: those that have gone, those that ask for much, what retention took from them."""

import unittest
import uuid

from common import *

MIB = 1024 * 1024
QUICK = {"chunks": 1, "delay_ms": 0}
FOREVER = {"chunks": 1, "delay_ms": 600000}
# A wait takes more than 1 KiB.
WAITS = 10000
RSS_LIMIT_KIB = 150 * 1024


def lines(n, method, **params):
    return (dumps(make_request(method, params, 1)) + "\n").encode() * n


class ControlCase(DaemonCase):
    def wait_alone(self):
        eventually(lambda: self.client.call("daemon.status")["clients"] == 1, "the other clients have gone")

    def rss_kib(self):
        return harness.rss_anon_kib(self.daemon.pid)

    def churn(self, wanted):
        """Writes until retention has taken everything up to `wanted`."""

        def oldest():
            self.client.wait(self.client.spawn(options={"chunks": 10, "delay_ms": 0, "chunk_bytes": 20000}))
            return self.client.call("daemon.status")["log"]["oldest_seq"] > wanted

        eventually(oldest, "retention takes the oldest segments")


class Gone(ControlCase):
    def test_their_waits_are_forgotten(self):
        agent = self.client.spawn(options=FOREVER)

        def come_and_go(rounds):
            for _ in range(rounds):
                client = self.connect()
                client.send_raw(lines(WAITS, "agent.wait", agent_id=agent, timeout_ms=600000))
                client.send(status("all"))
                client.reply("all")
                client.close()
            self.wait_alone()
            return self.rss_kib()

        # A sanitizer keeps what was freed for a while.
        before = come_and_go(12)
        self.assertLess(come_and_go(30) - before, RSS_LIMIT_KIB)
        self.client.call("agent.cancel", agent_id=agent)

    def test_their_cancels_are_done(self):
        """Also that of an agent whose spawn is not logged yet."""
        agents = [str(uuid.uuid4()) for _ in range(20)]
        client = self.connect()
        client.send(
            *(make_request("agent.spawn", {"prompt": "p", "agent_id": a, "options": FOREVER}, 1) for a in agents),
            *(make_request("agent.cancel", {"agent_id": a}, 2) for a in agents),
            *(make_request("agent.wait", {"agent_id": a}, 3) for a in agents),
        )
        client.close()
        self.wait_alone()
        for agent in agents:
            self.assertEqual(self.client.wait(agent)["state"], "cancelled")

    def test_of_some_the_agent_ends(self):
        agent = self.client.spawn(options=FOREVER)
        stays = self.connect()
        waiting = stays.request("agent.wait", agent_id=agent)
        for params in ({"agent_id": agent}, {"agent_id": agent[:8]}, {"agent_id": agent, "timeout_ms": 1}):
            client = self.connect()
            client.request("agent.wait", **params)
            client.close()
        eventually(lambda: self.client.call("daemon.status")["clients"] == 2, "the other clients have gone")
        self.client.call("agent.cancel", agent_id=agent)
        self.assertEqual(stays.result(waiting)["state"], "cancelled")

    def test_full_ones_are_noticed(self):
        agent = self.client.spawn(options=FOREVER)
        for _ in range(3):
            client = self.connect()
            client.send_raw(lines(16500, "agent.wait", agent_id=agent))
            client.close()
        self.wait_alone()

    def test_a_full_one_goes_on_when_there_is_room(self):
        agent = self.client.spawn(options=FOREVER)
        client = self.connect()
        client.send_raw(lines(16384, "agent.wait", agent_id=agent))
        client.send(status("last"))
        self.client.call("agent.cancel", agent_id=agent)
        self.assertEqual(client.reply("last")["result"]["clients"], 2)

    def test_halves_wait(self):
        agent = self.client.spawn(options=FOREVER)
        client = self.connect()
        waiting = client.request("agent.wait", agent_id=agent)
        client.half_close()
        self.client.call("agent.cancel", agent_id=agent)
        self.assertEqual(client.result(waiting)["state"], "cancelled")
        client.expect_eof()


class LongLog(unittest.TestCase):
    """One daemon with more events than events.read looks at in one go."""

    N = 1200000

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--segment-bytes=16MiB")
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.start()
        cls.client = cls.daemon.client()
        options = {"chunks": cls.N // 4, "delay_ms": 0, "chunk_bytes": 1}
        agents = [cls.client.spawn(options=options, correlation_id="c") for _ in range(4)]
        for agent in agents:
            cls.client.wait(agent, timeout=10 * TIMEOUT)
        cls.agent = agents[0]

    def test_a_read_is_bounded(self):
        newest = self.client.call("daemon.status")["log"]["newest_seq"]
        page = self.client.call("events.read", types=["DaemonStopping"])
        self.assertEqual((page["events"], page["more"], page["seq"]), ([], True, 1 << 20))
        page = self.client.call("events.read", types=["DaemonStopping"], after=page["seq"])
        self.assertEqual((page["events"], page["more"], page["seq"]), ([], False, newest))
        # Exactly as many as it may look at are left.
        page = self.client.call("events.read", types=["DaemonStopping"], after=newest - (1 << 20))
        self.assertEqual((page["events"], page["more"], page["seq"]), ([], False, newest))

    def test_stats(self):
        stats = self.client.call("events.stats")
        self.assertEqual(stats, self.client.call("events.stats"))
        own = self.client.call("events.stats", correlation_id="c")
        self.assertEqual(own["events"], stats["events"] - 1)
        self.assertEqual(own["chunks"], self.N)

    def test_others_get_their_turn(self):
        """Many long walks for one client, and one question each of the others."""
        before = harness.rss_anon_kib(self.daemon.pid)
        busy = self.daemon.client()
        busy.send_raw(lines(500, "events.stats", correlation_id="none"))
        other = self.daemon.client()
        for _ in range(5):
            self.assertEqual(other.call("agent.get", agent_id=self.agent[:30])["state"], "completed")
            self.assertEqual(len(other.call("agent.list", state=["completed"])["agents"]), 4)
        self.assertEqual(other.call("events.read", limit=1)["seq"], 1)
        other.call("events.subscribe", after=0)
        self.assertEqual(other.wait_event(lambda e: True)["seq"], 1)
        other.close()
        self.assertFalse(busy.torn())
        answered = 0
        while not busy.silent():
            busy.read_line()
            answered += 1
        self.assertLess(answered, 400)
        self.assertLess(harness.rss_anon_kib(self.daemon.pid) - before, RSS_LIMIT_KIB)
        busy.close()
        eventually(lambda: self.client.call("daemon.status")["clients"] == 1, "the busy one has gone")

    def test_who_seeks_may_go(self):
        for _ in range(20):
            client = self.daemon.client()
            client.call("events.subscribe", last=10000, types=["DaemonStopping"])
            client.close()
        eventually(lambda: self.client.call("daemon.status")["subscribers"] == 0, "they have gone")


class Stats(ControlCase):
    args = ("--segment-bytes=65536",)

    def fill(self):
        self.client.wait(self.client.spawn(options={"chunks": 30, "delay_ms": 0, "chunk_bytes": 5000}))

    def test_sealed_segments_are_counted_once(self):
        for _ in range(3):
            self.fill()
            stats = self.client.call("events.stats")
            self.assertEqual(stats["events"], len(self.daemon.events()))
        for path in self.daemon.log_files()[:-1]:
            with open(path[: -len("ndjson")] + "idx", "r+b") as f:
                f.truncate(0)
        self.assertEqual(self.client.call("events.stats"), stats)


class PrunedStats(ControlCase):
    args = ("--segment-bytes=65536", "--retain-bytes=131072")

    def test_what_is_gone_does_not_count(self):
        self.client.call("events.stats")
        for wanted in (50, 100, 150):
            self.churn(wanted)
            log = self.client.call("daemon.status")["log"]
            events = log["newest_seq"] - log["oldest_seq"] + 1
            stats = self.client.call("events.stats")["events"]
            # Retention may go on between the two questions.
            now = self.client.call("daemon.status")["log"]
            self.assertLessEqual(stats, events)
            self.assertGreaterEqual(stats, now["newest_seq"] - now["oldest_seq"] + 1)


class Follow(ControlCase):
    def spawned(self):
        return sum(e["type"] == "AgentSpawned" for e in self.daemon.events())

    def request(self, request_id, **params):
        return make_request("agent.spawn", {"prompt": "p", "options": QUICK, "follow": True, **params}, request_id)

    def check_second(self, *messages):
        """Of two that are sent in one write, the second is refused, and the connection follows the first."""
        client = self.connect()
        client.send(*messages)
        check_error(client.reply(2), "already_subscribed")
        self.assertIn("result", client.reply(1))
        return client

    def test_twice_at_once(self):
        client = self.check_second(self.request(1), self.request(2))
        events, _ = client.until_end()
        self.assertEqual([e["type"] for e in events][0], "AgentSpawned")
        self.assertEqual(len({e["agent_id"] for e in events}), 1)
        self.assertEqual(self.spawned(), 1)

    def test_beside_a_subscription_that_looks_for_its_agents(self):
        agent = self.client.spawn(options=QUICK)
        params = {"agents": [agent[:10]], "after": 0}
        self.check_second(make_request("events.subscribe", params, 1), self.request(2))
        self.assertEqual(self.spawned(), 1)
        self.check_second(self.request(1), make_request("events.subscribe", params, 2))
        self.check_second(
            make_request("events.subscribe", params, 1), make_request("events.subscribe", {}, 2)
        )

    def test_in_a_batch(self):
        client = self.connect()
        client.send([self.request(1), self.request(2)])
        self.assertIn("result", client.reply(1))
        check_error(client.reply(2), "already_subscribed")
        client.until_end()
        self.assertEqual(self.spawned(), 1)

    def subscribe(self, request_id, **params):
        return make_request("events.subscribe", params, request_id)

    def unsubscribe(self, request_id):
        return make_request("events.unsubscribe", None, request_id)

    def check_order(self, first, wrap):
        """Behind `first`, which is not answered at once: the end of its subscription, and another one."""
        client = self.connect()
        messages = [first, self.unsubscribe("u"), self.unsubscribe("v"), self.subscribe("s", last=1)]
        client.send(*wrap(messages + [self.subscribe("t")]))
        self.assertIn("result", client.reply(first["id"]))
        self.assertIn("seq", client.result("u"))
        check_error(client.reply("v"), "not_found")
        newest = client.result("s")["newest_seq"]
        check_error(client.reply("t"), "already_subscribed")
        self.assertEqual(client.wait_event(lambda e: e["seq"] >= newest)["seq"], newest)

    def test_unsubscribe_behind_it(self):
        agent = self.client.spawn(options=QUICK)
        self.client.wait(agent)
        for wrap in (lambda messages: messages, lambda messages: [messages]):
            self.check_order(self.subscribe("f", agents=[agent[:10]], after=0), wrap)
            self.check_order(self.request("f", options=FOREVER), wrap)

    def test_unsubscribe_behind_one_that_fails(self):
        client = self.connect()
        client.send(self.subscribe("f", agents=["ffffffff-f"]), self.unsubscribe("u"), self.subscribe("s"))
        check_error(client.reply("f"), "not_found")
        check_error(client.reply("u"), "not_found")
        self.assertIn("log_id", client.result("s"))

    def test_gone_while_it_waits(self):
        agent = self.client.spawn(options=FOREVER)
        for _ in range(20):
            client = self.connect()
            first = self.subscribe("f", agents=[agent[:10]])
            client.send(*[first, self.unsubscribe("u"), self.subscribe("s", agents=[agent[:10]])] * 10)
            client.close()
        eventually(lambda: self.client.call("daemon.status")["clients"] == 1, "they have gone")

    def test_again_after_a_failure(self):
        agent = self.client.spawn(options=QUICK)
        client = self.connect()
        client.fail("agent.spawn", "already_exists", prompt="other", agent_id=agent, follow=True)
        client.fail("agent.spawn", "invalid_params", prompt="p", agent_id="x", follow=True)
        client.fail("events.subscribe", "not_found", agents=[NOBODY])
        client.spawn(options=QUICK, follow=True)
        client.until_end()
        client.spawn(options=QUICK, follow=True)
        client.until_end()


class Prefixes(ControlCase):
    def test_too_many(self):
        agent = self.client.spawn(options=QUICK)
        other = self.client.spawn(options=QUICK)
        self.client.wait(agent)
        prefixes = [agent[:20]] * 100
        self.assertTrue(self.client.call("events.read", agents=prefixes)["events"])
        self.assertTrue(self.client.call("events.read", agents=prefixes + [other] * 200)["events"])
        for method in ("events.read", "events.subscribe"):
            data = self.client.fail(method, "too_large", agents=prefixes + [agent[:21]])
            self.assertEqual((data["limit"], data["param"]), (100, "agents"))

    def test_too_short(self):
        agent = self.client.spawn(options=QUICK)
        self.assertEqual(self.client.fail("agent.get", "invalid_params", agent_id="abc")["param"], "agent_id")
        cases = (
            (["ab"], "agents[0]"),
            ([agent, "zzz"], "agents[1]"),
            ([agent] * 9999 + ["z"], "agents[9999]"),
        )
        for method in ("events.read", "events.subscribe"):
            for agents, param in cases:
                self.assertEqual(self.client.fail(method, "invalid_params", agents=agents)["param"], param)

    def test_every_length(self):
        agents = [self.client.spawn(options=FOREVER) for _ in range(50)]
        for length in range(12, 37):
            for agent in agents[:3]:
                got = self.client.call("agent.get", agent_id=agent[:length].upper())
                self.assertEqual(got["agent_id"], agent)
        for wrong in (agents[0][:8] + "0", agents[0][:5] + "-", "zzzz", agents[0] + "0"):
            self.client.fail("agent.get", "not_found", agent_id=wrong)


class UnknownAgents(ControlCase):
    def test_the_first_that_fails_ends_it(self):
        agent = self.client.spawn(options=QUICK)
        for method in ("events.read", "events.subscribe"):
            data = self.client.fail(method, "not_found", agents=[agent, NOBODY, "z"])
            self.assertEqual(data["agent_id"], NOBODY)

    @unittest.skipUnless(SCALE == 1, "sanitizers have memory of their own")
    def test_many_of_clients_that_go(self):
        """What is looked up for them does not pile up, nor outlive them."""
        request = make_request("events.read", {"agents": [str(uuid.uuid4()) for _ in range(10000)]}, 1)
        data = (dumps(request) + "\n").encode() * 8
        for _ in range(10):
            client = self.connect()
            client.sock.sendall(data)
            client.close()
        self.wait_alone()
        self.client.call("events.read", limit=1)
        self.assertLess(harness.rss_highest_kib(self.daemon.pid), RSS_LIMIT_KIB)


class FullQueue(ControlCase):
    args = ("--max-queued=1", "--max-running=1")

    def test_an_id_that_was_spawned_before(self):
        known = {"prompt": "p", "agent_id": str(uuid.uuid4()), "options": QUICK}
        seq = self.client.call("agent.spawn", **known)["seq"]
        self.client.wait(known["agent_id"])
        self.daemon.restart()
        self.client = self.daemon.client()
        watcher = self.connect()
        watcher.call("events.subscribe", types=["AgentStarted"])
        self.client.spawn(options=FOREVER)
        watcher.wait_event(lambda e: True)
        self.client.spawn(options=FOREVER)
        self.client.fail("agent.spawn", "queue_full", prompt="p")
        self.client.fail("agent.spawn", "queue_full", prompt="p", agent_id=str(uuid.uuid4()))
        wanted = {"agent_id": known["agent_id"], "seq": seq, "created": False}
        self.assertEqual(self.client.call("agent.spawn", **known), wanted)
        self.client.fail("agent.spawn", "already_exists", **{**known, "prompt": "other"})
        self.client.fail("agent.spawn", "queue_full", prompt="p", agent_id=str(uuid.uuid4()))


class PrunedOutput(ControlCase):
    args = ("--segment-bytes=65536", "--retain-bytes=131072")

    def check_pruned(self, agent, **params):
        data = self.client.fail("agent.output", "pruned", agent_id=agent, **params)
        self.assertLessEqual(data["oldest_seq"], self.client.call("daemon.status")["log"]["oldest_seq"])
        self.assertGreater(data["oldest_seq"], 1)

    def send(self, agent, data):
        """To a cat; returns once it has come back."""
        watcher = self.connect()
        watcher.call("events.subscribe", agents=[agent])
        self.client.call("agent.send", agent_id=agent, data=data)
        watcher.wait_event(lambda e: e["type"] == "AgentPartialOutput")
        watcher.close()

    def cat(self):
        agent = self.client.spawn_exec("/bin/cat", options={"stdin": "open"})
        watcher = self.connect()
        watcher.call("events.subscribe", agents=[agent], after=0)
        watcher.wait_event(lambda e: e["type"] == "AgentStarted")
        watcher.close()
        return agent

    def test_of_one_that_has_ended(self):
        agent = self.client.spawn("a prompt", options={"chunks": 30, "delay_ms": 0, "chunk_bytes": 20000})
        self.client.wait(agent)
        eventually(lambda: self.is_pruned(agent), "its first chunks have gone")
        self.check_pruned(agent, offset=30 * 20000 - 1)
        self.check_pruned(agent, channel="error")

    def is_pruned(self, agent):
        reply = self.client.reply(self.client.request("agent.output", agent_id=agent))
        return "error" in reply and check_error(reply, "pruned")

    def test_of_one_that_runs(self):
        agent = self.cat()
        self.send(agent, "first\n")
        self.assertEqual(self.client.output(agent), b"first\n")
        self.churn(self.client.call("agent.get", agent_id=agent)["last_seq"])
        self.check_pruned(agent)
        self.send(agent, "second\n")
        self.check_pruned(agent)

    def test_what_began_late_is_whole(self):
        agent, silent = self.cat(), self.cat()
        self.churn(self.client.call("agent.get", agent_id=silent)["last_seq"])
        self.assertEqual(self.client.output(agent), b"")
        self.send(agent, "first\n")
        self.send(agent, "second\n")
        self.assertEqual(self.client.output(agent), b"first\nsecond\n")
        self.assertEqual(self.client.output(agent, limit_bytes=7), b"first\nsecond\n")
        self.assertEqual(self.client.output(silent), b"")


class DamagedOutput(ControlCase):
    args = ("--segment-bytes=65536",)

    def test_a_chunk_is_left_out(self):
        options = {"chunks": 20, "delay_ms": 0, "chunk_bytes": 10000}
        agent = self.client.spawn(options=options)
        self.client.wait(agent)
        chunks = [raw_bytes(e) for e in self.daemon.events_of(agent) if "chunk" in e]
        self.daemon.stop()
        self.damage(7)
        self.daemon.start()
        client = self.daemon.client()
        page = client.call("agent.output", agent_id=agent)
        self.assertEqual(raw_bytes(page), b"".join(chunks[:7] + chunks[8:]))
        self.assertNotIn("next", page)
        got, offset = {}, 0
        while offset is not None:
            page = client.call("agent.output", agent_id=agent, offset=offset, limit_bytes=9000)
            got[offset] = raw_bytes(page)
            self.assertGreater(page.get("next", 1 << 30), offset)
            offset = page.get("next")
        self.assertEqual(b"".join(got.values()), b"".join(chunks[:7] + chunks[8:]))

    def damage(self, index):
        wanted = f'"index":{index},'.encode()
        for path in self.daemon.log_files():
            with open(path, "r+b") as f:
                data = f.read()
                at = data.find(wanted)
                if at >= 0:
                    f.seek(at + 2000)
                    f.write(b"#")
                    return
        self.fail("no such chunk")


class Exit(ControlCase):
    def test_with_all_kinds_of_things_pending(self):
        """A leak checker has its say about what was on its way."""
        agents = [self.client.spawn(options=FOREVER) for _ in range(10)]
        clients = [self.connect() for _ in range(8)]
        for client in clients:
            client.send(
                make_request("agent.wait", {"agent_id": agents[0]}, 1),
                make_request("agent.wait", {"agent_id": agents[1][:12], "timeout_ms": 600000}, 2),
                make_request("events.subscribe", {"agents": [a[:12] for a in agents], "after": 0}, 3),
                make_request("agent.get", {"agent_id": NOBODY}, 4),
                make_request("events.stats", {}, 5),
                [make_request("agent.wait", {"agent_id": agents[2]}, 6), status(7)],
            )
        clients[0].close()
        self.daemon.stop()

    def test_right_after_requests(self):
        for _ in range(5):
            client = self.connect()
            agent = str(uuid.uuid4())
            spawn = {"prompt": "p", "agent_id": agent, "options": QUICK, "follow": True}
            client.send(
                make_request("agent.spawn", spawn, 1),
                make_request("events.subscribe", {"agents": [agent, NOBODY]}, 2),
                make_request("events.read", {"agents": [agent, agent[:20]]}, 3),
                make_request("agent.output", {"agent_id": agent}, 4),
                make_request("agent.cancel", {"agent_id": agent[:20]}, 5),
                make_request("agent.list", {}, 6),
            )
            self.daemon.stop()
            self.daemon.start()


if __name__ == "__main__":
    main()
