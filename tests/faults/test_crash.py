"""kill -9 at random moments while 20 agents stream to 3 subscribers.

After each restart the checker holds the daemon to the promises of its log, from nothing but what the
clients saw and what lies on disk. LIONGATE_CRASH_ROUNDS: how often."""

import select
import threading
import time
import unittest
import uuid

from base import *

ROUNDS = int(os.environ.get("LIONGATE_CRASH_ROUNDS", amount(50, 500)))
AGENTS = 20
LINES = "i=0; while [ $i -lt {n} ]; do i=$((i+1)); echo line $i of {n}; done"
FAR = 3600 * 24


class Subscriber(threading.Thread):
    """One that comes back after every death of the daemon with the last seq that it saw."""

    def __init__(self, daemon, name, **params):
        super().__init__(daemon=True)
        self.home = daemon
        self.label = name
        self.params = params
        self.cursor = 0
        self.client = None
        self.seen = 0
        self.progress = threading.Condition()

    def begin(self):
        """Subscribes on a new connection, and reads from it in a thread until it dies."""
        self.client = self.home.client(self.label)
        self.client.call("events.subscribe", after=self.cursor, **self.params)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            while (note := self.client.note(FAR)) is not None:
                with self.progress:
                    if note["method"] == "event":
                        self.seen += 1
                        self.cursor = note["params"]["seq"]
                    elif note["method"] in ("live", "end"):
                        self.cursor = max(self.cursor, note["params"]["seq"])
                    self.progress.notify_all()
        except OSError:
            pass

    def finish(self):
        """After the daemon's death: reads what the socket still holds."""
        self.thread.join(TIMEOUT)
        assert not self.thread.is_alive(), "a connection outlives its daemon"
        self.client.close()

    def wait_seen(self, n):
        with self.progress:
            return self.progress.wait_for(lambda: self.seen >= n, TIMEOUT)

    def wait_cursor(self, seq):
        with self.progress:
            ok = self.progress.wait_for(lambda: self.cursor >= seq, TIMEOUT)
        assert ok, f"{self.label} never got to {seq}, is at {self.cursor}"


class Crash(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)
        self.daemon = Daemon("--max-running=14", "--segment-bytes=262144", "--kill-grace=100ms", captures=True)
        self.addCleanup(self.daemon.close)
        self.subscribers = [
            Subscriber(self.daemon, "all"),
            Subscriber(self.daemon, "chunks", types=["AgentSpawned", "AgentPartialOutput"]),
            Subscriber(self.daemon, "labelled", labels={"half": "1"}),
        ]
        self.checker = checker.Checker(self.daemon.captures, self.daemon.state)
        self.failure = None

    def spawn_one(self, client, i):
        params = {"prompt": f"agent {i}", "labels": {"half": str(i % 2)}}
        params["on_restart"] = self.random.choice(("fail", "rerun"))
        if self.random.random() < 0.5:
            params["agent_id"] = str(uuid.uuid4())
        kind = self.random.randrange(4)
        if kind == 0:
            n = self.random.randint(10, 600)
            params["backend"] = "exec"
            params["options"] = {"argv": ["/bin/sh", "-c", LINES.format(n=n)], "chunking": "line"}
        elif kind == 1:
            params["backend"] = "exec"
            params["options"] = {"argv": ["/bin/sh", "-c", "setsid sleep 1000 & seq 20000; exec sleep 0.2"]}
        else:
            delay = self.random.randrange(4)
            params["options"] = {"chunks": self.random.randint(1, 200), "delay_ms": delay}
            if kind == 3:
                params["options"]["chunk_bytes"] = self.random.randint(1, 5000)
        return client.request("agent.spawn", **params)

    def load(self):
        """Tops up to 20 agents on a connection of its own; the daemon may die at any point of it."""
        client = self.daemon.client("spawner")
        try:
            living = client.call("agent.list", state=["queued", "running"], limit=1000)["agents"]
            # Those that run anew each time would fill the daemon: some go, so that others come.
            for agent in self.random.sample(living, len(living) // 2):
                client.request("agent.cancel", agent_id=agent["agent_id"])
            ids = [self.spawn_one(client, i) for i in range(AGENTS - len(living) + len(living) // 2)]
            for request in ids:
                agent = client.result(request)["agent_id"]
                if self.random.random() < 0.2:
                    client.request("agent.wait", agent_id=agent)
                elif self.random.random() < 0.1:
                    client.request("agent.cancel", agent_id=agent)
            while client.pump(FAR):
                pass
        except (OSError, Closed):
            pass
        except Exception as e:  # the thread that asks for it must not swallow it
            self.failure = e

    def moment(self):
        """A random moment: some events later, and then some thousandths of a second."""
        self.subscribers[0].wait_seen(self.subscribers[0].seen + self.random.randint(0, 800))
        select.select([], [], [], self.random.random() ** 3 * 0.1)

    def one_round(self):
        for subscriber in self.subscribers:
            subscriber.begin()
        loader = threading.Thread(target=self.load, daemon=True)
        loader.start()
        self.moment()
        self.daemon.kill()
        for subscriber in self.subscribers:
            subscriber.finish()
        loader.join(TIMEOUT)
        self.assertFalse(loader.is_alive(), "a connection outlives its daemon")
        self.assertIsNone(self.failure)
        if self.random.random() < 0.2:
            # Sometimes the next one dies as well, in the middle of its recovery.
            self.daemon.spawn()
            select.select([], [], [], self.random.random() * 0.05)
            self.daemon.kill()

    def restarted(self):
        self.daemon.start("--durability=" + self.random.choice(("interval", "interval", "fsync")))
        self.assertEqual(harness.running_orphans(), [], "programs of a dead daemon are alive")
        self.checker.check(running=True)

    def test_kill_9(self):
        self.daemon.start()
        started = time.monotonic()
        for number in range(ROUNDS):
            try:
                self.one_round()
                self.restarted()
            except BaseException:
                print(f"round {number}, LIONGATE_FAULTS_SEED={SEED}")
                raise
        self.settle()
        report(f"crash: {ROUNDS} rounds in {time.monotonic() - started:.0f} s: {self.summary}")

    def settle(self):
        """Everything that was accepted ends; then every promise is held to its end."""
        for subscriber in self.subscribers:
            subscriber.begin()
        client = self.daemon.client("settle")
        client.call("events.subscribe", after=0, until="idle")
        _, end = client.until_end(timeout=TIMEOUT * 6)
        newest = client.call("daemon.status")["log"]["newest_seq"]
        self.subscribers[0].wait_cursor(min(end, newest))
        self.daemon.wait_no_programs()
        self.daemon.stop()
        for subscriber in self.subscribers:
            subscriber.finish()
        events, lives = self.checker.check().log.events, self.checker.lives.by_id
        self.assertEqual(len([e for e in events if e["type"] == "DaemonStopping"]), 1)
        self.assertGreaterEqual(len(lives), min(ROUNDS, 10))
        # Once more without what was remembered: the log as it is now explains everything that was ever seen.
        checker.check(self.daemon.captures, self.daemon.state)
        self.summary = f"{len(events)} events, {len(lives)} agents, {self.checker.n_seen} seen"


if __name__ == "__main__":
    main()
