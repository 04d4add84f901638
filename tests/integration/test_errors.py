"""Every reason of the protocol's table of errors, with the members of its data; and the roles."""

import os
import select
import signal
import unittest
import uuid

from common import *

KIB = 1024
ROOT_ONLY = unittest.skipUnless(os.geteuid() == 0, "only root can be someone else")

METHODS = {
    "daemon.status": "observe",
    "daemon.metrics": "observe",
    "agent.spawn": "submit",
    "agent.get": "observe",
    "agent.list": "observe",
    "agent.output": "observe",
    "agent.send": "submit",
    "agent.cancel": "submit",
    "agent.wait": "observe",
    "events.subscribe": "observe",
    "events.unsubscribe": "observe",
    "events.read": "observe",
    "events.stats": "observe",
    "provider.list": "observe",
    "subscriber.list": "observe",
    "rpc.discover": "observe",
}

# What only a backend that talks to a provider can say of an agent, or one in a cgroup.
OF_OTHERS = {
    "AgentRetrying": {"message"},
    "AgentCompleted": {"finish_reason", "model", "usage", "first_chunk_ms", "resource"},
    "AgentError": {"http_status", "request_id", "provider", "resource"},
}

# method, params, the path that data.param must name
INVALID_PARAMS = [
    ("agent.spawn", {}, "prompt"),
    ("agent.spawn", {"prompt": 1}, "prompt"),
    ("agent.spawn", {"prompt": None}, "prompt"),
    ("agent.spawn", {"prompt": "p", "nope": 1}, "nope"),
    ("agent.spawn", {"prompt": "p", "backend": "nope"}, "backend"),
    ("agent.spawn", {"prompt": "p", "backend": 1}, "backend"),
    ("agent.spawn", {"prompt": "p", "options": []}, "options"),
    ("agent.spawn", {"prompt": "p", "options": {"nope": 1}}, "options.nope"),
    ("agent.spawn", {"prompt": "p", "options": {"chunks": "3"}}, "options.chunks"),
    ("agent.spawn", {"prompt": "p", "options": {"chunks": -1}}, "options.chunks"),
    ("agent.spawn", {"prompt": "p", "options": {"chunks": 1.5}}, "options.chunks"),
    ("agent.spawn", {"prompt": "p", "options": {"delay_ms": -1}}, "options.delay_ms"),
    ("agent.spawn", {"prompt": "p", "options": {"script": {}}}, "options.script"),
    ("agent.spawn", {"prompt": "p", "options": {"script": [1]}}, "options.script[0]"),
    (
        "agent.spawn",
        {"prompt": "p", "options": {"script": [{"after_ms": 0, "chunk": "x"}, {"after_ms": 0, "chunk": 1}]}},
        "options.script[1].chunk",
    ),
    ("agent.spawn", {"prompt": "p", "agent_id": "nope"}, "agent_id"),
    ("agent.spawn", {"prompt": "p", "agent_id": "12345678"}, "agent_id"),
    ("agent.spawn", {"prompt": "p", "agent_id": 7}, "agent_id"),
    ("agent.spawn", {"prompt": "p", "agent_id": str(uuid.uuid4())[:-1]}, "agent_id"),
    ("agent.spawn", {"prompt": "p", "agent_id": str(uuid.uuid4()) + "0"}, "agent_id"),
    ("agent.spawn", {"prompt": "p", "correlation_id": 1}, "correlation_id"),
    ("agent.spawn", {"prompt": "p", "labels": {"a": 1}}, "labels.a"),
    ("agent.spawn", {"prompt": "p", "labels": ["a"]}, "labels"),
    ("agent.spawn", {"prompt": "p", "context": "x"}, "context"),
    ("agent.spawn", {"prompt": "p", "group": 1}, "group"),
    ("agent.spawn", {"prompt": "p", "priority": "high"}, "priority"),
    ("agent.spawn", {"prompt": "p", "priority": 1.5}, "priority"),
    ("agent.spawn", {"prompt": "p", "timeouts": 1}, "timeouts"),
    ("agent.spawn", {"prompt": "p", "timeouts": {"nope": 1}}, "timeouts.nope"),
    ("agent.spawn", {"prompt": "p", "timeouts": {"total_ms": "1"}}, "timeouts.total_ms"),
    ("agent.spawn", {"prompt": "p", "timeouts": {"idle_ms": -1}}, "timeouts.idle_ms"),
    ("agent.spawn", {"prompt": "p", "timeouts": {"connect_ms": 5}}, "timeouts.connect_ms"),
    ("agent.spawn", {"prompt": "p", "on_restart": "nope"}, "on_restart"),
    ("agent.spawn", {"prompt": "p", "follow": "yes"}, "follow"),
    ("agent.spawn", {"prompt": "p", "follow": 1}, "follow"),
    ("agent.spawn", {"prompt": "p", "backend": "exec"}, "options.argv"),
    ("agent.spawn", {"prompt": "p", "backend": "exec", "options": {"argv": []}}, "options.argv"),
    ("agent.spawn", {"prompt": "p", "backend": "exec", "options": {"argv": "ls"}}, "options.argv"),
    ("agent.spawn", {"prompt": "p", "backend": "exec", "options": {"argv": [1]}}, "options.argv[0]"),
    ("agent.spawn", {"prompt": "p", "backend": "exec", "options": {"argv": ["a", None]}}, "options.argv[1]"),
    (
        "agent.spawn",
        {"prompt": "p", "backend": "exec", "options": {"argv": ["a"], "stdin": "nope"}},
        "options.stdin",
    ),
    (
        "agent.spawn",
        {"prompt": "p", "backend": "exec", "options": {"argv": ["a"], "chunking": "nope"}},
        "options.chunking",
    ),
    (
        "agent.spawn",
        {"prompt": "p", "backend": "exec", "options": {"argv": ["a"], "env": {"A": 1}}},
        "options.env.A",
    ),
    (
        "agent.spawn",
        {"prompt": "p", "backend": "exec", "options": {"argv": ["a"], "limits": {"nope": 1}}},
        "options.limits.nope",
    ),
    (
        "agent.spawn",
        {"prompt": "p", "backend": "exec", "options": {"argv": ["a"], "limits": {"cpu_seconds": "x"}}},
        "options.limits.cpu_seconds",
    ),
    (
        "agent.spawn",
        {"prompt": "p", "backend": "exec", "options": {"argv": ["a"], "chunks": 3}},
        "options.chunks",
    ),
    ("agent.get", {}, "agent_id"),
    ("agent.get", {"agent_id": 1}, "agent_id"),
    ("agent.get", {"agent_id": NOBODY, "nope": 1}, "nope"),
    ("agent.wait", {}, "agent_id"),
    ("agent.wait", {"agent_id": NOBODY, "timeout_ms": "1"}, "timeout_ms"),
    ("agent.wait", {"agent_id": NOBODY, "timeout_ms": -1}, "timeout_ms"),
    ("agent.cancel", {}, "agent_id"),
    ("agent.send", {}, None),
    ("agent.send", {"agent_id": NOBODY}, "data"),
    ("agent.send", {"agent_id": NOBODY, "data": 1}, "data"),
    ("agent.send", {"agent_id": NOBODY, "data": "x", "encoding": "rot13"}, "encoding"),
    ("agent.send", {"agent_id": NOBODY, "data": "x", "eof": "yes"}, "eof"),
    ("agent.output", {}, "agent_id"),
    ("agent.output", {"agent_id": NOBODY, "channel": "nope"}, "channel"),
    ("agent.output", {"agent_id": NOBODY, "offset": -1}, "offset"),
    ("agent.output", {"agent_id": NOBODY, "limit_bytes": 4 * KIB * KIB + 1}, "limit_bytes"),
    ("agent.list", {"state": "running"}, "state"),
    ("agent.list", {"state": ["nope"]}, "state[0]"),
    ("agent.list", {"state": ["queued", "nope"]}, "state[1]"),
    ("agent.list", {"limit": 1001}, "limit"),
    ("agent.list", {"limit": "1"}, "limit"),
    ("agent.list", {"labels": {"a": 1}}, "labels.a"),
    ("agent.list", {"nope": 1}, "nope"),
    ("events.subscribe", {"after": "0"}, "after"),
    ("events.subscribe", {"after": -1}, "after"),
    ("events.subscribe", {"last": 10001}, "last"),
    ("events.subscribe", {"types": ["Nope"]}, "types[0]"),
    ("events.subscribe", {"types": ["AgentError", 1]}, "types[1]"),
    ("events.subscribe", {"agents": "x"}, "agents"),
    ("events.subscribe", {"agents": [1]}, "agents[0]"),
    ("events.subscribe", {"until": "nope"}, "until"),
    ("events.subscribe", {"labels": []}, "labels"),
    ("events.subscribe", {"nope": 1}, "nope"),
    ("events.read", {"limit": 10001}, "limit"),
    ("events.read", {"after": -1}, "after"),
    ("events.read", {"until": "idle"}, "until"),
    ("events.read", {"types": ["Nope"]}, "types[0]"),
    ("events.stats", {"correlation_id": 1}, "correlation_id"),
    ("events.stats", {"nope": 1}, "nope"),
    ("events.unsubscribe", {"nope": 1}, "nope"),
    ("daemon.status", {"nope": 1}, "nope"),
    ("daemon.metrics", {"format": "xml"}, "format"),
    ("daemon.metrics", {"nope": 1}, "nope"),
    ("provider.list", {"nope": 1}, "nope"),
    ("subscriber.list", {"limit": 0}, "limit"),
    ("subscriber.list", {"limit": 1001}, "limit"),
    ("subscriber.list", {"after": -1}, "after"),
    ("rpc.discover", {"nope": 1}, "nope"),
]


class Params(DaemonCase):
    def test_invalid_params(self):
        for method, params, path in INVALID_PARAMS:
            with self.subTest(method=method, params=params):
                data = self.client.fail(method, "invalid_params", **params)
                if path:
                    self.assertEqual(data["param"], path)
        self.assertEqual({e["type"] for e in self.daemon.events()}, {"DaemonStarted"}, "nothing was done")

    def test_method_not_found(self):
        wrong = ("no.such", "", "agent", "agent.", "agent.spawn.x", "Agent.spawn", "rpc.", "agent.spawn\0", "event")
        for method in wrong:
            with self.subTest(method):
                self.client.fail(method, "method_not_found")

    def test_not_found(self):
        for method in ("agent.get", "agent.output", "agent.cancel", "agent.wait"):
            self.client.fail(method, "not_found", agent_id=NOBODY)
        self.client.fail("agent.send", "not_found", agent_id=NOBODY, data="x")
        self.client.fail("agent.get", "not_found", agent_id="00000000-0000")

    def test_a_failed_request_leaves_the_connection_usable(self):
        for _ in range(100):
            self.client.fail("agent.get", "not_found", agent_id=NOBODY)
        self.client.call("daemon.status")


class TooLarge(DaemonCase):
    args = ("--max-prompt-bytes=1000",)

    def refused(self, limit=None, reasons=("too_large",), **params):
        spawn = {"prompt": "p", "agent_id": str(uuid.uuid4()), **params}
        reply = self.client.reply(self.client.request("agent.spawn", **spawn))
        self.assertIn("error", reply)
        reason = reply["error"]["data"]["reason"]
        self.assertIn(reason, reasons)
        data = check_error(reply, reason)
        if limit is not None and reason == "too_large":
            self.assertEqual(data["limit"], limit)
        self.client.fail("agent.get", "not_found", agent_id=spawn["agent_id"])

    def test_prompt(self):
        self.client.spawn("x" * 1000)
        self.refused(1000, prompt="x" * 1001)

    def test_bytes_not_characters(self):
        self.client.spawn("é" * 500)
        self.refused(1000, prompt="é" * 501)

    def test_context(self):
        self.client.spawn(context={"x": "y" * (255 * KIB)})
        self.refused(256 * KIB, context={"x": "y" * (256 * KIB)})

    def test_options(self):
        def exec_options(n):
            return {"argv": ["/bin/true"], "env": {"X": "y" * n}}

        self.client.spawn(backend="exec", options=exec_options(100 * KIB))
        self.refused(256 * KIB, backend="exec", options=exec_options(256 * KIB))

    # The protocol gives these limits, but does not say which of the two errors.

    def test_labels(self):
        either = ("too_large", "invalid_params")
        self.client.spawn(labels={f"k{i}": "v" for i in range(32)})
        self.refused(reasons=either, labels={f"k{i}": "v" for i in range(33)})
        self.client.spawn(labels={"k" * 128: "v" * 512})
        self.refused(reasons=either, labels={"k" * 129: "v"})
        self.refused(reasons=either, labels={"k": "v" * 513})
        self.refused(reasons=either, labels={"k": "é" * 257})

    def test_correlation_id(self):
        self.client.spawn(correlation_id="c" * 256)
        self.refused(reasons=("too_large", "invalid_params"), correlation_id="c" * 257)


class Prompt(DaemonCase):
    def test_the_default_limit_is_the_longest_request(self):
        prompt = "x" * (4 * KIB * KIB - 500)
        agent = self.client.spawn(prompt, options={"chunks": 1, "delay_ms": 0, "chunk_bytes": 10})
        self.client.wait(agent)
        self.assertEqual(self.daemon.events_of(agent)[0]["prompt"], prompt)


class States(DaemonCase):
    args = ("--max-running=1", "--max-queued=2")

    def test_timeout(self):
        agent = self.client.spawn(options=slow_agent())
        self.client.fail("agent.wait", "timeout", agent_id=agent, timeout_ms=50)
        self.client.fail("agent.wait", "timeout", agent_id=agent, timeout_ms=1)
        eventually(lambda: self.client.call("agent.get", agent_id=agent)["state"] == "running", "it goes on")

    def test_wait_ends_before_its_timeout(self):
        agent = self.client.spawn(options={"chunks": 1, "delay_ms": 10})
        done = self.client.call("agent.wait", agent_id=agent, timeout_ms=int(TIMEOUT * 1000))
        self.assertEqual(done["state"], "completed")
        done = self.client.call("agent.wait", agent_id=agent, timeout_ms=1)
        self.assertEqual(done["state"], "completed")

    def test_already_exists(self):
        agent = self.client.spawn(agent_id=str(uuid.uuid4()), options={"chunks": 1, "delay_ms": 0})
        other = {"options": {"chunks": 2, "delay_ms": 0}}
        for params in ({"prompt": "q"}, {"priority": 1}, {"labels": {"a": "b"}}, other):
            spawn = {"prompt": "p", "agent_id": agent, "options": {"chunks": 1, "delay_ms": 0}, **params}
            self.client.fail("agent.spawn", "already_exists", **spawn)

    def test_already_subscribed(self):
        self.client.call("events.subscribe")
        self.client.fail("events.subscribe", "already_subscribed")
        agent = str(uuid.uuid4())
        self.client.fail("agent.spawn", "already_subscribed", prompt="p", agent_id=agent, follow=True)
        self.client.fail("agent.get", "not_found", agent_id=agent)

    def test_not_running(self):
        agent = self.client.spawn(options={"chunks": 1, "delay_ms": 0})
        self.client.wait(agent)
        self.client.fail("agent.cancel", "not_running", agent_id=agent)
        self.client.fail("agent.send", "not_running", agent_id=agent, data="x")

    def test_takes_no_input(self):
        agent = self.client.spawn(options=slow_agent())
        self.client.fail("agent.send", "not_running", agent_id=agent, data="x")
        self.client.call("agent.cancel", agent_id=agent)
        for stdin in ("prompt", "none"):
            agent = self.client.spawn_exec("/bin/sh", "-c", "echo up; exec sleep 1000", options={"stdin": stdin})
            eventually(lambda a=agent: self.client.output(a) == b"up\n", "it runs")
            self.client.fail("agent.send", "not_running", agent_id=agent, data="x")
            self.client.call("agent.cancel", agent_id=agent)

    def test_ambiguous(self):
        ids = ["abcd0000-0000-4000-8000-000000000001", "abcd0000-0000-4000-8000-000000000002"]
        for agent in ids:
            self.client.spawn(agent_id=agent, options={"chunks": 1, "delay_ms": 0})
        self.client.wait(ids[1])
        for method in ("agent.get", "agent.output", "agent.cancel", "agent.wait"):
            self.client.fail(method, "ambiguous", agent_id="abcd")
            self.client.fail(method, "ambiguous", agent_id="abcd0000-0000-4000-8000-00000000000")
        self.client.fail("agent.send", "ambiguous", agent_id="abcd", data="x")

    def test_log_replaced(self):
        status = self.client.call("daemon.status")
        data = self.client.fail("events.subscribe", "log_replaced", log_id=NOBODY)
        self.assertEqual(data["log_id"], status["log_id"])
        self.assertEqual(data["newest_seq"], status["log"]["newest_seq"])
        data = self.client.fail("events.subscribe", "log_replaced", after=status["log"]["newest_seq"] + 1)
        self.assertEqual(data["log_id"], status["log_id"])
        data = self.client.fail("events.subscribe", "log_replaced", after=0, log_id=NOBODY)
        self.assertEqual(data["newest_seq"], status["log"]["newest_seq"])
        self.client.call("events.subscribe", after=status["log"]["newest_seq"], log_id=status["log_id"])

    def test_queue_full(self):
        first = self.client.spawn(options=slow_agent())
        subscriber = self.connect()
        subscriber.call("events.subscribe", after=0)
        subscriber.wait_event(lambda e: e["type"] == "AgentStarted" and e["agent_id"] == first)
        queued = [self.client.spawn(options=slow_agent(), agent_id=str(uuid.uuid4())) for _ in range(2)]
        agent = str(uuid.uuid4())
        data = self.client.fail("agent.spawn", "queue_full", prompt="p", agent_id=agent)
        self.assertEqual(data["limit"], 2)
        self.client.fail("agent.get", "not_found", agent_id=agent)
        again = self.client.call("agent.spawn", prompt="p", options=slow_agent(), agent_id=queued[0])
        self.assertFalse(again["created"], "one that is there already needs no place")
        self.client.call("agent.cancel", agent_id=queued[0])
        self.assertTrue(self.client.call("agent.spawn", prompt="p", agent_id=agent)["created"])


class Pruned(DaemonCase):
    args = ("--segment-bytes=65536", "--retain-bytes=131072")

    def test_pruned(self):
        def oldest():
            agent = self.client.spawn(options={"chunks": 10, "delay_ms": 0, "chunk_bytes": 20000})
            self.client.wait(agent)
            seq = self.client.call("daemon.status")["log"]["oldest_seq"]
            return seq if seq > 5 else None

        eventually(oldest, "retention takes the oldest segment")
        data = self.client.fail("events.read", "pruned", after=1)
        now = self.client.call("daemon.status")["log"]["oldest_seq"]
        self.assertTrue(5 < data["oldest_seq"] <= now)
        page = self.client.call("events.read", after=0, limit=1)
        self.assertGreaterEqual(page["events"][0]["seq"], data["oldest_seq"])


class ShuttingDown(DaemonCase):
    args = ("--stop-grace=600s", "--kill-grace=100ms")

    def test_shutting_down(self):
        agent = self.client.spawn(options=slow_agent(chunks=100000))
        watcher = self.connect()
        watcher.call("events.subscribe", types=["DaemonStopping"])
        self.daemon.signal(signal.SIGTERM)
        watcher.wait_event(lambda e: e["type"] == "DaemonStopping")
        self.client.fail("agent.spawn", "shutting_down", prompt="p")
        self.client.call("agent.cancel", agent_id=agent)
        self.assertEqual(self.daemon.wait(), 0)


class Unanswered(DaemonCase):
    """What is still owed when the daemon ends."""

    args = ("--max-running=1", "--stop-grace=100ms", "--kill-grace=100ms")

    def setUp(self):
        super().setUp()
        self.running = self.client.spawn(options=slow_agent(chunks=100000))
        self.queued = self.client.spawn("q" * 300000, options=slow_agent(chunks=100000))
        eventually(lambda: self.client.call("agent.get", agent_id=self.running)["state"] == "running", "it runs")

    def wait_for(self, agent, request_id, **params):
        return make_request("agent.wait", {"agent_id": agent, **params}, request_id)

    def waits(self):
        return [
            self.wait_for(self.running, "running"),
            self.wait_for(self.queued, "queued"),
            self.wait_for(self.queued, "timed", timeout_ms=600000),
        ]

    def stop(self, client):
        # In the order of the connection: whatever was sent before is begun.
        client.call("daemon.status")
        self.daemon.signal(signal.SIGTERM)

    def check(self, client):
        self.assertEqual(client.result("running")["ending"]["code"], "shutdown")
        for request_id in ("queued", "timed"):
            check_error(client.reply(request_id), "shutting_down")

    def test_alone(self):
        client = self.connect()
        client.send(*self.waits())
        self.stop(client)
        self.check(client)
        self.assertEqual(self.daemon.wait(), 0)

    def test_in_a_batch(self):
        client = self.connect()
        client.send(self.waits())
        self.stop(client)
        self.check(client)
        self.assertEqual(self.daemon.wait(), 0)

    def test_beside_a_subscription(self):
        client = self.connect()
        client.send(make_request("events.subscribe", {"after": 0}, "s"), *self.waits())
        self.stop(client)
        self.check(client)
        self.assertEqual(self.daemon.wait(), 0)

    def fill(self):
        """A client that has more replies to read than a socket takes, and waits for further ones."""
        client = self.connect()
        gets = [make_request("agent.get", {"agent_id": self.queued}, i) for i in range(3)]
        client.send(*self.waits(), *gets)
        select.select([client.sock], [], [], TIMEOUT)
        self.stop(self.client)
        return client

    def test_behind_replies_that_were_not_read(self):
        client = self.fill()
        eventually(lambda: "stopping" in self.daemon.stderr(), "it stops")
        self.check(client)
        for i in range(3):
            self.assertEqual(client.result(i)["agent_id"], self.queued)
        self.assertEqual(self.daemon.wait(), 0)

    def test_of_one_that_does_not_read(self):
        self.fill()
        self.assertEqual(self.daemon.wait(), 0)


class Access(unittest.TestCase):
    OBSERVER, SUBMITTER, ADMIN, MEMBER, STRANGER = 60001, 60002, 60003, 60004, 60005
    GROUP = 60100

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("only root can be someone else")
        self.daemon = Daemon(
            "--socket-mode=0666",
            f"--access.user.{self.OBSERVER}=observe",
            f"--access.user.{self.SUBMITTER}=submit",
            f"--access.user.{self.ADMIN}=admin",
            f"--access.group.{self.GROUP}=submit",
        )
        self.addCleanup(self.daemon.close)
        self.daemon.start()

    def test_no_role(self):
        client = self.daemon.client_as(self.STRANGER)
        reply = client.read_message()
        self.assertEqual(reply["error"]["code"], 403)
        self.assertEqual(reply["error"]["data"]["reason"], "permission_denied")
        client.expect_eof()

    def test_observe(self):
        agent = self.daemon.client().spawn(options={"chunks": 1, "delay_ms": 0})
        client = self.daemon.client_as(self.OBSERVER)
        for method in ("daemon.status", "agent.list", "events.read", "events.stats", "rpc.discover"):
            client.call(method)
        for method in ("agent.get", "agent.output", "agent.wait"):
            client.call(method, agent_id=agent)
        client.call("events.subscribe", after=0)
        client.wait_event(lambda e: e["type"] == "AgentCompleted")
        client.call("events.unsubscribe")
        before = self.daemon.log_lines()
        self.assertEqual(client.fail("agent.spawn", "permission_denied", prompt="p")["need"], "submit")
        client.fail("agent.cancel", "permission_denied", agent_id=agent)
        client.fail("agent.send", "permission_denied", agent_id=agent, data="x")
        self.assertEqual(self.daemon.log_lines(), before, "nothing was done")

    def test_submit(self):
        others = self.daemon.client().spawn(options=slow_agent())
        client = self.daemon.client_as(self.SUBMITTER)
        own = client.spawn(options=slow_agent())
        self.assertEqual(client.call("agent.get", agent_id=own)["uid"], self.SUBMITTER)
        self.assertEqual(self.daemon.events_of(own)[0]["uid"], self.SUBMITTER)
        self.assertEqual(client.fail("agent.cancel", "permission_denied", agent_id=others)["need"], "admin")
        client.fail("agent.send", "permission_denied", agent_id=others, data="x")
        self.assertEqual(client.call("agent.cancel", agent_id=own)["state"], "cancelled")
        again = self.daemon.client_as(self.SUBMITTER)
        own = client.spawn(options=slow_agent())
        self.assertEqual(again.call("agent.cancel", agent_id=own)["state"], "cancelled")

    def test_admin(self):
        agent = self.daemon.client_as(self.SUBMITTER).spawn(options=slow_agent())
        client = self.daemon.client_as(self.ADMIN)
        self.assertEqual(client.call("agent.cancel", agent_id=agent)["state"], "cancelled")

    def test_groups(self):
        self.daemon.client_as(self.MEMBER, gid=self.GROUP).spawn()
        self.daemon.client_as(self.MEMBER, gid=self.MEMBER, groups=(1, self.GROUP)).spawn()
        reply = self.daemon.client_as(self.MEMBER).read_message()
        self.assertEqual(reply["error"]["code"], 403)

    def test_the_other_methods_in_a_batch(self):
        client = self.daemon.client_as(self.OBSERVER)
        client.send([make_request("agent.spawn", {"prompt": "p"}, 1), make_request("daemon.status", {}, 2)])
        by_id = {r["id"]: r for r in client.read_message()}
        check_error(by_id[1], "permission_denied")
        self.assertIn("result", by_id[2])


class Discover(DaemonCase):
    def test_an_openrpc_document_of_all_methods(self):
        document = self.client.call("rpc.discover")
        self.assertRegex(document["openrpc"], r"^1\.\d+\.\d+$")
        self.assertTrue(document["info"]["title"] and document["info"]["version"])
        names = [m["name"] for m in document["methods"]]
        self.assertEqual(set(METHODS) - set(names), set())
        self.assertEqual(len(set(names)), len(names))
        for method in document["methods"]:
            for param in method["params"]:
                self.assertTrue(param["name"] and isinstance(param["schema"], dict), param)
        spawn = next(m for m in document["methods"] if m["name"] == "agent.spawn")
        required = {p["name"] for p in spawn["params"] if p.get("required")}
        self.assertEqual(required, {"prompt"})

    def test_limits_are_those_of_the_status(self):
        # This daemon has the defaults.
        self.assertEqual(self.client.call("rpc.discover")["x-limits"], self.client.call("daemon.status")["limits"])

    def test_events_have_the_members_that_are_listed(self):
        self.client.run_exec("/bin/sh", "-c", "printf '\\377'; exit 3", correlation_id="c")
        self.client.run_exec("/bin/true")
        self.client.run_exec("/bin/sh", "-c", "kill -9 $$")
        self.client.run_exec("/bin/sleep", "1000", timeouts={"total_ms": 1})
        self.client.wait(self.client.spawn(options={"chunks": 1, "delay_ms": 0}))
        again = self.client.spawn(options=slow_agent(), on_restart="rerun")
        eventually(lambda: self.client.call("agent.get", agent_id=again)["state"] == "running", "it runs")
        self.daemon.kill()
        self.daemon.start()
        listed = {e["name"]: e["schema"] for e in self.daemon.client().call("rpc.discover")["x-events"]}
        seen = {}
        for event in self.daemon.events():
            schema = listed[event["type"]]
            self.assertEqual(set(event) - set(schema["properties"]), set(), event)
            self.assertEqual(set(schema["required"]) - set(event), set(), event)
            seen.setdefault(event["type"], set()).update(event)
        for kind, members in seen.items():
            rare = {"lost", "correlation_id"} if kind not in ("AgentSpawned", "AgentError") else set()
            rare |= OF_OTHERS.get(kind, set())
            self.assertEqual(set(listed[kind]["properties"]) - members - rare, set(), kind)


if __name__ == "__main__":
    main()
