"""System calls that fail under a daemon that runs: EIO, ENOSPC, EROFS, EDQUOT, EMFILE, short writes; once, or until healed.

It lives, answers, refuses cleanly what it cannot do, and goes on by itself when it can."""

import errno
import unittest

from base import *

ARGS = ("--segment-bytes=65536", "--retain-bytes=300000", "--sync-interval=1ms", "--kill-grace=100ms", "--stop-grace=1ms")
CHATTY = {"chunks": 5, "delay_ms": 0, "chunk_bytes": 20000}
BUSY = {"chunks": 100000, "delay_ms": 1, "chunk_bytes": 500}


class Calls(unittest.TestCase):
    def start(self, *args):
        self.chance = random.Random(SEED)
        self.struck = collections.Counter()
        self.daemon = Daemon(*ARGS, *args, captures=True)
        self.addCleanup(self.daemon.close)
        self.injector = Injector(self.daemon)
        self.daemon.start()
        self.tolerant = Tolerant(self.daemon)

    def session(self):
        """Some of everything, which begins a segment or two each time."""
        t = self.tolerant
        agents = [t.spawn(options=CHATTY), t.spawn(options=CHATTY)]
        agents.append(t.spawn(backend="exec", options={"argv": ["/bin/echo", "x"]}))
        for agent in filter(None, agents):
            while t.call("agent.wait", agent_id=agent) is None:
                pass
            t.call("agent.output", allowed=(*t.ALLOWED, "pruned", "not_found"), agent_id=agent)
        t.call("agent.list")
        t.call("events.stats")
        oldest = (t.call("daemon.status") or {"log": {"oldest_seq": 1}})["log"]["oldest_seq"]
        t.call("events.read", allowed=(*t.ALLOWED, "pruned"), after=oldest, limit=1000)

    def is_well(self):
        """As if nothing had been."""
        self.injector.heal()
        eventually(lambda: self.tolerant.spawn(options={"chunks": 1}), "agents are accepted again")
        with self.daemon.client("well") as client:
            for params in ({"options": {"chunks": 1}}, {"backend": "exec", "options": {"argv": ["/bin/true"]}}):
                agent = eventually(lambda: self.accepted(client, **params), "an agent is accepted")
                self.assertEqual(client.wait(agent)["state"], "completed")

    def accepted(self, client, **params):
        """Its id. None: a sync that was struck before is only told of now."""
        reply = client.reply(client.request("agent.spawn", prompt="p", **params))
        if "error" in reply:
            check_error(reply, "log_unavailable")
            return None
        return reply["result"]["agent_id"]

    def all_was_kept(self):
        self.tolerant.close()
        self.daemon.stop()
        checker.check(self.daemon.captures, self.daemon.state, pruned=True)
        status, text = run_check(self.daemon.state)
        self.assertEqual(status, 0, text)

    def once(self, calls, error, most, action="fail", count=1):
        """Each of them fails in turn, under a daemon that has had all the failures before."""
        self.start()
        self.injector.watch(calls)
        self.session()
        for n in sample(self.injector.seen, most, self.chance):
            self.injector.strike(n, action, error, count, calls=calls)
            try:
                self.session()
                self.is_well()
            except BaseException:
                print(f"{action} {errno.errorcode[error]} at {n}: {self.injector.where}; LIONGATE_FAULTS_SEED={SEED}")
                raise
            if self.injector.struck:
                self.struck[re.sub(r"\d{20}|\d+", "N", self.injector.where)] += 1
        self.all_was_kept()
        said = ", ".join(f"{where} {n}" for where, n in sorted(self.struck.items()))
        refused = ", ".join(f"{reason} {n}" for reason, n in sorted(self.tolerant.refused.items()))
        report(f"calls, {action} {errno.errorcode[error]}: {said}; refused: {refused or 'none'}")

    def test_io_error(self):
        self.once(CHANGES, errno.EIO, amount(10, 300))

    def test_no_space(self):
        self.once(CHANGES, errno.ENOSPC, amount(6, 300))

    def test_short_write_then_no_space(self):
        """In the middle of a batch."""
        self.once(("write",), errno.ENOSPC, amount(8, 300), "short", 2)

    def test_read_error(self):
        self.once(("look", "read"), errno.EIO, amount(10, 300))

    def test_no_descriptor(self):
        self.once(("open", "look"), errno.EMFILE, amount(5, 300))

    def until_healed(self, error, *args, calls=CHANGES):
        """All of them fail from some moment on. What is there is still served."""
        self.start(*args)
        t = self.tolerant
        agents = [t.spawn(options=BUSY) for _ in range(3)]
        known = t.call("agent.list")["agents"]
        self.injector.strike(self.chance.randint(1, 30), "fail", error, FOREVER, calls=calls)
        eventually(lambda: t.spawn(options={"chunks": 1}) is None, "nothing is accepted")
        listed = {a["agent_id"] for a in t.call("agent.list", limit=1000)["agents"]}
        self.assertLessEqual({a["agent_id"] for a in known}, listed)
        self.assertTrue(t.call("events.read", after=0, allowed=("pruned",), limit=10) is not None or t.refused["pruned"])
        self.is_well()
        for agent in agents:
            self.assertEqual(t.call("agent.cancel", agent_id=agent)["state"], "cancelled")
        self.all_was_kept()

    def test_until_healed(self):
        for error in (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT):
            for durability in ("interval", "fsync"):
                with self.subTest(error=errno.errorcode[error], durability=durability):
                    self.until_healed(error, "--durability=" + durability)

    def test_no_sync_until_healed(self):
        for durability in ("interval", "fsync"):
            with self.subTest(durability=durability):
                self.until_healed(errno.EIO, "--durability=" + durability, calls=("sync",))


class Start(unittest.TestCase):
    """Each system call of a start fails, once or from then on: it starts, or it ends and says why, and the next one starts."""

    def setUp(self):
        self.chance = random.Random(SEED)
        self.daemon = Daemon(*ARGS)
        self.addCleanup(self.daemon.close)
        self.injector = Injector(self.daemon)
        self.started = self.ended = 0

    def leave_something(self):
        client = self.daemon.client()
        for _ in range(3):
            client.wait(client.spawn(options=CHATTY))
        client.spawn(options={"chunks": 5, "delay_ms": 1}, on_restart="rerun")
        client.spawn(options=slow_agent())
        client.close()
        self.daemon.kill()

    def try_to_start(self):
        try:
            self.daemon.start()
            self.started += 1
        except AssertionError:
            if self.daemon.ended_with != 1:
                raise
            self.ended += 1
            return
        self.injector.heal()
        self.daemon.kill()

    def fail(self, error, count, most):
        self.daemon.start()
        self.leave_something()
        self.injector.watch(CHANGES + ("look", "read"))
        self.daemon.start()
        total = self.injector.seen
        for n in sample(total, most, self.chance):
            self.leave_something()
            self.injector.strike(n, "fail", error, count, calls=CHANGES + ("look", "read"))
            try:
                self.try_to_start()
                self.injector.heal()
                self.daemon.start()
            except BaseException:
                print(f"{errno.errorcode[error]} at {n}: {self.injector.where}; LIONGATE_FAULTS_SEED={SEED}")
                raise
        with self.daemon.client() as client:
            for agent in client.call("agent.list", state=["queued", "running"], limit=1000)["agents"]:
                client.call("agent.cancel", agent_id=agent["agent_id"])
        self.daemon.stop()
        status, text = run_check(self.daemon.state)
        self.assertEqual(status, 0, text)
        report(f"start, {errno.errorcode[error]}, {count}: {self.started} started, {self.ended} ended and said why")

    def test_once(self):
        self.fail(errno.EIO, 1, amount(8, 300))

    def test_from_then_on(self):
        self.fail(errno.ENOSPC, FOREVER, amount(8, 300))


if __name__ == "__main__":
    main()
