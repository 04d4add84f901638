"""Backends openai and anthropic against a server that says exactly what it is told to, over TCP, TLS and a Unix socket."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from common import *

from byte_server import CLOSE, LAST_CHUNK, RESET, STALL, Authority, ByteServer, Gate, Pause, Split, chunk, head, ok

KEY = "sk-a-secret-that-nobody-may-see-0123456789"
STREAM = "Content-Type: text/event-stream"


def sse(*events, end="\n"):
    """Each a dict, or a pair of a name and a dict, or text."""
    out = []
    for event in events:
        name, data = event if isinstance(event, tuple) else (None, event)
        if name:
            out.append(f"event: {name}{end}")
        out.append(f"data: {data if isinstance(data, str) else dumps(data)}{end}{end}")
    return "".join(out).encode()


def delta(**fields):
    return {"id": "c1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def finish(reason="stop"):
    return {"id": "c1", "model": "m-1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def usage(given, made):
    return {"id": "c1", "choices": [], "usage": {"prompt_tokens": given, "completion_tokens": made}}


def answer(*texts):
    return sse(delta(role="assistant"), *(delta(content=text) for text in texts), finish(), usage(7, 3), "[DONE]")


def claude(*texts):
    return sse(
        ("message_start", {"type": "message_start", "message": {"model": "c-1", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ("ping", {"type": "ping"}),
        *(
            ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
            for text in texts
        ),
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
        ("message_delta", {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}),
        ("message_stop", {"type": "message_stop"}),
    )


def stream(body):
    """A whole response, chunked: the connection may serve again."""
    return head("200 OK", STREAM, "x-request-id: r-17", chunked=True) + chunk(body) + LAST_CHUNK


class Case(unittest.TestCase):
    """A server, and a daemon whose providers `p` and `q` it is."""

    more = ()
    path = "/v1/chat/completions"

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="liongate-test-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.start_server()
        self.addCleanup(self.server.close)
        self.key_file = os.path.join(self.dir, "key")
        with open(self.key_file, "w", encoding="ascii") as f:
            f.write(KEY + "\n")
        self.daemon = Daemon(*self.options(), env={"http_proxy": "http://127.0.0.1:1", "SOME_KEY": KEY})
        self.addCleanup(self.daemon.close)
        self.daemon.start()
        self.client = self.daemon.client()

    def start_server(self):
        self.server = ByteServer()

    def provider(self, name, **keys):
        return [f"--provider.{name}.{key}={value}" for key, value in keys.items()]

    def options(self):
        retry = {"retry_base": "1ms", "retry_max": "5ms"}
        return [
            *self.provider("p", kind="openai", base_url=f"{self.server.url}/v1", key=f"file:{self.key_file}", model="m", **retry),
            *self.provider("q", kind="anthropic", base_url=self.server.url, key="env:SOME_KEY", model="c", **retry),
            *self.more,
        ]

    def run_agent(self, prompt="hello", backend="openai", **params):
        agent = self.client.spawn(prompt, backend=backend, **params)
        self.client.wait(agent)
        return agent

    def events(self, agent, *kinds):
        events = self.daemon.events_of(agent)
        return [e for e in events if e["type"].removeprefix("Agent") in kinds] if kinds else events

    def text(self, agent, channel="output"):
        return self.client.output(agent, channel).decode()

    def failed(self, agent, code):
        """The AgentError it ended with."""
        last = self.events(agent)[-1]
        self.assertEqual((last["type"], last.get("code")), ("AgentError", code), last)
        return last


class OpenAi(Case):
    def test_answer(self):
        self.server.on(self.path, stream(answer("Hel", "lo", " wörld")))
        agent = self.run_agent(options={"system": "be brief", "temperature": 0.2, "max_tokens": 9, "extra": {"seed": 1}})
        chunks = self.events(agent, "PartialOutput")
        self.assertEqual([c["chunk"] for c in chunks], ["Hel", "lo", " wörld"])
        last = self.events(agent)[-1]
        self.assertEqual(last["type"], "AgentCompleted", last)
        self.assertEqual((last["finish_reason"], last["model"]), ("stop", "m-1"))
        self.assertEqual(last["usage"], {"input_tokens": 7, "output_tokens": 3})
        self.assertIs(type(last["first_chunk_ms"]), int)
        request = self.server.requests[0]
        self.assertEqual(request.headers["authorization"], f"Bearer {KEY}")
        body = json.loads(request.body)
        self.assertEqual(
            body["messages"], [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
        )
        self.assertEqual((body["model"], body["stream"], body["temperature"], body["seed"]), ("m", True, 0.2, 1))
        self.assertIs(body["stream_options"]["include_usage"], True)
        spawned = self.events(agent)[0]
        self.assertEqual((spawned["options"]["provider"], spawned["options"]["model"]), ("p", "m"))

    def test_reasoning_and_tools(self):
        call = {"index": 0, "id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"a":'}}
        self.server.on(
            self.path,
            stream(
                sse(
                    delta(reasoning_content="hm"),
                    delta(content=None, reasoning="m"),
                    delta(tool_calls=[call]),
                    delta(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}]),
                    finish("tool_calls"),
                    "[DONE]",
                )
            ),
        )
        agent = self.run_agent()
        self.assertEqual(self.text(agent, "reasoning"), "hmm")
        self.assertEqual(json.loads(self.text(agent, "tool_call")), {"id": "t1", "name": "look", "arguments": {"a": 1}})
        self.assertEqual(self.events(agent)[-1]["finish_reason"], "tool_calls")

    def test_chunks_come_as_they_are_sent(self):
        self.server.on(
            self.path,
            head("200 OK", STREAM, chunked=True),
            chunk(sse(delta(content="one"))),
            Gate("two"),
            chunk(sse(delta(content="two"), finish(), "[DONE]")),
            LAST_CHUNK,
        )
        self.client.call("events.subscribe")
        agent = self.client.spawn("x", backend="openai")
        self.client.wait_event(lambda e: e.get("chunk") == "one")
        self.server.open_gate("two")
        self.client.wait_event(lambda e: e.get("chunk") == "two")
        self.client.wait(agent)

    def test_one_connection_serves_again(self):
        self.server.on(self.path, stream(answer("x")))
        for _ in range(6):
            self.assertEqual(self.text(self.run_agent()), "x")
        # One for each worker at most.
        self.assertLessEqual(self.server.connections, os.cpu_count())

    def test_every_split(self):
        body = b"\xef\xbb\xbf: hello\r\n" + sse(delta(content="é€"), finish(), "[DONE]", end="\r\n")
        whole = head("200 OK", STREAM, length=len(body)) + body
        agents = []
        for place in range(1, len(whole)):
            self.server.on(f"/{place}/chat/completions", Split(whole, [place]))
        self.daemon.stop()
        self.daemon.args += [
            option
            for place in range(1, len(whole))
            for option in self.provider(f"s{place}", kind="openai", base_url=f"{self.server.url}/{place}", model="m")
        ]
        self.daemon.start()
        self.client = self.daemon.client()
        for place in range(1, len(whole)):
            agents.append(self.client.spawn("x", backend="openai", options={"provider": f"s{place}"}))
        for agent in agents:
            ended = self.client.wait(agent)
            self.assertEqual(ended["state"], "completed", ended)
            self.assertEqual(self.text(agent), "é€")

    def test_cancel_closes_the_connection(self):
        self.server.on(self.path, head("200 OK", STREAM, chunked=True), chunk(sse(delta(content="x"))), STALL)
        self.client.call("events.subscribe")
        agent = self.client.spawn("x", backend="openai")
        self.client.wait_event(lambda e: e.get("chunk") == "x")
        self.assertEqual(self.client.call("agent.cancel", agent_id=agent)["state"], "cancelled")
        self.server.wait(lambda s: s.closed == 1, "the connection is closed")
        self.assertEqual(self.text(agent), "x")

    def test_cut(self):
        begun = head("200 OK", STREAM, chunked=True) + chunk(sse(delta(content="kept")))
        for last in (LAST_CHUNK, CLOSE, RESET):
            # Whether what is before an RST arrives is TCP's; so it is waited for.
            self.server.on(self.path, begun, Gate("cut"), last)
            self.client.call("events.subscribe")
            agent = self.client.spawn("x", backend="openai")
            self.client.wait_event(lambda e: e.get("chunk") == "kept")
            self.server.open_gate("cut")
            self.client.wait(agent)
            self.client.call("events.unsubscribe")
            self.failed(agent, "protocol")
            self.assertEqual(self.text(agent), "kept")

    def test_nonsense(self):
        cases = {
            "html": head("200 OK", "Content-Type: text/html", length=6) + b"<html>",
            "json": ok(b"{}", "Content-Type: application/json"),
            "no utf-8": stream(b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n'),
            "no json": stream(b"data: {\n\n"),
            "no end": stream(sse(delta(content="x"))),
            "nothing": stream(b""),
        }
        for name, response in cases.items():
            with self.subTest(name):
                self.server.on(self.path, response)
                self.failed(self.run_agent(), "protocol")

    def test_long_line(self):
        text = "x" * (10 << 20)
        self.server.on(self.path, stream(answer(text)))
        agent = self.run_agent()
        self.assertEqual(self.client.wait(agent)["bytes"], len(text))
        self.server.on(self.path, stream(b"data: " + b"x" * (17 << 20) + b"\n\n"))
        self.failed(self.run_agent(), "protocol")

    def test_error_within(self):
        self.server.on(self.path, stream(sse({"error": {"message": "no credit", "type": "billing", "code": None}})))
        error = self.failed(self.run_agent(), "provider")
        self.assertIn("no credit", error["message"])

    def test_what_was_spawned_wrong(self):
        for options, param in (
            ({"provider": "nobody"}, "options.provider"),
            ({"provider": "q"}, "options.provider"),
            ({"temperature": "hot"}, "options.temperature"),
            ({"messages": "hi"}, "options.messages"),
            ({"nonsense": 1}, "options.nonsense"),
        ):
            data = self.client.fail("agent.spawn", "invalid_params", prompt="x", backend="openai", options=options)
            self.assertEqual(data["param"], param)
        self.client.fail("agent.spawn", "invalid_params", prompt="x", timeouts={"connect_ms": 1})

    def test_idempotent(self):
        self.server.on(self.path, stream(answer("x")))
        chosen = "00000000-0000-4000-8000-000000000001"
        first = self.client.call("agent.spawn", prompt="x", backend="openai", agent_id=chosen)
        again = self.client.call("agent.spawn", prompt="x", backend="openai", agent_id=chosen)
        self.assertEqual((first["created"], again["created"], again["seq"]), (True, False, first["seq"]))
        # What it leaves to the configuration may be another one by then.
        self.daemon.stop()
        self.daemon.start("--provider.p.model=another")
        self.client = self.daemon.client()
        again = self.client.call("agent.spawn", prompt="x", backend="openai", agent_id=chosen)
        self.assertEqual((again["created"], again["seq"]), (False, first["seq"]))
        params = {"prompt": "x", "backend": "openai", "options": {"model": "another"}}
        self.client.fail("agent.spawn", "already_exists", agent_id=chosen, **params)


class Anthropic(Case):
    path = "/v1/messages"

    def test_answer(self):
        self.server.on(self.path, stream(claude("Hi", " you")))
        agent = self.run_agent(backend="anthropic", options={"system": "s"})
        self.assertEqual([c["chunk"] for c in self.events(agent, "PartialOutput")], ["Hi", " you"])
        last = self.events(agent)[-1]
        self.assertEqual((last["finish_reason"], last["model"]), ("end_turn", "c-1"))
        self.assertEqual(last["usage"], {"input_tokens": 9, "output_tokens": 5})
        request = self.server.requests[0]
        self.assertEqual(request.headers["x-api-key"], KEY)
        self.assertIn("anthropic-version", request.headers)
        body = json.loads(request.body)
        self.assertEqual((body["system"], body["model"], body["max_tokens"]), ("s", "c", 4096))

    def test_error_within(self):
        overloaded = ("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
        self.server.on(self.path, stream(sse(overloaded)))
        agent = self.run_agent(backend="anthropic")
        error = self.failed(agent, "provider")
        self.assertIn("Overloaded", error["message"])
        self.assertEqual(len(self.events(agent, "Retrying")), 3)


class Failures(Case):
    def test_statuses(self):
        for status, code, attempts in (
            (400, "provider", 1),
            (401, "unauthorized", 1),
            (403, "unauthorized", 1),
            (404, "provider", 1),
            (413, "provider", 1),
            (422, "provider", 1),
            (408, "provider", 4),
            (409, "provider", 4),
            (500, "provider", 4),
            (503, "provider", 4),
            (529, "provider", 4),
            (302, "provider", 1),
        ):
            with self.subTest(status):
                body = dumps({"error": {"message": f"it is {status}"}}).encode()
                before = len(self.server.requests)
                self.server.on(self.path, ok(body, "x-request-id: r-9", "Location: /v1/elsewhere", status=f"{status} Nope"))
                agent = self.run_agent()
                error = self.failed(agent, code)
                self.assertEqual((error["http_status"], error["request_id"]), (status, "r-9"))
                if status >= 400:
                    self.assertIn(f"it is {status}", error["message"])
                self.assertEqual(len(self.server.requests) - before, attempts)
                retrying = self.events(agent, "Retrying")
                self.assertEqual([e["attempt"] for e in retrying], list(range(2, attempts + 1)))
                self.assertEqual([e["attempt"] for e in self.events(agent, "Started")], list(range(1, attempts + 1)))

    def test_error_then_success(self):
        def turns(_):
            n = len(self.server.requests)
            # A connection that has served before and is cut is replaced by libcurl itself: so that comes first.
            return (RESET,) if n == 1 else (ok(b"", status="500 Oops"),) if n == 2 else (stream(answer("at last")),)

        self.server.on(self.path, turns)
        agent = self.run_agent()
        self.assertEqual(self.text(agent), "at last")
        self.assertEqual([e["code"] for e in self.events(agent, "Retrying")], ["connection", "provider"])
        self.assertEqual([e["index"] for e in self.events(agent, "PartialOutput")], [0])

    def test_refused(self):
        with socket.socket() as taken:  # and nobody listens
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            self.daemon.stop()
            self.daemon.start(f"--provider.p.base_url=http://127.0.0.1:{port}/v1")
            self.client = self.daemon.client()
            agent = self.run_agent()
        error = self.failed(agent, "connection")
        self.assertEqual(len(self.events(agent, "Retrying")), 3)
        self.assertIn(str(port), error["message"])

    def test_timeouts(self):
        stall = {"first_chunk": (head("200 OK", STREAM, chunked=True), STALL)}
        stall["idle"] = (head("200 OK", STREAM, chunked=True) + chunk(sse(delta(content="kept"))), STALL)
        stall["total"] = stall["idle"]
        for which, steps in stall.items():
            with self.subTest(which):
                self.server.on(self.path, *steps)
                agent = self.run_agent(timeouts={f"{which}_ms": 100})
                error = self.failed(agent, "timeout")
                self.assertEqual(error["which"], which)
                self.assertEqual(self.text(agent), "" if which == "first_chunk" else "kept")
                self.assertEqual(self.events(agent, "Retrying"), [])

    def test_unknown_host(self):
        self.daemon.stop()
        self.daemon.start("--provider.p.base_url=http://no.such.host.invalid/v1", "--provider.p.max_attempts=2")
        self.client = self.daemon.client()
        agent = self.run_agent()
        self.failed(agent, "connection")
        self.assertEqual(len(self.events(agent, "Retrying")), 1)


class Limits(Case):
    more = ("--provider.p.max_concurrent=8", "--max-running=500")

    def test_concurrent(self):
        """No more than eight at once, and those that wait say so."""
        now, most, lock = [0], [0], threading.Lock()

        def serve(_):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            yield head("200 OK", STREAM, chunked=True)
            yield Gate("go")
            yield chunk(answer("x"))
            with lock:
                now[0] -= 1
            yield LAST_CHUNK

        self.server.on(self.path, serve)
        agents = [self.client.spawn(str(i), backend="openai") for i in range(100)]
        self.server.wait(lambda s: len(s.requests) == 8, "eight are served")
        self.server.open_gate("go")
        for agent in agents:
            self.assertEqual(self.client.wait(agent)["state"], "completed")
        self.assertLessEqual(most[0], 8)
        waiting = [e for e in self.daemon.events() if e["type"] == "AgentWaiting"]
        self.assertTrue(waiting)
        self.assertEqual({(e["reason"], e["provider"]) for e in waiting}, {("provider_limit", "p")})

    def test_waiting_is_shown(self):
        self.server.on(self.path, head("200 OK", STREAM, chunked=True), Gate("go"), chunk(answer("x")), LAST_CHUNK)
        agents = [self.client.spawn(str(i), backend="openai") for i in range(9)]
        last = agents[-1]
        self.server.wait(lambda s: len(s.requests) == 8, "eight are served")
        eventually(lambda: self.client.call("agent.get", agent_id=last).get("waiting"), "it waits")
        waiting = {"reason": "provider_limit", "provider": "p"}
        self.assertEqual(self.client.call("agent.get", agent_id=last)["waiting"], waiting)
        listed = self.client.call("agent.list", state=["queued"])["agents"]
        self.assertEqual([a.get("waiting") for a in listed], [waiting])
        # Others are not held up by it.
        self.assertEqual(self.client.wait(self.client.spawn("x", options={"chunks": 1, "delay_ms": 0}))["state"], "completed")
        state = self.client.call("provider.list")["providers"]
        self.assertEqual([p["name"] for p in state], ["p", "q"])
        self.assertEqual((state[0]["running"], state[0]["waiting"], state[0]["max_concurrent"]), (8, 1, 8))
        self.server.open_gate("go")
        for agent in agents:
            self.assertNotIn("waiting", self.client.wait(agent))

    def test_cancel_while_waiting(self):
        self.server.on(self.path, head("200 OK", STREAM, chunked=True), Gate("go"), chunk(answer("x")), LAST_CHUNK)
        agents = [self.client.spawn(str(i), backend="openai") for i in range(10)]
        self.assertEqual(self.client.call("agent.cancel", agent_id=agents[8])["state"], "cancelled")
        self.server.open_gate("go")
        self.assertEqual(self.client.wait(agents[9])["state"], "completed")

    def test_retry_after(self):
        """One is told to wait, all wait; then one goes ahead."""
        refused = []

        def serve(request):
            if not refused:
                refused.append(time.monotonic())
                return (ok(b"", "retry-after-ms: 700", status="429 Slow down"),)
            return (stream(answer("x")),)

        self.server.on(self.path, serve)
        first = self.client.spawn("first", backend="openai")
        self.client.call("events.subscribe", agents=[first], after=0)
        retrying = self.client.wait_event(lambda e: e["type"] == "AgentRetrying")
        self.assertEqual((retrying["code"], retrying["delay_ms"], retrying["attempt"]), ("rate_limited", 700, 2))
        others = [self.client.spawn(str(i), backend="openai") for i in range(20)]
        waiting = self.client.wait_event(lambda e: e["type"] == "AgentWaiting")
        self.assertEqual((waiting["reason"], waiting["provider"]), ("rate_limited", "p"))
        self.assertIn("until", waiting)
        provider = self.client.call("provider.list")["providers"][0]
        self.assertEqual(provider["last_error"]["code"], "rate_limited")
        self.assertEqual(provider["last_error"]["http_status"], 429)
        self.assertIn("held_until", provider)
        for agent in (first, *others):
            self.assertEqual(self.client.wait(agent)["state"], "completed")
        self.assertEqual(len(self.server.requests), 22)
        started = [e for e in self.daemon.events() if e["type"] == "AgentStarted"]
        self.assertEqual(len(started), 22)

    def test_storm(self):
        """200 agents, eight at once, while the server refuses for a second and again later: all complete, with few requests
        more than were needed."""
        storms = [(0.2, 1.2), (1.6, 2.2)]
        now, most, lock, began = [0], [0], threading.Lock(), time.monotonic()

        def serve(_):
            passed = time.monotonic() - began
            left = [end - passed for start, end in storms if start <= passed < end]
            if left:
                return (ok(b"", f"retry-after-ms: {int(left[0] * 1000) + 1}", status="429 Slow down"),)
            return working()

        def working():
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            yield head("200 OK", STREAM, chunked=True)
            yield chunk(sse(delta(content="x")))
            yield Pause(0.05)
            yield chunk(sse(finish(), "[DONE]"))
            with lock:
                now[0] -= 1
            yield LAST_CHUNK

        self.server.on(self.path, serve)
        agents = [self.client.spawn(str(i), backend="openai") for i in range(200)]
        for agent in agents:
            self.assertEqual(self.client.wait(agent)["state"], "completed")
        self.assertLessEqual(most[0], 8)
        self.assertLessEqual(len(self.server.requests), 240)
        # Nobody starves: who came first goes first.
        first = [self.client.call("agent.get", agent_id=a)["ended_at"] for a in (agents[0], agents[-1])]
        self.assertLess(*first)

    def test_refusals_are_shared(self):
        """A provider that refuses for long, with short pauses, uses up nobody's attempts alone."""
        self.daemon.stop()
        self.daemon.start("--provider.p.max_concurrent=1")
        self.client = self.daemon.client()

        def serve(_):
            if len(self.server.requests) <= 6:
                return (Gate("all"), ok(b"", "retry-after-ms: 1", status="429 Slow down"))
            return (stream(answer("x")),)

        self.server.on(self.path, serve)
        agents = [self.client.spawn(str(i), backend="openai") for i in range(3)]
        self.server.open_gate("all")
        for agent in agents:
            self.assertEqual(self.client.wait(agent)["state"], "completed")
        self.assertEqual([len(self.events(agent, "Retrying")) for agent in agents], [2, 2, 2])

    def test_requests_per_minute(self):
        self.daemon.stop()
        self.daemon.start("--provider.p.requests_per_minute=3")
        self.client = self.daemon.client()
        self.server.on(self.path, stream(answer("x")))
        agents = [self.client.spawn(str(i), backend="openai") for i in range(5)]
        for agent in agents[:3]:
            self.client.wait(agent)
        shown = eventually(lambda: self.client.call("agent.get", agent_id=agents[3]).get("waiting"), "it waits")
        self.assertEqual((shown["reason"], "until" in shown), ("requests_per_minute", True))
        self.assertEqual(len(self.server.requests), 3)

    def test_restart_while_waiting(self):
        self.server.on(self.path, head("200 OK", STREAM, chunked=True), Gate("go"), chunk(answer("x")), LAST_CHUNK)
        agents = [self.client.spawn(str(i), backend="openai", on_restart="rerun") for i in range(10)]
        eventually(lambda: len(self.server.requests) == 8, "eight run")
        self.daemon.kill()
        self.server.open_gate("go")
        self.daemon.start()
        self.client = self.daemon.client()
        for agent in agents:
            self.assertEqual(self.client.wait(agent)["state"], "completed")

    def test_reload(self):
        self.server.on(self.path, head("200 OK", STREAM, chunked=True), Gate("go"), chunk(answer("x")), LAST_CHUNK)
        config = os.path.join(self.dir, "liongated.conf")

        def write(n):
            with open(config, "w", encoding="ascii") as f:
                f.write(f"[provider r]\nkind = openai\nbase_url = {self.server.url}/v1\nmodel = m\nmax_concurrent = {n}\n")

        write(1)
        daemon = Daemon()
        self.addCleanup(daemon.close)
        command = daemon.command
        daemon.command = lambda *args: [a if a != "--no-config" else f"--config={config}" for a in command(*args)]
        daemon.start()
        client = daemon.client()
        agents = [client.spawn(str(i), backend="openai") for i in range(4)]
        eventually(lambda: len(self.server.requests) == 1, "one runs")
        eventually(lambda: client.call("agent.get", agent_id=agents[3]).get("waiting"), "the last waits")
        write(3)
        daemon.signal(1)
        eventually(lambda: len(self.server.requests) == 3, "three run")
        self.server.open_gate("go")
        for agent in agents:
            self.assertEqual(client.wait(agent)["state"], "completed")


class Reload(Case):
    def test_provider_goes(self):
        """What runs goes on; what waits is told, also where its spec has to be read from the log; what is new is refused."""
        self.server.on(self.path, head("200 OK", STREAM, chunked=True), Gate("go"), chunk(answer("x")), LAST_CHUNK)
        config = os.path.join(self.dir, "liongated.conf")

        def write(text):
            with open(config, "w", encoding="ascii") as f:
                f.write(text)

        section = f"[provider r]\nkind = openai\nbase_url = {self.server.url}/v1\nmodel = m\nmax_concurrent = 1\n"
        write(section)
        daemon = Daemon()
        self.addCleanup(daemon.close)
        command = daemon.command
        daemon.command = lambda *args: [a if a != "--no-config" else f"--config={config}" for a in command(*args)]
        daemon.start()
        client = daemon.client()
        running = client.spawn("runs", backend="openai")
        self.server.wait(lambda s: len(s.requests) == 1, "one runs")
        waiting = [client.spawn("w" * n, backend="openai") for n in (10, 100000)]
        write("")
        daemon.signal(1)
        for agent in waiting:
            ended = client.wait(agent)["ending"]
            self.assertEqual(ended["code"], "spawn_failed")
            self.assertIn("provider r of kind openai", ended["message"])
        client.fail("agent.spawn", "invalid_params", prompt="x", backend="openai")
        self.server.open_gate("go")
        self.assertEqual(client.wait(running)["state"], "completed")
        self.assertEqual(client.call("provider.list")["providers"], [])
        # It may come back as another kind, and a daemon may start without it.
        write(section)
        daemon.signal(1)
        eventually(lambda: client.call("provider.list")["providers"], "it is back")
        self.server.on(self.path, head("200 OK", STREAM, chunked=True), STALL)
        held = [client.spawn("x", backend="openai", on_restart="rerun") for _ in range(2)]
        self.server.wait(lambda s: len(s.requests) == 2, "one runs again")
        write(section.replace("openai", "anthropic"))
        daemon.kill()
        daemon.start()
        client = daemon.client()
        for agent in held:
            self.assertEqual(client.wait(agent)["ending"]["code"], "spawn_failed")


class Tls(Case):
    def start_server(self):
        self.server = ByteServer(tls=Authority(self.dir))

    def options(self):
        return [
            *self.provider("p", kind="openai", base_url=f"{self.server.url}/v1", model="m", ca_file=os.path.join(self.dir, "ca.pem")),
            *self.provider("strange", kind="openai", base_url=f"{self.server.url}/v1", model="m"),
        ]

    def test_own_authority(self):
        self.server.on(self.path, stream(answer("secret")))
        self.assertEqual(self.text(self.run_agent()), "secret")
        agent = self.run_agent(options={"provider": "strange"})
        self.failed(agent, "connection")
        self.assertEqual(self.events(agent, "Retrying"), [])
        self.assertEqual(len(self.server.requests), 1)


class UnixSocket(Case):
    def start_server(self):
        self.server = ByteServer(unix=os.path.join(self.dir, "llm.sock"))

    def options(self):
        return self.provider("p", kind="openai", unix_socket=os.path.join(self.dir, "llm.sock"), model="m")

    path = "/chat/completions"

    def test_answer(self):
        self.server.on(self.path, stream(answer("near")))
        self.assertEqual(self.text(self.run_agent()), "near")


class Secrets(Case):
    more = ("--log-level=debug",)

    def test_nobody_sees_the_key(self):
        # One that says back what it was sent.
        refusal = dumps({"error": {"message": f"bad key {KEY}, twice {KEY}"}}).encode()
        self.server.on(self.path, ok(refusal, f"x-request-id: {KEY}", status="401 No"))
        self.server.on("/v1/messages", stream(claude("x")))
        self.run_agent()
        self.run_agent(backend="anthropic")
        self.run_agent(backend="exec", options={"argv": ["/bin/sh", "-c", "cat /proc/self/environ; env"]})
        said = dumps(self.client.call("provider.list")) + dumps(self.client.call("daemon.status"))
        printed = subprocess.run(
            [*self.daemon.command(*self.options(), "--print-config")], capture_output=True, check=False, env={**os.environ, "SOME_KEY": KEY}
        )
        self.assertEqual(printed.returncode, 0, printed.stderr)
        self.daemon.stop()
        found = [b"stdout" for text in (printed.stdout, printed.stderr, said.encode()) if KEY.encode() in text]
        for directory, _, names in os.walk(self.daemon.dir):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        if KEY.encode() in f.read():
                            found.append(path)
        self.assertEqual(found, [])
        self.assertEqual([r.headers.get("authorization", r.headers.get("x-api-key"))[-len(KEY) :] for r in self.server.requests], [KEY] * 2)


class Many(Case):
    more = ("--max-running=2000",)

    def test_a_thousand_streams(self):
        n = 1000 if harness.SCALE == 1 else 200
        parts = [head("200 OK", STREAM, chunked=True)]
        parts += [chunk(sse(delta(content=f"{i};"))) for i in range(10)] + [chunk(sse(finish(), "[DONE]")), LAST_CHUNK]
        self.server.on(self.path, parts[0], Gate("all"), *parts[1:])
        agents = [self.client.spawn(str(i), backend="openai") for i in range(n)]
        self.server.wait(lambda s: len(s.requests) == n, "all are there", TIMEOUT)
        self.server.open_gate("all")
        for agent in agents:
            self.assertEqual(self.client.wait(agent)["state"], "completed")
        for agent in agents[:20]:
            self.assertEqual(self.text(agent), "".join(f"{i};" for i in range(10)))


if __name__ == "__main__":
    main()
