"""Torn and rotten logs, by the thousand: rot.c opens each as a starting daemon does. Here the log is made that it damages."""

import collections
import shutil
import tempfile
import unittest

from base import *

ROT = os.environ.get("LIONGATE_FAULT_ROT", os.path.join(ROOT, "build", "tests", "faults", "rot"))
TEXT = "printf 'gr\\303\\274n %s\\n' a b c; exit 3"


class Rot(unittest.TestCase):
    def make_state(self, state):
        """Several segments, all kinds of ends, agents that live; then kill -9."""
        with Daemon("--segment-bytes=65536", "--max-running=3", "--sync-interval=1ms", "--kill-grace=100ms") as daemon:
            daemon.start()
            client = daemon.client()
            for i in range(12):
                client.wait(client.spawn(f"p{i}", options={"chunks": 60, "delay_ms": 0}, labels={"i": str(i)}))
            client.wait(client.spawn("fails", options={"chunks": 9, "delay_ms": 0, "fail_after": 3}))
            client.wait(client.spawn_exec("/bin/sh", "-c", TEXT))
            client.call("agent.cancel", agent_id=client.spawn(options=slow_agent()))
            daemon.restart()
            client = daemon.client()
            endless = {"chunks": 1000000, "delay_ms": 20}
            live = [client.spawn(options=endless, on_restart=policy) for policy in ("fail", "rerun", "rerun", "fail")]
            # The last lines are cut off below, and chunks they are to be: what the catalog knows of an agent whose
            # AgentSpawned went together with its index record is not looked at.
            client.call("events.subscribe", agents=live[:3], types=["AgentPartialOutput"])
            seen = collections.Counter()
            while len(seen) < 3 or seen.total() < 30:
                seen[client.wait_event(lambda e: True)["agent_id"]] += 1
            daemon.kill()
            self.assertGreater(len(daemon.log_files()), 2)
            shutil.copytree(daemon.state, state)

    def test_rot(self):
        directory = tempfile.mkdtemp(prefix="liongate-test-")
        self.addCleanup(shutil.rmtree, directory)
        state = os.path.join(directory, "state")
        self.make_state(state)
        env = {
            "CK_FORK": "no",
            "LIONGATE_ROT_STATE": state,
            "LIONGATE_ROT_CASES": str(amount(30, 1000)),
            "LIONGATE_ROT_STEP": str(amount(61, 1)),
            "LIONGATE_FAULTS_SEED": str(SEED),
        }
        done = subprocess.run([ROT], env={**os.environ, **env}, capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            print("   ", line)
        self.assertEqual(done.returncode, 0, f"seed {SEED}\n{done.stdout}{done.stderr}")
        report("rot: as above")


if __name__ == "__main__":
    main()
