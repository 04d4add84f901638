"""Programs that misbehave: floods, closed descriptors, two thousand that are cancelled at once."""

import resource
import threading
import time
import unittest

from base import *

KIB = 1024
MIB = 1024 * KIB
FLOODS = 4
FLOOD_BYTES = amount(8, 1024) * MIB
# What waits between a program and the log, and what is kept of the newest: see docs/architecture.md.
BOUND_KIB = 32 * KIB
CROWD = 2000 if harness.SCALE == 1 else 200
# Each has its pipes.
FILES = 16384


class Highest(threading.Thread):
    """The highest RssAnon of a daemon, in KiB, for as long as the block lasts."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.kib = 0
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.05):
            self.kib = max(self.kib, harness.rss_anon_kib(self.pid))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.join()


class Floods(DaemonCase):
    args = ("--retain-bytes=64MiB", "--segment-bytes=8MiB")

    def flood(self, what):
        """Programs that write as fast as they are let, to the end; the memory that the daemon took for it."""
        before = harness.rss_anon_kib(self.daemon.pid)
        script = f"{what} | head -c {FLOOD_BYTES}"
        began = time.monotonic()
        with Highest(self.daemon.pid) as highest:
            agents = [self.client.spawn_exec("/bin/sh", "-c", script) for _ in range(FLOODS)]
            # Of all at once: retention may take the first to end before the last one does.
            waits = [self.client.request("agent.wait", agent_id=agent) for agent in agents]
            for wait in waits:
                got = self.client.result(wait, TIMEOUT * amount(6, 60))
                self.assertEqual((got["state"], got["bytes"]), ("completed", FLOOD_BYTES))
        rate = FLOODS * FLOOD_BYTES / MIB / (time.monotonic() - began)
        report(f"programs {what.split()[0]}: {rate:.0f} MiB/s, RssAnon up to {highest.kib - before} KiB above its rest")
        if harness.SCALE == 1:
            self.assertLess(highest.kib - before, BOUND_KIB)

    def test_text(self):
        self.flood("yes it goes on and on and on")

    def test_bytes(self):
        self.flood("cat /dev/zero")

    def test_beside_one_that_does_not_read(self):
        deaf = self.connect(rcvbuf=1)
        deaf.call("events.subscribe")
        self.flood("yes nobody listens")


class Closed(DaemonCase):
    def test_all_of_its_descriptors(self):
        """It lives on, is known to run, and costs no descriptor any more."""
        self.client.call("daemon.status")
        before = self.daemon.fd_census()
        script = "exec <&- >&- 2>&-; sleep 1000 & wait"
        agents = [self.client.spawn_exec("/bin/sh", "-c", script) for _ in range(50)]
        eventually(lambda: len(self.daemon.programs()) == 100, "all have closed what they had, and go on", TIMEOUT * 3)
        eventually(lambda: self.daemon.fd_census() == before, f"descriptors as before: {before}")
        for agent in agents:
            self.assertEqual(self.client.call("agent.get", agent_id=agent)["state"], "running")
        for agent in agents:
            self.assertEqual(self.client.call("agent.cancel", agent_id=agent)["state"], "cancelled")
        self.daemon.wait_no_programs()


class Crowd(DaemonCase):
    args = (f"--max-running={CROWD}", "--kill-grace=200ms")

    def setUp(self):
        own = resource.getrlimit(resource.RLIMIT_NOFILE)
        if own[1] < FILES:
            self.skipTest("too few descriptors")
        super().setUp()

    def test_cancelled_at_once(self):
        """Some end by themselves, some ignore SIGTERM, some have a child, some have one that is set apart."""
        scripts = (
            "exec sleep 1000",
            "trap '' TERM; exec sleep 1000",
            "sleep 1000 & wait",
            "setsid sleep 1000 & wait",
        )
        self.client.call("daemon.status")
        before = self.daemon.fd_census()
        self.client.call("events.subscribe", types=["AgentStarted"])
        options = [{"argv": ["/bin/sh", "-c", script]} for script in scripts]
        ids = [
            self.client.request("agent.spawn", prompt="", backend="exec", options=options[i % len(options)])
            for i in range(CROWD)
        ]
        agents = [self.client.result(i, TIMEOUT * 6)["agent_id"] for i in ids]
        for _ in agents:
            self.client.note(TIMEOUT * 6)
        reaper = harness.children(self.daemon.pid)
        self.client.send(*(make_request("agent.cancel", {"agent_id": agent}, agent) for agent in agents))
        for agent in agents:
            self.assertEqual(self.client.result(agent, TIMEOUT * 6)["state"], "cancelled")
        eventually(
            lambda: not any(harness.children(pid) for pid in reaper), "no process is left, and no zombie", TIMEOUT * 3
        )
        eventually(lambda: self.daemon.fd_census() == before, f"descriptors as before: {before}")
        self.assertEqual(self.client.call("daemon.status")["agents"]["cancelled"], CROWD)


if __name__ == "__main__":
    main()
