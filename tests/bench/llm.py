"""Language models: many streams at once, each at the rhythm of a fast model."""

import contextlib

import harness
from core import OURS, Contender, Goal, Metric, Work, Wrong
from many import highest_anon_kib
from stream import Program, cpu_ns


@contextlib.contextmanager
def provider(bench):
    """A server that waits for all streams; yields it and its port."""
    size = bench.size
    args = ["--streams", size["streams"], "--chunks", size["chunks"], "--interval-ms", size["interval-ms"]]
    with Program(bench, "llm-server", *args) as server:
        word, port = server.line().split()
        assert word == b"port", word
        yield server, int(port)


def judged(size, server, said, cpu):
    """What is measured, once all of it has come."""
    wanted = size["streams"] * size["chunks"]
    if said != {**said, "chunks": wanted} or server.result()["chunks"] != wanted:
        raise Wrong(f"{said['chunks']} chunks came, not {wanted}")
    return {
        "cpu": cpu / 1000 / wanted,
        "late_p50": said["late_p50_ms"],
        "late_p99": said["late_p99_ms"],
        "late_max": said["late_max_ms"],
    }


def run_ours(bench):
    size = bench.size
    with provider(bench) as (server, port):
        keys = {"kind": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "model": "m"}
        with harness.Daemon(
            f"--max-running={size['streams']}", *(f"--provider.bench.{key}={value}" for key, value in keys.items())
        ) as daemon:
            daemon.start()
            idle_kib, before_ns = harness.rss_anon_kib(daemon.pid), cpu_ns(daemon.pid)
            params = harness.dumps({"prompt": "p", "backend": "openai"})
            args = ["--agents", size["streams"], "--chunks", size["chunks"], "--params", params, "--stamped", 1]
            with Program(bench, "rhythm-load", "--socket", daemon.socket, *args) as reader:
                reader.wait_word("alive")
                kib = highest_anon_kib(daemon.pid, reader.process)
                said = reader.result()
            cpu = cpu_ns(daemon.pid) - before_ns
        result = judged(size, server, {**said, "chunks": said["judged"]}, cpu)
    return {**result, "anon": (kib - idle_kib) / 1024}


def run_raw(bench):
    size = bench.size
    with provider(bench) as (server, port):
        args = ["--port", port, "--streams", size["streams"], "--chunks", size["chunks"]]
        with Program(bench, "llm-raw", *args) as raw:
            said = raw.result()
        return judged(size, server, said, said["cpu_ns"])


WORKS = [
    Work(
        name="llm-streams",
        title="1,000 streams of a language model, 50 chunks a second each, for 30 seconds; one subscriber",
        metrics=[
            Metric("cpu", "µs a chunk", "lower", "processor time of the daemon"),
            Metric("late_p50", "ms", "lower", "after it was sent, p50"),
            Metric("late_p99", "ms", "lower", "after it was sent, p99"),
            Metric("late_max", "ms", "lower", "after it was sent, the worst"),
            Metric("anon", "MiB", "lower", "anonymous memory over the idle daemon's"),
        ],
        contenders=[Contender(OURS, "Liongate", run_ours), Contender("raw", "libcurl, libevent, json-c", run_raw)],
        goals=[Goal("cpu", 2.5, of="raw"), Goal("anon", 64)],
        full={"streams": 1000, "chunks": 1500, "interval-ms": 20},
        smoke={"streams": 50, "chunks": 20, "interval-ms": 20},
    )
]
