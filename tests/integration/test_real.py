"""Real programs, all at the same time as agents of one daemon; each agent.output is byte for byte what
the program writes to a plain pipe."""

import glob
import os
import re
import shutil
import subprocess
import threading
import unittest

from common import *

# What differs between a pipe of ours and one of the daemon's must not matter to the program.
CLEAN = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "LC_ALL=C"]
SOURCES = int(os.environ.get("LIONGATE_REAL_SOURCES", "25"))
TREE = os.environ.get("LIONGATE_REAL_TREE", "/usr")


def plain(argv):
    """What a program writes to plain pipes: standard output and standard error."""
    done = subprocess.run(CLEAN + argv, stdin=subprocess.DEVNULL, capture_output=True, cwd="/", check=False)
    return done.stdout, done.stderr, done.returncode


def compiler():
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    sources = sorted(
        path for part in ("common", "daemon", "client") for path in glob.glob(f"{ROOT}/{part}/**/*.c", recursive=True)
    )[:SOURCES]
    if not found or not sources:
        return None
    script = (
        'for f; do echo "$f"; "$CC" -std=gnu11 -fsyntax-only -D_GNU_SOURCE -DLIONGATE_VERSION=\'"x"\' '
        f'-I{ROOT} -Wall -Wextra -Wpadded -Wsuggest-attribute=pure -Waggregate-return "$f"; done; :'
    )
    return ["CC=" + found, "/bin/sh", "-c", script, "compile", *sources]


DAEMONS = (
    "for i in 1 2 3; do setsid sh -c 'sleep 1000 >/dev/null 2>&1 & exec sleep 1000 >/dev/null 2>&1' & done; "
    "seq 50000; echo errors >&2; exit 5"
)
BINARY = (
    "import sys\n"
    "w = sys.stdout.buffer.write\n"
    "for i in range(2000):\n"
    "    w(bytes(range(256))); w(b'\\0' * (i % 50)); w(b'\\xff\\xfe\\xc3\\xe2\\x82'); w('é€😀'.encode() * 20)\n"
    "    sys.stderr.buffer.write(b'\\x80\\0' * (i % 7)); sys.stderr.buffer.flush()\n"
)
DEAF = "trap '' TERM; seq 30000; echo ready >&2; while :; do sleep 1; done"


class Real(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon("--kill-grace=300ms")
        self.addCleanup(self.daemon.close)
        self.daemon.start()
        self.client = self.daemon.client()
        self.expected = {}

    def spawn(self, argv, **options):
        return self.client.spawn_exec(*CLEAN, *argv, options={"cwd": "/", "stdin": "none", **options})

    def compare(self, name, agent, expected):
        out, err, code = expected
        self.assertEqual(self.client.output(agent) == out, True, f"{name}: standard output differs")
        self.assertEqual(self.client.output(agent, "error") == err, True, f"{name}: standard error differs")
        ending = self.client.call("agent.get", agent_id=agent)["ending"]
        if code is not None:
            self.assertEqual(ending["exit_code"], code, name)
        self.assertEqual(ending["bytes"], len(out) + len(err), name)

    def test_all_at_the_same_time(self):
        programs = {
            "find": ["/usr/bin/find", TREE, "-xdev", "-printf", "%p %y %s\\n"],
            "seq": ["/usr/bin/seq", "1000000"],
            "binary": [PYTHON, "-I", "-S", "-c", BINARY],
            "daemons": ["/bin/sh", "-c", DAEMONS],
        }
        if compiler():
            programs["compiler"] = compiler()
        expected = {}
        threads = [
            threading.Thread(target=lambda n=name, a=argv: expected.update({n: self.reference(n, a)}))
            for name, argv in programs.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        agents = {name: self.spawn(argv) for name, argv in programs.items()}
        agents["seq by lines"] = self.spawn(programs["seq"], chunking="line")
        expected["seq by lines"] = expected["seq"]
        deaf = self.spawn(["/bin/sh", "-c", DEAF])
        watcher = self.daemon.client()
        watcher.call("events.subscribe", after=0, agents=[deaf])
        watcher.wait_event(lambda e: e.get("channel") == "error")
        self.assertEqual(self.client.call("agent.cancel", agent_id=deaf)["state"], "cancelled")
        for agent in agents.values():
            self.client.wait(agent, timeout=TIMEOUT * 9)
        again = self.reference("find", programs["find"])
        if again != expected.pop("find"):
            print(f"{TREE} changed meanwhile: find is not compared")
            agents.pop("find")
        else:
            expected["find"] = again
        for name, agent in agents.items():
            self.compare(name, agent, expected[name])
        lines = "".join(f"{i}\n" for i in range(1, 30001)).encode()
        self.compare("deaf", deaf, (lines, b"ready\n", None))
        self.assertEqual(self.client.call("agent.get", agent_id=deaf)["ending"]["code"], "cancelled")
        self.finish(agents)

    def reference(self, name, argv):
        if name == "daemons":
            # On a plain pipe its daemons would stay: they are no part of what it writes.
            argv = ["/bin/sh", "-c", re.sub(r"for i in .*? done; ", "", DAEMONS)]
        return plain(argv)

    def finish(self, agents):
        self.daemon.wait_no_programs()
        lives = check_lives(self.daemon.events(), require_ended=True)
        self.assertEqual(len(lives), len(agents) + 1 + ("find" not in agents))
        if "compiler" in agents:
            error = bytes(lives[agents["compiler"]].output["error"])
            self.assertIn(b"warning:", error, "the diagnostics came as chunks")
            self.assertGreater(lives[agents["compiler"]].chunks, 1)
        for name, agent in agents.items():
            life = lives[agent]
            self.assertEqual(bytes(life.output.get("output", b"")), self.client.output(agent), name)


if __name__ == "__main__":
    main()
