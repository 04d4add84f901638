"""`liongatectl top` in a real terminal."""

import os
import signal
import subprocess
import time
import unittest

from common import *

import tmux
from fake_daemon import TIME as WHEN
from fake_daemon import FakeDaemon, Refusal
from harness import running_orphans

CTL = os.environ.get("LIONGATECTL", os.path.join(ROOT, "build", "client", "liongatectl"))
NEVER_MS = 3600000
NO_LEAK_CHECK = {"ASAN_OPTIONS": "detect_leaks=0"}
# A shell with job control: in tmux there is none.
SUSPENDED = r'"$@"; stty -a | grep -o "[-]*\(echo\|icanon\)\b"; echo "Enter goes on"; read line; fg'
HEAD, TITLES, BODY = 0, 3, 4
PROVIDER = {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "some-model", "max_concurrent": "3"}


def says(text):
    """Options of a mock agent that says this, and nothing else for as long as the test takes."""
    return {"script": [{"after_ms": 0, "chunk": text}, {"after_ms": NEVER_MS, "chunk": "never"}]}


def rows(lines):
    """The first words of what is listed: short ids."""
    return [line.split()[0] for line in lines[BODY:-1] if line]


@unittest.skipUnless(tmux.installed(), "there is no tmux")
class TopCase(DaemonCase):
    def top(self, *args, **kwargs):
        terminal = tmux.Terminal([CTL, "--socket", self.daemon.socket, "top", *args], **kwargs)
        self.addCleanup(terminal.close)
        self.terminal = terminal
        return terminal

    def row(self, agent):
        """What is shown of an agent that is listed; "" if it is not."""
        return next((line for line in self.terminal.screen()[BODY:-1] if line.startswith(agent[:8])), "")

    def expect_row(self, agent, *texts):
        return eventually(
            lambda: (row := self.row(agent)) and all(text in row for text in texts) and row, f"{agent} has {texts}"
        )

    def spawn_running(self, text, **params):
        agent = self.client.spawn(options=says(text), **params)
        self.client.call("events.subscribe", agents=[agent], after=0)
        self.client.wait_event(lambda e: e["type"] == "AgentPartialOutput")
        self.client.call("events.unsubscribe")
        return agent


class Agents(TopCase):
    def test_the_screen(self):
        """80x24: what was there before, what comes, and what becomes of it."""
        old = self.client.spawn("what it was asked", options=says("long ago"))
        top = self.top()
        lines = top.expect_text("agents: 1, 1 running", "q quit", "CHUNK/S")
        self.assertEqual(len(lines), 24)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertEqual(lines[TITLES].split()[:5], ["ID", "STATE", "BACKEND", "AGE", "CHUNK/S"])
        self.assertIn("events/s", lines[1])
        self.assertTrue(lines[-1].startswith("q quit"))
        self.expect_row(old, "running", "mock")
        new = self.client.spawn(options=says("one\ntwo\nthe last li"))
        self.expect_row(new, "running", "the last li")
        short = self.client.spawn(options={"chunks": 2, "delay_ms": 0})
        self.expect_row(short, "completed", "Final from p")
        failed = self.client.spawn(options={"chunks": 2, "delay_ms": 0, "fail_after": 1})
        self.expect_row(failed, "failed", "provider")
        lines = top.expect_text("agents: 4, 2 running, 1 completed, 1 failed")
        self.assertEqual(rows(lines)[:2], [new[:8], old[:8]], "those that run, the newest first")
        (subscriber,) = self.client.call("subscriber.list")["subscribers"]
        self.assertEqual(subscriber["pid"], top.pid(), "one subscription, and it is its own")
        self.assertEqual(self.client.call("daemon.status")["clients"], 2)

    def test_sizes(self):
        agents = [self.client.spawn(options=says(f"line {i}"), group="some-group") for i in range(30)]
        top = self.top()
        top.expect_text("agents: 30")
        self.assertEqual(len(rows(top.screen())), 24 - BODY - 1)
        for columns, lines in ((40, 8), (20, 5), (7, 3), (1, 1)):
            top.resize(columns, lines)
            top.expect(lambda seen: len(seen) == lines and any(seen), f"it is {columns}x{lines}")
        top.resize(40, 8)
        top.press("h")
        top.expect(lambda seen: len(seen) == 8 and seen[-1] == "any key goes back", "help, as far as it fits")
        top.press("h")
        top.resize(160, 50)
        seen = top.expect_text("GROUP", "some-group", "q quit  Enter open")
        self.assertEqual(sorted(rows(seen)), sorted(agent[:8] for agent in agents))
        top.resize(80, 24)
        seen = top.expect(lambda lines: len(lines) == 24 and lines[-1].startswith("q quit"), "it is as before")
        self.assertNotIn("GROUP", seen[TITLES])

    def test_moving(self):
        agents = sorted(self.client.spawn(options=says("x"))[:8] for _ in range(40))
        shown = 24 - BODY - 1
        top = self.top("--sort", "id")
        top.expect(lambda lines: rows(lines) == agents[:shown], "the first ones")
        top.press("End")
        top.expect(lambda lines: rows(lines) == agents[-shown:], "the last ones")
        top.press("Home")
        top.expect(lambda lines: rows(lines) == agents[:shown], "the first ones again")
        top.press("NPage", "NPage", "Up", "k", "j", "Down")
        top.expect(lambda lines: rows(lines)[-1] == agents[2 * shown], "two pages on")
        top.press("PPage", "PPage", "PPage")
        top.expect(lambda lines: rows(lines) == agents[:shown], "back")

    def test_sort_and_filter(self):
        agents = {name: self.client.spawn(options=says("x"), labels={"name": name}) for name in ("anna", "bert", "carl")}
        ids = sorted(agent[:8] for agent in agents.values())
        top = self.top("--sort=id")
        top.expect(lambda lines: rows(lines) == ids and "sort: id" in lines[2], "sorted")
        top.press("S")
        top.expect(lambda lines: rows(lines) == ids[::-1] and "reversed" in lines[2], "the other way round")
        top.press("s", "S")
        top.expect(lambda lines: "sort: state" in lines[2] and "reversed" not in lines[2], "the next order")
        top.press("/")
        top.expect_text("filter: _")
        top.type("NAME=Bx")
        top.expect_text("filter: NAME=Bx_", "no agent matches the filter")
        top.press("BSpace")
        top.expect(lambda lines: rows(lines) == [agents["bert"][:8]], "one matches")
        top.press("Enter")
        top.expect(lambda lines: "filter: NAME=B" in lines[2] and lines[-1].startswith("q quit"), "it is kept")
        top.press("Escape")
        top.expect(lambda lines: sorted(rows(lines)) == ids, "all of them")
        top.press("h")
        top.expect_text("any key goes back")
        top.press("x")
        top.expect_text("q quit")

    def test_only_some(self):
        mine = self.client.spawn(options=says("mine"), group="g", labels={"k": "v"}, correlation_id="c")
        self.client.spawn(options=says("another's"), group="h", labels={"k": "v"}, correlation_id="c")
        top = self.top("--group", "g", "--label", "k=v", "--correlation-id", "c")
        top.expect_text("agents: 1,")
        self.client.spawn(options=says("another's"), group="g", labels={"k": "w"}, correlation_id="c")
        later = self.client.spawn(options=says("mine, too"), group="g", labels={"k": "v"}, correlation_id="c")
        self.expect_row(later, "mine, too")
        top.expect(lambda lines: sorted(rows(lines)) == sorted((mine[:8], later[:8])), "both of them")

    def test_cancel(self):
        agent = self.spawn_running("x")
        top = self.top()
        top.expect_text(agent[:8])
        top.press("x")
        top.expect_text(f"cancel {agent[:8]}? y/n")
        top.press("n")
        top.expect_text(f"{agent[:8]} goes on")
        self.assertEqual(self.client.call("agent.get", agent_id=agent)["state"], "running")
        top.press("c")
        top.expect_text(f"cancel {agent[:8]}? y/n")
        top.press("y")
        top.expect_text(f"{agent[:8]}: cancelled")
        self.expect_row(agent, "cancelled")
        top.press("x")
        top.expect_text(f"{agent[:8]} has ended")


class Stream(TopCase):
    def test_open(self):
        """What was before and what comes, without a seam, and long lines as they fit."""
        agent = self.client.spawn_exec("cat", options={"stdin": "open"})
        self.client.call("agent.send", agent_id=agent, data="before\n\twide " + "w" * 100 + "\n")
        eventually(lambda: self.client.call("agent.get", agent_id=agent)["chunks"], "it has come back")
        top = self.top()
        top.expect_text(agent[:8])
        top.press("Enter")
        lines = top.expect_text(agent, "before", "w" * 67)
        self.assertIn("w" * 33, lines, "the rest of the line is below it")
        self.client.call("agent.send", agent_id=agent, data="after\n漢字 and \xfc\n")
        lines = top.expect_text("after", "漢字 and \xfc")
        self.assertEqual(sum("before" in line for line in lines), 1)
        self.client.call("agent.send", agent_id=agent, data="".join(f"number {i}\n" for i in range(100)))
        top.expect_text("number 99", "number 82")
        top.press("Home")
        top.expect_text("spawned", "before", "scrolled: End goes on")
        top.press("End")
        top.expect(lambda lines: lines[-2] == "number 99", "the end")
        top.press("PPage")
        top.expect(lambda lines: lines[-2] == "number 80", "a page before it")
        top.press("PPage", "NPage", "NPage")
        top.expect(lambda lines: lines[-2] == "number 99", "the end again")
        top.press("PPage")
        top.expect(lambda lines: lines[-2] == "number 80", "a page before it")
        more = "".join(f"more {i} {'m' * 100}\n" for i in range(10))
        before = self.client.call("agent.get", agent_id=agent)["bytes"]
        self.client.call("agent.send", agent_id=agent, data=more)
        eventually(lambda: self.client.call("agent.get", agent_id=agent)["bytes"] == before + len(more), "it has come back")
        top.press("x", "y")
        lines = top.expect(lambda lines: "cancelled" in lines[TITLES], "it is cancelled")
        self.assertEqual(lines[-2], "number 80", "what is scrolled back stays where it is")
        top.press("End")
        top.expect_text("-- cancelled", "more 9")
        top.press("Escape")
        self.expect_row(agent, "cancelled")

    def test_hostile_output(self):
        """Nothing of what an agent writes reaches the terminal but as text."""
        hostile = "\x1b]0;PWNED\x07\x1b[2J\x1b[?1049l\x1b[31mred\u202e\u200b\u009b1m \x7f\x08\x0e end"
        agent = self.client.spawn(hostile, options=says(f"{hostile}\n{hostile}"), labels={"name": hostile}, group=hostile[:5])
        top = self.top()
        title = top.tell("pane_title")
        self.expect_row(agent, "\\x1b]0;PWNED\\x07")
        top.press("Enter")
        lines = top.expect_text("\\x1b[31mred\\u202e", " end")
        self.assertTrue(lines[HEAD].startswith("liongatectl top"))
        raw = self.client.spawn_exec("printf", r"\377\376\033[5;5Hhere \303(\n")
        self.client.wait(raw)
        top.press("Escape")
        self.expect_row(raw, "\\xff\\xfe\\x1b[5;5Hhere")
        self.assertEqual((top.tell("pane_title"), top.tell("alternate_on")), (title, "1"))


class Scripted(FakeDaemon):
    """A log of 100 events, and what its methods say. `notices`: method -> what follows its next reply."""

    def __init__(self, methods):
        super().__init__({"daemon.status": {"log": {"newest_seq": 100}}, **methods})
        self._seq = 100
        self.notices = {}

    def _answer(self, request):
        notices = self.notices.pop(request["method"], ())
        return [*super()._answer(request), *({"jsonrpc": "2.0", "method": m, "params": params} for m, params in notices)]

    def _events(self, params):
        return ()


def entry(agent, state="running", **more):
    counts = {"chunks": 0, "bytes": 0, "first_seq": 91, "last_seq": 95}
    return {"agent_id": agent, "state": state, "backend": "mock", "group": "", "spawned_at": WHEN, **counts, **more}


def lists(*agents):
    """agent.list, of these."""
    return lambda params: {"agents": [agent for agent in agents if agent["state"] in params["state"]]}


def output(seq, agent, chunk):
    return {"seq": seq, "time": WHEN, "type": "AgentPartialOutput", "agent_id": agent, "channel": "output", "chunk": chunk}


@unittest.skipUnless(tmux.installed(), "there is no tmux")
class Refused(unittest.TestCase):
    """What a daemon does seldom."""

    def top(self, agents, **methods):
        self.fake = Scripted({"agent.list": agents, **{name.replace("_", "."): answer for name, answer in methods.items()}})
        self.addCleanup(self.fake.close)
        top = tmux.Terminal([CTL, "--socket", self.fake.socket, "top"])
        self.addCleanup(top.close)
        return top

    def calls(self, method):
        return len(self.fake.params(method))

    def test_gaps(self):
        """Several are one snapshot, which is asked for until it comes, and nobody is shown who is not any more."""
        top = self.top(lists(entry("one"), entry("two"), entry("old", "completed")), provider_list={"providers": []})
        top.expect_text("agents: 3")
        before = self.calls("agent.list")
        after = lists(entry("two", "failed", last_seq=103), entry("new", last_seq=104), entry("old", "completed"))

        def listed(params):
            self.fake.methods["agent.list"] = after
            raise Refusal("log_unavailable", "not now")

        self.fake.methods["agent.list"] = listed
        self.fake.notices["provider.list"] = [("gap", {"from": n, "to": n + 4}) for n in range(101, 151, 5)]
        top.press("2")
        top.expect_text("none")
        top.press("1")
        lines = top.expect(lambda lines: sorted(rows(lines)) == ["new", "old", "two"], "they are asked for anew")
        self.assertEqual([line.split()[:2] for line in lines[BODY:-1] if line.startswith("two")], [["two", "failed"]])
        self.assertLess(self.calls("agent.list") - before, 10)

    def test_a_gap_in_a_stream(self):
        page = {"events": [output(95, "one", "before\n")], "seq": 100, "more": False}
        top = self.top(lists(entry("one")), events_read=page, agent_cancel={"agent_id": "one", "state": "running"})
        top.expect_text("agents: 1")
        top.press("Enter")
        top.expect_text("before")
        self.fake.notices["agent.cancel"] = [("gap", {"from": 101, "to": 105}), ("event", output(106, "one", "after\n"))]
        top.press("x", "y")
        lines = top.expect_text("after", "gap: events 101 to 105 are gone")
        self.assertEqual([line for line in lines[BODY:-1] if line], ["before", "-- events 101 to 105 are gone", "after"])

    def test_a_page_later(self):
        """What is refused for now is asked for again."""

        def read(params):
            raise Refusal("log_unavailable", "not now")

        top = self.top(lists(entry("one")), events_read=read)
        top.expect_text("agents: 1")
        top.press("Enter")
        top.expect_text("not now", "reading")
        self.fake.methods["events.read"] = {"events": [output(95, "one", "at last")], "seq": 100, "more": False}
        top.expect_text("at last")

    def test_a_page_never(self):
        def read(params):
            raise Refusal("not_found", "it is a pity")

        top = self.top(lists(entry("one")), events_read=read)
        top.expect_text("agents: 1")
        top.press("Enter")
        top.expect_text("-- events 91 to 100 cannot be read: it is a pity")
        top.expect_gone("reading")

    def test_catching_up_has_time(self):
        """Pages that do not reach what the subscription has brought are asked for ten times a second."""
        top = self.top(lists(entry("one")), events_read={"events": [], "seq": 99, "more": False})
        top.expect_text("agents: 1")
        began = time.monotonic()
        top.press("Enter")
        eventually(lambda: self.calls("events.read") > 5, "it asks again")
        self.assertLessEqual(self.calls("events.read"), 2 + 10 * (time.monotonic() - began))


class Pages(TopCase):
    args = tuple(f"--provider.some.{key}={value}" for key, value in PROVIDER.items())

    def test_pages(self):
        watcher = self.connect()
        watcher.call("events.subscribe", types=["AgentError"], correlation_id="c")
        top = self.top()
        top.expect_text("no agents")
        began = time.monotonic()
        top.press("2")
        top.expect_text("NAME", "some", "openai", "some-model", "0/3")
        top.press("3")
        lines = top.expect_text("WANTS", "everything", "correlation id c", str(top.pid()))
        self.assertEqual(len(rows(lines)), 2)
        watcher.close()
        top.expect(lambda lines: len(rows(lines)) == 1, "one has gone")
        top.press("Tab")
        top.expect_text("no agents")
        top.press("Tab")
        top.expect_text("some-model")
        top.press("q")
        self.assertEqual(top.expect_end()[0], 0)
        # One as it is shown, twice, and no more than one a second from then on.
        self.assertLessEqual(self.requests("provider.list"), 2 + time.monotonic() - began)

    def requests(self, method):
        name = f'liongate_requests_total{{method="{method}"}} '
        lines = self.client.call("daemon.metrics")["text"].splitlines()
        return next(int(line.removeprefix(name)) for line in lines if line.startswith(name))


class Life(TopCase):
    def test_restart(self):
        """Whatever happened meanwhile is known afterwards."""
        agent = self.spawn_running("before")
        top = self.top()
        top.expect_text(agent[:8])
        top.press("Enter")
        top.expect_text("before")
        self.daemon.kill()
        self.daemon.drop_clients()
        top.expect_text("waiting for the daemon")
        top.press("Escape")
        top.press("x", "y")
        top.expect_text("not cancelled: the daemon is away")
        self.daemon.start()
        self.client = self.daemon.client()
        new = self.client.spawn(options=says("after"))
        self.expect_row(new, "running", "after")
        self.expect_row(agent, "failed", "interrupted")
        top.expect_gone("waiting for the daemon")
        top.expect_text("agents: 2, 1 running, 1 failed")

    def test_another_log(self):
        agent = self.spawn_running("before")
        top = self.top()
        top.expect_text(agent[:8])
        self.daemon.kill()
        self.daemon.drop_clients()
        os.rename(self.daemon.state, f"{self.daemon.state}.old")
        self.daemon.start()
        self.client = self.daemon.client()
        new = self.client.spawn(options=says("after"))
        self.expect_row(new, "after")
        top.expect_text("agents: 1, 1 running")

    def test_the_terminal_is_as_before(self):
        whole = {"echo", "icanon", "isig"}
        for name, leave, code in (
            ("q", lambda top: top.press("q"), 0),
            ("Ctrl-C", lambda top: top.press("C-c"), 130),
            ("Ctrl-\\", lambda top: top.press("C-\\"), 131),
            ("SIGTERM", lambda top: os.kill(top.pid(), signal.SIGTERM), 143),
        ):
            with self.subTest(name):
                top = self.top()
                top.expect_text("no agents")
                self.assertEqual((top.tell("alternate_on"), top.tell("cursor_flag")), ("1", "0"))
                leave(top)
                self.assertEqual(top.expect_end(), (code, whole))
                self.assertEqual((top.tell("alternate_on"), top.tell("cursor_flag")), ("0", "1"))
                top.close()

    def test_suspend(self):
        """Ctrl-Z leaves the terminal as it was before, and with `fg` the screen is back."""
        top = tmux.Terminal(["sh", "-mc", SUSPENDED, "sh", CTL, "--socket", self.daemon.socket, "top"], env=NO_LEAK_CHECK)
        self.addCleanup(top.close)
        top.expect_text("no agents")
        top.press("C-z")
        lines = top.expect_text("Enter goes on")
        self.assertIn("icanon", lines)
        self.assertIn("echo", lines)
        self.assertEqual((top.tell("alternate_on"), top.tell("cursor_flag")), ("0", "1"))
        top.press("Enter")
        top.expect_text("no agents", "q quit")
        self.assertEqual((top.tell("alternate_on"), top.tell("cursor_flag")), ("1", "0"))
        top.press("q")
        self.assertEqual(top.expect_end()[0], 0)

    def test_the_terminal_goes(self):
        top = self.top(env=NO_LEAK_CHECK)
        top.expect_text("no agents")
        pid = top.pid()
        top.vanish()
        eventually(lambda: running_orphans() == [] and not alive(pid), "it has ended")

    def test_a_refusal_is_read(self):
        """What ends it is said on the terminal, not on its screen."""
        self.daemon.stop()
        self.daemon.drop_clients()
        top = self.top()
        self.assertEqual(top.expect_end()[0], 3)
        top.expect_text("liongatectl: cannot reach the daemon")

    def test_no_terminal(self):
        for args in ((), ("--json",)):
            done = subprocess.run(
                [CTL, "--socket", self.daemon.socket, "top", *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT
            )
            self.assertEqual((done.returncode, done.stdout), (2, b""))
            self.assertIn(b"`liongatectl watch`", done.stderr)

    def test_no_screen(self):
        for name in ("dumb", "no-such-terminal"):
            # tmux has the terminal's name for what runs in it; env has another one.
            # What it had begun when it finds no such terminal, ncurses forgets.
            top = tmux.Terminal(["env", f"TERM={name}", CTL, "--socket", self.daemon.socket, "top"], env=NO_LEAK_CHECK)
            self.addCleanup(top.close)
            self.assertEqual(top.expect_end()[0], 1)
            top.expect_text(f"the terminal `{name}` has no screen")


if __name__ == "__main__":
    main()
