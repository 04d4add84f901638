"""What a service manager sees of the daemon: SIGHUP, sd_notify, and a socket that it inherits."""

import os
import signal
import socket
import time
import unittest

from common import *

# Becomes the daemon, with descriptor argv[1] as systemd hands a socket over.
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Reload(unittest.TestCase):
    def setUp(self):
        self.daemon = Configured()
        self.addCleanup(self.daemon.close)
        self.daemon.write("[daemon]\nworkers = 1\n\n[limits]\nmax_running = 1\n")
        self.daemon.start()
        self.assertEqual(self.daemon.status(), "0 running, 0 queued, 0 clients")
        self.client = self.daemon.client()
        self.client.call("daemon.status")  # it is connected, and counted

    def starts(self):
        """What waits for the next AgentStarted, from the first on, and says of whom it is."""
        watcher = self.daemon.client()
        watcher.call("events.subscribe", after=0, types=["AgentStarted"])
        return lambda: watcher.wait_event(lambda e: True)["agent_id"]

    def counts(self):
        agents = self.client.call("daemon.status")["agents"]
        return agents["running"], agents["queued"]

    def test_a_limit_that_is_raised_starts_those_that_wait(self):
        agents = [self.client.spawn(str(i), options=slow_agent()) for i in range(4)]
        next_start = self.starts()
        self.assertEqual(next_start(), agents[0])
        self.assertEqual(self.counts(), (1, 3))
        self.daemon.write("[daemon]\nworkers = 1\n\n[limits]\nmax_running = 3\n")
        self.assertEqual(self.daemon.reload()[0], ["NOTICE reloaded: limits.max_running"])
        self.assertEqual([next_start() for _ in range(2)], agents[1:3])
        self.assertEqual(self.counts(), (3, 1))

    def test_what_takes_a_restart_is_said(self):
        self.daemon.write("[daemon]\nworkers = 2\n\n[limits]\nmax_running = 2\n")
        restart = "WARNING only a restart takes over: daemon.workers"
        said, status = self.daemon.reload()
        self.assertEqual(said, ["NOTICE reloaded: limits.max_running", restart])
        self.assertEqual(status, "0 running, 0 queued, 1 clients; only a restart takes over: daemon.workers")
        said, status = self.daemon.reload()
        self.assertEqual(said, ["NOTICE reloaded: nothing has changed that can be taken over", restart])
        self.assertIn("only a restart takes over: daemon.workers", status)
        self.daemon.write("[daemon]\nworkers = 1\n\n[limits]\nmax_running = 1\n")
        said, status = self.daemon.reload()
        self.assertEqual(said, ["NOTICE reloaded: limits.max_running"], "it is as it was at the start")
        self.assertEqual(status, "0 running, 0 queued, 1 clients")

    def test_a_wrong_file_changes_nothing(self):
        d = self.daemon
        agents = [self.client.spawn(str(i), options=slow_agent()) for i in range(2)]
        next_start = self.starts()
        self.assertEqual(next_start(), agents[0])
        d.write("[daemon]\nworkers = 1\n\n[limits]\nmax_running = 9\nmax_qeued = 3\nmax_batch = many\n")
        d.write("[log]\nretain_bytes = 1GiB\ndurability = sometimes\n", d.drop_in)
        said, _ = d.reload()
        self.assertEqual(
            said,
            [
                "ERROR not reloaded, the configuration stays as it was:",
                f"ERROR {d.config}:6: unknown key 'max_qeued' in [limits]; did you mean max_queued?",
                f"ERROR {d.config}:7: max_batch: 'many' is not a whole number",
                f"ERROR {d.drop_in}:3: durability: 'sometimes' is not interval or fsync",
            ],
        )
        self.assertEqual(self.counts(), (1, 1))
        os.unlink(d.config)
        said, _ = d.reload()
        self.assertEqual(said[0], "ERROR not reloaded, the configuration stays as it was:")
        self.assertIn(d.config, said[1])
        os.unlink(d.drop_in)
        d.write("[daemon]\nworkers = 1\n\n[limits]\nmax_running = 2\n")
        self.assertEqual(d.reload()[0], ["NOTICE reloaded: limits.max_running"])
        self.assertEqual(next_start(), agents[1])


class Notify(unittest.TestCase):
    def daemon(self, *args, **kwargs):
        daemon = Daemon(*args, **kwargs)
        self.addCleanup(daemon.close)
        return daemon

    def test_from_the_start_to_the_end(self):
        daemon = self.daemon("--stop-grace=1h")
        daemon.spawn()
        daemon.wait_notify("READY=1", TIMEOUT)
        self.assertEqual(daemon.wait_notify("STATUS=", TIMEOUT), ["STATUS=0 running, 0 queued, 0 clients"])
        client = daemon.client()
        agent = client.spawn_exec("/bin/cat", options={"stdin": "open"})
        client.call("events.subscribe", after=0, types=["AgentStarted"])
        client.wait_event(lambda e: True)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        daemon.signal(signal.SIGHUP)
        reloading, when = daemon.wait_notify("RELOADING=1", TIMEOUT)
        self.assertEqual(reloading, "RELOADING=1")
        name, _, us = when.partition("=")
        self.assertEqual(name, "MONOTONIC_USEC")
        self.assertTrue(before <= int(us) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000, us)
        daemon.wait_notify("READY=1", TIMEOUT)
        self.assertEqual(daemon.wait_notify("STATUS=", TIMEOUT), ["STATUS=1 running, 0 queued, 1 clients"])
        daemon.signal(signal.SIGTERM)
        daemon.wait_notify("STOPPING=1", TIMEOUT)
        self.assertEqual(
            daemon.wait_notify("STATUS=", TIMEOUT), ["STATUS=Stopping: 1 running, 0 queued, 1 clients"]
        )
        client.call("agent.send", agent_id=agent, data="", eof=True)
        self.assertEqual(daemon.wait(), 0)

    def test_watchdog(self):
        daemon = self.daemon(env={"WATCHDOG_USEC": "100000"})
        daemon.spawn()
        for _ in range(5):
            daemon.wait_notify("WATCHDOG=1", TIMEOUT)
            self.assertTrue(daemon.wait_notify("STATUS=", TIMEOUT))
        # Of another process.
        daemon = self.daemon(env={"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"})
        daemon.spawn()
        self.assertEqual(daemon.wait_notify("", TIMEOUT), ["READY=1"])
        self.assertRegex(daemon.wait_notify("", TIMEOUT)[0], "^STATUS=")
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait_notify("", TIMEOUT), ["STOPPING=1"])
        self.assertEqual(daemon.wait(), 0)


class Inheriting(Daemon):
    """Of a socket that was made before it, which is not where it would have made one."""

    def __init__(self):
        super().__init__()
        self.path = os.path.join(self.dir, "inherited.sock")
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.listening.bind(self.path)
        self.listening.listen()
        self.pass_fds = (self.listening.fileno(),)

    def command(self, *args):
        return [PYTHON, "-c", HAND_OVER, str(self.listening.fileno()), *super().command(*args)]

    def close(self):
        self.listening.close()
        super().close()


class Activated(unittest.TestCase):
    def setUp(self):
        self.daemon = Inheriting()
        self.addCleanup(self.daemon.close)
        self.inode = os.stat(self.daemon.path).st_ino

    def early(self):
        """A client that is there before the daemon is."""
        client = Client(self.daemon.path)
        self.addCleanup(client.close)
        return client, client.request("daemon.status")

    def up(self):
        client, request = self.early()
        self.daemon.start()
        self.assertEqual(client.result(request)["pid"], self.daemon.pid)
        return client

    def test_who_came_before_is_answered(self):
        for _ in range(3):
            client = self.up()
            self.assertFalse(os.path.exists(self.daemon.socket), "it needs none of its own")
            agent = client.spawn_exec("/usr/bin/env")
            self.assertEqual(client.wait(agent)["state"], "completed")
            self.assertNotIn(b"LISTEN_", client.output(agent))
            self.daemon.stop()
            client.expect_eof()
            self.assertEqual(os.stat(self.daemon.path).st_ino, self.inode, "it is not the daemon's to remove")

    def test_who_came_before_survives_a_crash(self):
        self.up()
        self.daemon.kill()
        client = self.up()
        client.spawn(options={"chunks": 1})
        other = self.early()[0]
        self.assertEqual(other.call("daemon.status")["pid"], self.daemon.pid)


if __name__ == "__main__":
    main()
