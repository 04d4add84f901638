"""What soak.sh runs: mixed load on a daemon that prunes, looked at from outside. Usage: soak.py MINUTES SVG"""

import os
import random
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True

import harness  # noqa: E402
from harness import RpcError  # noqa: E402

MIB = 1024 * 1024
SEED = int(os.environ.get("LIONGATE_FAULTS_SEED", random.randrange(1 << 30)))
ARGS = (
    "--retain-bytes=64MiB",
    "--segment-bytes=4MiB",
    "--kill-grace=200ms",
    "--max-running=150",
    "--max-queued=5000",
)
SAMPLES = 600
CROWD = 25

EXEC = (
    {"argv": ["/bin/echo", "short"]},
    {"argv": ["/bin/sh", "-c", "seq 3000; exit 3"]},
    {"argv": ["/bin/sh", "-c", "seq 2000 >&2; kill -9 $$"], "chunking": "line"},
    {"argv": ["/bin/sh", "-c", "setsid sleep 1000 & exec sleep 1000"]},
    {"argv": ["/bin/cat"], "stdin": "open"},
    {"argv": ["/no/such/program"]},
)


class Load(threading.Thread):
    """Does one thing again and again until all is over. A failure is kept."""

    failures = []
    over = threading.Event()

    def __init__(self, daemon, once):
        super().__init__(daemon=True)
        self.home = daemon
        self.once = once
        self.chance = random.Random(SEED + len(threading.enumerate()))
        self.start()

    def run(self):
        try:
            while not self.over.is_set():
                self.once(self)
        except Exception as e:
            if not self.over.is_set():
                self.failures.append(e)
                self.over.set()

    def allow(self, reasons, call, **params):
        """A call that may be too late."""
        try:
            return call(**params)
        except RpcError as e:
            if e.reason not in reasons:
                raise
            return None


def spawn(load, client, i):
    chance = load.chance
    params = {"prompt": f"{i}", "labels": {"third": str(i % 3)}, "priority": chance.randrange(3)}
    if chance.random() < 0.2:
        params["timeouts"] = {"total_ms": chance.randint(1, 300)}
    if chance.random() < 0.3:
        return client.spawn(**params, backend="exec", options=chance.choice(EXEC))
    options = {"chunks": chance.randint(0, 100), "delay_ms": chance.choice((0, 1, 10))}
    return client.spawn(**params, options={**options, "chunk_bytes": chance.randint(1, 2000)})


def churn(load):
    """Agents of all kinds, from their spawn to their end, and what is asked about them."""
    with load.home.client() as client:
        agents = [spawn(load, client, i) for i in range(CROWD)]
        # All that do not end by themselves are among these.
        for agent in agents:
            if load.chance.random() < 0.3:
                late = ("not_running", "queue_full")
                load.allow(late, client.call, method="agent.send", agent_id=agent, data="x\n", eof=True)
        for agent in agents:
            load.allow(("timeout", "not_found"), client.call, method="agent.wait", agent_id=agent, timeout_ms=200)
            load.allow(("not_running", "not_found"), client.call, method="agent.cancel", agent_id=agent)
            load.allow(("pruned", "not_found"), client.call, method="agent.output", agent_id=agent)
        client.call("agent.list", limit=load.chance.randint(1, 1000))
        client.call("events.stats")
        load.allow(("pruned",), client.call, method="events.read", limit=1000)


def drain(load, pause=None, **kwargs):
    with load.home.client(**kwargs) as client:
        client.request("events.subscribe", after=0)
        while not load.over.is_set() and client.sock.recv(MIB if pause is None else 4096):
            if pause is not None:
                load.over.wait(pause)


def live(load):
    drain(load)


def slow(load):
    """Retention overtakes it again and again."""
    drain(load, 0.05, rcvbuf=4096)


def comer(load):
    """Subscribes in some way, reads a little, and is gone."""
    ways = ({"after": 0}, {"last": 500}, {"labels": {"third": "1"}, "after": 0}, {"types": ["AgentError"]})
    params = load.chance.choice(ways)
    with load.home.client() as client:
        client.request("events.subscribe", **params)
        for _ in range(load.chance.randrange(5)):
            client.sock.recv(64 * 1024)
        if load.chance.random() < 0.5:
            client.request("events.unsubscribe")
        else:
            client.send_raw(b'{"jsonrpc":"2.0",')
    load.over.wait(0.05)


LOADS = (churn, churn, churn, live, slow, comer)


def files_bytes(directory):
    total = 0
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(path, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


# name, unit, what may be more in the last third than in the one before
CURVES = (
    ("RssAnon", "MiB", 1.0),
    ("descriptors", "", 10.0),
    ("disk", "MiB", 8.0),
)


def sample(daemon):
    return (
        harness.rss_anon_kib(daemon.pid) / 1024,
        float(len(os.listdir(f"/proc/{daemon.pid}/fd"))),
        files_bytes(daemon.state) / MIB,
    )


def thirds(values):
    n = len(values) // 3
    return [statistics.median(part) for part in (values[:n], values[n : 2 * n], values[2 * n :])]


def svg(minutes, times, columns):
    """A panel for each curve, from zero up, so that flat looks flat."""
    width, height, left, top = 720, 150, 70, 28
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height * len(columns) + 30}" '
        'font-family="sans-serif" font-size="13">',
        "<style>text{fill:#24292f}.axis{stroke:#d0d7de}.curve{fill:none;stroke:#d97706;stroke-width:1.5}"
        "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.axis{stroke:#3d444d}}</style>",
    ]
    for i, ((name, unit, _), values) in enumerate(zip(CURVES, columns)):
        bottom = height * (i + 1) - 12
        most = max(values) * 1.1 or 1
        points = " ".join(
            f"{left + (width - left - 10) * t / times[-1]:.1f},{bottom - (bottom - height * i - top) * v / most:.1f}"
            for t, v in zip(times, values)
        )
        out += [
            f'<text x="{left}" y="{height * i + 18}">{name}{unit and f" ({unit})"}</text>',
            f'<line class="axis" x1="{left}" y1="{bottom}" x2="{width - 10}" y2="{bottom}"/>',
            f'<text x="{left - 8}" y="{bottom}" text-anchor="end">0</text>',
            f'<text x="{left - 8}" y="{height * i + top + 4}" text-anchor="end">{most:.4g}</text>',
            f'<polyline class="curve" points="{points}"/>',
        ]
    end = height * len(columns) + 12
    out.append(f'<text x="{width - 10}" y="{end}" text-anchor="end">{minutes:g} min</text></svg>')
    return "\n".join(out) + "\n"


def verdict(columns):
    flat = True
    for (name, unit, more), values in zip(CURVES, columns):
        first, middle, last = thirds(values)
        ok = last - middle <= max(more, middle * 0.05)
        flat &= ok
        word = "flat" if ok else "GROWS"
        print(f"{name}: medians of its thirds {first:.1f}, {middle:.1f}, {last:.1f} {unit}: {word}")
    return flat


def main(minutes, path):
    print(f"seed {SEED}", flush=True)
    rows, times = [], []
    with harness.Daemon(*ARGS) as daemon:
        daemon.start()
        began = time.monotonic()
        loads = [Load(daemon, once) for once in LOADS]
        while (now := time.monotonic() - began) < minutes * 60 and not Load.over.is_set():
            rows.append(sample(daemon))
            times.append(now)
            Load.over.wait(minutes * 60 / SAMPLES)
        with daemon.client() as client:
            status = client.call("daemon.status")
        Load.over.set()
        for load in loads:
            load.join(harness.TIMEOUT)
        if Load.failures:
            raise Load.failures[0]
        daemon.stop(harness.TIMEOUT * 3)
        check = [*harness.DAEMON, "--no-config", "--state-dir", daemon.state, "--check"]
        subprocess.run(check, check=True, stdout=subprocess.DEVNULL)
    columns = list(zip(*rows))
    with open(path, "w", encoding="utf-8") as f:
        f.write(svg(minutes, times, columns))
    log = status["log"]
    seconds = times[-1]
    print(
        f"{minutes:g} minutes, {log['newest_seq']} events ({log['newest_seq'] / seconds:.0f}/s), "
        f"{log['oldest_seq'] - 1} of them pruned, {len(rows)} samples; the curve is {path}"
    )
    return 0 if verdict(columns) else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2]))
