"""kill -9 in a daemon at its n-th system call on its state directory: before it, in it (half of a write), after it.

One session starts, commits, syncs, rotates, prunes, writes its catalog, and stops; n goes over all of its calls. Some are
killed a second time, in the middle of recovering. Then all that was promised is checked: what clients saw is in the
log, no gap, no twin, each agent ends once, `liongated --check` has nothing to say."""

import shutil
import tempfile
import unittest

from base import *

ARGS = (
    "--segment-bytes=65536",
    "--retain-bytes=200000",
    "--sync-interval=1ms",
    "--kill-grace=100ms",
    "--stop-grace=1ms",
)
CHATTY = {"chunks": 5, "delay_ms": 0, "chunk_bytes": 20000}
KILLS = ("kill-before", "kill-in", "kill-after")


def session(daemon):
    """All that a daemon does with its disk. Ends wherever the daemon dies; True: it did not."""
    try:
        daemon.start()
        watcher = daemon.client("watcher")
        watcher.call("events.subscribe", after=0)
        client = daemon.client("client")
        for _ in range(4):
            agents = [client.request("agent.spawn", prompt="p", options=CHATTY) for _ in range(2)]
            agents.append(client.request("agent.spawn", prompt="p", options={"chunks": 2, "fail_after": 1}))
            for request in agents:
                client.wait(client.result(request)["agent_id"])
        stays = client.spawn(options=slow_agent(), on_restart="rerun")
        client.call("agent.cancel", agent_id=client.spawn_exec("/bin/sleep", "1000"))
        client.call("agent.list")
        watcher.wait_event(lambda e: e.get("agent_id") == stays)
        daemon.stop()
        return True
    except (AssertionError, *GONE):
        if daemon.process is not None:
            daemon.wait()
        if daemon.ended_with != -9:
            raise
        return False
    finally:
        daemon.drop_clients()


class Points(unittest.TestCase):
    def setUp(self):
        require()
        self.chance = random.Random(SEED)
        self.struck = collections.Counter()
        self.before = os.path.join(tempfile.mkdtemp(prefix="liongate-test-"), "state")
        self.addCleanup(shutil.rmtree, os.path.dirname(self.before))
        # What the sessions find: a daemon that was killed, with agents that ran and waited.
        with Daemon(*ARGS, "--max-running=2") as daemon:
            daemon.start()
            client = daemon.client()
            for policy in ("fail", "rerun", "rerun"):
                agent = client.spawn(options={"chunks": 60, "delay_ms": 1}, on_restart=policy)
            client.call("events.subscribe", after=0, agents=[agent])
            for _ in range(20):
                client.wait(client.spawn(options={"chunks": 3, "delay_ms": 0, "chunk_bytes": 1000}))
            daemon.kill()
            shutil.copytree(daemon.state, self.before)

    def daemon(self, *args):
        daemon = Daemon(*ARGS, *args, captures=True)
        shutil.copytree(self.before, daemon.state)
        return daemon, Injector(daemon)

    def count(self, *args):
        """How many points a session has."""
        daemon, injector = self.daemon(*args)
        with daemon:
            injector.watch()
            self.assertTrue(session(daemon))
            return injector.seen

    def settle(self, daemon):
        """What was accepted ends, and every promise is held."""
        daemon.start()
        checker.check(daemon.captures, daemon.state, running=True, pruned=True)
        client = daemon.client("settle")
        for agent in client.call("agent.list", state=["queued", "running"])["agents"]:
            client.reply(client.request("agent.cancel", agent_id=agent["agent_id"]))
        client.call("events.subscribe", after=0, until="idle")
        client.until_end()
        daemon.stop()
        client.close()
        checker.check(daemon.captures, daemon.state, pruned=True)
        status, text = run_check(daemon.state)
        self.assertEqual(status, 0, text)

    def one(self, n, action, again, *args):
        daemon, injector = self.daemon(*args)
        with daemon:
            injector.strike(n, action)
            if session(daemon):
                self.struck["none: the session was over"] += 1
            else:
                self.struck[re.sub(r"\d{20}|-?\d+", "N", injector.where)] += 1
            if again:
                injector.strike(again, self.chance.choice(KILLS))
                daemon.spawn()
                try:
                    daemon.wait_notify("READY=1", TIMEOUT)
                    daemon.kill()
                except AssertionError:
                    self.assertEqual(daemon.ended_with, -9, daemon.stderr())
            injector.detach()
            self.settle(daemon)

    def sweep(self, *args, most):
        total = self.count(*args)
        points = [(n, action) for n in range(1, total + 1) for action in KILLS]
        for n, action in points if len(points) <= most else self.chance.sample(points, most):
            again = self.chance.randint(1, 40) if self.chance.random() < 0.4 else 0
            try:
                self.one(n, action, again, *args)
            except BaseException:
                print(f"{args}: {action} at {n} of {total}, again at {again}; LIONGATE_FAULTS_SEED={SEED}")
                raise
        return total

    def test_interval(self):
        total = self.sweep(most=amount(16, 1500))
        self.told("interval", total)

    def test_fsync(self):
        total = self.sweep("--durability=fsync", most=amount(10, 1000))
        self.told("fsync", total)

    def told(self, name, total):
        report(f"points, {name}: {total} in a session, {sum(self.struck.values())} sessions, killed at:")
        for where, n in sorted(self.struck.items()):
            print(f"    {n:5} {where}")


if __name__ == "__main__":
    main()
