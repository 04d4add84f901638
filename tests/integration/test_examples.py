"""The programs in examples/ do what they say, each as whoever calls it would: a person, cron, Git, systemd."""

import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

from common import *  # noqa: F403

from cutter import Cutter
from fake_daemon import FakeDaemon

LIONGATECTL = os.environ.get("LIONGATECTL", os.path.join(ROOT, "build", "client", "liongatectl"))
EXAMPLES = os.path.join(ROOT, "examples")
FLEETS = {
    "shell": ["bash", os.path.join(EXAMPLES, "shell", "fleet.sh")],
    "python": [PYTHON, os.path.join(EXAMPLES, "python", "fleet.py")],
    "node": ["node", os.path.join(EXAMPLES, "node", "fleet.mjs")],
}


def run(*command, **kwargs):
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT * 3,
        check=False,
        **kwargs,
    )


class Case(DaemonCase):
    def setUp(self):
        super().setUp()
        # Where programs are found.
        self.bin = os.path.join(self.daemon.dir, "bin")
        os.mkdir(self.bin)
        os.symlink(LIONGATECTL, os.path.join(self.bin, "liongatectl"))
        self.path = f"{self.bin}:/usr/bin:/bin"

    def agents(self, **labels):
        return self.client.call("agent.list", labels=labels)["agents"]


class Fleet(Case):
    """The clients in three languages: each of them has all of these."""

    language = None

    @classmethod
    def setUpClass(cls):
        if not shutil.which(FLEETS[cls.language][0]):
            raise unittest.SkipTest(f"there is no {FLEETS[cls.language][0]}")

    def command(self, *commands):
        return [*FLEETS[self.language], *commands]

    def environment(self, socket_path=None):
        return {**os.environ, "LIONGATE_SOCKET": socket_path or self.daemon.socket}

    def test_shows_all_and_tells_who_failed(self):
        done = run(
            *self.command(r"printf 'a\tb\\c\n\n  x\n'", "echo oops >&2; exit 3", "printf unfinished"),
            env=self.environment(),
        )
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(
            sorted(done.stdout.splitlines()), sorted(["1| a\tb\\c", "1| ", "1|   x", "3| unfinished"])
        )
        self.assertEqual(
            sorted(done.stderr.splitlines()), ["2: exit: it exited with status 3", "2| oops"]
        )

    def test_shows_a_line_before_the_next_is_written(self):
        gate = os.path.join(self.daemon.dir, "gate")
        os.mkfifo(gate)
        with subprocess.Popen(
            self.command(f"echo one; read line <{gate}; echo $line"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment(),
        ) as process:
            self.assertEqual(process.stdout.readline(), "1| one\n")
            with open(gate, "w", encoding="utf-8") as f:
                f.write("two\n")
            self.assertEqual(process.stdout.read(), "1| two\n")
            self.assertEqual(process.wait(TIMEOUT), 0)

    def test_goes_on_where_it_was_when_the_connection_is_cut(self):
        # Within the replies to the spawns, behind that to daemon.status, and within events.
        known = len(dumps(self.client.reply(self.client.request("daemon.status"))))
        cutter = Cutter(self.daemon.socket, [known + 80, 2000, 3333])
        self.addCleanup(cutter.close)
        counts = "for i in $(seq 40); do echo $i; done"
        done = run(*self.command(counts, counts), env=self.environment(cutter.path))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreaterEqual(cutter.cuts, 2)
        lines = done.stdout.splitlines()
        for number in (1, 2):
            shown = [line for line in lines if line.startswith(f"{number}| ")]
            self.assertEqual(shown, [f"{number}| {i}" for i in range(1, 41)])
        self.assertEqual(len(self.client.call("agent.list")["agents"]), 2)

    def test_is_refused(self):
        # In JSON that is six times as much, which is above what options may have.
        done = run(*self.command("\x01" * 100_000), env=self.environment())
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "the daemon refuses it: options is over its limit of 262144 bytes\n")

    def test_nobody_is_there(self):
        done = run(*self.command("true"), env=self.environment(os.path.join(self.daemon.dir, "nobody.sock")))
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("the daemon cannot be reached", done.stderr)


class ShellFleet(Fleet):
    language = "shell"


class PythonFleet(Fleet):
    language = "python"


class NodeFleet(Fleet):
    language = "node"


del Fleet  # it is no case of its own


class Cron(Case):
    """The job of examples/cron/crontab, with the environment that cron gives it."""

    def setUp(self):
        super().setUp()
        # That no midnight is between two of a day.
        with open(os.path.join(self.bin, "date"), "w", encoding="ascii") as f:
            f.write('#!/bin/sh\nexec /bin/date -d 2026-11-28 "$@"\n')
        os.chmod(f.name, 0o755)

    def job(self):
        """(environment, command) of the one job."""
        environment = {"HOME": self.daemon.dir, "LOGNAME": "nobody", "SHELL": "/bin/sh"}
        with open(os.path.join(EXAMPLES, "cron", "crontab"), encoding="utf-8") as f:
            lines = [line.strip() for line in f if line.strip() and not line.startswith("#")]
        jobs = [line for line in lines if not re.match(r"\w+=", line)]
        environment.update(line.split("=", 1) for line in lines if line not in jobs)
        self.assertEqual(environment["LIONGATE_SOCKET"], "/run/liongate/control.sock")
        environment.update(LIONGATE_SOCKET=self.daemon.socket, PATH=f"{self.bin}:{environment['PATH']}")
        ((*when, command),) = (line.split(None, 5) for line in jobs)
        self.assertTrue(all(re.fullmatch(r"[\d*/,-]+", field) for field in when), when)
        self.assertIsNone(re.search(r"(?<!\\)%", command), "an unescaped % is a newline to cron")
        # The directory is where whoever installs it puts it.
        return environment, command.replace("\\%", "%").replace("/opt/liongate/examples", EXAMPLES)

    def call(self, command, environment):
        return run("/usr/bin/env", "-i", *(f"{k}={v}" for k, v in environment.items()), "/bin/sh", "-c", command)

    def test_runs_once_a_day_and_is_silent(self):
        environment, command = self.job()
        for _ in range(2):
            done = self.call(command, environment)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        (agent,) = self.agents(job="disk-report")
        self.assertEqual(agent["state"], "completed")
        self.assertRegex(self.client.output(agent["agent_id"]).decode(), r"\d{4}-\d\d-\d\d is done\n$")

    def test_prints_what_has_failed(self):
        environment, _ = self.job()
        script = os.path.join(EXAMPLES, "cron", "once-a-day.sh")
        for _ in range(2):
            done = self.call(f"{script} failing sh -c 'echo the reason; exit 4'", environment)
            self.assertEqual(done.returncode, 1)
            self.assertIn("the reason\n", done.stdout)
            self.assertIn("it exited with status 4", done.stdout)
        self.assertEqual(len(self.agents(job="failing")), 1)


class GitHook(Case):
    """examples/git/pre-commit in a repository of its own."""

    def setUp(self):
        super().setUp()
        self.repository = os.path.join(self.daemon.dir, "repository")
        os.mkdir(self.repository)
        self.socket = self.daemon.socket
        self.git("init", "-q")
        shutil.copy(os.path.join(EXAMPLES, "git", "pre-commit"), os.path.join(self.repository, ".git", "hooks"))

    def git(self, *args):
        identity = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        return run(
            "git",
            *identity,
            *args,
            cwd=self.repository,
            env={
                "PATH": self.path,
                "HOME": self.daemon.dir,
                "GIT_CONFIG_NOSYSTEM": "1",
                "LIONGATE_SOCKET": self.socket,
            },
        )

    def commit(self, content):
        with open(os.path.join(self.repository, "file"), "w", encoding="utf-8") as f:
            f.write(content)
        self.git("add", "file")
        return self.git("commit", "-q", "-m", "a change")

    def commits(self):
        return len(self.git("log", "--format=%h").stdout.splitlines())

    def review_by_program(self):
        self.git("config", "liongate.reviewer", "if grep '^+.*FIXME'; then exit 5; fi")

    def test_program_agrees(self):
        self.review_by_program()
        done = self.commit("sound\n")
        self.assertEqual((done.returncode, done.stderr, self.commits()), (0, "", 1))
        (review,) = self.agents(hook="review")
        self.assertIn("+sound\n", review["prompt"])

    def test_program_objects(self):
        self.review_by_program()
        done = self.commit("FIXME: later\n")
        self.assertEqual((done.returncode, self.commits()), (1, 0))
        self.assertIn("+FIXME: later\n", done.stderr)
        self.assertIn("The review has objections.", done.stderr)
        self.assertEqual(self.git("commit", "-q", "--no-verify", "-m", "even so").returncode, 0)

    def test_nobody_is_there(self):
        self.review_by_program()
        self.socket = os.path.join(self.daemon.dir, "nobody.sock")
        done = self.commit("FIXME: later\n")
        self.assertEqual((done.returncode, self.commits()), (0, 1))
        self.assertIn("Nobody could review this", done.stderr)

    def test_no_model_is_there(self):
        done = self.commit("sound\n")
        self.assertEqual((done.returncode, self.commits()), (0, 1))
        self.assertIn("the daemon has no provider to ask", done.stderr)
        self.assertIn("Nobody could review this", done.stderr)

    def model(self, *events):
        """A daemon whose model answers so."""
        providers = {"provider.list": {"providers": [{"name": "m", "kind": "openai", "running": 0, "waiting": 0}]}}
        fake = FakeDaemon(providers, [("AgentStarted", {"attempt": 1, "worker": 0, "queued_ms": 0}), *events])
        self.addCleanup(fake.close)
        self.socket = fake.socket
        return fake

    @staticmethod
    def answer(text):
        counts = {"chunks": 1, "bytes": len(text), "duration_ms": 1}
        chunk = {"index": 0, "chunk": text, "channel": "output"}
        return ("AgentPartialOutput", chunk), ("AgentCompleted", counts)

    def test_model_agrees(self):
        fake = self.model(*self.answer("OK\n"))
        done = self.commit("sound\n")
        self.assertEqual((done.returncode, done.stderr, self.commits()), (0, "", 1))
        (params,) = fake.params("agent.spawn")
        self.assertIn("+sound\n", params["prompt"])
        self.assertIn("You review a change", params["options"]["system"])

    def test_model_objects(self):
        self.model(*self.answer("It divides by zero.\n"))
        done = self.commit("1 / 0\n")
        self.assertEqual((done.returncode, self.commits()), (1, 0))
        self.assertIn("It divides by zero.\n", done.stderr)

    def test_model_fails(self):
        self.model(
            ("AgentError", {"code": "provider", "message": "m answers 500", "chunks": 0, "bytes": 0, "duration_ms": 1})
        )
        done = self.commit("sound\n")
        self.assertEqual((done.returncode, self.commits()), (0, 1))
        self.assertIn("m answers 500", done.stderr)


class Timer(Case):
    """examples/systemd: systemd knows all that stands in the units, and what the service starts does its work."""

    UNITS = ("liongate-report.service", "liongate-report.timer")

    def unit(self, name):
        with open(os.path.join(EXAMPLES, "systemd", name), encoding="utf-8") as f:
            return f.read()

    def test_verify(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("there is no systemd-analyze")
        with tempfile.TemporaryDirectory() as directory:
            paths = [os.path.join(directory, name) for name in self.UNITS]
            for path in paths:
                with open(path, "w", encoding="utf-8") as f:
                    # It has to be there.
                    f.write(self.unit(os.path.basename(path)).replace("ExecStart=liongatectl", "ExecStart=/bin/true"))
            done = run("systemd-analyze", "--man=no", "--recursive-errors=no", "verify", *paths)
        # What it does not know is only a warning.
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_runs(self):
        text = self.unit("liongate-report.service").replace("\\\n", " ")
        program, *args = shlex.split(re.search(r"^ExecStart=(.*)$", text, re.M).group(1))
        self.assertEqual(program, "liongatectl")
        done = run(LIONGATECTL, *args, env={"PATH": self.path, "LIONGATE_SOCKET": self.daemon.socket}, cwd="/")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("load average", done.stdout)
        (agent,) = self.agents(job="report")
        self.assertEqual(agent["state"], "completed")


if __name__ == "__main__":
    main()
