"""Agents that end as soon as they have begun: what it costs to accept, start, log and remember one."""

import time

import harness
import load
from core import OURS, Contender, Goal, Metric, Work
from stream import cpu_ns

SHORT = {"prompt": "p", "options": {"chunks": 1, "delay_ms": 0}}
FOR_EVER_MS = 24 * 3600 * 1000


def run_burst(bench):
    agents = bench.size["agents"]
    with harness.Daemon(f"--max-queued={agents}") as daemon:
        daemon.start()
        before_ns = cpu_ns(daemon.pid)
        said = load.spawn(bench, daemon, agents, SHORT)
        cpu_us = (cpu_ns(daemon.pid) - before_ns) / 1000
        load.expect("chunks", said["chunks"], agents)
    return {"rate": agents / said["ended_s"], "cpu": cpu_us / agents}


def run_sustained(bench):
    agents = bench.size["agents"]
    with harness.Daemon(f"--max-queued={agents}") as daemon:
        daemon.start()
        client = daemon.client()
        began = time.monotonic()
        load.spawn(bench, daemon, agents, SHORT)
        behind = load.wait_catalog(daemon, client)
        seconds = time.monotonic() - began
        rows = load.ask_catalog(daemon, "SELECT count(*) FROM agents WHERE ended_us > 0")
        load.expect("agents that the catalog knows to have ended", rows, agents)
    return {"rate": agents / seconds, "behind": behind}


def run_queue(bench):
    """None of them can start, for one that stays has the only place of their group."""
    fifth = bench.size["agents"] // 5
    held = {**SHORT, "group": "held"}
    costs = []
    with harness.Daemon(f"--max-queued={fifth * 5}", "--group.held.max-running=1") as daemon:
        daemon.start()
        client = daemon.client()
        client.spawn(group="held", options={"chunks": 1, "delay_ms": FOR_EVER_MS})
        for agents in (fifth, 3 * fifth, fifth):
            before_ns = cpu_ns(daemon.pid)
            load.spawn(bench, daemon, agents, held, until_ended=False)
            load.wait_catalog(daemon, client)
            costs.append((cpu_ns(daemon.pid) - before_ns) / 1000 / agents)
        load.expect("agents that wait", client.call("daemon.status")["agents"]["queued"], fifth * 5)
    first, _, last = costs
    return {"first": first, "last": last, "growth": last / first}


WORKS = [
    Work(
        name="spawn-burst",
        title="100,000 mock agents at once, one chunk each, from the first spawn to the last end",
        metrics=[
            Metric("rate", "agents/s"),
            Metric("cpu", "µs an agent", "lower", "processor time of the daemon"),
        ],
        contenders=[Contender(OURS, "Liongate", run_burst)],
        goals=[Goal("rate", 60_000)],
        full={"agents": 100_000},
        smoke={"agents": 1000},
    ),
    Work(
        name="spawn-sustained",
        title="500,000 of them, until the catalog knows all",
        metrics=[
            Metric("rate", "agents/s"),
            Metric("behind", "s", "lower", "the catalog knew all, after the last end"),
        ],
        contenders=[Contender(OURS, "Liongate", run_sustained)],
        goals=[Goal("rate", 40_000)],
        full={"agents": 500_000},
        smoke={"agents": 1000},
    ),
    Work(
        name="spawn-queue",
        title="the 100,000th agent in the queue costs what the first did",
        metrics=[
            Metric("growth", "×", "lower", "the last fifth to the first"),
            Metric("first", "µs an agent", "lower", "processor time for the first fifth"),
            Metric("last", "µs an agent", "lower", "processor time for the last fifth"),
        ],
        contenders=[Contender(OURS, "Liongate", run_queue)],
        goals=[Goal("growth", 1.2)],
        full={"agents": 100_000},
        smoke={"agents": 1000},
    ),
]
