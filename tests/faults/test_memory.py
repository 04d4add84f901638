"""Memory: the n-th allocation fails, for every n of a session and of a start; and RLIMIT_AS under load.

The daemon lives, refuses the one request, or closes the one connection, and goes on."""

import collections
import errno
import resource
import shutil
import unittest

from base import *

ARGS = ("--segment-bytes=65536", "--sync-interval=1ms", "--kill-grace=100ms", "--stop-grace=1ms")
QUICK = {"chunks": 2, "delay_ms": 0}
MIB = 1 << 20


class Session(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon(*ARGS, captures=True)
        self.addCleanup(self.daemon.close)
        self.injector = Injector(self.daemon)
        self.daemon.start()
        self.tolerant = Tolerant(self.daemon)
        self.agents, self.slow = [], []

    # What is asked for: each is a step of its own, whose every allocation fails in turn.

    def spawn(self, **params):
        agent = self.tolerant.spawn(**params)
        if agent:
            self.agents.append(agent)
            self.tolerant.call("agent.wait", agent_id=agent)

    def step_mock(self):
        self.spawn(options=QUICK, labels={"a": "b"})

    def step_long(self):
        self.spawn(options={"chunks": 20, "delay_ms": 0, "chunk_bytes": 4000}, correlation_id="c")

    def step_exec(self):
        self.spawn(backend="exec", options={"argv": ["/bin/echo", "x"], "env": {"A": "B"}})

    def step_cancel(self):
        agent = self.tolerant.spawn(options=slow_agent())
        if agent:
            self.slow.append(agent)
            self.tolerant.call("agent.cancel", allowed=(*Tolerant.ALLOWED, "not_running"), agent_id=agent)

    def step_status(self):
        self.tolerant.call("daemon.status")

    def step_get(self):
        self.tolerant.call("agent.get", agent_id=self.first)

    def step_list(self):
        self.tolerant.call("agent.list", limit=100)

    def step_output(self):
        self.tolerant.call("agent.output", agent_id=self.first)

    def step_read(self):
        self.tolerant.call("events.read", after=0, limit=100)

    def step_stats(self):
        self.tolerant.call("events.stats", correlation_id="c")

    def step_discover(self):
        self.tolerant.call("rpc.discover")

    def step_garbage(self):
        self.tolerant.call("agent.get", allowed=(*Tolerant.ALLOWED, "invalid_params"), agent_id=7)

    def step_subscribe(self):
        """Live and from the beginning, on a connection of its own; it may be closed."""
        try:
            with self.daemon.client("subscriber") as client:
                ask(client, "events.subscribe", after=0, labels={"a": "b"}, until="idle")
                client.until_end()
        except RpcError as e:
            self.assertEqual(e.reason, "internal_error")
        except (Closed, OSError):
            self.tolerant.refused["subscriber closed"] += 1

    def settled(self):
        """Everybody that was accepted ends, whatever failed."""
        with self.daemon.client("settle") as client:
            for agent in self.slow:
                client.reply(client.request("agent.cancel", agent_id=agent))
            for agent in self.agents + self.slow:
                client.wait(agent)
        self.agents, self.slow = [], []

    def fail_each(self, step, most):
        """Each allocation of the step in turn, and up to `most` after it. Returns how many times that was."""
        n = 0
        while True:
            self.injector.strike(n + 1, "fail", errno.ENOMEM, self.chance.randint(1, most), calls=("malloc",))
            step()
            self.injector.heal()
            if not self.injector.struck:
                return n
            self.settled()
            n += 1

    def test_every_allocation(self):
        with self.daemon.client() as client:
            self.first = client.wait(client.spawn(options=QUICK))["agent_id"]
        self.chance = random.Random(SEED)
        total = 0
        names = [name for name in dir(self) if name.startswith("step_")]
        for most in (1, *amount((), (2, 5, 20))):
            for name in names:
                try:
                    total += self.fail_each(getattr(self, name), most)
                except BaseException:
                    print(f"in {name}, {most}; LIONGATE_FAULTS_SEED={SEED}")
                    raise
        self.tolerant.close()
        self.daemon.stop()
        checker.check(self.daemon.captures, self.daemon.state)
        status, text = run_check(self.daemon.state)
        self.assertEqual(status, 0, text)
        refused = ", ".join(f"{reason} {n}" for reason, n in sorted(self.tolerant.refused.items()))
        report(f"memory: {total} allocations of {len(names)} steps failed; refused: {refused}")


class Start(unittest.TestCase):
    def test_every_allocation(self):
        """Ends and says why, or starts; and what it may have begun to mend is mended by the next."""
        daemon = Daemon(*ARGS)
        self.addCleanup(daemon.close)
        injector = Injector(daemon)
        daemon.start()
        client = daemon.client()
        for _ in range(3):
            client.wait(client.spawn(options=QUICK))
        agent = client.spawn(options=slow_agent(), on_restart="rerun")
        daemon.kill()
        before = daemon.state + ".before"
        shutil.copytree(daemon.state, before)
        injector.watch(("malloc",))
        daemon.start()
        total = injector.seen
        daemon.kill()
        outcomes = collections.Counter()
        for n in sample(total, amount(20, 10000), random.Random(SEED)):
            shutil.rmtree(daemon.state)
            shutil.copytree(before, daemon.state)
            injector.strike(n, "fail", errno.ENOMEM, calls=("malloc",))
            try:
                daemon.start()
                outcomes["started"] += 1
                daemon.kill()
            except AssertionError:
                self.assertIn(daemon.ended_with, (1, 2), f"allocation {n} of {total}\n{daemon.stderr()}")
                outcomes["ended"] += 1
            injector.heal()
            daemon.start()
            with daemon.client() as client:
                got = client.call("agent.get", agent_id=agent)
                # Without memory for its run it cannot run, and is told so.
                if got["state"] == "failed":
                    self.assertEqual(got["ending"]["code"], "resource_limit", f"allocation {n} of {total}")
                    outcomes["could not run its agent"] += 1
                else:
                    self.assertIn(got["state"], ("queued", "running"), f"allocation {n} of {total}")
            daemon.stop()
            status, text = run_check(daemon.state)
            self.assertEqual(status, 0, f"allocation {n} of {total}: {text}")
        said = ", ".join(f"{outcome} {n}" for outcome, n in sorted(outcomes.items()))
        report(f"memory: {total} allocations in a start; {said}")


class Limit(DaemonCase):
    """No more memory from the kernel, under load."""

    args = ARGS

    def limit(self, room):
        size = harness.status_kib(self.daemon.pid, "VmSize") * 1024
        resource.prlimit(self.daemon.pid, resource.RLIMIT_AS, (size + room, resource.RLIM_INFINITY))

    def test_address_space(self):
        tolerant = Tolerant(self.daemon)
        self.limit(2 * MIB)
        big = {"prompt": "x" * 1000000, "options": {"chunks": 1000, "delay_ms": 50}}
        accepted = []
        # malloc() has address space put by for each thread: that is used up first.
        while sum(tolerant.refused.values()) < amount(10, 200):
            result = tolerant.call("agent.spawn", **big)
            if result:
                accepted.append(result["agent_id"])
            self.assertLess(len(accepted), 2000)
        self.limit(1024 * MIB)
        with self.daemon.client() as client:
            eventually(lambda: "result" in client.reply(client.request("agent.spawn", prompt="p")), "it accepts again")
            self.assertEqual(client.wait(client.spawn(options=QUICK))["state"], "completed")
            requests = [client.request("agent.cancel", agent_id=agent) for agent in accepted]
            for request in requests:
                self.assertIn(client.reply(request).get("result", {}).get("state"), ("cancelled", "failed", None))
            until_idle(client)
        self.daemon.stop()
        check_lives(self.daemon.events(), require_ended=True)
        report(f"memory: {len(accepted)} agents accepted under RLIMIT_AS; refused: {dict(tolerant.refused)}")


if __name__ == "__main__":
    main()
