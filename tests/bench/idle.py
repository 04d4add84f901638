"""What a daemon costs that has nothing to do, and how soon one is there."""

import contextlib
import glob
import os
import time

import harness
import load
import peers
from core import OURS, Contender, Goal, Metric, Missing, Work, Wrong

MIB = 1024
RUNNING = 100  # agents, when a daemon is killed


# --- doing nothing -----------------------------------------------------------------------------


@contextlib.contextmanager
def idle_liongate(_):
    with harness.Daemon() as daemon:
        daemon.start()
        yield daemon.pid


@contextlib.contextmanager
def idle_redis(bench):
    with peers.redis(bench) as server:
        yield server.pid


def processes(pid):
    return [pid, *harness.descendants(pid)]


def wakeups(pid):
    """How often any thread of it, or of its children, has gone to sleep."""
    count = 0
    for path in [path for process in processes(pid) for path in glob.glob(f"/proc/{process}/task/*/status")]:
        with open(path, encoding="ascii", errors="replace") as file:
            count += next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return count


@contextlib.contextmanager
def watched_idle(bench):
    """All have nothing to do, at the same time; what wakes up nevertheless. {contender: wake-ups}"""
    with contextlib.ExitStack() as stack:
        pids = {OURS: stack.enter_context(idle_liongate(bench))}
        with contextlib.suppress(Missing):
            pids["redis"] = stack.enter_context(idle_redis(bench))
        time.sleep(bench.size["settle_seconds"])
        before = {key: wakeups(pid) for key, pid in pids.items()}
        time.sleep(bench.size["seconds"])
        counts = {key: wakeups(pid) - before[key] for key, pid in pids.items()}
    yield counts


def stripped_kib(bench, pid):
    """The program that a process runs."""
    with bench.temp_dir() as path:
        copy = os.path.join(path, "stripped")
        bench.run(["strip", "-o", copy, os.path.realpath(f"/proc/{pid}/exe")])
        return os.path.getsize(copy) / 1024


def idle_runner(key, start):
    def run(bench):
        with start(bench) as pid:
            time.sleep(bench.size["settle_seconds"])
            anon = [harness.rss_anon_kib(process) for process in processes(pid)]
            return {
                "rss": harness.status_kib(pid, "VmRSS") / MIB,
                "anon": anon[0] / MIB,
                "anon_all": sum(anon) / MIB,
                "wakeups": bench.fixture[key],
                "size": stripped_kib(bench, pid),
            }

    return run


# --- starting ----------------------------------------------------------------------------------


@contextlib.contextmanager
def long_log(bench):
    """A daemon that has a long log, and has stopped."""
    agents = bench.size["agents"]
    with harness.Daemon(f"--max-queued={agents}") as daemon:
        daemon.start()
        options = {"chunks": bench.size["chunks"], "delay_ms": 0}
        load.spawn(bench, daemon, agents, {"prompt": "p", "options": options})
        client = daemon.client()
        load.wait_catalog(daemon, client)
        if load.newest_seq(client) < agents * bench.size["chunks"]:
            raise Wrong("the log is too short")
        daemon.stop()
        yield daemon


def seconds_to_start(daemon):
    began = time.monotonic()
    daemon.start()
    return time.monotonic() - began


def failed_agents(client):
    return client.call("daemon.status")["agents"]["failed"]


def measure_starts(daemon):
    """Of a daemon that has stopped in order. Leaves it so."""
    clean = seconds_to_start(daemon)
    client = daemon.client()
    failed = failed_agents(client)
    client.call("events.subscribe", types=["AgentStarted"])
    for _ in range(RUNNING):
        client.spawn(options={"chunks": 1_000_000, "delay_ms": 100})
    for _ in range(RUNNING):
        client.wait_event(lambda e: True)
    load.wait_catalog(daemon, client)
    daemon.kill()
    killed = seconds_to_start(daemon)
    load.expect("agents that were cut off", failed_agents(daemon.client()) - failed, RUNNING)
    daemon.stop()
    return {"clean": clean * 1000, "killed": killed * 1000}


def start_long(bench):
    return measure_starts(bench.fixture)


def start_empty(_):
    with harness.Daemon() as daemon:
        daemon.start()
        daemon.stop()
        return measure_starts(daemon)


WORKS = [
    Work(
        name="idle",
        title="a daemon that has nothing to do",
        metrics=[
            Metric("rss", "MiB", "lower", "RSS"),
            Metric("anon", "MiB", "lower", "anonymous memory"),
            Metric("anon_all", "MiB", "lower", "anonymous memory of all its processes"),
            Metric("wakeups", "a minute", "lower", "wake-ups"),
            Metric("size", "KiB", "lower", "the program, stripped"),
        ],
        contenders=[
            Contender(OURS, "Liongate", idle_runner(OURS, idle_liongate)),
            Contender("redis", "redis-server", idle_runner("redis", idle_redis)),
        ],
        goals=[Goal("rss", 6), Goal("anon", 2), Goal("wakeups", 0)],
        fixture=watched_idle,
        full={"seconds": 60, "settle_seconds": 3},
        smoke={"seconds": 1, "settle_seconds": 0.5},
        note="Wake-ups are counted over one minute, once.",
    ),
    Work(
        name="start",
        title="from exec to ready, with 10 M events in the log",
        metrics=[
            Metric("clean", "ms", "lower", "after a clean stop"),
            Metric("killed", "ms", "lower", f"after kill -9 with {RUNNING} agents running"),
        ],
        contenders=[
            Contender(OURS, "Liongate, 10 M events", start_long),
            Contender("empty", "Liongate, an empty log", start_empty),
        ],
        goals=[Goal("clean", 2, of="empty"), Goal("killed", 2, of="empty")],
        fixture=long_log,
        full={"agents": 10_000, "chunks": 1000},
        smoke={"agents": 100, "chunks": 10},
        note="What was read or written before is in the page cache.",
    ),
]
