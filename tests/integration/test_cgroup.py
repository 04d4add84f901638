"""A cgroup for each program, and what a daemon says that has none.

Where root can make a cgroup, one is made by hand, as a service manager would. Which controllers it has is the machine's
affair: what needs one that is not there is skipped.
"""

import os
import signal
import subprocess
import unittest

from common import *

MIB = 1024 * 1024
BUSY = "while :; do :; done"


def mount():
    """Where cgroup v2 is, as the daemon looks for it; None: nowhere."""
    for place in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if os.path.exists(os.path.join(place, "cgroup.subtree_control")):
            return place
    return None


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def read(*path):
    with open(os.path.join(*path), encoding="ascii") as f:
        return f.read()


class CgroupDaemon(Daemon):
    """In a cgroup of its own, which is marked as delegated."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.root = os.path.join(mount(), os.path.basename(self.dir))
        self.agents = os.path.join(self.root, "agents")
        os.mkdir(self.root)
        try:
            self.give_controllers()
            self.mark(b"1")
        except OSError:
            self.remove()
            raise

    def give_controllers(self):
        """Those that the machine has for it; where that is none, not even their file need be writable."""
        given = read(mount(), "cgroup.subtree_control").split()
        for name in {"memory", "pids", "cpu"} & set(read(mount(), "cgroup.controllers").split()) - set(given):
            try:
                write(os.path.join(mount(), "cgroup.subtree_control"), f"+{name}")
            except OSError:
                pass  # it has processes of its own: a container's

    def mark(self, value):
        os.setxattr(self.root, "user.delegate", value)

    def command(self, *args):
        # A later one has to begin where the first has moved to: the cgroup itself gives controllers by then.
        leaf = os.path.join(self.root, "daemon")
        place = leaf if os.path.isdir(leaf) else self.root
        return ["/bin/sh", "-c", f'echo $$ >{place}/cgroup.procs && exec "$@"', "sh", *super().command(*args)]

    def remove(self):
        write(os.path.join(self.root, "cgroup.kill"), "1")

        def removed():
            try:
                for directory, _, _ in os.walk(self.root, topdown=False):
                    os.rmdir(directory)
            except OSError:
                return False
            return True

        eventually(removed, "its cgroup is empty")

    def close(self):
        try:
            super().close()
        finally:
            self.remove()

    def left(self):
        return [name for name in os.listdir(self.agents) if os.path.isdir(os.path.join(self.agents, name))]


def can_make():
    if os.geteuid() != 0 or not mount():
        return False
    try:
        daemon = CgroupDaemon()
    except OSError:
        return False
    kill = os.path.exists(os.path.join(daemon.root, "cgroup.kill"))
    daemon.close()
    return kill


class CgroupCase(unittest.TestCase):
    args = ("--kill-grace=300ms",)

    @classmethod
    def setUpClass(cls):
        if not can_make():
            raise unittest.SkipTest("no cgroup can be made and given away here")

    def setUp(self):
        self.daemon = CgroupDaemon(*self.args)
        self.addCleanup(self.daemon.close)
        self.start()

    def start(self, *args):
        self.daemon.start(*args)
        self.client = self.daemon.client()
        self.how = self.client.call("daemon.status")["containment"]

    def need(self, controller):
        if controller not in self.how["controllers"]:
            self.skipTest(f"cgroups have no controller {controller} here")

    def sh(self, script, **limits):
        """(its last event, what it wrote)"""
        got = self.client.run_exec("/bin/sh", "-c", script, options={"limits": limits})
        return got["ending"], self.client.output(got["agent_id"]).decode()

    def python(self, script, **limits):
        got = self.client.run_exec(PYTHON, "-I", "-S", "-c", script, options={"limits": limits})
        return got["ending"], self.client.output(got["agent_id"]).decode()

    def up(self, script):
        """Starts a script that writes pids and then `up`: (the agent, the pids)."""
        agent = self.client.spawn_exec("/bin/sh", "-c", script)
        watcher = self.daemon.client()
        watcher.call("events.subscribe", after=0, agents=[agent])
        seen = ""
        while "up\n" not in seen:
            event = watcher.wait_event(lambda e: "chunk" in e or e["type"] in ENDS)
            self.assertIn("chunk", event)
            seen += event["chunk"]
        return agent, [int(word) for word in seen.split()[:-1]]


# In a session of its own, orphaned, deaf, and without the agent's name. It is so before the script goes on.
ESCAPE = (
    "(setsid env -i /bin/sh -c 'trap \"\" TERM; echo $$; exec sleep 1000 >/dev/null' &) | (read -r pid; echo $pid; echo up); "
)


class InForce(CgroupCase):
    def test_each_has_its_own(self):
        self.assertEqual(self.how["by"], "cgroup")
        self.assertNotIn("reason", self.how)
        end, said = self.sh("cat /proc/self/cgroup")
        own = next(line for line in said.split("\n") if line.startswith("0::"))
        self.assertTrue(own.endswith(f"/{os.path.basename(self.daemon.root)}/agents/{end['agent_id']}"), own)
        self.assertEqual(read(self.daemon.root, "cgroup.procs"), "")
        procs = [int(word) for word in read(self.daemon.root, "daemon/cgroup.procs").split()]
        self.assertIn(self.daemon.pid, procs)
        self.assertEqual(len(procs), 2, "the daemon and its reaper")
        self.assertEqual(self.daemon.left(), [])

    def test_resource(self):
        end, _ = self.sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
        self.assertEqual(end["type"], "AgentCompleted")
        self.assertGreater(end["resource"]["cpu_us"], 0)
        if "memory" in self.how["controllers"] and os.path.exists(f"{self.daemon.agents}/memory.peak"):
            end, _ = self.python("x = bytearray(64 << 20)")
            self.assertGreater(end["resource"]["memory_peak_bytes"], 64 * MIB)

    def test_one_that_cannot_be_started_leaves_none(self):
        for options in ({}, {"cwd": "/nowhere/at/all"}):
            ending = self.client.run_exec("/no/such/program", options=options)["ending"]
            self.assertEqual(ending["code"], "spawn_failed")
            self.assertNotIn("resource", ending)
        eventually(lambda: self.daemon.left() == [], "their cgroups are gone")

    def test_its_own_below(self):
        agent, pids = self.up(
            f"cd {self.daemon.agents}/$LIONGATE_AGENT_ID && mkdir -p a/b c && "
            "sh -c 'echo $$ >a/b/cgroup.procs; echo $$; echo up; exec sleep 1000'"
        )
        self.client.call("agent.cancel", agent_id=agent)
        self.assertFalse(alive(pids[0]))
        self.assertEqual(self.daemon.left(), [])

    def test_an_orphan_without_a_name_is_its_agents(self):
        agent, pids = self.up(ESCAPE + "exec sleep 1000")
        other, _ = self.sh("echo x")  # which has the reaper look at all that it has
        self.assertEqual(other["type"], "AgentCompleted")
        self.assertTrue(alive(pids[0]))
        self.client.call("agent.cancel", agent_id=agent)
        self.assertFalse(alive(pids[0]))
        self.assertEqual(self.daemon.left(), [])

    def test_what_stays_behind_is_killed(self):
        end, said = self.sh(ESCAPE + "true")
        self.assertEqual(end["type"], "AgentCompleted")
        self.assertFalse(alive(int(said.split()[0])))
        self.assertEqual(self.daemon.left(), [])

    def test_one_that_was_moved_in(self):
        """It is nobody's child here: the walk does not meet it, and only the cgroup tells."""
        agent, _ = self.up("echo up; exec sleep 1000")
        with subprocess.Popen(["/bin/sleep", "1000"]) as guest:
            self.addCleanup(guest.kill)
            write(f"{self.daemon.agents}/{agent}/cgroup.procs", str(guest.pid))
            self.client.call("agent.cancel", agent_id=agent)
            self.assertEqual(guest.wait(TIMEOUT), -signal.SIGKILL)
        self.assertEqual(self.daemon.left(), [])

    def test_processor_time_of_all_together(self):
        # Each of them has used far less when they have used it all.
        end, _ = self.sh(f"for i in 1 2 3 4; do ({BUSY}) & done; wait", cpu_seconds=1)
        self.assertEqual((end["code"], "limits.cpu_seconds" in end["message"]), ("resource_limit", True), end)
        self.assertGreaterEqual(end["resource"]["cpu_us"], 1000000)

    def test_kill_9(self):
        agent, pids = self.up(ESCAPE + "exec sleep 1000")
        self.daemon.kill()
        self.start()
        self.assertFalse(alive(pids[0]))
        self.assertEqual((self.how["by"], self.daemon.left()), ("cgroup", []))
        self.assertEqual(self.client.wait(agent)["ending"]["code"], "interrupted")
        self.assertEqual(self.sh("echo again")[1], "again\n")

    def test_kill_9_of_both(self):
        agent, pids = self.up(ESCAPE + "exec sleep 1000")
        reapers = [p for p in map(int, read(self.daemon.root, "daemon/cgroup.procs").split()) if p != self.daemon.pid]
        os.kill(self.daemon.pid, signal.SIGSTOP)  # it would end them itself
        for pid in reapers:
            os.kill(pid, signal.SIGKILL)
        self.daemon.kill()
        # Its cgroup is all that says whose it was.
        self.assertTrue(alive(pids[0]))
        self.assertEqual(self.daemon.left(), [agent])
        self.start()
        self.assertFalse(alive(pids[0]))
        self.assertEqual(self.daemon.left(), [])

    def test_without_its_reaper_the_daemon_ends_all(self):
        _, pids = self.up(ESCAPE + "exec sleep 1000")
        reapers = [p for p in map(int, read(self.daemon.root, "daemon/cgroup.procs").split()) if p != self.daemon.pid]
        os.kill(reapers[0], signal.SIGKILL)
        self.assertNotEqual(self.daemon.wait(), 0)
        self.assertFalse(alive(pids[0]))
        self.assertEqual(self.daemon.left(), [])

    def test_processes(self):
        self.need("pids")
        bomb = (
            "import os, time\n"
            "n = 0\n"
            "for _ in range(200):\n"
            "    try:\n"
            "        if os.fork() == 0:\n"
            "            time.sleep(1000)\n"
            "            os._exit(0)\n"
            "        n += 1\n"
            "    except BlockingIOError:\n"
            "        pass\n"
            "print(n)\n"
        )
        end, said = self.python(bomb, processes=8)
        self.assertEqual((end["type"], said), ("AgentCompleted", "7\n"))
        self.assertEqual(end["resource"]["forks_refused"], 193)
        self.assertEqual(self.daemon.left(), [])

    def test_memory(self):
        self.need("memory")
        grow = "import sys; print('small', flush=True); x = bytearray(200 << 20); print('large')"
        end, said = self.python(grow, memory_bytes=64 * MIB)
        self.assertEqual((end["code"], said), ("resource_limit", "small\n"))
        self.assertIn("limits.memory_bytes", end["message"])
        self.assertIn(str(64 * MIB), end["message"])
        self.assertGreaterEqual(end["resource"]["oom_kills"], 1)
        # Address space is free.
        self.assertEqual(self.sh("ulimit -v", memory_bytes=64 * MIB)[1], self.sh("ulimit -v")[1])
        # The reaper lives through one with which not even a program can be executed.
        self.assertIn(self.sh("true", memory_bytes=4096)[0]["code"], ("spawn_failed", "resource_limit", "signal"))
        self.assertEqual(self.sh("echo after")[1], "after\n")

    def test_accepted_with_cgroups_and_started_without(self):
        self.need("pids")
        self.daemon.stop()
        self.start("--max-running=1")
        self.client.spawn_exec("/bin/sleep", "1000")
        second = self.client.spawn_exec("/bin/true", options={"limits": {"processes": 3}})
        self.daemon.kill()
        self.start("--cgroups=off")
        ending = self.client.wait(second)["ending"]
        self.assertEqual(ending["code"], "spawn_failed")
        self.assertIn("limits.processes needs cgroups", ending["message"])


class NotInForce(DaemonCase):
    """Without one of its own."""

    args = ("--cgroups=off",)

    def test_status_says_so(self):
        self.assertEqual(
            self.client.call("daemon.status")["containment"],
            {"by": "process walk", "controllers": [], "reason": "the configuration says so"},
        )
        self.assertNotIn("resource", self.client.run_exec("/bin/true")["ending"])

    def test_processes_are_refused(self):
        options = {"argv": ["/bin/true"], "limits": {"processes": 10}}
        with self.assertRaises(RpcError) as refused:
            self.client.call("agent.spawn", prompt="", backend="exec", options=options)
        self.assertEqual(refused.exception.data["param"], "options.limits.processes")
        self.assertIn("needs cgroups of the daemon's own, which it does not have", str(refused.exception))


class NotDelegated(unittest.TestCase):
    def test_of_one_that_is_shared_nothing_is_taken(self):
        """The one of whoever runs the tests: no mark, and others in it."""
        before = read("/proc/self/cgroup")
        with Daemon("--cgroups=auto") as daemon:
            daemon.start()
            how = daemon.client().call("daemon.status")["containment"]
            self.assertEqual(how["by"], "process walk")
            self.assertTrue(how["reason"])
            self.assertEqual(read(f"/proc/{daemon.pid}/cgroup"), before)

    def test_on_does_not_start_without(self):
        daemon = Daemon("--cgroups=on")
        self.addCleanup(daemon.close)
        daemon.spawn()
        self.assertEqual(daemon.wait(), 1)
        self.assertIn("there can be no cgroups for agents", daemon.stderr())

    def test_a_mark_is_needed(self):
        if not can_make():
            self.skipTest("no cgroup can be made and given away here")
        daemon = CgroupDaemon()
        self.addCleanup(daemon.close)
        daemon.mark(b"0")
        daemon.start()
        how = daemon.client().call("daemon.status")["containment"]
        self.assertEqual((how["by"], how["reason"]), ("process walk", "no cgroup is delegated to the daemon"))
        self.assertFalse(os.path.exists(daemon.agents))
        daemon.restart("--cgroups=on")
        self.assertEqual(daemon.client().call("daemon.status")["containment"]["by"], "cgroup")


if __name__ == "__main__":
    main()
