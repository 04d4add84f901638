"""A disk that is full: what still works, that the daemon can be stopped, and that all goes on when there is room."""

import os
import resource
import shutil
import signal
import subprocess
import unittest

from common import *

KIB = 1024
MIB = 1024 * KIB

BUSY = {"chunks": 1000000, "delay_ms": 0, "chunk_bytes": 4096}


def unavailable(client):
    reply = client.reply(client.request("agent.spawn", prompt="p", options={"chunks": 1}))
    return "error" in reply and check_error(reply, "log_unavailable")


class Full(unittest.TestCase):
    """No file may grow above a limit, which is a full disk that leaves no reserve."""

    def setUp(self):
        self.daemon = Daemon("--stop-grace=100ms", "--kill-grace=100ms")
        self.addCleanup(self.daemon.close)
        self.daemon.start()
        self.client = self.daemon.client()

    def limit(self, size):
        resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def fill(self):
        agents = [self.client.spawn(options=BUSY) for _ in range(4)]
        for agent in agents:
            self.client.call("events.subscribe", agents=[agent], types=["AgentStarted"], after=0)
            self.client.wait_event(lambda e: True)
            self.client.call("events.unsubscribe")
        self.limit(MIB)
        eventually(lambda: unavailable(self.client), "the log cannot be written")
        return agents

    def test_all_goes_on(self):
        agents = self.fill()
        self.limit(resource.RLIM_INFINITY)
        eventually(lambda: not unavailable(self.client), "the log can be written")
        for agent in agents:
            self.assertEqual(self.client.call("agent.cancel", agent_id=agent)["state"], "cancelled")
        self.daemon.stop()
        Log(self.daemon.state)
        check_lives(self.daemon.events(), require_ended=True)

    def test_a_signal_ends_it(self):
        for signals in (1, 2):
            with self.subTest(signals=signals):
                agents = self.fill()
                for _ in range(signals):
                    self.daemon.signal(signal.SIGTERM)
                self.assertEqual(self.daemon.wait(), 1)
                self.assertIn("without the last events of", self.daemon.stderr())
                self.daemon.start()
                self.client = self.daemon.client()
                for agent in agents:
                    self.assertEqual(self.client.wait(agent)["ending"]["code"], "interrupted")
        self.daemon.stop()
        Log(self.daemon.state)
        check_lives(self.daemon.events(), require_ended=True)


@unittest.skipUnless(os.geteuid() == 0, "only root can mount a small disk")
class Reserve(unittest.TestCase):
    """A small disk of its own, full to the last byte but for the reserve."""

    def setUp(self):
        self.daemon = Daemon("--stop-grace=100ms", "--kill-grace=100ms")
        os.mkdir(self.daemon.state, 0o700)
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "liongate-test", self.daemon.state]
        if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode != 0:
            self.daemon.close()
            self.skipTest("nothing can be mounted here")
        self.addCleanup(shutil.rmtree, self.daemon.dir, ignore_errors=True)
        self.addCleanup(subprocess.run, ["umount", self.daemon.state], check=True)
        self.addCleanup(self.daemon.close)
        self.daemon.start()
        self.client = self.daemon.client()

    def fill(self):
        """Returns the quiet agents, and those whose output waits for room."""
        quiet = [self.client.spawn_exec("/bin/sleep", "1000") for _ in range(3)]
        quiet.append(self.client.spawn(options=slow_agent(delay_ms=1000000)))
        requests = [self.client.request("agent.spawn", prompt="p", options=BUSY) for _ in range(4)]
        eventually(lambda: unavailable(self.client), "the disk is full")
        replies = [self.client.reply(request) for request in requests]
        busy = [reply["result"]["agent_id"] for reply in replies if "result" in reply]
        self.assertTrue(busy)
        ballast = os.path.join(self.daemon.state, "ballast")
        with open(ballast, "wb", buffering=0) as f:
            size = 64 * KIB
            while size:
                try:
                    f.write(bytes(size))
                except OSError:
                    size //= 2
        return quiet, busy, ballast

    def test_agents_end_and_all_goes_on(self):
        quiet, busy, ballast = self.fill()
        for agent in quiet:
            self.assertEqual(self.client.call("agent.cancel", agent_id=agent)["state"], "cancelled")
        self.assertTrue(unavailable(self.client))
        os.unlink(ballast)
        for agent in busy:
            self.client.request("agent.cancel", agent_id=agent)
        subprocess.run(["mount", "-o", "remount,size=64m", self.daemon.state], check=True)
        for agent in busy:
            self.assertEqual(self.client.wait(agent)["state"], "cancelled")
        self.daemon.stop()
        Log(self.daemon.state)
        check_lives(self.daemon.events(), require_ended=True)

    def test_a_signal_ends_it(self):
        quiet, busy, _ = self.fill()
        self.daemon.signal(signal.SIGTERM)
        status = self.daemon.wait()
        events = self.daemon.events()
        self.assertIn("DaemonStopping", [e["type"] for e in events])
        for agent in quiet:
            self.assertEqual(self.daemon.events_of(agent)[-1]["code"], "shutdown")
        # Whether the output that waits of the others fits before their ends depends on when they were paused.
        last = [self.daemon.events_of(agent)[-1] for agent in busy]
        self.assertEqual(status, 0 if all(e.get("code") == "shutdown" for e in last) else 1, last)
        Log(self.daemon.state)


if __name__ == "__main__":
    main()
