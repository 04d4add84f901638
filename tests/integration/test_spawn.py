"""agent.spawn: what it logs, idempotence, follow, prefixes; and the mock backend."""

import re
import uuid

from common import *

QUICK = {"chunks": 1, "delay_ms": 0}
UUID4 = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"


class Spawned(DaemonCase):
    def spawned(self, **params):
        agent = self.client.call("agent.spawn", **params)["agent_id"]
        return self.daemon.events_of(agent)[0]

    def test_reply(self):
        result = self.client.call("agent.spawn", prompt="p")
        self.assertEqual(set(result), {"agent_id", "seq", "created"})
        self.assertRegex(result["agent_id"], UUID4)
        self.assertIs(result["created"], True)
        event = next(e for e in self.daemon.events() if e["seq"] == result["seq"])
        self.assertEqual((event["type"], event["agent_id"]), ("AgentSpawned", result["agent_id"]))

    def test_defaults_are_filled_in(self):
        event = self.spawned(prompt="p")
        self.assertEqual(event["type"], "AgentSpawned")
        self.assertEqual(event["prompt"], "p")
        self.assertEqual(event["backend"], "mock")
        self.assertEqual(event["options"], {"chunks": 3, "delay_ms": 100})
        self.assertEqual(event["context"], {})
        self.assertEqual(event["group"], "default")
        self.assertEqual(event["priority"], 0)
        self.assertEqual(event["on_restart"], "fail")
        self.assertEqual(event["labels"], {})
        self.assertEqual(event.get("timeouts", {}), {})
        self.assertIs(type(event["uid"]), int)
        self.assertNotIn("follow", event)
        self.assertNotIn("correlation_id", event)

    def test_every_parameter(self):
        params = {
            "prompt": "the prompt",
            "backend": "mock",
            "options": {"chunks": 2, "delay_ms": 1, "chunk_bytes": 40},
            "agent_id": str(uuid.uuid4()),
            "correlation_id": "c-1",
            "labels": {"a": "1", "b": ""},
            "context": {"deep": {"list": [1, -2.5, None, True, "x", {}]}, "big": 9223372036854775807},
            "group": "g",
            "priority": 5,
            "timeouts": {"total_ms": 60000, "idle_ms": 30000},
            "on_restart": "rerun",
        }
        event = self.spawned(**params, follow=False)
        for name, value in params.items():
            self.assertEqual(event[name], value, name)
        extra = set(event) - set(params) - {"seq", "time", "type", "uid"}
        self.assertEqual(extra, set())
        self.client.wait(params["agent_id"])
        for event in self.daemon.events_of(params["agent_id"]):
            self.assertEqual(event["correlation_id"], "c-1")

    def test_exec_defaults(self):
        event = self.spawned(prompt="p", backend="exec", options={"argv": ["/bin/true"]})
        options = event["options"]
        self.assertEqual(options["argv"], ["/bin/true"])
        self.assertEqual((options["stdin"], options["chunking"]), ("prompt", "raw"))
        self.assertEqual(options["env"], {})
        self.assertNotIn("cwd", options)

    def test_upper_case_ids(self):
        agent = str(uuid.uuid4())
        reply = self.client.reply(self.client.request("agent.spawn", prompt="p", agent_id=agent.upper()))
        if "error" in reply:
            check_error(reply, "invalid_params")
        else:
            self.assertEqual(reply["result"]["agent_id"], agent)

    def test_any_uuid_will_do(self):
        for agent in ("00000000-0000-0000-0000-000000000001", "c232ab00-9414-11ec-b3c8-9f6bdeced846"):
            self.assertEqual(self.client.call("agent.spawn", prompt="p", agent_id=agent)["agent_id"], agent)

    def test_numbers_survive(self):
        numbers = [0.1, 1e-7, 1.7976931348623157e308, 5e-324, 1.1, -2.5, 2**64 - 1, 2**63 - 1, -(2**63), 0]
        self.assertEqual(self.spawned(prompt="p", context={"n": numbers})["context"], {"n": numbers})

    def test_an_empty_prompt(self):
        self.assertEqual(self.spawned(prompt="")["prompt"], "")

    def test_priority_may_be_negative(self):
        self.assertEqual(self.spawned(prompt="p", priority=-3)["priority"], -3)


class Idempotent(DaemonCase):
    def test_same_again(self):
        agent = str(uuid.uuid4())
        first = self.client.call("agent.spawn", prompt="p", agent_id=agent, options=QUICK)
        self.assertTrue(first["created"])
        for _ in range(2):
            again = self.client.call("agent.spawn", prompt="p", agent_id=agent, options=QUICK)
            self.assertEqual(again, {**first, "created": False})
            self.client.wait(agent)
        self.assertEqual(len([e for e in self.daemon.events_of(agent) if e["type"] == "AgentSpawned"]), 1)

    def test_same_again_under_another_limit(self):
        """What was accepted is remembered; a new one of that size is not accepted any more."""
        params = {"prompt": "p" * 1000, "options": QUICK}
        agent = str(uuid.uuid4())
        first = self.client.call("agent.spawn", agent_id=agent, **params)
        self.client.wait(agent)
        self.daemon.stop()
        self.daemon.start("--max-prompt-bytes=10")
        self.client = self.daemon.client()
        again = self.client.call("agent.spawn", agent_id=agent, **params)
        self.assertEqual(again, {**first, "created": False})
        for new in ({}, {"agent_id": str(uuid.uuid4())}):
            data = self.client.fail("agent.spawn", "too_large", **params, **new)
            self.assertEqual((data["param"], data["limit"]), ("prompt", 10))

    def test_equal_numbers(self):
        agent = str(uuid.uuid4())
        params = {"prompt": "p", "agent_id": agent, "options": QUICK}
        first = self.client.call("agent.spawn", context={"a": [1, 9007199254740993]}, **params)
        again = self.client.call("agent.spawn", context={"a": [1.0, 9007199254740993]}, **params)
        self.assertEqual(again, {**first, "created": False})
        self.client.fail("agent.spawn", "already_exists", context={"a": [1.0, 9007199254740992.0]}, **params)

    def test_equal_as_json_values_with_defaults(self):
        agent = str(uuid.uuid4())
        head = '{"jsonrpc":"2.0","id":1,"method":"agent.spawn","params":{'
        texts = [
            f'"prompt":"\u00e9/","agent_id":"{agent}","context":{{"a":1,"b":[{{"x":null,"y":"\u20ac"}}]}}',
            f'"context":{{"b":[{{"y":"\\u20ac","x":null}}],"a":1}},"agent_id":"{agent}","prompt":"\\u00e9\\/"',
            f'"prompt":"\u00e9/","agent_id":"{agent}","context":{{"a":1,"b":[{{"x":null,"y":"\u20ac"}}]}},'
            '"backend":"mock","options":{"delay_ms":100,"chunks":3},"group":"default","priority":0,'
            '"on_restart":"fail","labels":{},"timeouts":{},"follow":false',
            f'"prompt":"\u00e9/","agent_id":"{agent}","context":{{"a":1,"b":[{{"x":null,"y":"\u20ac"}}]}},'
            '"options":{"chunks":3}',
        ]
        results = []
        for text in texts:
            self.client.send_raw((head + text + "}}\n").encode())
            results.append(self.client.read_message()["result"])
        self.assertEqual([r["created"] for r in results], [True, False, False, False])
        self.assertEqual({r["seq"] for r in results}, {results[0]["seq"]})

    def test_follow_aside(self):
        agent = str(uuid.uuid4())
        first = self.client.call("agent.spawn", prompt="p", agent_id=agent, options=QUICK, follow=True)
        self.client.until_end()
        again = self.client.call("agent.spawn", prompt="p", agent_id=agent, options=QUICK)
        self.assertEqual((again["created"], again["seq"]), (False, first["seq"]))
        again = self.client.call("agent.spawn", prompt="p", agent_id=agent, options=QUICK, follow=True)
        self.assertFalse(again["created"])
        events, _ = self.client.until_end()
        self.assertEqual(events, self.daemon.events_of(agent), "from its AgentSpawned on")

    def test_others_are_refused_before_and_after_its_end(self):
        agent = str(uuid.uuid4())
        self.client.call("agent.spawn", prompt="p", agent_id=agent, options=QUICK)
        differences = (
            {"prompt": "P"},
            {"prompt": "p "},
            {"correlation_id": "c"},
            {"labels": {"a": "b"}},
            {"context": {"a": 1}},
            {"group": "g"},
            {"priority": 1},
            {"timeouts": {"total_ms": 100000}},
            {"on_restart": "rerun"},
            {"options": {"chunks": 1, "delay_ms": 1}},
            {"backend": "exec", "options": {"argv": ["/bin/true"]}},
        )
        for _ in range(2):
            for params in differences:
                spawn = {"prompt": "p", "agent_id": agent, "options": QUICK, **params}
                self.client.fail("agent.spawn", "already_exists", **spawn)
            self.client.wait(agent)

    def check_again(self, agent, seq, prompt):
        spawn = {"agent_id": agent, "options": QUICK}
        again = self.client.call("agent.spawn", prompt=prompt, **spawn)
        self.assertEqual((again["created"], again["seq"]), (False, seq))
        for other in (prompt[:-1] + "P", prompt[:-1], "p"):
            self.client.fail("agent.spawn", "already_exists", prompt=other, **spawn)
        requests = [make_request("agent.spawn", {"prompt": "x", "agent_id": agent}, i) for i in range(10)]
        self.client.send(requests)
        for reply in self.client.read_message():
            check_error(reply, "already_exists")

    def test_large_ones(self):
        agent = str(uuid.uuid4())
        prompt = "p" * 3900000
        seq = self.client.call("agent.spawn", prompt=prompt, agent_id=agent, options=QUICK)["seq"]
        self.check_again(agent, seq, prompt)
        self.client.wait(agent)
        self.daemon.restart()
        self.client = self.daemon.client()
        self.check_again(agent, seq, prompt)

    def test_raced_by_many_connections(self):
        clients = [self.connect() for _ in range(8)]
        for _ in range(20):
            agent = str(uuid.uuid4())
            ids = [c.request("agent.spawn", prompt="p", agent_id=agent, options=QUICK) for c in clients]
            results = [c.result(i) for c, i in zip(clients, ids)]
            self.assertEqual(sorted(r["created"] for r in results), [False] * 7 + [True])
            self.assertEqual(len({r["seq"] for r in results}), 1)


class Follow(DaemonCase):
    def test_reply_then_its_events_then_end(self):
        noise = self.client.spawn(options=slow_agent(delay_ms=1))
        client = self.connect()
        request = client.request("agent.spawn", prompt="p", options={"chunks": 5, "delay_ms": 5}, follow=True)
        first = client.read_message()
        self.assertEqual(first["id"], request, "the reply comes first")
        agent = first["result"]["agent_id"]
        events, end = client.until_end()
        self.assertEqual(events, self.daemon.events_of(agent))
        self.assertEqual(events[0]["seq"], first["result"]["seq"])
        self.assertEqual(events[-1]["type"], "AgentCompleted")
        self.assertGreaterEqual(end, events[-1]["seq"])
        self.client.call("agent.cancel", agent_id=noise)
        client.call("events.subscribe", after=0)

    def test_one_after_another(self):
        for i in range(10):
            result = self.client.call("agent.spawn", prompt=str(i), options=QUICK, follow=True)
            events, _ = self.client.until_end()
            self.assertEqual({e["agent_id"] for e in events}, {result["agent_id"]})

    def test_refused_while_following(self):
        self.client.call("agent.spawn", prompt="p", options=slow_agent(), follow=True)
        agent = str(uuid.uuid4())
        self.client.fail("agent.spawn", "already_subscribed", prompt="p", agent_id=agent, follow=True)
        self.client.fail("agent.get", "not_found", agent_id=agent)
        self.client.fail("events.subscribe", "already_subscribed")

    def test_a_refused_spawn_subscribes_to_nothing(self):
        self.client.fail("agent.spawn", "invalid_params", prompt="p", nope=1, follow=True)
        self.client.call("events.subscribe")


class Prefixes(DaemonCase):
    A = "abcdef01-2345-4000-8000-000000000001"
    B = "abcdef02-2345-4000-8000-000000000002"

    def test_prefixes(self):
        for agent in (self.A, self.B):
            self.client.spawn(agent_id=agent, options=slow_agent())
        for length in (8, 9, 12, 13, 18, 35, 36):
            self.assertEqual(self.client.call("agent.get", agent_id=self.A[:length])["agent_id"], self.A)
        for length in (4, 5, 6, 7):
            self.client.fail("agent.get", "ambiguous", agent_id=self.A[:length])
        self.assertEqual(self.client.call("agent.output", agent_id=self.B[:8])["agent_id"], self.B)
        self.client.fail("agent.wait", "timeout", agent_id=self.B[:8], timeout_ms=1)
        self.assertEqual(self.client.call("agent.cancel", agent_id=self.B[:8])["agent_id"], self.B)
        self.client.fail("agent.cancel", "ambiguous", agent_id=self.A[:4])
        self.assertEqual(self.client.call("agent.wait", agent_id=self.B[:8])["agent_id"], self.B)

    def test_too_short(self):
        self.client.spawn(agent_id=self.A, options=QUICK)
        self.assertEqual(self.client.call("agent.get", agent_id=self.A[:4])["agent_id"], self.A)
        for length in (0, 1, 3):
            reply = self.client.reply(self.client.request("agent.get", agent_id=self.A[:length]))
            self.assertIn(reply["error"]["data"]["reason"], ("invalid_params", "not_found"))

    def test_not_for_spawn(self):
        self.client.spawn(agent_id=self.A, options=QUICK)
        self.client.fail("agent.spawn", "invalid_params", prompt="p", agent_id=self.A[:8])

    def test_send(self):
        self.client.spawn_exec("/bin/cat", agent_id=self.A, options={"stdin": "open"})
        self.client.call("agent.send", agent_id=self.A[:8], data="hello\n", eof=True)
        self.assertEqual(self.client.wait(self.A[:8])["state"], "completed")
        self.assertTrue(self.client.output(self.A).endswith(b"hello\n"))


class Forgotten(DaemonCase):
    args = ("--segment-bytes=65536", "--retain-bytes=131072")

    def test_retention_forgets_ids(self):
        agent = str(uuid.uuid4())
        self.client.wait(self.client.spawn("old", agent_id=agent, options=QUICK))
        self.client.fail("agent.spawn", "already_exists", prompt="new", agent_id=agent)

        def forgotten():
            self.client.wait(self.client.spawn(options={"chunks": 10, "delay_ms": 0, "chunk_bytes": 20000}))
            return "error" in self.client.reply(self.client.request("agent.get", agent_id=agent))

        eventually(forgotten, "an agent goes with its events")
        self.client.fail("agent.get", "not_found", agent_id=agent)
        self.assertNotIn(agent, [a["agent_id"] for a in self.client.call("agent.list", limit=1000)["agents"]])
        again = self.client.call("agent.spawn", prompt="new", agent_id=agent, options=QUICK)
        self.assertTrue(again["created"])
        self.assertEqual(self.client.wait(agent)["prompt"], "new")


class Mock(DaemonCase):
    def chunks(self, prompt="P", **options):
        agent = self.client.spawn(prompt, options={"delay_ms": 0, **options})
        self.client.wait(agent)
        self.events = self.daemon.events_of(agent)
        return [e["chunk"] for e in self.events if e["type"] == "AgentPartialOutput"]

    def test_texts(self):
        for n in (1, 2, 3, 10):
            chunks = self.chunks("the prompt", chunks=n)
            self.assertEqual(len(chunks), n)
            self.assertEqual(chunks[-1], "Final from the prompt")
            numbers = [int(re.fullmatch(r"Partial (\d+) from the prompt", c).group(1)) for c in chunks[:-1]]
            if numbers:
                self.assertIn(numbers[0], (0, 1))
                self.assertEqual(numbers, list(range(numbers[0], numbers[0] + n - 1)))

    def test_channel_and_index(self):
        self.chunks(chunks=4)
        outputs = [e for e in self.events if e["type"] == "AgentPartialOutput"]
        self.assertEqual([e["index"] for e in outputs], [0, 1, 2, 3])
        self.assertEqual({e["channel"] for e in outputs}, {"output"})

    def test_chunk_bytes(self):
        for n in (1, 5, 16, 100, 100000, 1000000):
            for chunk in self.chunks(chunks=2, chunk_bytes=n):
                self.assertEqual(len(chunk.encode()), n)
        self.assertEqual([c[:7] for c in self.chunks(chunks=2, chunk_bytes=30)], ["Partial", "Final f"])

    def test_fail_after(self):
        for k in (1, 2, 5):
            self.assertEqual(len(self.chunks(chunks=10, fail_after=k)), k)
            self.assertEqual((self.events[-1]["type"], self.events[-1]["code"]), ("AgentError", "provider"))

    def test_script(self):
        script = [{"after_ms": 0, "chunk": "a"}, {"after_ms": 50, "chunk": "é€😀"}, {"after_ms": 0, "chunk": "c"}]
        self.assertEqual(self.chunks(script=script), ["a", "é€😀", "c"])
        self.assertGreaterEqual(self.events[-1]["duration_ms"], 49)

    def test_delay_comes_before_each_chunk(self):
        agent = self.client.spawn(options={"chunks": 3, "delay_ms": 100})
        self.client.wait(agent)
        self.assertGreaterEqual(self.daemon.events_of(agent)[-1]["duration_ms"], 299)

    def test_a_prompt_of_all_sorts(self):
        prompt = "é€😀\n\t\"\\" * 100
        self.assertEqual(self.chunks(prompt, chunks=1), ["Final from " + prompt])


if __name__ == "__main__":
    main()
