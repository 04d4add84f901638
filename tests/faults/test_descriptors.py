"""Descriptors are used up: clients wait, agents end with a reason, the log waits; and all goes on."""

import resource
import unittest

from base import *

CHATTY = {"chunks": 60, "delay_ms": 0, "chunk_bytes": 3000}


class Descriptors(DaemonCase):
    args = ("--segment-bytes=65536", "--sync-interval=1ms", "--kill-grace=100ms")

    def setUp(self):
        super().setUp()
        self.client.call("daemon.status")  # it is accepted, and its descriptor is counted

    def limit(self, spare):
        """Room for so many more; -1: for many."""
        used = max(int(fd) for fd in os.listdir(f"/proc/{self.daemon.pid}/fd")) + 1
        resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, (used + spare if spare >= 0 else 4096, 4096))

    def test_clients_wait(self):
        self.limit(3)
        clients = [self.connect() for _ in range(10)]
        requests = [client.request("daemon.status") for client in clients]
        answered = [client.result(request) for client, request in zip(clients[:3], requests)]
        self.assertEqual(len(answered), 3)
        self.assertEqual(self.client.call("daemon.status")["clients"], 4)
        self.limit(-1)
        for client, request in zip(clients[3:], requests[3:]):
            client.result(request)

    def test_the_log_waits(self):
        """No segment can be begun; what runs waits, and none of it is lost."""
        self.limit(0)
        agents = [self.client.spawn(options=CHATTY)]
        eventually(lambda: "cannot be written" in self.daemon.stderr(), "the log cannot go on")
        check_error(self.client.reply(self.client.request("agent.spawn", prompt="p")), "log_unavailable")
        self.limit(-1)
        eventually(lambda: "error" not in self.client.reply(self.client.request("agent.spawn", prompt="p")), "it goes on")
        for agent in agents:
            self.assertEqual(self.client.wait(agent)["state"], "completed")
        until_idle(self.client)
        self.daemon.stop()
        check_lives(self.daemon.events(), require_ended=True)

    def test_programs(self):
        self.limit(0)
        got = self.client.run_exec("/bin/true")
        self.assertEqual((got["state"], got["ending"]["code"]), ("failed", "spawn_failed"))
        self.limit(-1)
        self.assertEqual(self.client.run_exec("/bin/true")["state"], "completed")


if __name__ == "__main__":
    main()
