"""What liongatectl asks a daemon for language models, and what it shows of the answers: against a daemon that does as a
script says, since neither a provider's limits nor its failures can be had at will."""

import os
import pty
import select
import subprocess
import time
import unittest

from common import *
from fake_daemon import FakeDaemon, Refusal

CTL = os.environ.get("LIONGATECTL", os.path.join(ROOT, "build", "client", "liongatectl"))

LOCAL = {
    "name": "local",
    "kind": "openai",
    "base_url": "http://localhost:8080/v1",
    "model": "m-1",
    "running": 3,
    "waiting": 12,
    "max_concurrent": 8,
    "requests_per_minute": 60,
    "tokens_per_minute": 90000,
}
CLOUD = {"name": "cloud", "kind": "anthropic", "base_url": "https://api.example.com", "running": 0, "waiting": 0}
PROVIDERS = {"provider.list": {"providers": [LOCAL, CLOUD]}}

STARTED = ("AgentStarted", {"attempt": 1, "worker": 0, "queued_ms": 0})
COMPLETED = (
    "AgentCompleted",
    {
        "chunks": 4,
        "bytes": 20,
        "duration_ms": 3000,
        "finish_reason": "stop",
        "model": "m-1-long",
        "usage": {"input_tokens": 21, "output_tokens": 190},
        "first_chunk_ms": 350,
    },
)


def chunk(index, text, channel="output"):
    return ("AgentPartialOutput", {"index": index, "chunk": text, "channel": channel})


def error(code, message, **members):
    return ("AgentError", {"code": code, "message": message, "chunks": 0, "bytes": 0, "duration_ms": 20, **members})


ANSWER = [STARTED, chunk(0, "Let me see.", "reasoning"), chunk(1, "Be"), chunk(2, "cause.\n"), COMPLETED]


class Case(unittest.TestCase):
    def fake(self, methods=None, script=ANSWER):
        self.daemon = FakeDaemon({**PROVIDERS, **(methods or {})}, script)
        self.addCleanup(self.daemon.close)

    def setUp(self):
        self.fake()

    def ctl(self, *args, expect=0, stdin=b""):
        done = subprocess.run(
            [CTL, "--socket", self.daemon.socket, *args],
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.assertEqual(done.returncode, expect, done.stderr)
        self.out, self.err = done.stdout.decode(), done.stderr.decode()
        return self.out

    def spawned(self):
        (params,) = self.daemon.params("agent.spawn")
        return params


class Ask(Case):
    def test_prints_only_the_answer(self):
        self.assertEqual(self.ctl("ask", "Why?"), "Because.\n")
        self.assertEqual(self.err, "")
        params = self.spawned()
        self.assertEqual(params["prompt"], "Why?")
        self.assertEqual((params["backend"], params["options"]), ("openai", {"provider": "local"}))

    def test_options(self):
        self.ctl("ask", "Why?", "--provider", "cloud", "-m", "big", "--system", "Be brief", "-o", "temperature=0.2")
        wanted = {"provider": "cloud", "model": "big", "system": "Be brief", "temperature": 0.2}
        self.assertEqual((self.spawned()["backend"], self.spawned()["options"]), ("anthropic", wanted))

    def test_timeout_is_the_total_one(self):
        self.ctl("ask", "Why?", "--timeout", "2m")
        self.assertEqual(self.spawned()["timeouts"], {"total_ms": 120000})

    def test_reasoning_goes_to_standard_error(self):
        self.assertEqual(self.ctl("ask", "Why?", "--reasoning"), "Because.\n")
        self.assertEqual(self.err, "Let me see.\n")

    def test_json_has_every_event(self):
        events = [parse_strict(line) for line in self.ctl("ask", "--json", "Why?").encode().splitlines()]
        self.assertEqual([e["type"] for e in events], [kind for kind, _ in ANSWER])

    def test_question_from_standard_input(self):
        self.ctl("ask", "-", stdin="Warum, grüner?\n".encode())
        self.ctl("ask", stdin=b"Why not?")
        self.assertEqual(
            [params["prompt"] for params in self.daemon.params("agent.spawn")], ["Warum, grüner?\n", "Why not?"]
        )

    def test_no_question(self):
        self.ctl("ask", expect=2)
        self.assertIn("the question is empty", self.err)
        self.ctl("ask", "", expect=2)
        self.ctl("ask", "-", expect=2)
        self.ctl("ask", stdin=b"\xff", expect=2)
        self.assertIn("not valid UTF-8", self.err)
        self.assertEqual(self.daemon.calls, [])

    def test_two_models(self):
        self.ctl("ask", "Why?", "--model", "a", "--option", "model=b", expect=2)
        self.assertIn("--model and --option model exclude each other", self.err)
        self.ctl("ask", "Why?", "--option", "provider=cloud", expect=2)
        self.assertEqual(self.daemon.params("agent.spawn"), [])

    def test_no_such_provider(self):
        self.ctl("ask", "Why?", "--provider", "nope", expect=4)
        self.assertIn("there is no provider nope; there is local (openai), cloud (anthropic)", self.err)
        self.assertEqual(self.daemon.params("agent.spawn"), [])

    def test_no_provider_at_all(self):
        self.fake({"provider.list": {"providers": []}})
        self.ctl("ask", "Why?", expect=4)
        self.assertIn("the daemon has no provider to ask: a section [provider NAME]", self.err)

    def test_a_daemon_that_knows_no_providers(self):
        self.fake()
        del self.daemon.methods["provider.list"]
        self.ctl("ask", "Why?", expect=5)
        self.assertIn("there is no method 'provider.list'", self.err)

    def test_a_daemon_that_makes_no_sense(self):
        for answer in ([], {}, {"providers": {}}, 7):
            self.fake({"provider.list": answer})
            self.ctl("ask", "Why?", expect=3)
            self.assertIn("does not speak the protocol", self.err)

    def test_refused(self):
        def refuse(params):
            raise Refusal("queue_full", "no room", limit=1)

        self.fake({"agent.spawn": refuse})
        self.ctl("ask", "Why?", expect=5)
        self.assertIn("no room", self.err)


class Spawn(Case):
    """The same by hand."""

    def test_spawn_agent(self):
        out = self.ctl(
            "spawn-agent", "--backend", "openai", "--provider", "local", "--model", "big", "--system", "Be brief",
            "--option", "temperature=0.2", "--option", "extra.seed=7", "--prompt", "Why?",
            "--connect-timeout", "5s", "--first-chunk-timeout", "1m", "--timeout", "2m", "--idle-timeout", "500ms",
        )
        self.assertEqual((out, self.err), ("Because.\n", ""))
        params = self.spawned()
        self.assertEqual((params["backend"], params["prompt"]), ("openai", "Why?"))
        self.assertEqual(
            params["options"],
            {"provider": "local", "model": "big", "system": "Be brief", "temperature": 0.2, "extra": {"seed": 7}},
        )
        self.assertEqual(
            params["timeouts"], {"total_ms": 120000, "idle_ms": 500, "connect_ms": 5000, "first_chunk_ms": 60000}
        )
        self.assertEqual(self.daemon.params("provider.list"), [])

    def test_messages(self):
        messages = [
            {"role": "user", "content": [{"type": "text", "text": "Hi, Grüner"}]},
            {"role": "assistant", "content": "Hi"},
        ]
        path = os.path.join(self.daemon.dir, "messages.json")
        with open(path, "w", encoding="utf-8") as f:
            f.write(dumps(messages))
        self.ctl("spawn-agent", "--backend", "anthropic", "--messages-file", path, "--prompt", "Why?")
        self.ctl("spawn-agent", "--backend", "anthropic", "--messages-file", "-", stdin=dumps(messages).encode())
        with_prompt, without = self.daemon.params("agent.spawn")
        self.assertEqual((with_prompt["prompt"], with_prompt["options"]), ("Why?", {"messages": messages}))
        self.assertEqual((without["prompt"], without["options"]), ("", {"messages": messages}))

    def test_demo(self):
        out = self.ctl_demo("multi-agent-demo", "--backend", "openai", "--model", "m", "--provider", "local", "one", "two")
        self.assertRegex(out, r"(?m)^A +~ Let me see\.$")
        self.assertRegex(out, r"(?m)^B +\| cause\.$")
        self.assertEqual([p["prompt"] for p in self.daemon.params("agent.spawn")], ["one", "two"])
        for params in self.daemon.params("agent.spawn"):
            self.assertEqual((params["backend"], params["options"]), ("openai", {"provider": "local", "model": "m"}))

    def ctl_demo(self, *args):
        agents = {"spawned": 2, "completed": 2, "failed": 0, "cancelled": 0}
        stats = {"events": 0, "by_type": {}, "agents": agents, "chunks": 0, "bytes": 0}
        self.daemon.methods.update({"events.stats": stats, "agent.list": {"agents": []}})
        return self.ctl(*args)

    def test_ask_of_a_kind(self):
        self.ctl("ask", "Why?", "--backend", "anthropic")
        self.assertEqual((self.spawned()["backend"], self.spawned()["options"]), ("anthropic", {"provider": "cloud"}))
        self.ctl("ask", "Why?", "--backend", "anthropic", "--provider", "local", expect=4)
        self.assertIn("there is no provider local of the kind anthropic; there is local (openai), cloud", self.err)


class Ends(Case):
    def ends(self, event, code, words, *script):
        self.fake(script=[STARTED, *script, event])
        out = self.ctl("ask", "Why?", expect=code)
        self.assertRegex(self.err, r"^liongatectl: agent [0-9a-f]{8} " + words + r"\n\Z")
        return out

    def test_provider_fails(self):
        event = error("provider", "Over\nloaded\x1b[2J", http_status=529, request_id="req_1")
        words = r"failed: provider: Over\\nloaded\\x1b\[2J \(HTTP 529, request req_1, 0 chunks, 0 bytes, 20ms\)"
        self.ends(event, 1, words)

    def test_time_out(self):
        out = self.ends(error("timeout", "too long", which="idle"), 124, r"failed: timeout: .*", chunk(0, "Be"))
        self.assertEqual(out, "Be")

    def test_cancelled(self):
        self.ends(error("cancelled", "it was cancelled"), 130, r"cancelled: .*")

    def test_nothing_is_said_of_what_went_well_in_the_end(self):
        self.fake(
            script=[
                ("AgentWaiting", {"reason": "provider_limit", "provider": "local"}),
                STARTED,
                ("AgentRetrying", {"attempt": 2, "code": "rate_limited", "delay_ms": 500, "message": "slow down"}),
                ("AgentStarted", {"attempt": 2, "worker": 0, "queued_ms": 0}),
                chunk(0, "Because."),
                COMPLETED,
            ]
        )
        self.assertEqual(self.ctl("ask", "Why?"), "Because.")
        self.assertEqual(self.err, "")

    def test_an_attempt_that_begins_anew_behind_another_is_told(self):
        again = ("AgentStarted", {"attempt": 2, "worker": 0, "queued_ms": 0})
        self.fake(script=[STARTED, chunk(0, "Be"), again, chunk(1, "Because."), COMPLETED])
        self.assertEqual(self.ctl("ask", "Why?"), "BeBecause.")
        self.assertRegex(self.err, r"^liongatectl: agent [0-9a-f]{8} started: attempt 2\n\Z")


class Terminal(Case):
    """Both outputs on one terminal."""

    def ctl_on_terminal(self, *args):
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [CTL, "--socket", self.daemon.socket, *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, "TERM": "xterm"},
        )
        os.close(slave)
        seen, deadline = b"", time.monotonic() + TIMEOUT
        while True:
            if not select.select([master], [], [], max(deadline - time.monotonic(), 0))[0]:
                process.kill()
                process.wait()
                self.fail(f"it does not end: {seen!r}")
            try:
                piece = os.read(master, 4096)
            except OSError:  # nobody has the other end any more
                break
            if not piece:
                break
            seen += piece
        os.close(master)
        process.wait()
        return seen.decode().replace("\r\n", "\n")

    def test_reasoning_is_dim_and_apart(self):
        self.assertEqual(
            self.ctl_on_terminal("ask", "Why?", "--reasoning"), "\x1b[2mLet me see.\x1b[0m\nBecause.\n"
        )

    def test_what_a_model_writes_is_harmless(self):
        self.fake(script=[STARTED, chunk(0, "\x1b]0;a\x07", "reasoning"), chunk(1, "\x1b[2Ja\nb"), COMPLETED])
        self.assertEqual(self.ctl_on_terminal("--color=never", "ask", "Why?"), "\\x1b[2Ja\nb\n")
        out = self.ctl_on_terminal("--color=never", "ask", "Why?", "--reasoning")
        self.assertEqual(out, "\\x1b]0;a\\x07\n\\x1b[2Ja\nb\n")

    def test_why_nothing_comes_is_told(self):
        until = "2026-01-02T03:04:17.000000Z"
        self.fake(
            script=[
                ("AgentWaiting", {"reason": "rate_limited", "provider": "local", "until": until}),
                STARTED,
                ("AgentRetrying", {"attempt": 2, "code": "provider", "delay_ms": 500}),
                COMPLETED,
            ]
        )
        out = self.ctl_on_terminal("ask", "Why?")
        self.assertRegex(out, r"agent [0-9a-f]{8} waiting: rate_limited, provider local, for 12s\n")
        self.assertRegex(out, r"agent [0-9a-f]{8} retrying after provider, attempt 2 in 500ms\n")

    def test_no_question(self):
        self.assertIn("what is the question?", self.ctl_on_terminal("ask"))


class Providers(Case):
    def test_table(self):
        lines = self.ctl("providers").splitlines()
        self.assertEqual(lines[0].split(), "NAME KIND MODEL RUNNING WAITING HELD A MINUTE LAST ERROR".split())
        self.assertRegex(lines[1], r"^local +openai +m-1 +3/8 +12 +- +60 requests, 90000 tokens +-$")
        self.assertRegex(lines[2], r"^cloud +anthropic +- +0 +0 +- +- +-$")
        self.assertEqual(len(lines), 3)

    def test_long_has_the_addresses(self):
        self.assertRegex(self.ctl("providers", "--long"), r"cloud +anthropic +- +https://api\.example\.com +0 ")

    def test_none(self):
        self.fake({"provider.list": {"providers": []}})
        self.assertEqual(self.ctl("providers").count("\n"), 1)

    def test_json_is_as_it_came(self):
        self.assertEqual(parse_strict(self.ctl("providers", "--json").encode()), PROVIDERS["provider.list"])

    def test_held_and_failed(self):
        failed = {"time": "2026-01-02T03:04:05.000000Z", "code": "rate_limited", "message": "slow\ndown", "http_status": 429}
        held = {**LOCAL, "held_until": "9999-01-01T00:00:00.000000Z", "last_error": failed}
        over = {**LOCAL, "held_until": "2026-01-02T03:04:05.000000Z", "last_error": {"code": "connection"}}
        self.fake({"provider.list": {"providers": [held, over]}})
        lines = self.ctl("providers").splitlines()
        self.assertRegex(lines[1], r" 12 +\d+d +60 requests.* +\d+d ago: rate_limited \(HTTP 429\): slow\\ndown$")
        self.assertRegex(lines[2], r" 12 +- +60 requests.* +connection$")

    def test_what_makes_no_sense_is_harmless(self):
        odd = {"name": "\x1b[2J", "kind": 7, "running": "x", "waiting": {}, "last_error": {"time": 7, "message": []}}
        self.fake({"provider.list": {"providers": [odd, 7, None]}})
        self.assertRegex(self.ctl("providers"), r"\n\\x1b\[2J +7 +- +0 +\{\} ")

    def test_completion(self):
        self.fake({"provider.list": {"providers": [LOCAL, CLOUD, {**LOCAL, "name": "$(reboot)"}]}})
        before = ["--complete", f"--socket={self.daemon.socket}", "ask"]
        for words, offered in (
            (["--provider"], b"local\topenai m-1\ncloud\tanthropic\n$(reboot)\topenai m-1\n"),
            (["-b", "anthropic", "--provider"], b"cloud\tanthropic\n"),
            (["-b", "openai", "--model"], b"m-1\tlocal\n"),
            (["-b", "anthropic", "--model"], b""),
        ):
            done = subprocess.run([CTL, *before, *words, ""], capture_output=True, timeout=TIMEOUT, check=True)
            self.assertEqual(done.stdout, offered)


class Shown(Case):
    """Waiting and retrying in the views that any agent has."""

    WAITING = {
        "agent_id": "12345678-1234-4abc-8def-123456789abc",
        "backend": "openai",
        "state": "queued",
        "prompt": "Why?",
        "chunks": 0,
        "bytes": 0,
        "waiting": {"reason": "rate_limited", "provider": "local", "until": "2026-01-02T03:04:05.000000Z"},
    }

    def test_list(self):
        self.fake({"agent.list": {"agents": [self.WAITING]}})
        self.assertRegex(self.ctl("list"), r"\n12345678  queued \(rate_limited, provider local, due\)  openai ")

    def test_show(self):
        self.fake({"agent.get": {**self.WAITING, "waiting": {"reason": "provider_limit", "provider": "local"}}})
        self.assertRegex(self.ctl("show", "1234"), r"\nwaiting +provider_limit, provider local\n")

    def test_watch(self):
        self.ctl("ask", "Why?")
        self.daemon.script = [
            ("AgentWaiting", {"reason": "provider_limit", "provider": "local"}),
            STARTED,
            chunk(0, "Hm.", "reasoning"),
            ("AgentRetrying", {"attempt": 2, "code": "rate_limited", "delay_ms": 500, "message": "slow down"}),
            COMPLETED,
        ]
        lines = [line.partition(" ")[2] for line in self.ctl("watch", "--from-start", "--until-idle").splitlines()]
        self.assertEqual(
            lines,
            [
                "* waiting: provider_limit, provider local",
                "* started: attempt 1",
                "~ Hm.",
                "* retrying after rate_limited, attempt 2 in 500ms: slow down",
                "* completed: 4 chunks, 20 bytes, 3s, first after 350ms, stop, model m-1-long, tokens in 21, out 190",
            ],
        )


if __name__ == "__main__":
    main()
