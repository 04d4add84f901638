"""What Tab completes behind `liongatectl`, in the shells themselves."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import unittest

from common import *
from fake_daemon import FakeDaemon
from shell import COMPLETIONS, Shell, installed

CTL = os.environ.get("LIONGATECTL", os.path.join(ROOT, "build", "client", "liongatectl"))
BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"

# Values of labels, all of which are offered, in the order of the labels v00, v01, ...
HOSTILE = (
    "two  words",
    "it's",
    'say "x"',
    "$(touch RAN)",
    "`touch RAN` $HOME",
    ";touch RAN;&& touch RAN|touch RAN >RAN",
    "#no comment",
    "~root",
    "a:b=c",
    "back\\slash\\",
    "{a,b} gl*b [x]?",
    "what!now",
    "(übung) ^x^y 100%",
    "--json",
)
# Where the client is slow each Tab is: how many of them there are is for the plain tests.
TRIED = range(len(HOSTILE) if SCALE == 1 else 6)
# And what is not: it would not stay one line, or a terminal would act upon it.
UNSPEAKABLE = ("new\nline", "\x1b[2J", "tab\there", "turn \u202e round", "\x07", "cr\rx")


def key(i):
    return f"v{i:02}"


def offered(*words, env=None, expect_stderr=b""):
    """(word, what is said of it) of each that is offered in the place of the last one."""
    done = subprocess.run(
        [CTL, "--complete", *words], env={**os.environ, **(env or {})}, capture_output=True, timeout=TIMEOUT, check=True
    )
    assert done.stderr == expect_stderr, done.stderr
    return [tuple(line.partition("\t")[::2]) for line in done.stdout.decode().splitlines()]


class Case(unittest.TestCase):
    """One daemon for all: nothing changes it."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.close)
        client = cls.daemon.client()
        cls.agents = []
        for i, value in enumerate(HOSTILE + UNSPEAKABLE):
            spawn = {"prompt": f"Prompt of {i}", "labels": {key(i): value}, "options": slow_agent()}
            cls.agents.append(client.call("agent.spawn", **spawn)["agent_id"])
        named = {"group": "my group", "correlation_id": "run:1", "prompt": "A\tprompt\nof $(two) lines"}
        cls.named = client.call("agent.spawn", **named, labels={"name": "x"}, options=slow_agent())["agent_id"]
        cls.ended = client.call("agent.spawn", prompt="ended", options={"chunks": 0})["agent_id"]
        client.call("agent.wait", agent_id=cls.ended)
        cls.env = {"LIONGATE_SOCKET": cls.daemon.socket, "PATH": f"{os.path.dirname(CTL)}:{os.environ['PATH']}"}


class Words(Case):
    """What liongatectl answers the shells' scripts."""

    def words(self, *words):
        return [word for word, _ in offered(*words, env=self.env)]

    def test_what_is_said_of_them(self):
        def about(*words):
            return dict(offered(*words, env=self.env))

        self.assertEqual(about("canc"), {"cancel": "Cancel agents and wait until they have ended"})
        self.assertEqual(about("list", "--al"), {"--all": "all there are"})
        self.assertEqual(about("call", "daemon.s"), {"daemon.status": "What the daemon is and how it fares."})
        self.assertIn("Runs any program.", about("list", "--backend=").values())
        self.assertTrue(about("watch", "--type", "AgentE")["AgentError"])
        self.assertEqual(about("show", self.ended), {self.ended: "completed mock: ended"})
        self.assertEqual(about("cancel", self.named), {self.named: "running mock: A\\tprompt\\nof $(two) lines"})

    def test_agents(self):
        live = {*self.agents, self.named}
        self.assertEqual(set(self.words("cancel", "")), live)
        self.assertEqual(set(self.words("watch", "")), live | {self.ended})
        self.assertEqual(set(self.words("cancel", self.named, "")), live - {self.named})
        self.assertEqual(self.words("show", self.ended, ""), [])
        self.assertEqual(self.words("send", self.named, ""), [])

    def test_of_agents(self):
        self.assertEqual(set(self.words("list", "--group", "")), {"default", "my group"})
        self.assertEqual(self.words("replay", "--correlation-id", ""), ["run:1"])
        self.assertEqual(self.words("list", "--label", "name"), ["name=x"])
        self.assertEqual(set(self.words("watch", "--prefix", "v0")), {key(i) for i in range(10)})
        labels = [f"{key(i)}={value}" for i, value in enumerate(HOSTILE)]
        self.assertEqual(sorted(self.words("list", "--label", "v")), sorted(labels))

    def test_of_tables(self):
        self.assertEqual(self.words("help", "help", ""), [])
        self.assertEqual(self.words("replay", "--speed", "m"), ["max"])
        self.assertNotIn("--all", self.words("list", "--all", "--"))
        self.assertIn("--label", self.words("list", "--label", "a=b", "--"))
        self.assertNotIn("--color", self.words("--color=never", "list", "--"))
        self.assertEqual(self.words("spawn-agent", "--", "ls", "--"), [":command"])
        self.assertEqual(offered("spawn-agent", "--prompt-file=x"), [(":files", "--prompt-file=")])
        every_backend = self.words("spawn-agent", "--option", "te")
        self.assertEqual(every_backend, ["temperature="])

    def test_directives_are_not_for_sale(self):
        group = {"agents": [{"group": ":files"}, {"group": ":command"}, {"group": "x\0y"}, {"group": 7}, 7, None]}
        daemon = FakeDaemon({"agent.list": group})
        self.addCleanup(daemon.close)
        env = {"LIONGATE_SOCKET": daemon.socket}
        self.assertEqual(offered("list", "--group", "", env=env), [("default", "")])
        self.assertIn(("--group=:files", ""), offered("list", "--group=", env=env))

    def test_nobody_answers(self):
        """No daemon, one that is stopped, one whose queue is full, and what is none: silence, and an end."""
        with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
            path = os.path.join(directory, "socket")
            env = {"LIONGATE_SOCKET": path}
            self.assertEqual(offered("show", "", env=env), [])
            full = stack.enter_context(socket.socket(socket.AF_UNIX))
            full.bind(path)
            full.listen(0)
            self.assertEqual(offered("show", "", env=env), [])
            with contextlib.suppress(BlockingIOError):
                for _ in range(64):
                    one = stack.enter_context(socket.socket(socket.AF_UNIX))
                    one.setblocking(False)
                    one.connect(path)
                self.fail("its queue takes them all")
            self.assertEqual(offered("show", "", env=env), [])
            self.assertEqual(offered("show", "", env={"LIONGATE_SOCKET": directory}), [])
            self.assertEqual(offered("show", "", env={"LIONGATE_SOCKET": "x" * 4096}), [])
        os.kill(self.daemon.pid, signal.SIGSTOP)
        try:
            self.assertEqual(offered("show", "", env=self.env), [])
        finally:
            os.kill(self.daemon.pid, signal.SIGCONT)


class InShell:
    """The same tests in each of them."""

    kind = None
    rc = ""

    def start(self):
        if not installed(self.kind):
            print(f"SKIPPED: there is no {self.kind}: its completion is not tested", flush=True)
            self.skipTest(f"no {self.kind}")
        self.shell = Shell(self.kind, env=self.env, rc=self.rc)
        self.addCleanup(self.shell.close)

    def setUp(self):
        self.start()

    def completes(self, keys, line):
        self.assertEqual(self.shell.line_after(f"liongatectl {keys}\t"), f"liongatectl {line}")

    def leaves(self, keys):
        self.completes(keys, keys)

    def test_shell(self):
        """All in one session: shells take their time to start."""
        self.check_words()
        self.check_quotes()
        self.check_hostile()
        self.check_silence()
        self.check_what_is_said()
        self.assertEqual(os.listdir(self.shell.cwd), ["two words.json"])

    def check_words(self):
        self.completes("spawn-a", "spawn-agent ")
        self.completes("list --state=q", "list --state=queued ")
        self.completes("watch --type AgentC", "watch --type AgentCompleted ")
        self.completes("spawn-agent -b exec --option std", "spawn-agent -b exec --option stdin=")
        self.completes("spawn-agent -b exec --option=stdin=o", "spawn-agent -b exec --option=stdin=open ")
        self.completes(f"show {self.ended[:30]}", f"show {self.ended} ")
        self.completes("replay --correlation-id run", "replay --correlation-id run:1 ")
        self.completes("replay --correlation-id=run:", "replay --correlation-id=run:1 ")
        with open(os.path.join(self.shell.cwd, "two words.json"), "w", encoding="ascii"):
            pass
        self.completes("spawn-agent --messages-file tw", "spawn-agent --messages-file two\\ words.json ")
        self.completes("spawn-agent --messages-file=tw", "spawn-agent --messages-file=two\\ words.json ")
        self.completes("spawn-agent -- cat tw", "spawn-agent -- cat two\\ words.json ")

    def check_quotes(self):
        self.completes("list --group my", "list --group my\\ group ")
        self.completes("list --group my\\ g", "list --group my\\ group ")
        self.completes('list --group "my g', 'list --group "my group" ')
        self.completes("list --group 'my g", "list --group 'my group' ")
        there = f"--socket '{self.daemon.socket}' list"
        self.completes(f"{there} --group=my", f"{there} --group=my\\ group ")

    def check_hostile(self):
        """What was completed is run, in the same shell: each line names the one agent, and nothing else has run."""
        lines = [self.shell.line_after(f"liongatectl list --json --label {key(i)}=\t") for i in TRIED]
        lists = [json.loads(text)["agents"] for text in self.shell.run("\n".join(lines)).splitlines()]
        labels = [[agent["labels"] for agent in agents] for agents in lists]
        self.assertEqual(labels, [[{key(i): HOSTILE[i]}] for i in TRIED], lines)
        for i in range(len(HOSTILE), len(HOSTILE) + 2):
            self.leaves(f"list --label {key(i)}=")

    def check_what_is_said(self):
        self.leaves("wa")
        self.shell.expect("Wait until agents have ended")
        self.shell.expect("Watch agents at work, many in one terminal")

    def check_silence(self):
        self.leaves("list --group $(touch RAN) --nope")
        self.leaves("list --group `touch RAN` --nope")
        self.leaves("--socket /nowhere show 0")
        self.assertNotIn(b"cannot", self.shell.screen)
        self.leaves("nope --gr")


class Bash(InShell, Case):
    kind = "bash"
    rc = f"source {COMPLETIONS}/liongatectl.bash\n"

    def check_quotes(self):
        super().check_quotes()
        # Within double quotes nothing keeps bash from expanding it.
        self.leaves(f'list --label "{key(HOSTILE.index("what!now"))}=')
        self.completes("list --json >tw", "list --json >two\\ words.json ")

    def check_what_is_said(self):
        """bash has no place for it."""
        self.leaves("spawn-agent --prompt '" + "word " * 500 + "' --nope")


class BashCompletion(InShell, Case):
    """Loaded by the package, when the command is first completed."""

    kind = "bash"
    rc = f"source {BASH_COMPLETION}\n"

    def start(self):
        if not os.path.exists(BASH_COMPLETION):
            print("SKIPPED: there is no bash-completion: loading by it is not tested", flush=True)
            self.skipTest("no bash-completion")
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        os.mkdir(os.path.join(directory.name, "completions"))
        os.symlink(
            os.path.join(COMPLETIONS, "liongatectl.bash"), os.path.join(directory.name, "completions", "liongatectl")
        )
        self.env = {**self.env, "BASH_COMPLETION_USER_DIR": directory.name}
        super().start()

    def test_shell(self):
        self.completes("spawn-a", "spawn-agent ")
        self.completes("list --label v02=", "list --label v02=say\\ \\\"x\\\" ")
        self.completes("spawn-agent -- liongatectl rep", "spawn-agent -- liongatectl replay ")


class Zsh(InShell, Case):
    kind = "zsh"


class Fish(InShell, Case):
    kind = "fish"


if __name__ == "__main__":
    main()
