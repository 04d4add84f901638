"""The life of an agent: its grammar, cancel, time-outs, priorities, groups, counters."""

import time

from common import *

QUICK = {"chunks": 1, "delay_ms": 0}


class LifeCase(DaemonCase):
    """Every test ends with the whole log held to the grammar."""

    def lives(self):
        return check_lives(self.daemon.events())

    def tearDown(self):
        if self.daemon.process:
            events = self.daemon.events()
            for event in events:
                check_event(event)
            self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)))
            check_lives(events)

    def started(self, agent):
        watcher = self.connect()
        watcher.call("events.subscribe", after=0, agents=[agent], types=["AgentStarted"])
        event = watcher.wait_event(lambda e: True)
        watcher.close()
        return event

    def end_of(self, agent):
        self.client.wait(agent)
        return self.daemon.events_of(agent)[-1]


class Whole(LifeCase):
    def test_a_crowd(self):
        options = (
            QUICK,
            {"chunks": 20, "delay_ms": 0},
            {"chunks": 5, "delay_ms": 10},
            {"chunks": 5, "delay_ms": 1, "fail_after": 3},
            {"script": [{"after_ms": 0, "chunk": "x"}, {"after_ms": 20, "chunk": "y"}]},
        )
        agents = [self.client.spawn(str(i), options=options[i % 5]) for i in range(200)]
        agents += [self.client.spawn_exec("/bin/sh", "-c", f"echo {i}; exit {i % 3}") for i in range(30)]
        cancelled = [self.client.spawn(options=slow_agent()) for _ in range(20)]
        for agent in cancelled:
            self.client.call("agent.cancel", agent_id=agent)
        for agent in agents:
            self.client.wait(agent)
        lives = check_lives(self.daemon.events(), require_ended=True)
        self.assertEqual(len(lives), 250)
        self.assertEqual({lives[a].state for a in cancelled}, {"cancelled"})
        self.assertEqual([lives[a].state for a in agents[:5]], ["completed"] * 3 + ["failed", "completed"])
        self.daemon.wait_no_programs()

    def test_started(self):
        agent = self.client.spawn(options=QUICK)
        self.client.wait(agent)
        started = self.daemon.events_of(agent)[1]
        self.assertEqual((started["type"], started["attempt"]), ("AgentStarted", 1))
        self.assertNotIn("pid", started)

    def test_ends(self):
        agent = self.client.spawn(options={"chunks": 7, "delay_ms": 0, "chunk_bytes": 100})
        end = self.end_of(agent)
        self.assertEqual((end["type"], end["chunks"], end["bytes"]), ("AgentCompleted", 7, 700))
        agent = self.client.spawn(options={"chunks": 7, "delay_ms": 0, "chunk_bytes": 10, "fail_after": 2})
        end = self.end_of(agent)
        self.assertEqual((end["code"], end["chunks"], end["bytes"]), ("provider", 2, 20))
        self.assertTrue(end["message"])

    def test_wait_says_what_get_says(self):
        agent = self.client.spawn(options={"chunks": 2, "delay_ms": 20}, correlation_id="c", labels={"a": "b"})
        self.assertEqual(self.client.wait(agent), self.client.call("agent.get", agent_id=agent))

    def test_many_wait_for_one(self):
        agent = self.client.spawn(options={"chunks": 3, "delay_ms": 50})
        clients = [self.connect() for _ in range(20)]
        ids = [c.request("agent.wait", agent_id=agent) for c in clients]
        for client, request in zip(clients, ids):
            self.assertEqual(client.result(request)["state"], "completed")


class Cancel(LifeCase):
    args = ("--max-running=2",)

    def test_running(self):
        agent = self.client.spawn(options=slow_agent())
        self.started(agent)
        result = self.client.call("agent.cancel", agent_id=agent)
        self.assertEqual(result, {"agent_id": agent, "state": "cancelled"})
        end = self.daemon.events_of(agent)[-1]
        self.assertEqual((end["type"], end["code"]), ("AgentError", "cancelled"))
        self.assertEqual(self.client.call("agent.get", agent_id=agent)["state"], "cancelled")
        self.client.fail("agent.cancel", "not_running", agent_id=agent)

    def test_queued(self):
        running = [self.client.spawn(options=slow_agent()) for _ in range(2)]
        for agent in running:
            self.started(agent)
        queued = self.client.spawn(options=QUICK)
        self.assertEqual(self.client.call("agent.get", agent_id=queued)["state"], "queued")
        self.assertEqual(self.client.call("agent.cancel", agent_id=queued)["state"], "cancelled")
        kinds = [e["type"] for e in self.daemon.events_of(queued)]
        self.assertEqual(kinds, ["AgentSpawned", "AgentError"])
        end = self.daemon.events_of(queued)[-1]
        self.assertEqual((end["code"], end["chunks"], end["bytes"]), ("cancelled", 0, 0))

    def test_a_cancelled_place_goes_to_the_next(self):
        running = [self.client.spawn(options=slow_agent()) for _ in range(2)]
        queued = self.client.spawn(options=QUICK)
        self.client.call("agent.cancel", agent_id=running[0])
        self.assertEqual(self.client.wait(queued)["state"], "completed")

    def test_racing_its_own_end(self):
        for i in range(60):
            agent = self.client.spawn(options={"chunks": 1 + i % 3, "delay_ms": 1})
            reply = self.client.reply(self.client.request("agent.cancel", agent_id=agent))
            state = self.client.wait(agent)["state"]
            if "error" in reply:
                check_error(reply, "not_running")
            else:
                self.assertEqual(reply["result"]["state"], state)

    def test_two_at_once(self):
        for _ in range(10):
            agent = self.client.spawn(options=slow_agent())
            others = [self.connect() for _ in range(2)]
            ids = [c.request("agent.cancel", agent_id=agent) for c in others]
            good = 0
            for client, request in zip(others, ids):
                reply = client.reply(request)
                if "error" in reply:
                    check_error(reply, "not_running")
                else:
                    good += reply["result"]["state"] == "cancelled"
            self.assertGreaterEqual(good, 1)

    def test_the_reply_comes_after_the_commit(self):
        for _ in range(20):
            agent = self.client.spawn(options=slow_agent())
            self.client.call("agent.cancel", agent_id=agent)
            self.assertEqual(self.daemon.events_of(agent)[-1]["type"], "AgentError")


class Timeouts(LifeCase):
    def check(self, which, timeouts, **params):
        agent = self.client.spawn(timeouts=timeouts, **params)
        end = self.end_of(agent)
        self.assertEqual((end["type"], end["code"]), ("AgentError", "timeout"))
        self.assertTrue(end["which"].startswith(which), end["which"])
        self.assertEqual(self.client.call("agent.get", agent_id=agent)["state"], "failed")
        return end

    def test_total(self):
        end = self.check("total", {"total_ms": 250}, options={"chunks": 100, "delay_ms": 50})
        self.assertGreaterEqual(end["duration_ms"], 250)
        self.assertLess(end["chunks"], 100)

    def test_idle(self):
        script = [{"after_ms": 0, "chunk": "x"}, {"after_ms": 600000, "chunk": "y"}]
        end = self.check("idle", {"idle_ms": 200}, options={"script": script})
        self.assertEqual(end["chunks"], 1)

    def test_the_first_that_runs_out(self):
        quiet = {"script": [{"after_ms": 600000, "chunk": "x"}]}
        self.check("total", {"total_ms": 100, "idle_ms": 60000}, options=quiet)
        self.check("idle", {"total_ms": 60000, "idle_ms": 100}, options=quiet)

    def test_output_keeps_it_from_idling(self):
        agent = self.client.spawn(
            options={"chunks": 30, "delay_ms": 50}, timeouts={"idle_ms": int(1000 * harness.SCALE)}
        )
        self.assertEqual(self.client.wait(agent)["state"], "completed")

    def test_long_enough(self):
        agent = self.client.spawn(options=QUICK, timeouts={"total_ms": 60000, "idle_ms": 60000})
        self.assertEqual(self.client.wait(agent)["state"], "completed")

    def test_exec(self):
        for total_ms in range(100, 120):
            end = self.check("total", {"total_ms": total_ms}, backend="exec", options={"argv": ["/bin/sleep", "1000"]})
            self.assertEqual(end["chunks"], 0)
            self.assertGreaterEqual(end["duration_ms"], total_ms)
        script = "echo up; exec sleep 1000"
        end = self.check("idle", {"idle_ms": int(1000 * harness.SCALE)}, backend="exec", options={"argv": ["/bin/sh", "-c", script]})
        self.assertEqual(end["chunks"], 1)
        self.daemon.wait_no_programs()


class Queue(LifeCase):
    args = ("--max-running=1",)

    def test_max_running(self):
        agents = [self.client.spawn(options={"chunks": 2, "delay_ms": 5}) for _ in range(20)]
        for agent in agents:
            self.client.wait(agent)
        self.assertEqual(max_running(self.daemon.events()), 1)

    def test_states_and_counters(self):
        first = self.client.spawn(options=slow_agent())
        self.started(first)
        second = self.client.spawn(options={"chunks": 1, "delay_ms": 0, "fail_after": 0})
        third = self.client.spawn(options=QUICK)
        fourth = self.client.spawn(options=slow_agent())
        agents = self.client.call("daemon.status")["agents"]
        self.assertEqual((agents["running"], agents["queued"]), (1, 3))
        states = [self.client.call("agent.get", agent_id=a)["state"] for a in (first, second, third, fourth)]
        self.assertEqual(states, ["running", "queued", "queued", "queued"])
        self.client.call("agent.cancel", agent_id=fourth)
        self.client.call("agent.cancel", agent_id=first)
        self.client.wait(third)
        self.assertEqual(self.client.wait(second)["state"], "failed")
        agents = self.client.call("daemon.status")["agents"]
        self.assertEqual((agents["running"], agents["queued"]), (0, 0))
        self.assertEqual((agents["completed"], agents["failed"], agents["cancelled"]), (1, 1, 2))

    def test_queued_ms(self):
        first = self.client.spawn(options={"chunks": 1000000, "delay_ms": 50})
        before = time.monotonic()
        second = self.client.spawn(options=QUICK)
        queued = time.monotonic()
        watcher = self.connect()
        watcher.call("events.subscribe", agents=[first], types=["AgentPartialOutput"])
        for _ in range(3):
            watcher.wait_event(lambda e: True)
        least_ms = (time.monotonic() - queued) * 1000
        self.client.call("agent.cancel", agent_id=first)
        self.client.wait(second)
        most_ms = (time.monotonic() - before) * 1000
        queued_ms = self.daemon.events_of(second)[1]["queued_ms"]
        self.assertTrue(least_ms - 1 < queued_ms < most_ms + 1, (least_ms, queued_ms, most_ms))

    def test_priorities(self):
        # The protocol does not say which end goes first: only that it is one of the two is held here.
        blocker = self.client.spawn(options=slow_agent())
        self.started(blocker)
        priorities = [0, 5, -5, 3, 0, 5, -2, 100, 7, 0]
        agents = {self.client.spawn(options=QUICK, priority=p): p for p in priorities}
        self.client.call("agent.cancel", agent_id=blocker)
        for agent in agents:
            self.client.wait(agent)
        events = self.daemon.events()
        order = [agents[e["agent_id"]] for e in events if e["type"] == "AgentStarted" and e["agent_id"] in agents]
        self.assertIn(order, (sorted(priorities), sorted(priorities, reverse=True)))


class Groups(LifeCase):
    args = ("--group.one.max_running=1", "--group.three.max_running=3", "--max-running=8")

    def test_each_group_has_its_own_bound(self):
        groups = ["one", "three", "free"]
        agents = [
            self.client.spawn(options={"chunks": 2, "delay_ms": 200}, group=groups[i % 3]) for i in range(24)
        ]
        for agent in agents:
            self.client.wait(agent)
        events = self.daemon.events()
        most = {g: max_running(events, lambda e, g=g: e["group"] == g) for g in groups}
        self.assertEqual((most["one"], most["three"]), (1, 3))
        self.assertLessEqual(max_running(events), 8)

    def test_a_full_group_holds_back_no_other(self):
        held = [self.client.spawn(options=slow_agent(), group="one") for _ in range(5)]
        self.started(held[0])
        for group in ("three", "free", "default"):
            agent = self.client.spawn(options=QUICK, group=group)
            self.assertEqual(self.client.wait(agent)["state"], "completed")
        states = [self.client.call("agent.get", agent_id=a)["state"] for a in held]
        self.assertEqual(states, ["running"] + ["queued"] * 4)

    def test_a_full_daemon_holds_back_all(self):
        agents = [self.client.spawn(options=slow_agent(), group=f"g{i}") for i in range(20)]
        for i, agent in enumerate(agents):
            running = min(8, len(agents) - i)
            eventually(lambda: self.client.call("daemon.status")["agents"]["running"] == running, "all that may run do")
            self.client.call("agent.cancel", agent_id=agent)
        self.assertEqual(max_running(self.daemon.events()), 8)


if __name__ == "__main__":
    main()
