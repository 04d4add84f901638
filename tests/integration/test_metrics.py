"""daemon.metrics: that each number moves as it should, that the text is one, and that documents know all of it."""

import json
import math
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from common import *

from byte_server import LAST_CHUNK, ByteServer, Gate, chunk, head, ok
from test_llm import STREAM, answer, stream

FOREVER = {"chunks": 1000000, "delay_ms": 3600000}
CTL = os.environ.get("LIONGATECTL", os.path.join(ROOT, "build", "client", "liongatectl"))
PROMTOOL = shutil.which("promtool")
GRAFANA = os.path.join(ROOT, "docs", "grafana")

UNITS = ("seconds", "bytes")
SAMPLE = re.compile(r'([a-z_:]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\[\\"n])*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\[\\"n])*)"')


def unescape(value):
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value)


class Family:
    def __init__(self, name, kind):
        self.name, self.kind = name, kind
        self.unit = self.help = None
        self.samples = {}  # (name, labels) -> number

    def add(self, line):
        name, labels, number = SAMPLE.fullmatch(line).groups()
        key = (name, frozenset((k, unescape(v)) for k, v in LABEL.findall(labels or "")))
        assert key not in self.samples, f"twice: {line}"
        self.samples[key] = float(number)

    def check(self):
        suffixes = {"counter": {"_total"}, "gauge": {""}, "histogram": {"_bucket", "_count", "_sum"}}[self.kind]
        for name, labels in self.samples:
            assert name.startswith(self.name) and name[len(self.name) :] in suffixes, (self.name, name)
            assert self.samples[name, labels] >= 0, (name, labels)
        assert self.help and self.help.endswith("."), self.name
        assert self.unit == next((u for u in UNITS if self.name.endswith("_" + u)), None), (self.name, self.unit)
        if self.kind == "histogram":
            self.check_histogram()

    def check_histogram(self):
        buckets = [(float(dict(k[1])["le"]), v) for k, v in self.samples.items() if k[0].endswith("_bucket")]
        assert buckets == sorted(buckets), f"{self.name}: buckets are not cumulative"
        assert buckets[-1][0] == math.inf, f"{self.name}: there is no +Inf"
        assert buckets[-1][1] == self.samples[self.name + "_count", frozenset()], self.name


def parse(text):
    """OpenMetrics, as strictly as the daemon writes it: {name: Family}."""
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""], lines[-2:]
    families, family = {}, None
    for line in lines[:-2]:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in families, f"twice: {name}"
            family = families[name] = Family(name, kind)
        elif line.startswith("# "):
            _, keyword, name, rest = line.split(" ", 3)
            assert name == family.name and not family.samples, line
            assert getattr(family, keyword.lower()) is None, line
            setattr(family, keyword.lower(), rest)
        else:
            family.add(line)
    for family in families.values():
        family.check()
    return families


class Numbers:
    """What one scrape has said."""

    def __init__(self, text):
        self.families = parse(text)
        self.samples = {key: value for f in self.families.values() for key, value in f.samples.items()}

    def get(self, name, **labels):
        return self.samples["liongate_" + name, frozenset(labels.items())]

    def sum(self, name, **labels):
        """Of all samples of that name that have these labels."""
        return sum(v for (n, l), v in self.samples.items() if n == "liongate_" + name and l >= frozenset(labels.items()))

    def names(self):
        """As the documents have them: those of the samples, and histograms as a whole."""
        return {f.name + ("_total" if f.kind == "counter" else "") for f in self.families.values()}


class MetricsCase(DaemonCase):
    def scrape(self, client=None):
        return Numbers((client or self.client).call("daemon.metrics")["text"])

    def until(self, check, what):
        """Scrapes until it is so; returns that scrape."""

        def look():
            numbers = self.scrape()
            return numbers if check(numbers) else None

        return eventually(look, what)

    def run_mock(self, chunks=1, **params):
        options = {"chunks": chunks, "delay_ms": 0, **params.pop("options", {})}
        return self.client.wait(self.client.spawn(options=options, **params))

    def started(self, **params):
        """An agent that runs, and does nothing."""
        agent = self.client.spawn(options=FOREVER, **params)
        eventually(lambda: self.client.call("agent.get", agent_id=agent)["state"] == "running", "it runs")
        return agent


class Text(MetricsCase):
    args = ("--provider.p.kind=openai", "--provider.p.base_url=http://127.0.0.1:1/v1", "--provider.p.model=m")

    def setUp(self):
        super().setUp()
        self.run_mock(group='a "b" \\c\nd é {}')
        self.openmetrics, self.prometheus = (
            self.client.call("daemon.metrics", format=f) for f in ("openmetrics", "prometheus")
        )

    def test_formats(self):
        self.assertEqual(self.openmetrics["content_type"], "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.assertEqual(self.prometheus["content_type"], "text/plain; version=0.0.4; charset=utf-8")
        default = self.client.call("daemon.metrics")
        self.assertEqual(default["content_type"], self.openmetrics["content_type"])

        def samples(text):
            return [line.rpartition(" ")[0] for line in text.split("\n") if line and not line.startswith("#")]

        numbers = Numbers(self.openmetrics["text"])
        self.assertEqual(samples(self.openmetrics["text"]), samples(self.prometheus["text"]))
        told = re.findall(r"^# TYPE (\S+)", self.prometheus["text"], re.M)
        self.assertEqual(set(told), numbers.names())
        self.assertEqual(set(re.findall(r"^# HELP (\S+)", self.prometheus["text"], re.M)), numbers.names())
        self.assertNotIn("# UNIT", self.prometheus["text"])
        self.assertNotIn("# EOF", self.prometheus["text"])

    def test_names_of_groups_are_escaped(self):
        group = 'a "b" \\c\nd é {}'
        self.assertEqual(self.scrape().get("agents_spawned_total", backend="mock", group=group), 1)

    def promtool(self, *args, **kwargs):
        if not PROMTOOL:
            self.skipTest("there is no promtool (Debian: prometheus)")
        done = subprocess.run(
            [PROMTOOL, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT * 3, check=False, **kwargs
        )
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        return done.stdout.decode()

    def test_promtool_takes_the_older_format(self):
        self.assertEqual(self.promtool("check", "metrics", input=self.prometheus["text"].encode()), "")

    def test_promtool_takes_openmetrics(self):
        """As what it imports, for which each sample needs a time."""
        with tempfile.TemporaryDirectory(prefix="liongate-test-") as directory:
            path = os.path.join(directory, "metrics")
            with open(path, "w", encoding="utf-8") as f:
                f.write(re.sub(r"(?m)^([^#\n].*)$", r"\1 1700000000", self.openmetrics["text"]))
            said = self.promtool("tsdb", "create-blocks-from", "openmetrics", path, os.path.join(directory, "blocks"))
            samples = len(Numbers(self.openmetrics["text"]).samples)
            self.assertRegex(said, rf"\b{samples} +\d+ +{samples} ")

    def test_promtool_takes_the_alerts(self):
        self.assertIn("SUCCESS", self.promtool("check", "rules", os.path.join(GRAFANA, "alerts.yml")))

    def test_alerts_fire(self):
        """Each of them where something is ill, and none where all is well."""
        cases = os.path.join(os.path.dirname(os.path.abspath(__file__)), "alerts_test.yml")
        self.assertIn("SUCCESS", self.promtool("test", "rules", cases))
        with open(cases, encoding="utf-8") as said, open(os.path.join(GRAFANA, "alerts.yml"), encoding="utf-8") as rules:
            tested = re.findall(r'alertname="(\w+)"', said.read())
            self.assertEqual(tested, re.findall(r"- alert: (\w+)", rules.read()))

    def test_liongatectl(self):
        def run(*args):
            done = subprocess.run(
                [CTL, "--socket", self.daemon.socket, "metrics", *args], capture_output=True, timeout=TIMEOUT * 3, check=False
            )
            return done.returncode, done.stdout.decode(), done.stderr.decode()

        code, text, _ = run()
        self.assertEqual(code, 0)
        self.assertEqual(Numbers(text).names(), self.scrape().names())
        code, text, _ = run("--format", "prometheus")
        self.assertEqual((code, text.split("\n")[:2]), (0, self.prometheus["text"].split("\n")[:2]))
        code, text, _ = run("--json")
        self.assertEqual(code, 0)
        self.assertEqual(parse_strict(text.encode())["content_type"], self.openmetrics["content_type"])
        code, _, said = run("--format", "xml")
        self.assertEqual(code, 2)
        self.assertIn("prometheus", said)


class Documents(MetricsCase):
    """What is said of metrics is said of those that there are."""

    def read(self, *path):
        with open(os.path.join(ROOT, "docs", *path), encoding="utf-8") as f:
            return f.read()

    def used(self, text):
        """Names in expressions, the parts of histograms as the whole."""
        names = set(re.findall(r"\bliongate_[a-z_]+", text))
        histograms = {f.name for f in self.scrape().families.values() if f.kind == "histogram"}
        for name in histograms:
            names = {name if n in (name + "_bucket", name + "_count", name + "_sum") else n for n in names}
        return names

    def test_tables(self):
        rows = re.findall(r"^\| `(liongate_\w+)` \| (\w+) \| ((?:`\w+`(?:, )?)*) ?\|", self.read("metrics.md"), re.M)
        numbers = self.scrape()
        self.assertEqual(sorted(name for name, _, _ in rows), sorted(numbers.names()))
        for name, kind, labels in rows:
            family = numbers.families[name.removesuffix("_total")]
            self.assertEqual(family.kind, kind, name)
            found = {key for _, labels in family.samples for key, _ in labels if key != "le"}
            if family.samples and not name.startswith("liongate_agents"):
                self.assertEqual(found, set(re.findall(r"\w+", labels)), name)

    def test_labels_of_agents_and_providers(self):
        self.run_mock()
        families = self.scrape().families
        for name in ("agents", "agents_ended"):
            self.assertEqual(
                {frozenset(k for k, _ in labels) for _, labels in families["liongate_" + name].samples},
                {frozenset(("state", "backend", "group"))},
            )

    def test_dashboard(self):
        dashboard = json.loads(self.read("grafana", "dashboard.json"))
        panels = [p for p in dashboard["panels"] if p["type"] != "row"]
        ids = [p["id"] for p in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        used = self.used(" ".join(t["expr"] for p in panels for t in p["targets"]))
        # All there is can be seen on it but for what does not change.
        constant = {"build_info", "start_time_seconds", "workers", "connections_limit", "log_oldest_seq", "log_newest_seq"}
        self.assertEqual(used, self.scrape().names() - {"liongate_" + n for n in constant})

    def test_alerts(self):
        used = self.used(self.read("grafana", "alerts.yml"))
        self.assertLessEqual(used, self.scrape().names())
        self.assertIn("liongate_log_writable", used)

    def test_script_for_http(self):
        script = re.search(r"```sh\n(#!/bin/sh\n.*?)```", self.read("metrics.md"), re.S)[1]
        ours, theirs = socket.socketpair()
        env = {"PATH": os.path.dirname(CTL) + ":/usr/bin:/bin", "LIONGATE_SOCKET": self.daemon.socket}
        with ours, theirs:
            ours.settimeout(TIMEOUT)
            done = subprocess.Popen(["/bin/sh", "-c", script], stdin=theirs, stdout=theirs, env=env)
            ours.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(done.wait(TIMEOUT * 3), 0)
            theirs.shutdown(socket.SHUT_WR)
            said = b""
            while data := ours.recv(1 << 16):
                said += data
        header, _, text = said.decode().partition("\r\n\r\n")
        self.assertRegex(header, r"^HTTP/1\.0 200 OK\r\nContent-Type: application/openmetrics-text; version=1\.0\.0")
        self.assertEqual(Numbers(text).names(), self.scrape().names())


class Agents(MetricsCase):
    args = ("--max-running=2", "--max-queued=3", "--group.kept.max-running=1")

    def test_states(self):
        def counts(numbers, group):
            return tuple(numbers.get("agents", state=s, backend="mock", group=group) for s in ("queued", "running"))

        self.run_mock(group="a")
        one, two = self.started(group="a"), self.started(group="b")
        third = self.client.spawn(options=FOREVER, group="a")
        numbers = self.scrape()
        self.assertEqual((counts(numbers, "a"), counts(numbers, "b")), ((1, 1), (0, 1)))
        self.assertEqual(numbers.get("queue_depth"), 1)
        self.assertEqual(numbers.get("agents_limit", state="queued"), 3)
        self.assertEqual(numbers.get("agents_limit", state="running"), 2)
        self.assertEqual(numbers.get("agents_spawned_total", backend="mock", group="a"), 3)
        self.assertEqual(numbers.get("agents_spawned_total", backend="mock", group="b"), 1)
        for agent in (third, one, two):
            self.client.call("agent.cancel", agent_id=agent)
        numbers = self.scrape()
        self.assertEqual((counts(numbers, "a"), counts(numbers, "b")), ((0, 0), (0, 0)))
        self.assertEqual(numbers.get("queue_depth"), 0)
        self.assertEqual(numbers.get("agents_ended_total", state="cancelled", backend="mock", group="a"), 2)
        self.assertEqual(numbers.get("agents_ended_total", state="cancelled", backend="mock", group="b"), 1)
        self.assertEqual(numbers.get("agents_ended_total", state="completed", backend="mock", group="a"), 1)
        self.assertEqual(numbers.get("agent_errors_total", code="cancelled"), 3)

    def test_ends(self):
        self.run_mock(3)
        self.run_mock(3, options={"fail_after": 1})
        self.client.run_exec("true")
        self.client.run_exec("sh", "-c", "exit 3")
        self.client.run_exec("sh", "-c", "kill -9 $$")
        self.client.run_exec("/there/is/no/such/program")
        self.client.wait(self.client.spawn(options=FOREVER, timeouts={"total_ms": 1}))
        numbers = self.scrape()
        ended = {"backend": "mock", "group": "default"}
        self.assertEqual(numbers.get("agents_ended_total", state="completed", **ended), 1)
        self.assertEqual(numbers.get("agents_ended_total", state="failed", **ended), 2)
        ended["backend"] = "exec"
        self.assertEqual(numbers.get("agents_ended_total", state="completed", **ended), 1)
        self.assertEqual(numbers.get("agents_ended_total", state="failed", **ended), 3)
        for code in ("provider", "exit", "signal", "spawn_failed", "timeout"):
            self.assertEqual(numbers.get("agent_errors_total", code=code), 1, code)
        self.assertEqual(numbers.sum("agent_errors_total"), 5)
        self.assertEqual(numbers.sum("agent_retries_total"), 0)

    def test_restart(self):
        """Who lives is counted anew, and what is counted begins anew."""
        ids = [self.started(on_restart="rerun"), self.started()]
        ids.append(self.client.spawn(options=FOREVER))
        self.daemon.kill()
        self.daemon.start()
        self.client = self.daemon.client()
        self.assertEqual(self.client.wait(ids[1])["state"], "failed")
        numbers = self.until(lambda n: n.get("agents", state="running", backend="mock", group="default") == 2, "both run")
        self.assertEqual(numbers.get("agents", state="queued", backend="mock", group="default"), 0)
        self.assertEqual(numbers.get("agents_spawned_total", backend="mock", group="default"), 0)
        self.assertEqual(numbers.get("agents_ended_total", state="failed", backend="mock", group="default"), 1)
        self.assertEqual(numbers.get("agent_errors_total", code="interrupted"), 1)
        self.assertEqual(numbers.get("agent_retries_total", code="interrupted"), 1)
        self.assertEqual(numbers.get("events_total", type="AgentSpawned"), 0)
        self.assertEqual(numbers.get("events_total", type="DaemonStarted"), 1)

    def test_many_groups(self):
        self.client.send(
            *(make_request("agent.spawn", {"prompt": "p", "group": f"g{i}", "options": {"chunks": 0}}, i) for i in range(70))
        )
        replies = [self.client.reply(i) for i in range(70)]
        accepted = [r["result"]["agent_id"] for r in replies if "result" in r]
        for agent in accepted:
            self.client.wait(agent)
        for i in range(len(accepted), 70):
            self.run_mock(0, group=f"later{i}")
        self.run_mock(0, group="kept")
        numbers = self.scrape()
        groups = {dict(labels)["group"] for _, labels in numbers.families["liongate_agents_spawned"].samples}
        self.assertEqual(len(groups), 64 + 2)
        self.assertEqual(numbers.get("agents_spawned_total", backend="mock", group=""), 6)
        self.assertEqual(numbers.get("agents_ended_total", state="completed", backend="mock", group=""), 6)
        self.assertEqual(numbers.get("agents_spawned_total", backend="mock", group="kept"), 1)
        self.assertEqual(numbers.sum("agents_spawned_total"), 71)


class TheLog(MetricsCase):
    def test_events(self):
        for chunks in (1, 10, 1000):
            self.run_mock(chunks, options={"chunk_bytes": 50})
        self.run_mock(5, options={"fail_after": 2})
        numbers = self.scrape()
        events = self.daemon.events()
        for kind in {e["type"] for e in events}:
            self.assertEqual(numbers.get("events_total", type=kind), sum(e["type"] == kind for e in events), kind)
        self.assertEqual(numbers.sum("events_total"), len(events))
        size = sum(os.path.getsize(path) for path in self.daemon.log_files())
        self.assertEqual(numbers.get("event_bytes_total"), size)
        self.assertEqual(numbers.get("log_bytes"), size)
        self.assertEqual(numbers.get("output_bytes_total"), sum(len(raw_bytes(e)) for e in events if "chunk" in e))
        self.assertEqual((numbers.get("log_oldest_seq"), numbers.get("log_newest_seq")), (1, len(events)))
        self.assertEqual(numbers.get("events_dropped_total"), 0)
        self.assertEqual((numbers.get("log_writable"), numbers.get("catalog_writable")), (1, 1))

    def test_batches(self):
        before = self.scrape()
        self.run_mock(2000)
        numbers = self.scrape()
        self.assertEqual(numbers.get("batch_events_sum"), numbers.sum("events_total"))
        self.assertEqual(numbers.get("batch_events_count"), numbers.get("commit_duration_seconds_count"))
        self.assertGreater(numbers.get("batch_events_count"), before.get("batch_events_count"))
        self.assertEqual(numbers.get("batch_events_bucket", le="1024.0"), numbers.get("batch_events_count"))
        self.assertGreater(numbers.get("commit_duration_seconds_sum"), before.get("commit_duration_seconds_sum"))

    def test_syncs(self):
        self.run_mock()
        numbers = self.until(lambda n: n.get("log_unsynced_events") == 0, "all is synced")
        self.run_mock()
        self.until(lambda n: n.get("sync_duration_seconds_count") > 0, "a sync is counted")
        self.assertLessEqual(numbers.get("sync_duration_seconds_count"), numbers.sum("events_total"))

    def test_goes_on_after_a_restart(self):
        self.run_mock(10)
        self.daemon.stop()
        size = sum(os.path.getsize(path) for path in self.daemon.log_files())
        self.daemon.start()
        self.client = self.daemon.client()
        numbers = self.scrape()
        self.assertEqual(numbers.get("log_bytes"), size + numbers.get("event_bytes_total"))
        self.assertEqual(numbers.sum("events_total"), 1)

    def test_what_runs(self):
        version = self.client.call("daemon.status")["version"]
        numbers = self.scrape()
        self.assertEqual(numbers.get("build_info", version=version), 1)
        self.assertEqual(numbers.get("workers"), self.client.call("daemon.status")["workers"])
        started = numbers.get("start_time_seconds")
        self.assertEqual(started, self.scrape().get("start_time_seconds"))
        self.daemon.stop()
        # The clock of one may be read a tick behind that of the other.
        before = time.time() - 0.1
        self.daemon.start()
        with self.daemon.client() as client:
            again = self.scrape(client).get("start_time_seconds")
        self.assertGreater(again, started)
        self.assertTrue(before <= again <= time.time() + 0.1, again)


class Pruned(MetricsCase):
    args = ("--segment-bytes=64KiB", "--retain-bytes=128KiB")

    def test_oldest(self):
        self.run_mock(500, options={"chunk_bytes": 1000})
        numbers = self.until(lambda n: n.get("log_oldest_seq") > 1, "what is old is gone")
        log = self.client.call("daemon.status")["log"]
        # More may have gone in between.
        self.assertLessEqual(numbers.get("log_oldest_seq"), log["oldest_seq"])
        self.assertLess(log["oldest_seq"], numbers.get("log_newest_seq"))


class Synced(MetricsCase):
    args = ("--durability=fsync",)

    def test_there_is_no_syncer(self):
        self.run_mock()
        numbers = self.until(lambda n: n.get("log_unsynced_events") == 0, "all is synced")
        self.assertEqual(numbers.get("sync_duration_seconds_count"), 0)
        self.assertGreater(numbers.get("commit_duration_seconds_count"), 0)


class Clients(MetricsCase):
    args = ("--socket-mode=0666", "--max-clients=6", "--max-queued=1", "--max-running=1", "--max-request-bytes=64KiB")

    def test_connections(self):
        others = [self.connect() for _ in range(5)]
        for client in others:
            client.call("daemon.status")
        check_error(self.connect().read_message(), "queue_full")
        numbers = self.scrape()
        self.assertEqual((numbers.get("connections"), numbers.get("connections_limit")), (6, 6))
        self.assertEqual(numbers.get("connections_accepted_total"), 6)
        self.assertEqual(numbers.get("connections_refused_total", reason="queue_full"), 1)
        self.assertEqual(numbers.get("connections_refused_total", reason="permission_denied"), 0)
        for client in others:
            client.close()
        self.assertEqual(self.until(lambda n: n.get("connections") == 1, "they have gone").get("connections_accepted_total"), 6)

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_without_a_role(self):
        check_error(self.daemon.client_as(54321).read_message(), "permission_denied")
        self.assertEqual(self.scrape().get("connections_refused_total", reason="permission_denied"), 1)

    def test_requests(self):
        for _ in range(3):
            self.client.call("daemon.status")
        self.client.notify("events.stats")
        self.client.send([status(1), status(2)])
        self.client.reply(2)
        numbers = self.scrape()
        self.assertEqual(numbers.get("requests_total", method="daemon.status"), 5)
        self.assertEqual(numbers.get("requests_total", method="daemon.metrics"), 1)
        self.assertEqual(numbers.get("requests_total", method="events.stats"), 1)
        self.assertEqual(numbers.sum("requests_total"), 7)
        self.assertEqual(numbers.sum("requests_rejected_total"), 0)

    def test_rejected(self):
        expected = {}

        def rejected(reason, n=1):
            expected[reason] = expected.get(reason, 0) + n

        self.client.send_raw(b"{\n")
        check_error(self.client.reply(None), "parse_error")
        rejected("parse_error")
        self.client.send([])
        check_error(self.client.reply(None), "invalid_request")
        rejected("invalid_request")
        for method, reason, params in (
            ("no.such", "method_not_found", {}),
            ("agent.get", "invalid_params", {}),
            ("agent.get", "not_found", {"agent_id": NOBODY}),
            ("events.unsubscribe", "not_found", {}),
            ("events.subscribe", "log_replaced", {"after": 1000}),
        ):
            self.client.fail(method, reason, **params)
            rejected(reason)
        # Neither is answered.
        self.client.notify("no.such")
        self.client.notify("agent.get", agent_id=NOBODY)
        rejected("method_not_found")
        rejected("not_found")
        self.client.call("events.subscribe")
        self.client.fail("events.subscribe", "already_subscribed")
        rejected("already_subscribed")
        agent = self.started()
        self.client.fail("agent.wait", "timeout", agent_id=agent, timeout_ms=1)
        rejected("timeout")
        self.client.spawn(options=FOREVER)
        for _ in range(2):
            self.client.fail("agent.spawn", "queue_full", prompt="p")
        rejected("queue_full", 2)
        other = self.connect()
        other.send_raw(b" " * (65 << 10))
        check_error(other.read_message(), "line_too_long")
        rejected("line_too_long")
        numbers = self.until(lambda n: n.sum("requests_rejected_total") >= sum(expected.values()), "all are counted")
        for reason in harness.REASONS:
            self.assertEqual(numbers.get("requests_rejected_total", reason=reason), expected.get(reason, 0), reason)

    def test_subscribers(self):
        follower = self.connect()
        follower.call("events.subscribe")
        numbers = self.until(lambda n: n.get("subscribers_behind") == 0, "it has got all")
        self.assertEqual((numbers.get("subscribers"), numbers.get("subscriber_lag_bytes")), (1, 0))
        follower.close()
        self.until(lambda n: n.get("subscribers") == 0, "it has gone")


class Lag(MetricsCase):
    """Readers that do not read."""

    CHUNK = 4096

    def read_on(self, reader, newest):
        reader.wait_event(lambda e: e["seq"] >= newest)
        numbers = self.until(lambda n: n.get("subscribers_behind") == 0, "it has caught up")
        self.assertEqual((numbers.get("subscriber_lag_events"), numbers.get("subscriber_lag_bytes")), (0, 0))

    def fall_behind(self, chunks, **params):
        """What a client that was asked to follow, and does not read, has yet to get; and it has nothing of the rest."""
        reader = self.connect(rcvbuf=4096)
        reader.call("events.subscribe", **params)
        self.run_mock(chunks, options={"chunk_bytes": self.CHUNK})
        newest = self.client.call("daemon.status")["log"]["newest_seq"]
        return reader, newest, self.scrape()

    def test_hot(self):
        """Within what is in memory it is exact: what it has yet to pass is what it has not been sent."""
        reader, newest, numbers = self.fall_behind(200)
        self.assertEqual((numbers.get("subscribers"), numbers.get("subscribers_behind")), (1, 1))
        events, lag = numbers.get("subscriber_lag_events"), numbers.get("subscriber_lag_bytes")
        self.assertGreater(events, 0)
        lines = self.daemon.log_lines()
        self.assertEqual(len(lines), newest)
        self.assertEqual(lag, sum(len(line) + 1 for line in lines[-int(events) :]))
        self.read_on(reader, newest)

    def test_cold(self):
        """Beyond that it is about right: chunks are of one length."""
        reader, newest, numbers = self.fall_behind(3000)
        events, lag = numbers.get("subscriber_lag_events"), numbers.get("subscriber_lag_bytes")
        self.assertGreater(lag, 8 << 20)
        self.assertAlmostEqual(lag / events, numbers.get("log_bytes") / newest, delta=200)
        self.read_on(reader, newest)

    def test_the_last_counts(self):
        one, newest, first = self.fall_behind(500)
        two, newest, both = self.fall_behind(500, types=["AgentPartialOutput"])
        self.assertEqual(both.get("subscribers_behind"), 2)
        self.assertGreater(both.get("subscriber_lag_events"), first.get("subscriber_lag_events"))
        one.close()
        numbers = self.until(lambda n: n.get("subscribers") == 1, "one has gone")
        self.assertLess(numbers.get("subscriber_lag_events"), both.get("subscriber_lag_events"))
        two.wait_event(lambda e: e["type"] == "AgentPartialOutput")


class Providers(MetricsCase):
    path = "/v1/chat/completions"

    def setUp(self):
        self.server = ByteServer()
        self.addCleanup(self.server.close)
        keys = {"kind": "openai", "base_url": f"{self.server.url}/v1", "model": "m", "retry_base": "1ms", "retry_max": "5ms"}
        self.args = [f"--provider.{name}.{key}={value}" for name in "pq" for key, value in keys.items()]
        self.args.append("--provider.p.max_concurrent=2")
        super().setUp()

    def ask(self, provider="p"):
        return self.client.spawn("x", backend="openai", options={"provider": provider})

    def test_calls_and_tokens(self):
        self.server.on(self.path, stream(answer("x")))
        for _ in range(3):
            self.client.wait(self.ask())
        self.client.wait(self.ask("q"))
        numbers = self.scrape()
        for provider, n in (("p", 3), ("q", 1)):
            self.assertEqual(numbers.get("provider_calls_total", provider=provider), n)
            self.assertEqual(numbers.get("provider_tokens_total", provider=provider, direction="input"), 7 * n)
            self.assertEqual(numbers.get("provider_tokens_total", provider=provider, direction="output"), 3 * n)
        self.assertEqual(numbers.sum("provider_errors_total"), 0)
        self.assertEqual(numbers.sum("provider_held_seconds_total"), 0)
        self.assertEqual(numbers.get("agents_ended_total", state="completed", backend="openai", group="default"), 4)

    def test_under_way_and_waiting(self):
        self.server.on(self.path, head("200 OK", STREAM, chunked=True), Gate("go"), chunk(answer("x")), LAST_CHUNK)
        agents = [self.ask() for _ in range(5)]
        numbers = self.until(lambda n: n.get("provider_calls_running", provider="p") == 2, "two are served")
        self.assertEqual(numbers.get("provider_agents_waiting", provider="p"), 3)
        self.assertEqual(numbers.get("provider_agents_waiting", provider="q"), 0)
        self.server.open_gate("go")
        for agent in agents:
            self.client.wait(agent)
        numbers = self.scrape()
        self.assertEqual(numbers.get("provider_calls_running", provider="p"), 0)
        self.assertEqual(numbers.get("provider_agents_waiting", provider="p"), 0)
        self.assertEqual(numbers.get("provider_calls_total", provider="p"), 5)

    def test_errors(self):
        """Each attempt that fails, also where another follows."""
        self.server.on(self.path, ok(b"", status="401 Who?"))
        self.client.wait(self.ask())
        answers = [ok(b"", status="500 Oh"), ok(b"", status="500 Oh"), stream(answer("x"))]
        self.server.on(self.path, lambda request: (answers.pop(0),))
        self.assertEqual(self.client.wait(self.ask())["state"], "completed")
        numbers = self.scrape()
        self.assertEqual(numbers.get("provider_calls_total", provider="p"), 4)
        self.assertEqual(numbers.get("provider_errors_total", provider="p", code="unauthorized"), 1)
        self.assertEqual(numbers.get("provider_errors_total", provider="p", code="provider"), 2)
        self.assertEqual(numbers.get("agent_retries_total", code="provider"), 2)
        self.assertEqual(numbers.get("agent_errors_total", code="unauthorized"), 1)
        self.assertEqual(numbers.sum("provider_errors_total", provider="q"), 0)

    def test_held(self):
        """A pause counts as it goes by."""
        answers = [ok(b"", "retry-after-ms: 300", status="429 Slow down"), stream(answer("x"))]
        self.server.on(self.path, lambda request: (answers.pop(0),))
        agent = self.ask()
        during = self.until(lambda n: n.get("provider_errors_total", provider="p", code="rate_limited") == 1, "it is refused")
        held = during.get("provider_held_seconds_total", provider="p")
        self.assertEqual(self.client.wait(agent)["state"], "completed")
        after = self.scrape().get("provider_held_seconds_total", provider="p")
        self.assertLessEqual(held, after)
        # With a spread of a tenth, and never less than was asked for.
        self.assertGreaterEqual(after, 0.3)
        self.assertLessEqual(after, 0.33)
        self.assertEqual(self.scrape().get("provider_held_seconds_total", provider="q"), 0)
        self.assertEqual(self.scrape().get("provider_held_seconds_total", provider="p"), after)


if __name__ == "__main__":
    main()
