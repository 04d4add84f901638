"""Checks what the log promises, from what clients saw and from the log on disk alone.

Input: a directory of captures, one file a connection, NDJSON: every line that the client wrote and
every whole line that it received, in order, unchanged (a request has `method` and `id`, a reply `id`
alone, a notification `method` alone, so no marks are needed; a capture of received lines alone serves
too, and is held to less), and a state directory with log/*.ndjson.

What is held:
1. Every event that any client saw is in the log, byte for byte; so is what a reply implies.
2. Every subscription got each matching event once, in order, from where it began to where it got to,
   but for announced gaps.
3. The log: seq without gap or twin (but for gaps that DaemonStarted announces), whole lines only.
4. Each agent lived as the protocol's grammar says, its chunks numbered without gap, and (where asked)
   ended exactly once; each accepted spawn is there.

Usage: checker.py [--running] [--torn] [--pruned] CAPTURES STATE
"""

import bisect
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import parse_strict, raw_bytes  # noqa: E402

PREFIX = b'{"jsonrpc":"2.0","method":"event","params":{'
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
MAX_CHUNK = 64 * 1024

ENDS = ("AgentCompleted", "AgentError")
CODES = (
    "cancelled timeout exit signal spawn_failed provider rate_limited unauthorized connection protocol "
    "resource_limit output_limit interrupted shutdown dependency"
).split()
NUMBERS = "index chunks bytes duration_ms queued_ms uid pid delay_ms http_status first_chunk_ms".split()
CHANNELS = ("output", "error", "reasoning", "tool_call")
REQUIRED = {
    "DaemonStarted": ("version", "instance_id", "requeued", "interrupted"),
    "DaemonStopping": ("reason",),
    "AgentSpawned": ("agent_id", "prompt", "backend", "options", "group", "priority", "on_restart", "uid"),
    "AgentStarted": ("agent_id", "attempt", "worker", "queued_ms"),
    "AgentWaiting": ("agent_id", "reason", "provider"),
    "AgentRetrying": ("agent_id", "attempt", "code", "delay_ms"),
    "AgentPartialOutput": ("agent_id", "index", "chunk", "channel"),
    "AgentCompleted": ("agent_id", "chunks", "bytes", "duration_ms"),
    "AgentError": ("agent_id", "code", "message", "chunks", "bytes", "duration_ms"),
}


class Violation(AssertionError):
    """A promise was broken."""


def need(condition, why):
    if not condition:
        raise Violation(why)


# --- single events -----------------------------------------------------------------------------


def check_event(event):
    """The form of one event, whatever stands around it."""
    seq = event.get("seq")
    need(type(seq) is int and seq >= 1, f"no seq: {event}")
    need(TIME.match(event.get("time", "")), f"time of {seq}: {event.get('time')!r}")
    kind = event.get("type")
    need(kind in REQUIRED, f"type of {seq}: {kind!r}")
    for member in REQUIRED[kind]:
        need(member in event, f"{kind} {seq} has no {member}")
    if "agent_id" in event:
        need(UUID.match(event["agent_id"]), f"agent_id of {seq}: {event['agent_id']!r}")
    for member in NUMBERS:
        if member in event:
            need(type(event[member]) is int and event[member] >= 0, f"{member} of {seq}: {event[member]!r}")
    if kind == "AgentError":
        need(event["code"] in CODES, f"code of {seq}: {event['code']!r}")
    if kind == "AgentPartialOutput":
        check_chunk(event)


def check_chunk(event):
    need(event["channel"] in CHANNELS, f"channel of {event['seq']}: {event['channel']!r}")
    raw = raw_bytes(event)
    if "encoding" in event:
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            return
        raise Violation(f"{event['seq']} is base64, though its bytes are UTF-8")


# --- lives -------------------------------------------------------------------------------------


class Life:
    """One agent as its events tell it, held to the grammar event by event."""

    def __init__(self, agent_id):
        self.agent_id = agent_id
        self.spawned = None
        self.end = None
        self.attempt = 0
        self.chunks = 0
        self.bytes = 0
        self.output = {}
        self.running = False
        self.last = None

    def feed(self, event):
        kind, where = event["type"], f"agent {self.agent_id} at seq {event['seq']}"
        need(self.end is None, f"{where}: {kind} after {self.end and self.end['type']}")
        need(self.last is None or event["seq"] > self.last["seq"], f"{where}: out of order")
        if kind == "AgentSpawned":
            need(self.last is None, f"{where}: spawned twice")
            self.spawned = event
        else:
            need(self.spawned, f"{where}: {kind} before AgentSpawned")
            same = event.get("correlation_id") == self.spawned.get("correlation_id")
            need(same, f"{where}: another correlation_id")
            getattr(self, "_" + kind)(event, where)
        self.last = event

    def _AgentWaiting(self, event, where):
        self.running = False

    def _AgentStarted(self, event, where):
        # A daemon that died leaves no AgentRetrying: then a restarted one may start it anew.
        need(event["attempt"] == self.attempt + 1, f"{where}: attempt {event['attempt']} after {self.attempt}")
        if self.running:
            rerun = self.spawned["on_restart"] == "rerun"
            need(rerun, f"{where}: started twice without on_restart rerun")
        self.attempt = event["attempt"]
        self.running = True
        self.output = {}

    def _AgentPartialOutput(self, event, where):
        need(self.running, f"{where}: a chunk while it does not run")
        need(event["index"] == self.chunks, f"{where}: index {event['index']}, expected {self.chunks}")
        raw = raw_bytes(event)
        if self.spawned["backend"] != "mock":
            need(len(raw) <= MAX_CHUNK, f"{where}: a chunk of {len(raw)} bytes")
            need(raw, f"{where}: an empty chunk")
        self.chunks += 1
        self.bytes += len(raw)
        self.output.setdefault(event["channel"], bytearray()).extend(raw)

    def _AgentRetrying(self, event, where):
        need(self.running, f"{where}: AgentRetrying while it does not run")
        need(event["attempt"] == self.attempt + 1, f"{where}: retrying as {event['attempt']}")
        self.running = False

    def _AgentCompleted(self, event, where):
        need(self.running, f"{where}: completed, but not started")
        self._ended(event, where)

    def _AgentError(self, event, where):
        self._ended(event, where)

    def _ended(self, event, where):
        if self.attempt <= 1:
            need(event["chunks"] == self.chunks, f"{where}: chunks {event['chunks']}, were {self.chunks}")
            need(event["bytes"] == self.bytes, f"{where}: bytes {event['bytes']}, were {self.bytes}")
        self.running = False
        self.end = event

    @property
    def state(self):
        if self.end is None:
            return "running" if self.running else "queued"
        if self.end["type"] == "AgentCompleted":
            return "completed"
        return "cancelled" if self.end["code"] == "cancelled" else "failed"


class Lives:
    """The lives of all agents, fed event by event."""

    def __init__(self, pruned=False):
        self.pruned = pruned
        self.by_id = {}
        self.headless = set()

    def feed(self, event):
        agent_id = event.get("agent_id")
        if agent_id is None:
            need(event["type"].startswith("Daemon"), f"{event['type']} {event['seq']} names no agent")
            return
        if self.pruned and agent_id not in self.by_id and event["type"] != "AgentSpawned":
            self.headless.add(agent_id)
        if agent_id not in self.headless:
            self.by_id.setdefault(agent_id, Life(agent_id)).feed(event)

    def require_ended(self):
        left = [life.agent_id for life in self.by_id.values() if life.end is None]
        need(not left, f"{len(left)} agents never ended: {left[:5]}")


def check_lives(events, require_ended=False, pruned=False):
    """Every agent's life. `pruned`: the log's beginning is gone, so lives may begin anywhere."""
    lives = Lives(pruned)
    for event in events:
        lives.feed(event)
    if require_ended:
        lives.require_ended()
    return lives.by_id


def max_running(events, wanted=lambda spawned: True):
    """The most agents that ran at the same time, of those whose AgentSpawned is `wanted`."""
    spawned, running, most = {}, set(), 0
    for event in events:
        kind, agent_id = event["type"], event.get("agent_id")
        if kind == "AgentSpawned" and wanted(event):
            spawned[agent_id] = event
        elif kind == "AgentStarted" and agent_id in spawned:
            running.add(agent_id)
            most = max(most, len(running))
        elif kind in ENDS or kind == "AgentRetrying":
            running.discard(agent_id)
        elif kind == "DaemonStarted":
            running.clear()
    return most


# --- the log -----------------------------------------------------------------------------------


class Log:
    """All events by seq, with the very bytes of their lines. May be read again as it grows: then what was
    there before must still be there, unchanged."""

    def __init__(self, state, torn=False, pruned=False):
        self.directory = os.path.join(state, "log")
        self.pruned = pruned
        self.lines = {}
        self.events = []
        self.lost = []
        self._files = {}
        self.update(torn)

    def update(self, torn=False):
        """Reads what is new; returns those events. `torn`: the last line may be half written."""
        files = self._load()
        gone = set(self._files) - set(files)
        need(self.pruned or not gone, f"files of the log are gone: {sorted(gone)}")
        first = len(self.events)
        for name in files:
            self._read(name, files[name], torn and name == max(files))
        for i in range(first, len(self.events)):
            self._check_order(self.events[i - 1]["seq"] if i else None, self.events[i])
        return self.events[first:]

    def _load(self):
        """The bytes of each segment, oldest first. Retention may take one meanwhile."""
        while True:
            names = sorted(n for n in os.listdir(self.directory) if n.endswith(".ndjson"))
            files = {}
            try:
                for name in names:
                    with open(os.path.join(self.directory, name), "rb") as f:
                        files[name] = f.read()
                return files
            except FileNotFoundError:
                need(self.pruned, f"a file of the log went while it was read: {name}")

    def _read(self, name, data, torn):
        known = self._files.get(name, b"")
        need(data.startswith(known), f"{name} was changed in what it held already")
        lines = data[len(known) :].split(b"\n")
        tail = lines.pop()
        need(not tail or torn, f"{name} ends inside a line: {tail[:200]!r}")
        self._files[name] = data[: len(data) - len(tail)]
        for line in lines:
            self._line(name, line)

    def _line(self, name, line):
        need(line.startswith(PREFIX) and line.endswith(b"}}"), f"{name}: no event: {line[:200]!r}")
        try:
            event = parse_strict(line)["params"]
        except ValueError as e:
            raise Violation(f"{name}: {e}: {line[:200]!r}") from None
        check_event(event)
        need(event["seq"] not in self.lines, f"seq {event['seq']} stands twice in the log")
        self.lines[event["seq"]] = line
        self.events.append(event)

    def _check_order(self, seq, event):
        if event["type"] == "DaemonStarted" and "lost" in event:
            self.lost.append((event["lost"]["from"], event["lost"]["to"]))
        if seq is None or event["seq"] == seq + 1:
            return
        need(event["seq"] > seq, f"seq {event['seq']} after {seq}")
        missing = range(seq + 1, event["seq"])
        announced = self._announced(event, missing)
        need(announced, f"seq {missing[0]}..{missing[-1]} are missing, and nothing says so")

    @staticmethod
    def _announced(event, missing):
        lost = event.get("lost")
        return bool(lost) and lost["from"] <= missing[0] and lost["to"] >= missing[-1]

    @property
    def oldest(self):
        return self.events[0]["seq"] if self.events else 0

    @property
    def newest(self):
        return self.events[-1]["seq"] if self.events else 0


# --- what clients saw --------------------------------------------------------------------------


class Filter:
    """What a subscription asked for."""

    def __init__(self, params, spawned):
        self.agents = params.get("agents")
        self.types = params.get("types")
        self.correlation_id = params.get("correlation_id")
        self.labels = params.get("labels")
        self.spawned = spawned

    def matches(self, event):
        agent_id = event.get("agent_id")
        if self.types is not None and event["type"] not in self.types:
            return False
        if self.agents is not None and agent_id not in self.agents:
            return False
        if self.correlation_id is not None and event.get("correlation_id") != self.correlation_id:
            return False
        if self.labels:
            labels = self.spawned.get(agent_id, {}).get("labels", {})
            return all(labels.get(k) == v for k, v in self.labels.items())
        return True


class Subscription:
    """What one subscription must have got, and did."""

    def __init__(self, where, wanted, after):
        self.where = where
        self.wanted = wanted
        self.after = after
        self.upto = after
        self.seen = set()
        self.gaps = []

    def event(self, event):
        seq = event["seq"]
        need(seq > self.upto, f"{self.where}: event {seq} after {self.upto}: a twin, or out of order")
        need(self.wanted.matches(event), f"{self.where}: event {seq} does not match the filter")
        self.seen.add(seq)
        self.upto = seq

    def note(self, method, params):
        if method == "gap":
            self.gaps.append((params["from"], params["to"]))
            self.upto = max(self.upto, params["to"])
        else:
            need(params["seq"] >= self.upto, f"{self.where}: {method} {params['seq']} after {self.upto}")
            self.upto = params["seq"]

    def close(self, log):
        gaps = self.gaps + log.lost
        first = bisect.bisect_right(log.events, self.after, key=lambda e: e["seq"])
        for event in log.events[first:]:
            seq = event["seq"]
            if seq > self.upto:
                break
            if seq in self.seen or not self.wanted.matches(event):
                continue
            need(any(a <= seq <= b for a, b in gaps), f"{self.where}: event {seq} was never delivered")


class Capture:
    """One connection, replayed against the log."""

    def __init__(self, path, log, lives, spawned, pruned):
        self.where = os.path.basename(path)
        self.log = log
        self.lives = lives
        self.spawned = spawned
        self.pruned = pruned
        self.requests = {}
        self.subscription = None
        self.n_events = 0
        self.highest = 0
        with open(path, "rb") as f:
            data = f.read()
        for line in data.split(b"\n")[:-1]:
            self.line(line)
        self._close()

    def line(self, line):
        message = json.loads(line)
        for part in message if isinstance(message, list) else [message]:
            if "method" in part and "id" in part:
                self.requests[part["id"]] = part
            elif part.get("method") in ("event", "live", "gap", "end"):
                self._note(part, line)
            elif "result" in part:
                self._result(self.requests.get(part["id"], {}), part["result"])

    def _note(self, note, line):
        method, params = note["method"], note["params"]
        if method == "event":
            self._seen(params, line)
        if self.subscription is None:
            need(not self.requests, f"{self.where}: {method} without a subscription")
            return
        if method == "event":
            self.subscription.event(params)
        else:
            self.subscription.note(method, params)
        if method == "end":
            self._close()

    def _seen(self, event, line):
        seq = event["seq"]
        self.n_events += 1
        self.highest = max(self.highest, seq)
        if self.pruned and seq < self.log.oldest:
            return
        need(seq in self.log.lines, f"{self.where}: saw event {seq}, which is not in the log")
        need(self.log.lines[seq] == line, f"{self.where}: saw event {seq} otherwise than it is in the log")

    def _result(self, request, result):
        method, params = request.get("method"), request.get("params", {})
        if method == "agent.spawn":
            self._spawned(params, result)
        elif method == "events.subscribe":
            self._subscribed(params, result)
        elif method == "events.unsubscribe":
            if self.subscription:
                self.subscription.note("unsubscribe", result)
            self._close()
        elif method == "events.read":
            for event in result["events"]:
                gone = self.pruned and event["seq"] < self.log.oldest
                line = self.log.lines.get(event["seq"])
                need(gone or line is not None, f"{self.where}: read event {event['seq']}, not in the log")
                need(gone or parse_strict(line)["params"] == event, f"{self.where}: read {event['seq']} changed")
        elif method in ("agent.wait", "agent.cancel"):
            self._ended(result)

    def _spawned(self, params, result):
        seq, agent_id = result["seq"], result["agent_id"]
        if not (self.pruned and seq < self.log.oldest):
            line = self.log.lines.get(seq)
            need(line is not None, f"{self.where}: spawn answered with {seq}, which is not in the log")
            event = parse_strict(line)["params"]
            same = event["type"] == "AgentSpawned" and event["agent_id"] == agent_id
            need(same, f"{self.where}: spawn of {agent_id} answered with {seq}, which is {event['type']}")
            need(event["prompt"] == params.get("prompt"), f"{self.where}: {agent_id} has another prompt")
        if params.get("follow"):
            wanted = Filter({"agents": [agent_id]}, self.spawned)
            self.subscription = Subscription(self.where, wanted, seq - 1)

    def _subscribed(self, params, result):
        wanted = Filter(params, self.spawned)
        after = params.get("after", result["newest_seq"])
        if "last" in params:
            upto = result["newest_seq"]
            matching = [e["seq"] for e in self.log.events if e["seq"] <= upto and wanted.matches(e)]
            tail = matching[-params["last"]:]
            after = tail[0] - 1 if tail else upto
        if after == 0:
            after = result["oldest_seq"] - 1
        self.subscription = Subscription(self.where, wanted, after)

    def _ended(self, result):
        life = self.lives.get(result["agent_id"])
        if life is None:
            need(self.pruned, f"{self.where}: {result['agent_id']} is not in the log")
            return
        need(life.end, f"{self.where}: {result['agent_id']} was said to have ended; the log has no end")
        said = result["state"]
        need(said == life.state, f"{self.where}: {result['agent_id']} was {said}, is {life.state}")

    def _close(self):
        if self.subscription:
            self.subscription.close(self.log)
        self.subscription = None


class Checker:
    """Holds what was found so far, so that a growing log can be checked again and again. Each capture is
    looked at once: its connection must be over."""

    def __init__(self, captures, state, pruned=False):
        self.captures = captures
        self.state = state
        self.pruned = pruned
        self.log = None
        self.lives = Lives(pruned)
        self.spawned = {}
        self.seen = {}

    def check(self, running=False, torn=False):
        """Raises Violation. `running`: agents may not have ended, and the daemon may be writing; `torn`:
        the daemon is dead, so the last line may be half."""
        if self.log is None:
            self.log = Log(self.state, torn or running, self.pruned)
            new = self.log.events
        else:
            new = self.log.update(torn or running)
        for event in new:
            self.lives.feed(event)
            if event["type"] == "AgentSpawned":
                self.spawned[event["agent_id"]] = event
        if not running:
            self.lives.require_ended()
        for name in sorted(os.listdir(self.captures)):
            if name.endswith(".ndjson") and name not in self.seen:
                path = os.path.join(self.captures, name)
                self.seen[name] = Capture(path, self.log, self.lives.by_id, self.spawned, self.pruned)
        return self

    @property
    def n_seen(self):
        return sum(capture.n_events for capture in self.seen.values())


def check(captures, state, running=False, torn=False, pruned=False):
    return Checker(captures, state, pruned).check(running, torn)


def main(argv):
    flags = {a[2:]: True for a in argv if a.startswith("--")}
    paths = [a for a in argv if not a.startswith("--")]
    if len(paths) != 2 or set(flags) - {"running", "torn", "pruned"}:
        print(__doc__.strip().splitlines()[-1], file=sys.stderr)
        return 2
    try:
        done = check(*paths, **flags)
    except Violation as e:
        print(f"violation: {e}", file=sys.stderr)
        return 1
    counts = f"{len(done.log.events)} events, {len(done.lives.by_id)} agents, {len(done.seen)} captures"
    print(f"{counts} that saw {done.n_seen}: sound")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
