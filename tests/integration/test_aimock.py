"""Backends openai and anthropic against a server that nobody here wrote: @copilotkit/aimock, from npm (tests/npm)."""

import json
import os
import random
import select
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from common import *

CLI = os.path.join(ROOT, "tests/npm/node_modules/@copilotkit/aimock/dist/cli.js")
FIXTURES = {
    "fixtures": [
        {"match": {"userMessage": "hello"}, "response": {"content": "Hello! How can I help?"}, "chunkSize": 5, "latency": 5},
        {"match": {"userMessage": "think"}, "response": {"content": "42", "reasoning": "Let me see."}},
        {
            "match": {"userMessage": "weather"},
            "response": {"toolCalls": [{"name": "get_weather", "arguments": {"location": "Rome"}}]},
        },
        {
            "match": {"userMessage": "cut"},
            "response": {"content": "This is going to be cut off in its midst"},
            "chunkSize": 2,
            "latency": 20,
            "truncateAfterChunks": 9,
        },
        *(
            fixture
            for kind in ("openai", "anthropic")
            for fixture in (
                {
                    "match": {"userMessage": f"busy {kind}", "sequenceIndex": 0},
                    "response": {"error": {"message": "slow down"}, "status": 429, "retryAfter": 1},
                },
                {"match": {"userMessage": f"busy {kind}"}, "response": {"content": "now it works"}},
                {
                    "match": {"userMessage": f"broken {kind}", "sequenceIndex": 0},
                    "response": {"error": {"message": "oops"}, "status": 500},
                },
                {"match": {"userMessage": f"broken {kind}"}, "response": {"content": "mended"}},
            )
        ),
        {
            "match": {"userMessage": "denied"},
            "response": {"error": {"message": "no such key", "type": "authentication_error"}, "status": 401},
        },
        {"match": {"userMessage": "stall"}, "response": {"content": "one two three"}, "chunkSize": 4, "latency": 60000},
    ]
}


def free_port():
    """None of those that the kernel gives to others meanwhile (ip_local_port_range)."""
    while True:
        with socket.socket() as s:
            port = random.randrange(20000, 30000)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def start(directory):
    """The server's process, and its address."""
    port = free_port()
    fixtures = os.path.join(directory, "fixtures.json")
    with open(fixtures, "w", encoding="utf-8") as f:
        json.dump(FIXTURES, f)
    process = subprocess.Popen(
        ["node", CLI, "-h", "127.0.0.1", "-p", str(port), "-f", fixtures, "--log-level", "info"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    harness._ours.add(process.pid)
    # It says that it listens.
    deadline, said = time.monotonic() + TIMEOUT, b""
    while b"listening" not in said.lower():
        ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
        piece = os.read(process.stdout.fileno(), 65536) if ready else b""
        if not piece:
            process.kill()
            raise AssertionError(f"aimock does not start: {said.decode(errors='replace')}")
        said += piece
    return process, f"http://127.0.0.1:{port}"


@unittest.skipUnless(os.path.exists(CLI), "aimock is not there: scripts/install-deps.sh --all")
class Aimock(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="liongate-test-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.server, cls.url = start(cls.dir)
        cls.addClassCleanup(cls.end_server)
        cls.daemon = Daemon(
            "--provider.o.kind=openai",
            f"--provider.o.base_url={cls.url}/v1",
            "--provider.o.model=gpt-5",
            "--provider.a.kind=anthropic",
            f"--provider.a.base_url={cls.url}",
            "--provider.a.model=claude-sonnet-4-5",
            *(f"--provider.{name}.retry_base=1ms" for name in "oa"),
        )
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.start()

    @classmethod
    def end_server(cls):
        cls.server.terminate()
        cls.server.wait()
        harness._ours.discard(cls.server.pid)
        cls.server.stdout.close()

    def setUp(self):
        self.client = self.daemon.client()

    def run_both(self, prompt, **params):
        """(backend, its events but AgentSpawned) for both."""
        for backend in ("openai", "anthropic"):
            with self.subTest(backend):
                agent = self.client.spawn(prompt, backend=backend, **params)
                self.client.wait(agent)
                yield backend, agent, self.daemon.events_of(agent)[1:]

    def test_text(self):
        for backend, agent, events in self.run_both("hello"):
            kinds = [e["type"] for e in events]
            self.assertEqual(kinds, ["AgentStarted", *["AgentPartialOutput"] * 5, "AgentCompleted"], events)
            self.assertEqual(self.client.output(agent), b"Hello! How can I help?")
            self.assertIn(events[-1]["finish_reason"], ("stop", "end_turn"))
            self.assertIn("usage", events[-1])

    def test_reasoning(self):
        for _, agent, _ in self.run_both("think"):
            self.assertEqual(self.client.output(agent, "reasoning"), b"Let me see.")
            self.assertEqual(self.client.output(agent), b"42")

    def test_tool_call(self):
        for _, agent, events in self.run_both("weather"):
            call = json.loads(self.client.output(agent, "tool_call"))
            self.assertEqual((call["name"], call["arguments"]), ("get_weather", {"location": "Rome"}))
            self.assertIn(events[-1]["finish_reason"], ("tool_calls", "tool_use"))

    def test_cut(self):
        for _, agent, events in self.run_both("cut"):
            self.assertEqual((events[-1]["type"], events[-1]["code"]), ("AgentError", "protocol"), events[-1])
            text = self.client.output(agent)
            self.assertTrue(text and b"This is going to be cut off in its midst".startswith(text), text)

    def test_denied(self):
        for _, _, events in self.run_both("denied"):
            self.assertEqual((events[-1]["code"], events[-1]["http_status"]), ("unauthorized", 401))
            self.assertIn("no such key", events[-1]["message"])

    def test_stall(self):
        for _, _, events in self.run_both("stall", timeouts={"first_chunk_ms": 300}):
            self.assertEqual((events[-1]["code"], events[-1]["which"]), ("timeout", "first_chunk"))

    def test_refused_then_served(self):
        for prompt, code, text in (("busy", "rate_limited", b"now it works"), ("broken", "provider", b"mended")):
            for backend in ("openai", "anthropic"):
                with self.subTest(f"{prompt}, {backend}"):
                    agent = self.client.spawn(f"{prompt} {backend}", backend=backend)
                    self.client.wait(agent)
                    self.assertEqual(self.client.output(agent), text)
                    retrying = [e for e in self.daemon.events_of(agent) if e["type"] == "AgentRetrying"]
                    self.assertEqual([e["code"] for e in retrying], [code])


if __name__ == "__main__":
    main()
