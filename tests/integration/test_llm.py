"""Backends openai and anthropic against a server that says exactly what it is told to, over TCP, TLS and a Unix socket."""

import json
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from datetime import datetime

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
        self.daemon = Daemon(*self.options(), env={"RES_OPTIONS": "timeout:1 attempts:1", "http_proxy": "http://127.0.0.1:1", "SOME_KEY": KEY})
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

    def configured(self):
        """A daemon with a file of its configuration, which write(text) fills, and which SIGHUP makes it read anew."""
        path = os.path.join(self.dir, "liongated.conf")

        def write(text):
            with open(path, "w", encoding="ascii") as f:
                f.write(text)

        daemon = Daemon()
        self.addCleanup(daemon.close)
        command = daemon.command
        daemon.command = lambda *args: [a if a != "--no-config" else f"--config={path}" for a in command(*args)]
        return daemon, write

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

    def test_model_that_nobody_names(self):
        self.server.on(self.path, stream(sse(delta(content="x"), "[DONE]")))
        for options, model in (({}, "m"), ({"model": "another"}, "another")):
            self.assertEqual(self.events(self.run_agent(options=options))[-1]["model"], model)

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
        self.server.on(self.path, head("200 OK", STREAM, "x-request-id: r-5", chunked=True), chunk(sse(delta(content="x"))), STALL)
        self.client.call("events.subscribe")
        agent = self.client.spawn("x", backend="openai")
        self.client.wait_event(lambda e: e.get("chunk") == "x")
        self.assertEqual(self.client.call("agent.cancel", agent_id=agent)["state"], "cancelled")
        self.server.wait(lambda s: s.closed == 1, "the connection is closed")
        self.assertEqual(self.text(agent), "x")
        error = self.failed(agent, "cancelled")
        self.assertEqual((error["provider"], error["http_status"], error["request_id"]), ("p", 200, "r-5"))

    def test_cut(self):
        begun = head("200 OK", STREAM, chunked=True) + chunk(sse(delta(content="kept")))
        for i, last in enumerate((LAST_CHUNK, CLOSE, RESET)):
            # Whether what is before an RST arrives is TCP's; so it is waited for.
            self.server.on(self.path, begun, Gate(f"cut {i}"), last)
            self.client.call("events.subscribe")
            agent = self.client.spawn("x", backend="openai")
            self.client.wait_event(lambda e: e.get("chunk") == "kept")
            self.server.open_gate(f"cut {i}")
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

    def test_stream_by_another_name(self):
        """What a stream is, its first byte tells."""
        body = answer("x")
        for kind in ("application/json", "Text/Event-Stream; charset=utf-8", "text/plain", "application/octet-stream", None):
            with self.subTest(kind):
                headers = [f"Content-Type: {kind}"] if kind else []
                self.server.on(self.path, head("200 OK", *headers, chunked=True), chunk(b" \r\n"), chunk(body), LAST_CHUNK)
                self.assertEqual(self.text(self.run_agent()), "x")

    def test_not_streamed(self):
        message = {"content": "all of it", "tool_calls": [{"id": "t1", "function": {"name": "f", "arguments": "{}"}}]}
        whole = {"model": "m-1", "choices": [{"message": message, "finish_reason": "stop"}]}
        whole["usage"] = {"prompt_tokens": 7, "completion_tokens": 3}
        for kind in ("application/json", "APPLICATION/JSON", "text/event-stream"):
            with self.subTest(kind):
                self.server.on(self.path, ok(dumps(whole).encode(), f"Content-Type: {kind}"))
                agent = self.run_agent()
                self.assertEqual((self.text(agent), json.loads(self.text(agent, "tool_call"))["id"]), ("all of it", "t1"))
                last = self.events(agent)[-1]
                self.assertEqual((last["type"], last["finish_reason"], last["model"]), ("AgentCompleted", "stop", "m-1"))
                self.assertEqual(last["usage"], {"input_tokens": 7, "output_tokens": 3})

    def test_large_and_not_streamed(self):
        text = "x" * (1 << 20)
        self.server.on(self.path, ok(dumps({"choices": [{"message": {"content": text}}]}).encode()))
        self.assertEqual(self.client.wait(self.run_agent())["bytes"], len(text))
        self.server.on(self.path, ok(b"{" + b" " * (17 << 20)))
        self.failed(self.run_agent(), "protocol")

    def test_what_is_no_stream(self):
        page = b"<!doctype html><title>Sign in</title>"
        for kind, body, code, said in (
            ("Text/HTML; charset=utf-8", page, "protocol", "answers with Text/HTML; charset=utf-8, not with a stream of events: Sign in"),
            (None, page, "protocol", "answers with what has no type, not with a stream of events: Sign in"),
            ("text/html", b"Welcome", "protocol", "not with a stream of events: Welcome"),
            ("application/json", b"{}", "protocol", "answers with application/json, not with a stream of events: {}"),
            ("application/json", b'{"choices":[', "protocol", "not with a stream of events"),
            ("application/json", b"\x1f\x8b\x08\x00", "protocol", "compressed, which was not asked for"),
            ("application/json", b'{"detail":"no such route"}', "provider", "p says no such route"),
            ("application/json", b'{"error":{"code":"401","message":"who"}}', "unauthorized", "p says 401: who"),
        ):
            with self.subTest(body):
                self.server.on(self.path, ok(body, *([f"Content-Type: {kind}"] if kind else [])))
                agent = self.run_agent()
                self.assertIn(said, self.failed(agent, code)["message"])
                self.assertEqual(self.events(agent, "Retrying"), [])
        self.server.on(self.path, ok(dumps({"error": {"code": 503, "message": "busy"}}).encode(), "Content-Type: application/json"))
        agent = self.run_agent()
        self.failed(agent, "provider")
        self.assertEqual(len(self.events(agent, "Retrying")), 3)

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

    def test_error_codes_within(self):
        """What its code or its type says of whether another attempt may fare better."""
        for error, code, attempts in (
            ({"code": 502, "message": "gone"}, "provider", 4),
            ({"code": 400, "type": "server_error", "message": "no"}, "provider", 1),
            ({"code": "401", "message": "who"}, "unauthorized", 1),
            ({"code": 1302, "message": "what"}, "provider", 1),
        ):
            with self.subTest(error):
                self.server.on(self.path, stream(sse({"error": error, "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]})))
                agent = self.run_agent()
                self.assertIn(error["message"], self.failed(agent, code)["message"])
                self.assertEqual(len(self.events(agent, "Started")), attempts)
        self.server.on(self.path, stream(sse({"error": {"code": "429", "type": "None", "message": "slow"}})))
        self.client.call("events.subscribe")
        agent = self.client.spawn("x", backend="openai")
        retrying = self.client.wait_event(lambda e: e["type"] == "AgentRetrying" and e["agent_id"] == agent)
        self.assertEqual(retrying["code"], "rate_limited")
        self.client.call("agent.cancel", agent_id=agent)

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

    def test_idempotent_without_its_provider(self):
        """What was accepted is remembered, whatever the configuration has become."""
        self.server.on(self.path, stream(answer("x")))
        chosen, other = ("00000000-0000-4000-8000-00000000000%d" % i for i in (1, 2))
        params = {"prompt": "x", "backend": "openai", "options": {"provider": "p"}}
        first = self.client.call("agent.spawn", agent_id=chosen, **params)
        self.client.wait(chosen)
        self.daemon.stop()
        self.daemon.args = []
        self.daemon.start()
        self.client = self.daemon.client()
        again = self.client.call("agent.spawn", agent_id=chosen, **params)
        self.assertEqual((again["created"], again["seq"]), (False, first["seq"]))
        following = self.daemon.client()
        self.assertFalse(following.call("agent.spawn", agent_id=chosen, follow=True, **params)["created"])
        following.until_end()
        following.fail("agent.spawn", "invalid_params", agent_id=other, follow=True, **params)
        following.call("events.subscribe")
        data = self.client.fail("agent.spawn", "invalid_params", agent_id=other, **params)
        self.assertEqual(data["param"], "options.provider")
        self.client.fail("agent.spawn", "already_exists", agent_id=chosen, **{**params, "prompt": "y"})


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

    def test_not_streamed(self):
        whole = {"type": "message", "model": "c-1", "content": [{"type": "text", "text": "all"}], "stop_reason": "end_turn"}
        self.server.on(self.path, ok(dumps(whole).encode(), "Content-Type: application/json"))
        agent = self.run_agent(backend="anthropic")
        self.assertEqual((self.text(agent), self.events(agent)[-1]["finish_reason"]), ("all", "end_turn"))

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

    def test_empty_refusal(self):
        self.server.on(self.path, ok(b"", status="400 No"))
        self.assertEqual(self.failed(self.run_agent(), "provider")["message"], "p answers 400")
        self.server.on(self.path, ok(b"\x1f\x8b\x08\x00\xff", status="400 No"))
        self.assertIn("p answers 400: it is compressed", self.failed(self.run_agent(), "provider")["message"])

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
                # All of it has to come before the total has passed.
                agent = self.run_agent(timeouts={f"{which}_ms": int(1000 * SCALE) if which == "total" else 100})
                error = self.failed(agent, "timeout")
                self.assertEqual((error["which"], error["provider"]), (which, "p"))
                self.assertEqual(self.text(agent), "" if which == "first_chunk" else "kept")
                self.assertEqual(self.events(agent, "Retrying"), [])

    def test_keep_alives_are_no_progress(self):
        def stalled(keep_alive):
            yield head("200 OK", STREAM, chunked=True) + chunk(sse(delta(content="kept")))
            while True:
                yield chunk(keep_alive)
                yield Pause(0.02)

        self.server.on(self.path, lambda _: stalled(b": keep-alive\n\n"))
        agent = self.run_agent(timeouts={"idle_ms": 200})
        self.assertEqual((self.failed(agent, "timeout")["which"], self.text(agent)), ("idle", "kept"))

    def test_a_tool_call_is_progress(self):
        """It is given out once it is whole, which may take longer than a first chunk may."""
        pieces = [{"index": 0, "id": "t1", "function": {"name": "f", "arguments": ""}}]
        pieces += [{"index": 0, "function": {"arguments": part}} for part in ('{"x"', ":", "1", "2", "3", "4", "}")]

        def slowly(_):
            yield head("200 OK", STREAM, chunked=True)
            for piece in pieces:
                yield chunk(sse(delta(tool_calls=[piece])))
                yield Pause(0.3 * SCALE)
            yield chunk(sse(finish("tool_calls"), "[DONE]")) + LAST_CHUNK

        self.server.on(self.path, slowly)
        limit = int(2000 * SCALE)
        agent = self.run_agent(timeouts={"first_chunk_ms": limit, "idle_ms": limit})
        self.assertEqual([e["type"] for e in self.events(agent)][-1], "AgentCompleted")
        self.assertEqual(json.loads(self.text(agent, "tool_call"))["arguments"], {"x": 1234})

    def test_total_runs_out_between_attempts(self):
        """The total time is that of all attempts, and of what lies between them."""
        self.daemon.stop()
        self.daemon.start("--provider.p.retry_base=1h", "--provider.p.retry_max=1h")
        self.client = self.daemon.client()
        for status, code in (("500 Oops", "provider"), ("429 Slow down", "rate_limited")):
            with self.subTest(status):
                self.server.on(self.path, ok(b"", "Retry-After: 600", status=status))
                agent = self.run_agent(timeouts={"total_ms": int(1000 * SCALE)})
                self.assertEqual([e["code"] for e in self.events(agent, "Retrying")], [code])
                error = self.failed(agent, "timeout")
                self.assertEqual((error["which"], error["chunks"]), ("total", 0))
                provider = self.client.call("provider.list")["providers"][0]
                self.assertEqual((provider["running"], provider["waiting"]), (0, 0))

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

    def test_queue_is_full(self):
        """Many that are spawned in one go are those that run and those that may wait, and no more."""
        self.daemon.stop()
        self.daemon.start("--max-queued=3")
        self.client = self.daemon.client()
        self.server.on(self.path, head("200 OK", STREAM, chunked=True), Gate("go"), chunk(answer("x")), LAST_CHUNK)
        ids = range(1000, 1040)
        self.client.send(*(make_request("agent.spawn", {"prompt": "p", "backend": "openai"}, i) for i in ids))
        agents, reasons = [], set()
        for i in ids:
            try:
                agents.append(self.client.result(i)["agent_id"])
            except RpcError as e:
                reasons.add(e.reason)
        self.assertEqual((len(agents), reasons), (8 + 3, {"queue_full"}))
        self.server.open_gate("go")
        for agent in agents:
            self.assertEqual(self.client.wait(agent)["state"], "completed")

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
        for status, code in ((429, "rate_limited"), (503, "provider"), (529, "provider")):
            with self.subTest(status):
                self.all_wait(status, code)

    def all_wait(self, status, code):
        refused, served, ran = [], len(self.server.requests), len(self.daemon.events())
        pause_ms = int(1500 * SCALE)

        def serve(request):
            if not refused:
                refused.append(time.monotonic())
                return (ok(b"", f"retry-after-ms: {pause_ms}", status=f"{status} Slow down"),)
            return (stream(answer("x")),)

        self.server.on(self.path, serve)
        self.client = self.daemon.client()
        first = self.client.spawn("first", backend="openai")
        self.client.call("events.subscribe", agents=[first], after=0)
        retrying = self.client.wait_event(lambda e: e["type"] == "AgentRetrying")
        self.assertEqual((retrying["code"], retrying["delay_ms"], retrying["attempt"]), (code, pause_ms, 2))
        provider = self.client.call("provider.list")["providers"][0]
        self.assertEqual(provider["last_error"]["code"], code)
        self.assertEqual(provider["last_error"]["http_status"], status)
        self.assertIn("held_until", provider)
        others = [self.client.spawn(str(i), backend="openai") for i in range(20)]
        waiting = self.client.wait_event(lambda e: e["type"] == "AgentWaiting")
        self.assertEqual((waiting["reason"], waiting["provider"]), ("rate_limited", "p"))
        self.assertIn("until", waiting)
        for agent in (first, *others):
            self.assertEqual(self.client.wait(agent)["state"], "completed")
        self.assertEqual(len(self.server.requests) - served, 22)
        started = [e for e in self.daemon.events()[ran:] if e["type"] == "AgentStarted"]
        self.assertEqual(len(started), 22)

    def test_too_long_a_pause(self):
        """Who is told to come back tomorrow fails; the others wait, though not for so long."""
        self.server.on(self.path, ok(b"", "Retry-After: 86400", status="429 Come back tomorrow"))
        agent = self.run_agent()
        self.failed(agent, "rate_limited")
        self.assertEqual(self.events(agent, "Retrying"), [])
        self.client.call("events.subscribe")
        agent = self.client.spawn("x", backend="openai")
        waiting = self.client.wait_event(lambda e: e["type"] == "AgentWaiting" and e["agent_id"] == agent)
        self.assertEqual(waiting["reason"], "rate_limited")
        until, begun = (datetime.fromisoformat(waiting[key]) for key in ("until", "time"))
        self.assertAlmostEqual((until - begun).total_seconds(), 3600, delta=60)
        self.assertEqual(len(self.server.requests), 1)

    def test_silence_is_an_answer(self):
        """Models that think for long before their first word keep nobody from following, once one was refused."""
        agents = 12

        def serve(_):
            if len(self.server.requests) == 1:
                return (ok(b"", "retry-after-ms: 1", status="429 Slow down"),)
            return (head("200 OK", STREAM, chunked=True), Gate("thought"), chunk(answer("x")), LAST_CHUNK)

        self.daemon.stop()
        self.daemon.start("--provider.p.max_concurrent=0")
        self.client = self.daemon.client()
        self.server.on(self.path, serve)
        spawned = [self.client.spawn(str(i), backend="openai") for i in range(agents)]
        self.server.wait(lambda s: len(s.requests) > agents, "all are served")
        self.server.open_gate("thought")
        for agent in spawned:
            self.assertEqual(self.client.wait(agent)["state"], "completed")
        kinds = {e["type"] for agent in spawned for e in self.events(agent)}
        self.assertEqual(kinds - {"AgentWaiting"}, {"AgentSpawned", "AgentStarted", "AgentRetrying", "AgentPartialOutput", "AgentCompleted"})

    def test_mistakes_are_answers(self):
        """What is refused for what it says, and not for how often, is no reason to go on slowly."""
        agents = 12

        def serve(_):
            if len(self.server.requests) == 1:
                return (ok(b"", "retry-after-ms: 100", status="429 Slow down"),)
            if len(self.server.requests) <= 5:
                return (ok(b"", status="400 Bad Request"),)
            return (Gate("all"), stream(answer("x")))

        self.daemon.stop()
        self.daemon.start("--provider.p.max_concurrent=0")
        self.client = self.daemon.client()
        self.server.on(self.path, serve)
        spawned = [self.client.spawn("first", backend="openai")]
        eventually(lambda: self.events(spawned[0], "Retrying"), "the refusal")
        spawned += [self.client.spawn(str(i), backend="openai") for i in range(1, agents)]
        # After four answers sixteen may be on their way.
        self.server.wait(lambda s: len(s.requests) > agents, "all are served")
        self.server.open_gate("all")
        states = [self.client.wait(agent)["state"] for agent in spawned]
        self.assertEqual((states.count("completed"), states.count("failed")), (agents - 4, 4))

    def test_retry_after_is_spread(self):
        """Who was told the same does not come back in the same instant, nor earlier than told."""
        agents = 20

        def serve(_):
            if len(self.server.requests) <= agents:
                return (Gate("all"), ok(b"", "retry-after-ms: 400", status="500 Oops"))
            return (stream(answer("x")),)

        self.daemon.stop()
        self.daemon.start("--provider.p.max_concurrent=0")
        self.client = self.daemon.client()
        self.server.on(self.path, serve)
        spawned = [self.client.spawn(str(i), backend="openai") for i in range(agents)]
        self.server.wait(lambda s: len(s.requests) == agents, "all are served")
        self.server.open_gate("all")
        for agent in spawned:
            self.assertEqual(self.client.wait(agent)["state"], "completed")
        delays = [e["delay_ms"] for agent in spawned for e in self.events(agent, "Retrying")]
        self.assertEqual(len(delays), agents)
        self.assertTrue(400 <= min(delays) < max(delays) <= 440, delays)

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
        """A provider that refuses for long, with short pauses, uses up nobody's attempts alone, whatever the priorities."""
        self.daemon.stop()
        self.daemon.start("--provider.p.max_concurrent=1")
        self.client = self.daemon.client()

        def serve(_):
            if len(self.server.requests) - served < 7:
                return (Gate(gate), ok(b"", "retry-after-ms: 1", status="429 Slow down"))
            return (stream(answer("x")),)

        self.server.on(self.path, serve)
        for priorities in ((0, 0, 0), (5, 0, 0), (0, 5, 1)):
            with self.subTest(priorities):
                served = len(self.server.requests)
                gate = str(priorities)
                agents = [self.client.spawn(str(i), backend="openai", priority=i) for i in priorities]
                self.server.open_gate(gate)
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

    def test_tokens_per_minute(self):
        """What a call may cost is reckoned from all that it says, until its end tells."""
        self.daemon.stop()
        self.daemon.start("--provider.p.tokens_per_minute=100")
        self.client = self.daemon.client()
        for options in ({"system": "s" * 800}, {"messages": [{"role": "user", "content": "m" * 800}]}):
            with self.subTest(list(options)):
                gate = "".join(options)
                self.server.on(self.path, head("200 OK", STREAM, chunked=True), Gate(gate), chunk(answer("x")), LAST_CHUNK)
                served = len(self.server.requests)
                first = self.client.spawn("1", backend="openai", options=options)
                self.server.wait(lambda s, n=served: len(s.requests) == n + 1, "one is served")
                second = self.client.spawn("2", backend="openai")
                shown = eventually(lambda a=second: self.client.call("agent.get", agent_id=a).get("waiting"), "it waits")
                self.assertEqual((shown["reason"], "until" in shown), ("tokens_per_minute", True))
                self.server.open_gate(gate)
                for agent in (first, second):
                    self.assertEqual(self.client.wait(agent)["state"], "completed")

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
        daemon, write_config = self.configured()

        def write(n):
            write_config(f"[provider r]\nkind = openai\nbase_url = {self.server.url}/v1\nmodel = m\nmax_concurrent = {n}\n")

        write(1)
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
        daemon, write = self.configured()
        section = f"[provider r]\nkind = openai\nbase_url = {self.server.url}/v1\nmodel = m\nmax_concurrent = 1\n"
        write(section)
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

    def test_provider_goes_before_another_attempt(self):
        self.server.on(self.path, Gate("go"), ok(b"", "Retry-After: 1", status="500 Oops"))
        daemon, write = self.configured()
        write(f"[provider r]\nkind = openai\nbase_url = {self.server.url}/v1\nmodel = m\n")
        daemon.start()
        client = daemon.client()
        agent = client.spawn("runs", backend="openai")
        self.server.wait(lambda s: len(s.requests) == 1, "it runs")
        write("")
        daemon.signal(1)
        eventually(lambda: client.call("provider.list")["providers"] == [], "it is gone")
        self.server.open_gate("go")
        self.assertEqual(client.wait(agent)["ending"]["code"], "spawn_failed")

    def test_what_another_asked_for(self):
        """Who has a new address, or another key, is not held by what the old one asked for, even if that says it late."""
        daemon, write = self.configured()
        slow_down = ok(b"", "Retry-After: 3000", status="429 Slow down")
        self.server.on("/old/chat/completions", lambda r: (Gate("late"), slow_down) if b"late" in r.body else (slow_down,))
        self.server.on("/new/chat/completions", stream(answer("x")))
        section = f"[provider r]\nkind = openai\nmodel = m\nbase_url = {self.server.url}"
        write(f"{section}/old\n")
        daemon.start()
        client = daemon.client()
        client.call("events.subscribe")
        late = client.spawn("late", backend="openai")
        self.server.wait(lambda s: len(s.requests) == 1, "one is under way")
        refused = client.spawn("refused", backend="openai")
        client.wait_event(lambda e: e["type"] == "AgentRetrying" and e["agent_id"] == refused)
        waits = client.spawn("waits", backend="openai")
        client.wait_event(lambda e: e["type"] == "AgentWaiting" and e["agent_id"] == waits)
        # What changes nothing of that lifts nothing.
        write(f"{section}/old\nmax_concurrent = 9\n")
        daemon.signal(1)
        eventually(lambda: client.call("provider.list")["providers"][0].get("max_concurrent") == 9, "it is read")
        self.assertIn("held_until", client.call("provider.list")["providers"][0])
        write(f"{section}/new\n")
        daemon.signal(1)
        for agent in (refused, waits, client.spawn("new", backend="openai")):
            self.assertEqual(client.wait(agent)["state"], "completed")
        self.server.open_gate("late")
        self.assertEqual(client.wait(late)["state"], "completed")
        self.assertEqual(client.wait(client.spawn("newer", backend="openai"))["state"], "completed")
        self.assertNotIn("held_until", client.call("provider.list")["providers"][0])


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
    token = "T0KEN-in-a-header-0123456789"
    blanks = "two  blanks-in-a-header-0123456789"
    quoted = 'k"ey\\with-quote-0123456789'

    def options(self):
        names = {"blanks": self.blanks, "quoted": self.quoted, "token": f"Bearer {self.token}", "longer": f"{KEY}-and-more-of-it"}
        for name, text in names.items():
            with open(os.path.join(self.dir, name), "w", encoding="ascii") as f:
                f.write(text)
        headers = {f"header.X-{name}": f"file:{os.path.join(self.dir, name)}" for name in names}
        return [*super().options(), *self.provider("p", **headers)]

    def setUp(self):
        limits = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, limits)
        super().setUp()

    def leaks(self, *texts):
        """Where a part of a secret can be read that is long enough to be one, in `texts` or in what the daemon wrote."""
        parts = [part.encode() for part in (KEY[:12], self.token[:12], self.blanks[5:17], self.quoted[-17:-5])]
        found = [text for text in texts if any(part in text for part in parts)]
        for directory, _, names in os.walk(self.daemon.dir):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        content = f.read()
                        found += [(path, part) for part in parts if part in content]
        return found

    def shown(self):
        """What clients are told."""
        said = [self.client.call(method) for method in ("provider.list", "daemon.status", "agent.list")]
        said += [self.client.call("agent.get", agent_id=a["agent_id"]) for a in said[-1]["agents"]]
        return dumps(said).encode()

    def test_nobody_sees_the_key(self):
        # One that says back what it was sent.
        refusal = dumps({"error": {"message": f"bad key {KEY}, twice {KEY}"}}).encode()
        self.server.on(self.path, ok(refusal, f"x-request-id: {KEY}", status="401 No"))
        self.server.on("/v1/messages", stream(claude("x")))
        self.run_agent()
        self.run_agent(backend="anthropic")
        self.run_agent(backend="exec", options={"argv": ["/bin/sh", "-c", "cat /proc/self/environ; env"]})
        said = self.shown()
        printed = subprocess.run(
            [*self.daemon.command(*self.options(), "--print-config")], capture_output=True, check=False, env={**os.environ, "SOME_KEY": KEY}
        )
        self.assertEqual(printed.returncode, 0, printed.stderr)
        with open(f"/proc/{self.daemon.pid}/limits", encoding="ascii") as f:
            core = next(line.split() for line in f if line.startswith("Max core file size"))
        self.assertEqual(core[4], "0")
        self.daemon.stop()
        self.assertEqual(self.leaks(printed.stdout, printed.stderr, said), [])
        self.assertEqual([r.headers.get("authorization", r.headers.get("x-api-key"))[-len(KEY) :] for r in self.server.requests], [KEY] * 2)

    def test_nobody_sees_a_part_of_it(self):
        """However it is cut, folded or escaped on its way into the log."""

        def refused(message):
            return ok(dumps({"error": {"message": message}}).encode(), status="400 No")

        half = len(KEY) // 2
        pages = ("text/html; ", "application/json; ")
        responses = {
            **{f"message cut at {n}": refused("x" * (1024 - n) + KEY) for n in (12, half, len(KEY) - 1)},
            **{f"id cut at {n}": ok(b"", "x-request-id: " + "r" * (127 - n) + KEY, status="400 No") for n in (12, half, len(KEY) - 1)},
            **{f"type {page} cut": ok(b"[]", f"Content-Type: {page}{'x' * (63 - half - len(page))}{KEY}") for page in pages},
            "error type cut": stream(sse({"error": {"message": "no", "type": "t" * (256 - half) + KEY}})),
            "error within": stream(sse({"error": {"message": f"no {KEY}", "type": KEY}})),
            "title": ok(f"<html><title>{KEY}</title>".encode(), status="400 No"),
            "no message": ok(dumps({"error": {"why": f"{self.quoted} {KEY}"}}).encode(), status="400 No"),
            "no json": ok(f"{self.quoted} {self.blanks} {self.token}".encode(), status="400 No"),
            "word of a header": refused(f"who is {self.token}?"),
            "blanks": refused(f"who is {self.blanks}?"),
            "quotes": refused(f"who is {self.quoted}?"),
            "longer": refused(f"who is {KEY}-and-more-of-it?"),
            "answer": stream(sse({**delta(content="x"), "model": KEY}, finish(KEY) | {"model": f"m {KEY}"}, "[DONE]")),
            "answer cut": stream(sse(delta(content="x"), finish("f" * 230 + KEY) | {"model": "m" * 230 + KEY}, "[DONE]")),
        }
        for name, response in responses.items():
            with self.subTest(name):
                self.server.on(self.path, response)
                agent = self.run_agent()
                last = dumps(self.events(agent)[-1])
                self.assertIn("******", last)
                self.assertNotIn("more-of-it", last)
                self.assertEqual(self.leaks(self.shown()), [])

    def test_headers_that_look_like_json(self):
        """Neither they nor what is blotted make another event out of one."""
        words = {"A": "provider", "B": '"provider":', "C": "http_status", "D": "finish_reason"}
        secret = os.path.join(self.dir, "json")
        with open(secret, "w", encoding="ascii") as f:
            f.write('"request_id":')
        self.daemon.stop()
        headers = self.provider("p", **{f"header.X-{name}": word for name, word in words.items()})
        self.daemon.start(*headers, f"--provider.p.header.X-E=file:{secret}")
        self.client = self.daemon.client()
        refusal = dumps({"error": {"message": '"request_id": says the provider'}}).encode()
        self.server.on(self.path, ok(refusal, "x-request-id: r-9", status="400 No"))
        error = self.failed(self.run_agent(), "provider")
        self.assertEqual((error["provider"], error["http_status"], error["request_id"]), ("p", 400, "r-9"))
        self.assertEqual(error["message"], "p answers 400: ************* says the provider")
        self.server.on(self.path, stream(answer("x")))
        self.assertEqual(self.events(self.run_agent())[-1]["finish_reason"], "stop")
        self.assertEqual(len(self.client.call("agent.list")["agents"]), 2)


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
