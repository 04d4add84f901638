"""A disk that is full: what still works, that the daemon can be stopped, and that all goes on when there is room."""

import resource
import shutil
import signal
import unittest

from base import *

KIB = 1024
MIB = 1024 * KIB

BUSY = {"chunks": 1000000, "delay_ms": 0, "chunk_bytes": 4096}


def unavailable(client):
    reply = client.reply(client.request("agent.spawn", prompt="p", options={"chunks": 1}))
    return "error" in reply and check_error(reply, "log_unavailable")


class Full(unittest.TestCase):
    """No file may grow above a limit, which is a full disk that leaves no reserve in a log that is longer already, and
    all in one segment."""

    def setUp(self):
        self.daemon = Daemon("--segment-bytes=1GiB", "--stop-grace=100ms", "--kill-grace=100ms")
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
        eventually(lambda: self.client.call("daemon.status")["log"]["bytes"] > 2 * MIB, "it is longer")
        self.limit(MIB)
        eventually(lambda: unavailable(self.client), "the log cannot be written")
        return agents

    def metric(self, name):
        text = self.client.call("daemon.metrics")["text"]
        return float(re.search(rf"^liongate_{name} (.*)$", text, re.M).group(1))

    def test_all_goes_on(self):
        agents = self.fill()
        eventually(lambda: self.metric("log_writable") == 0, "the metrics say that it cannot")
        eventually(lambda: self.metric("commit_backlog_bytes") > 0, "and that something waits")
        self.limit(resource.RLIM_INFINITY)
        eventually(lambda: not unavailable(self.client), "the log can be written")
        eventually(lambda: self.metric("log_writable") == 1, "the metrics say that it can")
        for agent in agents:
            self.assertEqual(self.client.call("agent.cancel", agent_id=agent)["state"], "cancelled")
        until_idle(self.client)
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
        until_idle(self.client)
        self.daemon.stop()
        Log(self.daemon.state)
        check_lives(self.daemon.events(), require_ended=True)


@unittest.skipUnless(os.geteuid() == 0, "only root can mount a small disk")
class SmallDisk(unittest.TestCase):
    """A small disk of its own, which can be filled to the last byte but for what the daemon has reserved."""

    def setUp(self):
        self.daemon = Daemon("--stop-grace=100ms", "--kill-grace=100ms")
        self.filler = os.path.join(self.daemon.state, "filler")
        os.mkdir(self.daemon.state, 0o700)
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "liongate-test", self.daemon.state]
        if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode != 0:
            self.daemon.close()
            self.skipTest("nothing can be mounted here")
        self.addCleanup(shutil.rmtree, self.daemon.dir, ignore_errors=True)
        self.addCleanup(subprocess.run, ["umount", self.daemon.state], check=True)
        self.addCleanup(self.daemon.close)
        self.start()

    def start(self):
        self.daemon.start()
        self.client = self.daemon.client()

    def fill_disk(self):
        with open(self.filler, "ab", buffering=0) as f:
            size = 64 * KIB
            while size:
                try:
                    f.write(bytes(size))
                except OSError:
                    size //= 2

    def remount(self, options):
        subprocess.run(["mount", "-o", "remount," + options, self.daemon.state], check=True)

    def accepted(self):
        eventually(lambda: not unavailable(self.client), "agents are accepted")

    def all_is_kept(self):
        until_idle(self.client)
        self.daemon.stop()
        Log(self.daemon.state)
        check_lives(self.daemon.events(), require_ended=True)
        status, text = run_check(self.daemon.state)
        self.assertEqual(status, 0, text)


class Reserve(SmallDisk):
    def fill(self):
        """Returns the quiet agents, and those whose output waits for room."""
        quiet = [self.client.spawn_exec("/bin/sleep", "1000") for _ in range(3)]
        quiet.append(self.client.spawn(options=slow_agent(delay_ms=1000000)))
        requests = [self.client.request("agent.spawn", prompt="p", options=BUSY) for _ in range(4)]
        eventually(lambda: unavailable(self.client), "the disk is full")
        replies = [self.client.reply(request) for request in requests]
        busy = [reply["result"]["agent_id"] for reply in replies if "result" in reply]
        self.assertTrue(busy)
        self.fill_disk()
        return quiet, busy

    def test_agents_end_and_all_goes_on(self):
        quiet, busy = self.fill()
        for agent in quiet:
            self.assertEqual(self.client.call("agent.cancel", agent_id=agent)["state"], "cancelled")
        self.assertTrue(unavailable(self.client))
        os.unlink(self.filler)
        for agent in busy:
            self.client.request("agent.cancel", agent_id=agent)
        self.remount("size=64m")
        for agent in busy:
            self.assertEqual(self.client.wait(agent)["state"], "cancelled")
        self.all_is_kept()

    def test_a_signal_ends_it(self):
        quiet, busy = self.fill()
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

    def test_the_next_one_starts(self):
        """Killed, or ended by a signal; and again and again."""
        quiet, busy = self.fill()
        for i in range(20):
            self.daemon.signal(signal.SIGTERM if i % 3 == 1 else signal.SIGKILL)
            self.daemon.wait()
            harness.wait_no_orphans()
            self.fill_disk()
            self.start()
        self.assertIn(self.client.wait(quiet[0])["ending"]["code"], ("interrupted", "shutdown"))
        os.unlink(self.filler)
        self.remount("size=64m")
        self.accepted()
        for agent in quiet + busy:
            self.assertEqual(self.client.wait(agent)["state"], "failed")
        self.all_is_kept()


class Start(SmallDisk):
    """The disk is filled while there is no daemon."""

    def leave(self, stop):
        self.agents = [self.client.wait(self.client.spawn(options={"chunks": 3}))["agent_id"]]
        if stop:
            self.daemon.stop()
        else:
            self.agents.append(self.client.spawn(options=slow_agent()))
            self.client.call("events.subscribe", after=0, agents=self.agents[1:])
            self.client.wait_event(lambda e: "chunk" in e)
            self.daemon.kill()

    def test_full(self):
        for stop in (True, False, True):
            with self.subTest(stop=stop):
                self.leave(stop)
                self.fill_disk()
                for _ in range(3):
                    self.start()
                    for agent in self.agents:
                        self.assertIn(self.client.wait(agent)["state"], ("completed", "failed"))
                    self.client.read_all()
                    self.daemon.stop()
                    self.fill_disk()
                os.unlink(self.filler)
                self.start()
                self.accepted()
        self.all_is_kept()

    def test_read_only(self):
        """Nothing can be done there, and it says so."""
        self.leave(False)
        harness.wait_no_orphans()
        self.remount("ro")
        self.daemon.spawn()
        self.assertEqual(self.daemon.wait(), 1)
        self.assertIn("Read-only file system", self.daemon.stderr())
        self.remount("rw")
        self.start()
        self.accepted()
        self.all_is_kept()


if __name__ == "__main__":
    main()
