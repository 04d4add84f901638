"""kill -9, clean stops, and what a next daemon makes of what is on disk."""

import glob
import os
import re
import shutil
import signal
import stat
import subprocess
import unittest
import uuid

from common import *

QUICK = {"chunks": 1, "delay_ms": 0}
DEAF = "trap '' TERM; echo up; while :; do sleep 1; done"


class RestartCase(unittest.TestCase):
    args = ()

    def setUp(self):
        self.daemon = Daemon(*self.args)
        self.addCleanup(self.daemon.close)
        self.up()

    def up(self, *args):
        self.daemon.start(*args)
        self.client = self.daemon.client()

    def kill_and_restart(self, *args):
        self.daemon.kill()
        self.up(*args)

    def wait_event(self, wanted, **params):
        with self.daemon.client() as watcher:
            watcher.call("events.subscribe", after=0, **params)
            return watcher.wait_event(wanted)

    def started(self, agent):
        return self.wait_event(lambda e: True, agents=[agent], types=["AgentStarted"])

    def chunk(self, agent, index=0):
        return self.wait_event(lambda e: e["index"] >= index, agents=[agent], types=["AgentPartialOutput"])

    def daemon_events(self, kind="DaemonStarted"):
        return [e for e in self.daemon.events() if e["type"] == kind]

    def sound(self, **kwargs):
        Log(self.daemon.state)
        return check_lives(self.daemon.events(), **kwargs)


class Killed(RestartCase):
    def test_seq_goes_on_and_the_log_stays_the_same(self):
        before = self.client.call("daemon.status")
        for i in range(3):
            self.client.wait(self.client.spawn(str(i), options=QUICK))
            lines = self.daemon.log_lines()
            self.kill_and_restart()
            self.assertEqual(self.daemon.log_lines()[: len(lines)], lines)
            after = self.client.call("daemon.status")
            self.assertEqual(after["log_id"], before["log_id"])
            self.assertNotEqual(after["instance_id"], before["instance_id"])
            self.assertNotEqual(after["pid"], before["pid"])
            self.assertEqual(self.daemon_events()[-1]["instance_id"], after["instance_id"])
        seqs = [e["seq"] for e in self.daemon.events()]
        self.assertEqual(seqs, list(range(1, len(seqs) + 1)))
        self.sound()

    def test_running_is_interrupted(self):
        mock = self.client.spawn(options=slow_agent())
        program = self.client.spawn_exec("/bin/sh", "-c", "echo up; exec sleep 1000")
        self.chunk(mock)
        self.chunk(program)
        self.kill_and_restart()
        for agent in (mock, program):
            got = self.client.wait(agent)
            self.assertEqual(got["state"], "failed")
            self.assertEqual(got["ending"]["code"], "interrupted")
            end = self.daemon.events_of(agent)[-1]
            self.assertEqual((end["type"], end["code"]), ("AgentError", "interrupted"))
        self.assertEqual(self.client.output(program), b"up\n")
        started = self.daemon_events()[-1]
        self.assertEqual((started["requeued"], started["interrupted"]), (0, 2))
        self.sound(require_ended=True)

    def test_queued_runs_after_the_restart(self):
        self.daemon.stop()
        self.up("--max-running=1")
        first = self.client.spawn(options=slow_agent())
        queued = [self.client.spawn(str(i), options={"chunks": 2, "delay_ms": 1}) for i in range(5)]
        self.started(first)
        self.kill_and_restart("--max-running=1")
        for agent in queued:
            self.assertEqual(self.client.wait(agent)["state"], "completed")
        self.assertEqual(self.client.wait(first)["ending"]["code"], "interrupted")
        started = self.daemon_events()[-1]
        self.assertEqual((started["requeued"], started["interrupted"]), (5, 1))
        self.sound(require_ended=True)

    def test_nothing_wakes_the_daemon_for_it(self):
        self.daemon.stop()
        self.up("--max-running=1")
        first = self.client.spawn(options=slow_agent())
        queued = self.client.spawn(options=QUICK)
        self.started(first)
        self.daemon.kill()
        self.daemon.start("--sync-interval=1h")
        eventually(
            lambda: self.daemon.events_of(queued)[-1]["type"] == "AgentCompleted",
            "it runs though no client and no sync wakes the main loop",
        )

    def test_at_once_after_the_answer(self):
        for i in range(10):
            agents = [self.client.spawn(str(j), options=QUICK) for j in range(i + 1)]
            self.kill_and_restart()
            for agent in agents:
                got = self.client.wait(agent)
                if got["state"] != "completed":
                    self.assertEqual(got["ending"]["code"], "interrupted")
        self.sound(require_ended=True)

    def test_rerun(self):
        agent = self.client.spawn("P", options={"chunks": 5, "delay_ms": 200}, on_restart="rerun")
        for attempt in (1, 2):
            self.wait_event(
                lambda e, n=attempt: e["type"] == "AgentStarted" and e["attempt"] == n, agents=[agent]
            )
            chunks = [e for e in self.daemon.events_of(agent) if "chunk" in e]
            self.chunk(agent, len(chunks))
            self.kill_and_restart()
        got = self.client.wait(agent)
        self.assertEqual((got["state"], got["attempt"]), ("completed", 3))
        events = self.daemon.events_of(agent)
        self.assertEqual([e["attempt"] for e in events if e["type"] == "AgentStarted"], [1, 2, 3])
        indexes = [e["index"] for e in events if "chunk" in e]
        self.assertEqual(indexes, list(range(len(indexes))))
        self.assertGreater(len(indexes), 5)
        last = max(i for i, e in enumerate(events) if e["type"] == "AgentStarted")
        expected = b"".join(raw_bytes(e) for e in events[last:] if "chunk" in e)
        self.assertEqual(len([e for e in events[last:] if "chunk" in e]), 5)
        self.assertEqual(self.client.output(agent), expected, "of several attempts, the last")
        self.assertEqual(self.client.output(agent, limit_bytes=7), expected)
        self.up_again_and_look(agent, expected)

    def up_again_and_look(self, agent, expected):
        self.kill_and_restart()
        self.assertEqual(self.client.output(agent), expected)
        self.assertEqual(self.client.call("agent.get", agent_id=agent)["attempt"], 3)
        self.sound(require_ended=True)

    def test_rerun_of_a_program(self):
        path = os.path.join(self.daemon.dir, "runs")
        script = f"echo run >> {path}; wc -l < {path}; [ $(wc -l < {path}) = 2 ] || exec sleep 1000"
        agent = self.client.spawn_exec("/bin/sh", "-c", script, on_restart="rerun")
        self.chunk(agent)
        self.kill_and_restart()
        self.assertEqual(self.client.wait(agent)["state"], "completed")
        self.assertEqual(self.client.output(agent), b"2\n")
        pids = [e["pid"] for e in self.daemon.events_of(agent) if e["type"] == "AgentStarted"]
        self.assertEqual(len(set(pids)), 2)

    def test_no_program_of_a_dead_daemon_goes_on(self):
        script = (
            "echo pid $$; sleep 1000 & echo pid $!; trap '' TERM; "
            "setsid sh -c 'setsid sleep 1000 & echo pid $!; exec sleep 1000' & echo pid $!; "
            "echo up; wait; while :; do sleep 1; done"
        )
        agents = [self.client.spawn_exec("/bin/sh", "-c", script) for _ in range(5)]
        pids = []
        for agent in agents:
            eventually(lambda a=agent: self.client.output(a).count(b"\n") == 5, "all of it is up")
            pids += [int(word) for word in re.findall(rb"pid (\d+)", self.client.output(agent))]
        self.assertEqual(len(pids), 20)
        self.assertTrue(all(alive(pid) for pid in pids))
        self.daemon.kill()
        self.up()
        self.assertEqual([pid for pid in pids if alive(pid)], [], "gone before the next one accepts anything")
        for agent in agents:
            self.assertEqual(self.client.wait(agent)["ending"]["code"], "interrupted")

    def test_without_a_next_daemon_too(self):
        script = "setsid sleep 1000 & echo up; trap '' TERM; wait; sleep 1000"
        agent = self.client.spawn_exec("/bin/sh", "-c", script)
        self.chunk(agent)
        self.daemon.kill()
        harness.wait_no_orphans()

    def orphans_to_be(self):
        """Agents whose programs do not all end with the reaper; the pids of those programs."""
        script = (
            "trap '' TERM; echo pid $$; setsid sleep 1000 & echo pid $!; sleep 1000 & echo pid $!; "
            "setsid sh -c 'env -i sleep 1000 & echo pid $!; wait' & echo pid $!; echo up; sleep 1000"
        )
        agents = [
            self.client.spawn_exec("/bin/sh", "-c", script, on_restart=on_restart)
            for on_restart in ("fail", "rerun", "fail")
        ]
        pids = []
        for agent in agents:
            eventually(lambda a=agent: self.client.output(a).count(b"\n") == 6, "all of it is up")
            pids += [int(word) for word in re.findall(rb"pid (\d+)", self.client.output(agent))]
        self.assertEqual(len(pids), 15)
        self.assertTrue(all(alive(pid) for pid in pids))
        return agents, pids

    def test_no_program_goes_on_though_the_reaper_was_killed_too(self):
        agents, pids = self.orphans_to_be()
        bystander = subprocess.Popen(
            ["sleep", "1000"], env={"LIONGATE_AGENT_ID": str(uuid.uuid4())}, start_new_session=True
        )
        self.addCleanup(bystander.wait)
        self.addCleanup(bystander.kill)
        (reaper,) = harness.children(self.daemon.pid)
        os.kill(reaper, signal.SIGSTOP)
        self.daemon.kill()
        os.kill(reaper, signal.SIGKILL)
        self.assertTrue(any(alive(pid) for pid in pids), "else there is nothing to see")
        self.up()
        self.assertEqual([pid for pid in pids if alive(pid)], [], "gone before the next one accepts anything")
        self.assertIsNone(bystander.poll(), "another daemon's, for all we know")
        for agent in (agents[0], agents[2]):
            self.assertEqual(self.client.wait(agent)["ending"]["code"], "interrupted")
        self.wait_event(lambda e: e["attempt"] == 2, agents=[agents[1]], types=["AgentStarted"])

    def test_no_program_goes_on_when_the_reaper_is_killed(self):
        _, pids = self.orphans_to_be()
        (reaper,) = harness.children(self.daemon.pid)
        os.kill(reaper, signal.SIGKILL)
        self.assertEqual(self.daemon.wait(), 1)
        self.assertEqual([pid for pid in pids if alive(pid)], [])
        self.up()

    def test_a_subscriber_comes_back(self):
        agent = self.client.spawn(options={"chunks": 1000, "delay_ms": 2}, on_restart="rerun")
        watcher = self.daemon.client()
        watcher.call("events.subscribe", after=0)
        seen = []
        for round_ in range(3):
            for _ in range(50):
                note = watcher.note()
                if note["method"] == "event":
                    seen.append(note["params"])
            self.daemon.kill()
            while (note := watcher.note()) is not None:
                if note["method"] == "event":
                    seen.append(note["params"])
            self.up()
            watcher = self.daemon.client()
            log_id = self.client.call("daemon.status")["log_id"]
            watcher.call("events.subscribe", after=seen[-1]["seq"], log_id=log_id)
        self.client.call("agent.cancel", agent_id=agent)
        while seen[-1]["type"] not in ENDS:
            seen.append(watcher.wait_event(lambda e: True))
        self.assertEqual(seen, self.daemon.events()[: len(seen)])

    def test_the_same_spawn_again(self):
        agent = str(uuid.uuid4())
        first = self.client.call("agent.spawn", prompt="p", agent_id=agent, options=QUICK)
        self.client.wait(agent)
        self.kill_and_restart()
        again = self.client.call("agent.spawn", prompt="p", agent_id=agent, options=QUICK)
        self.assertEqual(again, {**first, "created": False})
        self.client.fail("agent.spawn", "already_exists", prompt="q", agent_id=agent, options=QUICK)

    def test_projections_survive(self):
        for i in range(20):
            self.client.wait(self.client.spawn(str(i), options={"chunks": 2, "delay_ms": 0}, correlation_id="c"))
        agents = self.client.call("agent.list")["agents"]
        output = self.client.output(agents[3]["agent_id"])
        stats = self.client.call("events.stats", correlation_id="c")
        self.kill_and_restart()
        self.assertEqual(self.client.call("agent.list")["agents"], agents)
        self.assertEqual(self.client.output(agents[3]["agent_id"]), output)
        self.assertEqual(self.client.call("events.stats", correlation_id="c"), stats)
        self.assertEqual(self.client.call("agent.get", agent_id=agents[3]["agent_id"][:13])["state"], "completed")

    def test_the_catalog_is_only_a_projection(self):
        for i in range(20):
            self.client.wait(self.client.spawn(str(i), options=QUICK))
        agents = self.client.call("agent.list")["agents"]
        stats = self.client.call("events.stats")
        self.daemon.kill()
        for path in glob.glob(os.path.join(self.daemon.state, "catalog.db*")):
            os.unlink(path)
        self.up()
        self.assertEqual(self.client.call("agent.list")["agents"], agents)
        self.assertEqual(self.client.call("events.stats")["agents"], stats["agents"])

    def test_a_torn_tail_is_cut(self):
        self.client.wait(self.client.spawn(options=QUICK))
        half = b'{"jsonrpc":"2.0","method":"event","params":{"seq":9'
        for tail in (b"{", half, b"\0" * 100, b"\n\n", b"x" * 70000):
            self.daemon.kill()
            harness.wait_no_orphans()
            lines = self.daemon.log_lines()
            with open(self.daemon.log_files()[-1], "ab") as f:
                f.write(tail)
            self.up()
            self.assertEqual(self.daemon.log_lines()[: len(lines)], lines)
            self.assertEqual(self.client.wait(self.client.spawn(options=QUICK))["state"], "completed")
            Log(self.daemon.state)
        seqs = [e["seq"] for e in self.daemon.events()]
        self.assertEqual(seqs, list(range(1, len(seqs) + 1)))

    def test_lost_lines_are_told(self):
        agent = self.client.spawn(options={"chunks": 10, "delay_ms": 0})
        self.client.wait(agent)
        self.daemon.kill()
        harness.wait_no_orphans()
        # As a power cut would: the index is longer than the lines, so the numbers were given out.
        path = self.daemon.log_files()[-1]
        with open(path, "rb") as f:
            lines = f.readlines()
        os.truncate(path, os.path.getsize(path) - sum(map(len, lines[-4:])))
        self.up()
        kept = len(lines) - 4
        started = self.daemon.events()[kept]
        self.assertEqual(started["type"], "DaemonStarted")
        self.assertEqual(started["lost"], {"from": kept + 1, "to": started["seq"] - 1})
        self.assertGreater(started["seq"], len(lines))
        watcher = self.daemon.client()
        watcher.call("events.subscribe", after=0)
        gap, seen = watcher.wait_note("gap")
        self.assertEqual((gap["from"], gap["to"]), (kept + 1, started["seq"] - 1))
        self.assertEqual([e["seq"] for e in seen], list(range(1, kept + 1)))
        self.kill_and_restart()
        self.assertNotIn("lost", self.daemon_events()[-1])
        Log(self.daemon.state)

    def test_over_many_segments(self):
        self.kill_and_restart("--segment-bytes=65536")
        options = {"chunks": 30, "delay_ms": 0, "chunk_bytes": 5000}
        for i in range(3):
            agents = [self.client.spawn(str(j), options=options, on_restart="rerun") for j in range(10)]
            self.chunk(agents[i], 5)
            self.kill_and_restart("--segment-bytes=65536")
            for agent in agents:
                self.assertEqual(self.client.wait(agent)["state"], "completed")
        self.sound(require_ended=True)
        watcher = self.daemon.client()
        watcher.call("events.subscribe", after=0)
        self.assertEqual(watcher.wait_note("live")[1], self.daemon.events())

    def test_killed_before_it_was_ready(self):
        agents = [self.client.spawn(options=slow_agent(), on_restart="rerun") for _ in range(20)]
        self.chunk(agents[-1])
        self.daemon.kill()
        for _ in range(20):
            self.daemon.spawn()
            self.daemon.kill()
        self.up()
        for agent in agents:
            self.assertEqual(self.client.call("agent.cancel", agent_id=agent)["state"], "cancelled")
        self.sound(require_ended=True)


class Stopped(RestartCase):
    args = ("--stop-grace=200ms", "--kill-grace=200ms")

    def test_events(self):
        before = self.client.call("daemon.status")["instance_id"]
        watcher = self.daemon.client()
        watcher.call("events.subscribe", after=0)
        self.daemon.stop()
        seen = []
        while (note := watcher.note()) is not None:
            if note["method"] == "event":
                seen.append(note["params"])
        self.assertEqual(watcher.torn(), b"")
        self.assertEqual([e["type"] for e in seen], ["DaemonStarted", "DaemonStopping"])
        self.assertTrue(seen[1]["reason"])
        self.up()
        events = self.daemon.events()
        self.assertEqual([e["type"] for e in events], ["DaemonStarted", "DaemonStopping", "DaemonStarted"])
        self.assertNotEqual(events[2]["instance_id"], before)
        self.assertNotIn("lost", events[2])
        self.assertEqual((events[2]["requeued"], events[2]["interrupted"]), (0, 0))

    def test_what_runs_ends_or_runs_anew(self):
        quick = [self.client.spawn(options={"chunks": 2, "delay_ms": 20}) for _ in range(5)]
        slow = [self.client.spawn(options=slow_agent()) for _ in range(5)]
        programs = [self.client.spawn_exec("/bin/sh", "-c", DEAF) for _ in range(3)]
        self.started(programs[-1])
        self.daemon.stop()
        self.up()
        for agent in quick + slow + programs:
            got = self.client.wait(agent)
            self.assertIn(got["state"], ("completed", "failed"))
            if got["state"] == "failed":
                self.assertIn(got["ending"]["code"], ("shutdown", "interrupted"))
        lives = self.sound(require_ended=True)
        self.assertEqual({lives[a].state for a in slow + programs}, {"failed"})

    def test_what_is_queued_is_remembered(self):
        self.daemon.stop()
        self.up("--max-running=1")
        self.client.spawn(options=slow_agent())
        queued = [self.client.spawn(options=QUICK) for _ in range(5)]
        self.daemon.stop()
        self.up("--max-running=1")
        for agent in queued:
            got = self.client.wait(agent)
            self.assertTrue(got["state"] == "completed" or got["ending"]["code"] == "shutdown", got)
        self.sound(require_ended=True)

    def test_it_drains(self):
        self.daemon.stop()
        self.up("--stop-grace=600s")
        agents = [self.client.spawn(options={"chunks": 3, "delay_ms": 100}) for _ in range(5)]
        self.started(agents[-1])
        self.daemon.stop()
        lives = self.sound(require_ended=True)
        self.assertEqual({life.state for life in lives.values()}, {"completed"})

    def test_those_that_wait_are_answered_or_closed(self):
        agent = self.client.spawn(options=slow_agent())
        request = self.client.request("agent.wait", agent_id=agent)
        self.daemon.stop()
        while self.client.pump():
            pass
        self.assertEqual(self.client.torn(), b"")
        if request in self.client.replies:
            check_reply(self.client.replies[request])

    def test_stopped_before_it_was_ready(self):
        self.daemon.stop()
        for _ in range(5):
            self.daemon.spawn()
            self.daemon.signal(signal.SIGTERM)
            self.assertIn(self.daemon.wait(), (0, -signal.SIGTERM))
        self.up()
        Log(self.daemon.state)

    def test_a_second_signal_ends_it_at_once_but_in_order(self):
        self.daemon.stop()
        self.up("--stop-grace=1h", "--kill-grace=1h", "--max-running=2")
        programs = [self.client.spawn_exec("/bin/sh", "-c", DEAF) for _ in range(2)]
        queued = self.client.spawn(options=QUICK)
        for agent in programs:
            self.chunk(agent)
        watcher = self.daemon.client()
        watcher.call("events.subscribe")
        self.daemon.signal(signal.SIGTERM)
        stopping = watcher.wait_event(lambda e: True)
        self.assertEqual((stopping["type"], stopping["reason"]), ("DaemonStopping", "SIGTERM"))
        self.daemon.signal(signal.SIGINT)
        ends = [watcher.wait_event(lambda e: True) for _ in programs]
        self.assertEqual({(e["type"], e["code"]) for e in ends}, {("AgentError", "shutdown")})
        self.assertEqual({e["agent_id"] for e in ends}, set(programs))
        self.assertEqual(self.daemon.wait(), 0)
        self.assertEqual(harness.running_orphans(), [])
        self.assertEqual(run_check(self.daemon.state)[0], 0)
        self.assertEqual(self.daemon.events()[-1]["seq"], ends[-1]["seq"], "nothing comes behind them")
        self.up()
        started = self.daemon_events()[-1]
        self.assertEqual((started["requeued"], started["interrupted"]), (1, 0))
        self.assertEqual(self.client.wait(queued)["state"], "completed")
        self.sound(require_ended=True)

    def test_a_replaced_log(self):
        status = self.client.call("daemon.status")
        self.daemon.stop()
        shutil.rmtree(self.daemon.state)
        self.up()
        data = self.client.fail("events.subscribe", "log_replaced", after=0, log_id=status["log_id"])
        self.assertNotEqual(data["log_id"], status["log_id"])
        self.client.fail("events.subscribe", "log_replaced", after=status["log"]["newest_seq"] + 5)

    def test_permissions(self):
        self.client.wait(self.client.spawn_exec("/bin/true"))
        self.assertEqual(stat.S_IMODE(os.stat(self.daemon.state).st_mode), 0o700)
        n = 0
        for directory, _, names in os.walk(self.daemon.state):
            for name in names:
                mode = stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode)
                self.assertEqual(mode, 0o600, name)
                n += 1
        self.assertGreaterEqual(n, 1)


class Second(RestartCase):
    def run_other(self, socket, state):
        command = [*harness.DAEMON, "--no-config", "--socket", socket, "--state-dir", state]
        return subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)

    def test_a_second_daemon_is_refused(self):
        other = os.path.join(self.daemon.dir, "other")
        answers = f"another process answers at {self.daemon.socket}"
        runs = f"another liongated is running with the state directory {self.daemon.state}"
        for socket, state, why in (
            (self.daemon.socket, self.daemon.state, answers),
            (other + ".sock", self.daemon.state, runs),
            (self.daemon.socket, other, answers),
        ):
            done = self.run_other(socket, state)
            self.assertEqual(done.returncode, 1, (socket, state))
            self.assertRegex(done.stderr.decode(), rf"\A\S+ ERROR {re.escape(why)}\n\Z")
            self.assertEqual(glob.glob(other + "*"), [], "it has made nothing")
        self.assertEqual(self.client.call("daemon.status")["pid"], self.daemon.pid)
        self.assertEqual(self.daemon.client().call("daemon.status")["pid"], self.daemon.pid)
        self.assertEqual(len(self.daemon_events()), 1)

    def test_a_stale_socket_is_taken_over(self):
        self.daemon.kill()
        self.assertTrue(os.path.exists(self.daemon.socket))
        self.up()
        self.assertEqual(self.client.call("daemon.status")["pid"], self.daemon.pid)


class Check(RestartCase):
    args = ("--segment-bytes=65536",)

    def check(self):
        command = self.daemon.command("--check", *self.args)
        return subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)

    def fill(self):
        options = {"chunks": 20, "delay_ms": 0, "chunk_bytes": 5000}
        for agent in [self.client.spawn(options=options) for _ in range(5)]:
            self.client.wait(agent)

    def test_sound(self):
        self.fill()
        self.daemon.stop()
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.up()

    def test_sound_after_a_kill(self):
        self.fill()
        self.daemon.kill()
        harness.wait_no_orphans()
        self.up()
        self.daemon.stop()
        self.assertEqual(self.check().returncode, 0)

    def test_damaged(self):
        self.fill()
        self.daemon.stop()
        path = self.daemon.log_files()[1]
        with open(path, "r+b") as f:
            f.seek(3000)
            byte = f.read(1)
            f.seek(3000)
            f.write(b"X" if byte != b"X" else b"Y")
        done = self.check()
        self.assertGreater(done.returncode, 0)
        self.assertTrue(done.stdout + done.stderr, "it says what")


if __name__ == "__main__":
    main()
