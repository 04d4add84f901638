"""Clients that misbehave, each kind in a process of its own, beside one that behaves and notices nothing.

The short form checks that everything works beside them, and that descriptors and memory go back. The long one prints
how the p99 of the one that behaves compares with its quiet value, the hostile ones on one core, daemon and probe on
another."""

import json
import select
import signal
import statistics
import time
import unittest

from base import *

KIB = 1024
MIB = 1024 * KIB
CROWD = amount(300, 1000) if harness.SCALE > 1 else 1000
LINES = 10000
PROBES = amount(25, 500)
TURNS = 5
# What the daemon may have in use after a kind of clients has come a second time, above what it had after the first.
KEPT_BYTES = 256 * KIB


# --- the hostile ones ----------------------------------------------------------------------------
# Each yields when it has done one round of its kind, as often as it is asked to.


def crowd(connect, _):
    """A thousand at once, all of which ask and subscribe."""
    while True:
        clients = [connect() for _ in range(CROWD)]
        for client in clients:
            client.request("daemon.status")
            client.request("events.subscribe")
        for client in clients:
            assert client.result(1)["protocol"] == 1
            client.result(2)
        yield
        for client in clients:
            client.close()


def vanishing(connect, agent):
    """They connect, ask or begin to, and are gone."""
    asked = [dumps(make_request(*what)).encode() for what in (
        ("daemon.status", None, 1),
        ("events.subscribe", {"after": 0}, 1),
        ("agent.wait", {"agent_id": agent}, 1),
        ("agent.output", {"agent_id": agent}, 1),
        ("events.stats", None, 1),
    )]
    while True:
        for i in range(500):
            client = connect()
            line = asked[i % len(asked)] + b"\n"
            client.send_raw(line if i % 2 else line[: i % len(line)])
            client.close()
        yield


def halves(connect, _):
    """Half a line, for ever."""
    clients = [connect() for _ in range(CROWD)]
    for i, client in enumerate(clients):
        client.send_raw(b'{"jsonrpc":"2.0","id":1,"method":"agent.spawn","params":{"prompt":"' + b"x" * (i * 7 % 4096))
    while True:
        yield 0.05
        assert all(client.silent() for client in clients)


def bytewise(connect, _):
    """A byte at a time."""
    clients = [connect() for _ in range(20)]
    line = dumps(STATUS).encode() + b"\n"
    while True:
        for i in range(len(line)):
            for client in clients:
                client.send_raw(line[i : i + 1])
        for client in clients:
            assert client.result(1)["protocol"] == 1
        yield


def garbage(connect, _):
    """4 MiB of it and more, as one line and as many."""
    chance = random.Random(SEED)
    data = chance.randbytes(4 * MIB + 1)
    while True:
        client = connect()
        whole = data.replace(b"\n", b"x")
        try:
            client.send_raw(whole)
        except (BrokenPipeError, ConnectionResetError):
            pass
        check_error(client.read_message(), "line_too_long")
        client.expect_eof()
        client.close()
        # Each line is answered: whoever does not read is not read from, so there is no sending of all of it at once.
        client = connect()
        lines = [line for line in data.split(b"\n") if line.strip(b" \t\r")][:2000]
        for i in range(0, len(lines), 100):
            client.send_raw(b"\n".join(lines[i : i + 100]) + b"\n")
            for _ in lines[i : i + 100]:
                # A few bytes of chance may well be JSON: a number.
                reason = client.read_message()["error"]["data"]["reason"]
                assert reason in ("parse_error", "invalid_request"), reason
        client.close()
        yield


def deaf(connect, _):
    """They ask for much and never read: what is replied is bounded, and so is what is read from them."""
    request = dumps(make_request("rpc.discover", None, 1)).encode() + b"\n"
    while True:
        clients = [connect() for _ in range(20)]
        for client in clients:
            client.sock.setblocking(False)
            sent = 0
            while select.select([], [client.sock], [], 0.02)[1]:
                sent += client.sock.send(request * 100)
                assert sent < 16 * MIB, "it is read from for ever"
        yield
        for client in clients:
            client.close()


def stopped(connect, _):
    """They subscribe to everything from the beginning and stop, with as small a socket as there is."""
    while True:
        clients = [connect(rcvbuf=1) for _ in range(100)]
        for client in clients:
            client.request("events.subscribe", after=0)
        for client in clients:
            client.result(1)
        yield 0.5
        for client in clients:
            client.close()


def pipelined(connect, agent):
    """Ten thousand requests in one go."""
    ask = [("daemon.status", None), ("agent.get", {"agent_id": agent}), ("nothing.such", None)]
    data = b"".join(dumps(make_request(*ask[i % 3], i)).encode() + b"\n" for i in range(LINES))
    while True:
        client = connect()
        client.sock.setblocking(False)
        left, got = memoryview(data), b""
        while got.count(b"\n") < LINES if len(got) > LINES * 100 else True:
            readable, writable, _ = select.select([client.sock], [client.sock] if left else [], [], TIMEOUT)
            assert readable or writable, "nothing moves"
            if writable:
                left = left[client.sock.send(left[: 256 * KIB]) :]
            if readable:
                got += client.sock.recv(MIB)
        replies = [parse_strict(line) for line in got.split(b"\n")[:-1]]
        assert sorted(reply["id"] for reply in replies) == list(range(LINES))
        assert all(("error" in reply) == (reply["id"] % 3 == 2) for reply in replies)
        client.close()
        yield


HOSTILE = (crowd, vanishing, halves, bytewise, garbage, deaf, stopped, pipelined)


def patient(path, **kwargs):
    """A connection, though so many want one that some have to wait for theirs."""
    while True:
        try:
            return Client(path, **kwargs)
        except BlockingIOError:
            select.select([], [], [], 0.001)


def misbehave(name, path, agent):
    """What the process of a kind does: round after round until its standard input ends; a line after the first."""
    rounds = next(kind for kind in HOSTILE if kind.__name__ == name)(lambda **kwargs: patient(path, **kwargs), agent)
    first = True
    for pause in rounds:
        if first:
            print("up", flush=True)
            first = False
        if select.select([sys.stdin], [], [], pause or 0)[0]:
            break


# --- the one that behaves ------------------------------------------------------------------------


def two_cores():
    """(of the hostile, of the daemon and the probe); None where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else None


def pin(pid, core):
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), {core})


class Beside(DaemonCase):
    args = ("--retain-bytes=8MiB", "--segment-bytes=1MiB", "--max-clients=3000")

    def setUp(self):
        super().setUp()
        self.agent = self.client.spawn(options={"chunks": 100, "delay_ms": 0, "chunk_bytes": 1000})
        self.client.wait(self.agent)

    def hostile(self, name):
        """Such a process, once it has done a round."""
        process = subprocess.Popen(
            [PYTHON, os.path.abspath(__file__), "--hostile", name, self.daemon.socket, self.agent],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "LIONGATE_FAULTS_SEED": str(SEED)},
        )
        harness._ours.add(process.pid)
        self.addCleanup(process.kill)
        ready = select.select([process.stdout], [], [], TIMEOUT * 3)[0]
        self.assertEqual(process.stdout.readline() if ready else b"", b"up\n", f"{name} did not get through its round")
        return process

    def over(self, process):
        process.stdin.close()
        self.assertEqual(process.wait(TIMEOUT * 3), 0)
        process.stdout.close()
        harness._ours.discard(process.pid)

    def probe(self, n=PROBES):
        """Spawns, follows, reads to the end, asks; each in order and whole. The seconds that each took."""
        took = []
        for i in range(n):
            began = time.monotonic()
            agent = self.client.call("agent.spawn", prompt=f"{i}", options={"chunks": 2, "delay_ms": 0}, follow=True)
            events, _ = self.client.until_end()
            took.append(time.monotonic() - began)
            kinds = [event["type"].removeprefix("Agent") for event in events]
            self.assertEqual(kinds, ["Spawned", "Started", "PartialOutput", "PartialOutput", "Completed"])
            self.assertEqual({event["agent_id"] for event in events}, {agent["agent_id"]})
        return took


class Unnoticed(Beside):
    """Right and whole; descriptors and memory as before."""

    def make_daemon(self):
        daemon = super().make_daemon()
        # What the allocator keeps of what was freed is its own matter, and not the same each time.
        self.injector = Injector(daemon) if is_possible() else None
        return daemon

    def beside(self, name):
        """A round of it with the probe beside; the bytes in use when it is gone."""
        before = self.daemon.fd_census()
        process = self.hostile(name)
        self.probe()
        self.over(process)
        eventually(lambda: self.daemon.fd_census() == before, f"descriptors as before: {before}")
        self.probe(1)  # what is spare is freed with the sync of the last event
        return self.injector.in_use if self.injector else 0

    def check(self, name):
        # Where memory is looked at: until the end of the log that is kept in it, and the agents there, are as many as
        # they will be.
        self.probe(6 * PROBES if self.injector else 10)
        first = self.beside(name)
        self.beside(name)
        if self.injector:
            self.assertGreater(first, 0, "nothing is counted")
            eventually(lambda: self.injector.in_use - first < KEPT_BYTES, f"{name}: memory goes back to {first} bytes")


class P99(Beside):
    """Printed, beside its quiet value."""

    def check(self, name):
        if not two_cores():
            self.skipTest("one core")
        theirs, ours = two_cores()
        pin(os.getpid(), ours)
        self.addCleanup(os.sched_setaffinity, 0, {theirs, ours})
        for pid in (self.daemon.pid, *harness.children(self.daemon.pid)):
            pin(pid, ours)
        quiet, beside = [], []
        for _ in range(TURNS):
            quiet.append(p99(self.probe()))
            process = self.hostile(name)
            pin(process.pid, theirs)
            beside.append(p99(self.probe()))
            self.over(process)
        a, b = statistics.median(quiet), statistics.median(beside)
        report(
            f"clients {name}: p99 quiet {a:.2f} ms ({min(quiet):.2f}-{max(quiet):.2f}), "
            f"beside {b:.2f} ms ({min(beside):.2f}-{max(beside):.2f}), {b / a:.1f} x"
        )


def p99(seconds):
    return sorted(seconds)[len(seconds) * 99 // 100] * 1e3


def add_tests(case):
    for kind in HOSTILE:
        setattr(case, f"test_{kind.__name__}", lambda self, name=kind.__name__: self.check(name))


add_tests(Unnoticed)
if LONG:
    add_tests(P99)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--hostile"]:
        misbehave(*sys.argv[2:])
    else:
        main()
