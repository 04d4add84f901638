"""Tracing: what the daemon logs of one agent's events on their way through it, and the probes at the same places."""

import json
import os
import re
import subprocess
import unittest

from common import *

LINE = re.compile(
    r"\S+ INFO agent (?P<agent>\S+): trace: seq (?P<seq>\d+) (?P<type>\w+), (?P<bytes>\d+) bytes: "
    r"emitted (?P<emitted>\S+), committed \+(?P<committed>\d+) us, published \+(?P<published>\d+) us, "
    r"written (?:\+(?P<first>\d+) us(?:, the last \+(?P<last>\d+) us,)? )?"
    r"to (?P<written>\d+) of (?P<takers>\d+) subscribers"
)
X = "0a1b2c3d-4e5f-4678-9abc-def012345678"
Y = "0a1b2c3e-4e5f-4678-9abc-def012345678"
SECRET = "squeamish ossifrage"


def said(daemon):
    with open(daemon.stderr_path, encoding="utf-8") as file:
        return file.read()


def traced(daemon):
    """What was traced, in the order of seq: fields of LINE."""
    matches = [LINE.fullmatch(line) for line in said(daemon).splitlines() if " trace: " in line]
    assert all(matches), said(daemon)
    lines = [{name: text if name in ("agent", "type", "emitted") else text and int(text)
              for name, text in match.groupdict().items()} for match in matches]
    return sorted(lines, key=lambda line: line["seq"])


def is_the_end(event):
    return event["agent_id"] == X and event["type"] == "AgentCompleted"


class TraceCase(unittest.TestCase):
    def start(self, *args):
        daemon = Daemon(*args)
        self.addCleanup(daemon.close)
        return daemon.start()

    def subscribe(self, daemon, **params):
        client = daemon.client(rcvbuf=4096)
        client.call("events.subscribe", **params)
        return client

    def check_steps(self, line):
        self.assertRegex(line["emitted"], TIME)
        times = [0] + [line[step] for step in ("committed", "published", "first", "last") if line[step] is not None]
        self.assertEqual(times, sorted(times), line)

    def check_agent(self, daemon, agent_id):
        """Each event of the agent, and nothing else, was traced once, by its length; returns the lines."""
        lines = traced(daemon)
        events = {}
        for raw in daemon.log_lines():
            event = json.loads(raw)["params"]
            if event.get("agent_id") == agent_id:
                events[event["seq"]] = (event["type"], len(raw) + 1)
        self.assertEqual([line["seq"] for line in lines], sorted(events))
        for line in lines:
            self.check_steps(line)
            self.assertEqual(line["agent"], agent_id)
            self.assertEqual((line["type"], line["bytes"]), events[line["seq"]])
        return lines


class Trace(TraceCase):
    def run_traced(self, **params):
        """An agent that is traced beside one that is not, with four subscribers; returns its lines."""
        daemon = self.start("--trace-agent", X, "--log-level=error")
        subscribers = [
            self.subscribe(daemon),
            self.subscribe(daemon, types=["AgentPartialOutput", "AgentCompleted"]),
            self.subscribe(daemon, labels={"traced": "yes"}),
            self.subscribe(daemon, labels={"traced": "no"}),
        ]
        client = daemon.client()
        for agent_id, label in ((Y, "no"), (X, "yes")):
            client.spawn(SECRET, agent_id=agent_id, labels={"traced": label}, **params)
            self.assertEqual(client.wait(agent_id)["state"], "completed")
        for subscriber in subscribers[:3]:
            subscriber.wait_event(is_the_end)
        daemon.stop()
        lines = self.check_agent(daemon, X)
        self.assertNotIn(SECRET, said(daemon))
        self.assertEqual([line["type"] for line in lines[:2]], ["AgentSpawned", "AgentStarted"])
        self.assertEqual(lines[-1]["type"], "AgentCompleted")
        self.assertGreaterEqual(len(lines), 4)
        for line in lines:
            takers = 2 if line["type"] in ("AgentSpawned", "AgentStarted") else 3
            self.assertEqual((line["takers"], line["written"]), (takers, takers), line)
        return lines

    def test_mock(self):
        self.assertEqual(len(self.run_traced(options={"chunks": 50, "delay_ms": 0})), 53)

    def test_exec(self):
        self.run_traced(backend="exec", options={"argv": ["sh", "-c", "cat; echo $0 >&2", SECRET]})

    def test_nobody_subscribes(self):
        """By the beginning of its id."""
        daemon = self.start("--trace-agent=ffff,0A1B2C3d-")
        client = daemon.client()
        for agent_id in (X, Y):
            client.spawn(agent_id=agent_id, options={"chunks": 1, "delay_ms": 0})
            client.wait(agent_id)
        daemon.stop()
        for line in self.check_agent(daemon, X):
            self.assertEqual((line["takers"], line["first"]), (0, None))

    def test_follow(self):
        """A client that follows what it spawns gets all of it."""
        daemon = self.start("--trace-agent", X)
        client = daemon.client()
        client.spawn(agent_id=X, follow=True, options={"chunks": 3, "delay_ms": 0})
        client.until_end()
        daemon.stop()
        for line in self.check_agent(daemon, X):
            self.assertEqual((line["takers"], line["written"]), (1, 1))

    def test_a_slow_reader(self):
        """An event is told once the last of its readers has it, or has gone."""
        daemon = self.start("--trace-agent", X)
        quick, slow, gone = (self.subscribe(daemon, correlation_id="c") for _ in range(3))
        client = daemon.client()
        # More than a socket holds, and than is kept in memory.
        options = {"chunks": 120, "delay_ms": 0, "chunk_bytes": 60000}
        client.spawn(agent_id=X, correlation_id="c", options=options)
        quick.wait_event(is_the_end)
        client.call("daemon.status")
        before = {line["seq"] for line in traced(daemon)}
        last = client.call("agent.get", agent_id=X)["last_seq"]
        self.assertNotIn(last, before)
        gone.close()
        slow.wait_event(is_the_end)
        daemon.stop()
        lines = self.check_agent(daemon, X)
        self.assertEqual((lines[0]["takers"], lines[0]["written"]), (3, 3))
        self.assertEqual((lines[-1]["takers"], lines[-1]["written"]), (3, 2))
        self.assertGreater(lines[-1]["last"], lines[-1]["first"])

    def test_what_a_start_says(self):
        """The end of an agent under which the daemon died."""
        daemon = self.start()
        client = daemon.client()
        client.spawn(agent_id=X, options=slow_agent())
        self.subscribe(daemon, after=0).wait_event(lambda e: e["type"] == "AgentStarted")
        daemon.kill()
        daemon.start("--trace-agent", X)
        daemon.stop()
        (line,) = traced(daemon)
        self.assertEqual((line["agent"], line["type"], line["takers"]), (X, "AgentError", 0))
        self.check_steps(line)


class Reload(TraceCase):
    def test_on_and_off(self):
        """While the agent runs; at a level of the log at which the daemon says next to nothing."""
        daemon = Configured()
        self.addCleanup(daemon.close)
        daemon.write("[daemon]\nlog_level = error\n")
        daemon.start()
        reader = self.subscribe(daemon)
        client = daemon.client()
        client.spawn_exec("cat", agent_id=X, options={"stdin": "open"})
        seqs = []
        for text, trace in (("a", ""), ("b", X), ("c", f"{Y}, {X[:4]}"), ("d", Y)):
            daemon.write(f"[daemon]\nlog_level = error\ntrace_agent = {trace}\n")
            self.assertEqual([line for line in daemon.reload()[0] if " trace: " not in line], [])
            client.call("agent.send", agent_id=X, data=text, eof=text == "d")
            seqs.append(reader.wait_event(lambda e, text=text: e.get("chunk") == text)["seq"])
        client.wait(X)
        daemon.stop()
        lines = traced(daemon)
        self.assertEqual([(line["seq"], line["agent"]) for line in lines], [(seq, X) for seq in seqs[1:3]])
        for line in lines:
            self.check_steps(line)
            self.assertEqual((line["takers"], line["written"]), (1, 1))

    def test_log_level(self):
        """What a reload says is said at the level that there was before."""
        daemon = Configured()
        self.addCleanup(daemon.close)
        daemon.write("[daemon]\n")
        daemon.start()
        for level, speaks in (("error", True), ("notice", False), ("debug", True)):
            daemon.write(f"[daemon]\nlog_level = {level}\n")
            self.assertEqual(daemon.reload()[0], ["NOTICE reloaded: daemon.log_level"] if speaks else [])


class Probes(unittest.TestCase):
    def test_names(self):
        """They are in the program, under the names that docs/tracing.md has, if it was built with them."""
        wanted = os.environ.get("LIONGATE_USDT")
        if wanted is None:
            self.skipTest("meson says by LIONGATE_USDT whether it was")
        notes = subprocess.run(
            ["readelf", "--notes", "--wide", harness.DAEMON[-1]], stdout=subprocess.PIPE, check=True, text=True
        ).stdout
        found = set(re.findall(r"Provider: liongate\s+Name: (\w+)", notes))
        with open(os.path.join(ROOT, "docs", "tracing.md"), encoding="utf-8") as file:
            documented = set(re.findall(r"^\| `liongate:(\w+)`", file.read(), re.M))
        self.assertEqual(documented, {"emitted", "committed", "published", "written"})
        self.assertEqual(found, documented if wanted == "1" else set())


if __name__ == "__main__":
    main()
