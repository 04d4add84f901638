"""Events from who makes them to who reads them: durable stream, fan-out, latency, replay.

Time runs from the first request (or the raw program's start) to when the last subscriber has its last message. All
readers are one program, bench-read, which verifies every message of every subscriber."""

import contextlib
import functools
import json
import os
import select
import subprocess
import time

import peers
from core import OURS, ROUND_SECONDS, Chart, Contender, Goal, Metric, Work, Wrong
from harness import Daemon, make_request

BYTES = 200
SECOND = 1e9


# --- programs ----------------------------------------------------------------------------------


class Program:
    """One of our programs while it runs: says a word when it is ready, and a JSON text at its end."""

    def __init__(self, bench, name, *args, **kwargs):
        self.name = name
        command = [bench.program(name)] + [str(arg) for arg in args]
        # No buffer: what readline() took too much would be lost to communicate().
        self.process = subprocess.Popen(
            command, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs
        )

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def line(self):
        if not select.select([self.process.stdout], [], [], ROUND_SECONDS)[0]:
            raise Wrong(f"{self.name} says nothing")
        return self.process.stdout.readline()

    def wait_word(self, word):
        if self.line() != word.encode() + b"\n":
            raise Wrong(f"{self.name}: {self.process.communicate()[1].decode().strip()}")

    def result(self):
        out, err = self.process.communicate(timeout=ROUND_SECONDS)
        if self.process.returncode != 0:
            raise Wrong(f"{self.name}: {err.decode().strip()}")
        return json.loads(out)


def reader(bench, kind, address, count, subscribers=1, **options):
    args = ["--kind", kind, "--address", address, "--count", count]
    args += ["--bytes", BYTES, "--subscribers", subscribers]
    for name, value in options.items():
        args += [f"--{name}", value]
    return Program(bench, "bench-read", *args)


def lines_command(bench, count, rate=0):
    """The program that Liongate and the raw one run: it writes lines."""
    args = ["--count", count, "--bytes", BYTES, "--rate", rate]
    return [bench.program("bench-lines")] + [str(arg) for arg in args]


def cpu_ns(pid):
    """What a process that runs has taken of the processors so far, all its threads together."""
    taken = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            taken += int(file.read().split()[0])
    return taken


# --- Liongate ----------------------------------------------------------------------------------


def mocks(bench):
    """The spawns of a work's events, made by mock agents."""
    size = bench.size
    options = {"chunks": size["events"] // size["agents"], "delay_ms": 0, "chunk_bytes": BYTES}
    spawn = {"prompt": "p", "options": options}
    return [make_request("agent.spawn", spawn, f"mock-{n}") for n in range(size["agents"])]


def programs(bench, rate=0):
    """The same, made by programs."""
    size = bench.size
    argv = lines_command(bench, size["events"] // size["agents"], rate)
    spawn = {"prompt": "", "backend": "exec", "options": {"argv": argv, "chunking": "line"}}
    return [make_request("agent.spawn", spawn, f"exec-{n}") for n in range(size["agents"])]


def check_stats(client, events, agents):
    """That the log has all of it, and nobody failed."""
    stats = client.call("events.stats", timeout=ROUND_SECONDS)
    if stats["chunks"] != events or stats["bytes"] != events * BYTES or stats["agents"]["spawned"] != agents:
        raise Wrong(f"not what was asked for: {stats}")


def measured(result, began_ns, server_ns):
    """What the reader says, completed: when all began, and what the server took of the processors."""
    return {**result, "began_ns": began_ns, "server_ns": server_ns}


def liongate(bench, spawns, **options):
    """A daemon with its defaults; all begins with the first spawn."""
    size = bench.size
    with Daemon(f"--max-running={max(1024, len(spawns))}") as daemon:
        daemon.start()
        client = daemon.client()
        with reader(bench, "lines", daemon.socket, size["events"], size["subscribers"], **options) as reading:
            reading.wait_word("ready")
            before_ns, began_ns = cpu_ns(daemon.pid), time.monotonic_ns()
            client.send(*spawns)
            result = measured(reading.result(), began_ns, cpu_ns(daemon.pid) - before_ns)
        check_stats(client, size["events"], size["agents"])
        return result


# --- peers -------------------------------------------------------------------------------------


def peer(bench, server, writes, reads, rate=0, **options):
    """The same of a peer: one connection writes, each subscriber has one of its own."""
    size = bench.size
    with server(bench) as running:
        with reader(bench, reads, running.address, size["events"], size["subscribers"], **options) as reading:
            reading.wait_word("ready")
            args = ["--kind", writes, "--address", running.address, "--count", size["events"], "--bytes", BYTES]
            args += ["--subscribers", size["subscribers"], "--rate", rate]
            before_ns = cpu_ns(running.pid)
            with Program(bench, "bench-write", *args) as writing:
                result = reading.result()
                server_ns = cpu_ns(running.pid) - before_ns
                return measured(result, writing.result()["begin_ns"], server_ns)


redis_channel = functools.partial(peer, server=peers.redis, writes="redis-publish", reads="redis-channel")
redis_stream = functools.partial(peer, server=peers.redis, writes="redis-xadd", reads="redis-stream")
jetstream = functools.partial(peer, server=peers.nats, writes="jetstream", reads="jetstream")


def raw(bench, mode, pipes=(), **options):
    size = bench.size
    with bench.temp_dir() as directory:
        path = os.path.join(directory, "raw.sock")
        args = ["--mode", mode, "--socket", path, "--log", os.path.join(directory, "log"), "--bytes", BYTES]
        args += ["--count", size["events"], "--subscribers", size["subscribers"]]
        if pipes:
            args += ["--pipes", ",".join(str(fd) for fd in pipes)]
        with Program(bench, "bench-raw", *args, pass_fds=pipes) as server:
            server.wait_word("listening")
            with reader(bench, "lines", path, size["events"], size["subscribers"], **options) as reading:
                reading.wait_word("ready")
                result = reading.result()
            said = server.result()
            return measured(result, said["begin_ns"], said["cpu_ns"])


def raw_programs(bench, rate=0, **options):
    """The same programs as Liongate's agents, each at the other end of a pipe."""
    size = bench.size
    with contextlib.ExitStack() as stack:
        pipes = []
        for _ in range(size["agents"]):
            command = lines_command(bench, size["events"] // size["agents"], rate)
            writing = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            pipes.append(writing.stdout.fileno())
        return raw(bench, "pipes", pipes, **options)


# --- works: durable stream, fan-out, latency ---------------------------------------------------


def rate_of(run):
    """Messages that were delivered, all subscribers together, for each second that it took."""
    return lambda bench: rate(run(bench))


def rate(result):
    return {
        "rate": result["messages"] * SECOND / (result["last_ns"] - result["began_ns"]),
        "cpu": result["server_ns"] / result["messages"],
    }


def delay_of(run):
    def delays(bench):
        result = run(bench)
        return {"p50": result["p50_us"], "p99": result["p99_us"]}

    return delays


CPU = "the server's processor time"
EVENTS_RATE = [Metric("rate", "events/s"), Metric("cpu", "ns/event", "lower", CPU)]
STREAM_PEERS = [
    Contender("redis", "Redis Streams", rate_of(redis_stream)),
    Contender("jetstream", "NATS JetStream", rate_of(jetstream)),
]
STREAM_GOALS = [Goal("rate", 5, of="redis"), Goal("rate", 5, of="jetstream"), Goal("rate", 0.4, of="raw")]

STREAMS = [
    Work(
        name="stream-mock",
        title="Durable stream: 100 mock agents, one subscriber",
        metrics=EVENTS_RATE,
        contenders=[
            Contender(OURS, "Liongate", rate_of(lambda bench: liongate(bench, mocks(bench)))),
            *STREAM_PEERS,
            Contender("raw", "raw: append, sendfile", rate_of(lambda bench: raw(bench, "made"))),
        ],
        goals=[*STREAM_GOALS, Goal("rate", 1e6)],
        full={"events": 1_000_000, "agents": 100, "subscribers": 1},
        smoke={"events": 10_000, "agents": 100, "subscribers": 1},
    ),
    Work(
        name="stream-exec",
        title="Durable stream: four programs that write lines, one subscriber",
        metrics=EVENTS_RATE,
        contenders=[
            Contender(OURS, "Liongate", rate_of(lambda bench: liongate(bench, programs(bench)))),
            *STREAM_PEERS,
            Contender("raw", "raw: four pipes, append, sendfile", rate_of(raw_programs)),
        ],
        goals=STREAM_GOALS,
        full={"events": 1_000_000, "agents": 4, "subscribers": 1},
        smoke={"events": 10_000, "agents": 4, "subscribers": 1},
    ),
]


def fan_out(subscribers, events):
    one = subscribers == 1
    goals = [Goal("rate", 4 if one else 8, of="redis"), Goal("rate", 0.6, of="raw")]
    return Work(
        name=f"fan-out-{subscribers}",
        title=f"Fan-out to {subscribers:,} subscriber{'' if one else 's'}",
        metrics=[Metric("rate", "messages/s"), Metric("cpu", "ns/message", "lower", CPU)],
        contenders=[
            Contender(OURS, "Liongate", rate_of(lambda bench: liongate(bench, mocks(bench)))),
            Contender("redis", "Redis PUBLISH", rate_of(redis_channel)),
            Contender("raw", "raw: append, sendfile", rate_of(lambda bench: raw(bench, "made"))),
            Contender("ring", "raw: ring in memory", rate_of(lambda bench: raw(bench, "ring"))),
        ],
        goals=goals if one else [*goals, Goal("rate", 1, of="ring")],
        full={"events": events, "agents": 20, "subscribers": subscribers},
        smoke={"events": 400, "agents": 20, "subscribers": subscribers},
    )


FAN_OUTS = [fan_out(1, 1_000_000), fan_out(10, 400_000), fan_out(100, 60_000), fan_out(1000, 5_000)]

RATE = 10_000
LATENCY = Work(
    name="latency",
    title="Latency at 10,000 events/s, to ten subscribers",
    metrics=[Metric("p50", "µs", "lower", "median"), Metric("p99", "µs", "lower", "99th percentile")],
    contenders=[
        Contender(OURS, "Liongate", delay_of(lambda bench: liongate(bench, programs(bench, RATE), stamps=1))),
        Contender("redis", "Redis Streams", delay_of(functools.partial(redis_stream, rate=RATE, stamps=1))),
        Contender("raw", "raw: pipe, append, send", delay_of(lambda bench: raw_programs(bench, RATE, stamps=1))),
    ],
    goals=[Goal("p50", 3, of="raw"), Goal("p50", 1, of="redis")],
    full={"events": 40_000, "agents": 1, "subscribers": 10},
    smoke={"events": 1_000, "agents": 1, "subscribers": 10},
)


# --- replay ------------------------------------------------------------------------------------


@contextlib.contextmanager
def old_log(bench):
    """A daemon that was started on a log of that size, and the id of one of its agents. All of them ran at once, so
    that one's events lie among all the others'."""
    size = bench.size
    with Daemon("--max-running=1024") as daemon:
        daemon.start()
        client = daemon.client()
        client.call("events.subscribe", types=["AgentCompleted"])
        client.send(*mocks(bench))
        ended = [client.wait_note("event", timeout=ROUND_SECONDS)[0] for _ in range(size["agents"])]
        check_stats(client, size["events"], size["agents"])
        daemon.restart()
        yield daemon, ended[len(ended) // 2]["agent_id"]


def replay(bench):
    daemon, agent_id = bench.fixture
    size = bench.size
    before_ns = cpu_ns(daemon.pid)
    with reader(bench, "lines", daemon.socket, size["events"], params='"after":0') as reading:
        reading.wait_word("ready")
        result = reading.result()
    result["server_ns"] = cpu_ns(daemon.pid) - before_ns
    chunks = size["events"] // size["agents"]
    params = f'"after":0,"agents":["{agent_id}"]'
    with reader(bench, "lines", daemon.socket, chunks, params=params, filtered=1) as reading:
        reading.wait_word("ready")
        one = reading.result()
    return {**rate(result), "one": (one["last_ns"] - one["began_ns"]) / 1e6}


def raw_replay(bench):
    daemon, _ = bench.fixture
    events = bench.size["events"]
    with bench.temp_dir() as directory:
        path = os.path.join(directory, "raw.sock")
        with Program(bench, "bench-raw", "--mode", "replay", "--socket", path, stdin=subprocess.PIPE) as server:
            server.wait_word("listening")
            server.process.stdin.write("".join(name + "\n" for name in daemon.log_files()).encode())
            server.process.stdin.close()
            server.process.stdin = None
            with reader(bench, "lines", path, events, params='"after":0') as reading:
                reading.wait_word("ready")
                result = reading.result()
            return rate({**result, "server_ns": server.result()["cpu_ns"]})


REPLAY = Work(
    name="replay",
    title="Replay of 10,000,000 events, and of one agent's 10,000 out of them",
    metrics=[
        Metric("rate", "events/s", title="all"),
        Metric("cpu", "ns/event", "lower", CPU),
        Metric("one", "ms", "lower", "one agent's"),
    ],
    contenders=[
        Contender(OURS, "Liongate", replay),
        Contender("raw", "raw: sendfile of the files", raw_replay),
    ],
    goals=[Goal("rate", 0.8, of="raw"), Goal("one", 50)],
    full={"events": 10_000_000, "agents": 1000, "subscribers": 1},
    smoke={"events": 20_000, "agents": 100, "subscribers": 1},
    fixture=old_log,
)

WORKS = [*STREAMS, *FAN_OUTS, LATENCY, REPLAY]
CHARTS = [
    Chart(
        name="fan-out",
        title="Fan-out: messages delivered, all subscribers together",
        metric="rate",
        axis="subscribers",
        works={work.name: work.full["subscribers"] for work in FAN_OUTS},
    )
]
