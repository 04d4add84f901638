"""Many agents alive at once, each at a rhythm of its own."""

import select

import harness
from core import OURS, Contender, Goal, Metric, Work, Wrong
from stream import Program

SAMPLE_SECONDS = 0.25


def highest_anon_kib(pid, process):
    """Looks at the daemon's memory until the process has something to say."""
    highest = 0
    while True:
        highest = max(highest, harness.rss_anon_kib(pid))
        if select.select([process.stdout], [], [], SAMPLE_SECONDS)[0]:
            return highest


def run_many(bench):
    size = bench.size
    with harness.Daemon(f"--max-running={size['agents']}", f"--max-queued={size['agents']}") as daemon:
        daemon.start()
        options = [word for name in ("agents", "chunks", "delay-ms") for word in (f"--{name}", size[name])]
        with Program(bench, "rhythm-load", "--socket", daemon.socket, *options) as program:
            program.wait_word("alive")
            kib = highest_anon_kib(daemon.pid, program.process)
            said = program.result()
    if said["judged"] < size["agents"]:
        raise Wrong(f"only {said['judged']} chunks came while all were alive")
    return {
        "late_p99": said["late_p99_ms"],
        "late_p50": said["late_p50_ms"],
        "late_max": said["late_max_ms"],
        "gap_p99": said["gap_p99_ms"],
        "anon": kib / size["agents"],
    }


WORKS = [
    Work(
        name="many",
        title="100,000 mock agents alive at once, one chunk each a second",
        metrics=[
            Metric("late_p99", "ms", "lower", "lateness p99"),
            Metric("late_p50", "ms", "lower", "lateness p50"),
            Metric("late_max", "ms", "lower", "lateness, the worst"),
            Metric("gap_p99", "ms", "lower", "lateness after the chunk before, p99"),
            Metric("anon", "KiB an agent", "lower", "anonymous memory of the daemon"),
        ],
        contenders=[Contender(OURS, "Liongate", run_many)],
        goals=[Goal("late_p99", 100), Goal("anon", 1.5)],
        full={"agents": 100_000, "chunks": 12, "delay-ms": 1000},
        smoke={"agents": 1000, "chunks": 20, "delay-ms": 500},
    )
]
