"""The examples of the manual pages: their commands are run, against a daemon of their own, and print what stands there.

What differs from run to run (ids, times, sizes of columns) is masked on both sides. In what a page shows, a line `…` is any
number of lines, and a `…` at the end of one the rest of it.
"""

import re
import signal
import subprocess
import threading

from common import *  # noqa: F403

import man_page

LIONGATECTL = os.environ.get("LIONGATECTL", os.path.join(ROOT, "build", "client", "liongatectl"))

PAGES = man_page.pages(ROOT)

# What varies, and what stands for it. In this order.
MASKS = (
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
    (r"\b[0-9a-f]{8}\b", "ID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "TIME"),
    (r"\b\d+(ms|s|m)\b", "AGE"),
    (r'"(duration_ms|queued_ms|worker|seq|oldest_seq|newest_seq)":\d+', r'"\1":N'),
    (r"\bpid \d+", "pid N"),
    (r"\b\d+\.\d+\.\d+(-[a-z][\w.-]*)?", "VERSION"),
    # One chunk is what one read brought.
    (r"\b\d+ chunks?\b", "N chunks"),
    (r"(?<= AGE) +\d+ +", " N "),
    (r" +", " "),
)

MARK = "@@example@@"


def mask(line):
    for pattern, name in MASKS:
        line = re.sub(pattern, name, line)
    return line.strip()


def matches(said, expected):
    """Whether the lines are those that a page shows."""
    if not expected:
        return not said
    if expected[0] == "…":
        return any(matches(said[n:], expected[1:]) for n in range(len(said) + 1))
    if not said:
        return False
    line, wanted = mask(said[0]), mask(expected[0])
    same = line.startswith(wanted[:-1].rstrip()) if wanted.endswith("…") else line == wanted
    return same and matches(said[1:], expected[1:])


def sessions(block):
    """[command, lines that it prints]"""
    found = []
    for line in block.lines:
        if line.startswith("$ "):
            found.append([line[2:], []])
        else:
            found[-1][1].append(line)
    return found


class Shell:
    """One bash, in which the commands of a page are run one after another."""

    def __init__(self, directory, environment):
        self.process = subprocess.Popen(
            ["bash", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=environment,
            text=True,
            start_new_session=True,
        )

    def run(self, command):
        """What it prints, line by line, on either channel."""
        # Bash reads these lines from what would be the commands' input. Between two of them $? stays what the first one left.
        script = f"{{ {command}\n}} </dev/null\n{{ status=$?; echo; echo {MARK}; (exit $status); }} 2>&1\n"
        self.process.stdin.write(script)
        self.process.stdin.flush()
        lines = []
        # What hangs is ended, and is found to have printed something else.
        limit = threading.Timer(TIMEOUT * 2, self._end)
        limit.start()
        while (line := self.process.stdout.readline()) not in (f"{MARK}\n", ""):
            lines.append(line.rstrip("\n"))
        limit.cancel()
        # The line end that the mark brought along, where the command's last line had its own.
        return lines[:-1] if lines and not lines[-1] else lines

    def _end(self):
        """With all that an example has left running."""
        os.killpg(self.process.pid, signal.SIGTERM)

    def close(self):
        self._end()
        self.process.stdin.close()
        self.process.wait(TIMEOUT)
        self.process.stdout.close()


class Examples(DaemonCase):
    def setUp(self):
        super().setUp()
        programs = os.path.join(self.daemon.dir, "programs")
        os.mkdir(programs)
        for path in (harness.DAEMON[-1], LIONGATECTL):
            os.symlink(path, os.path.join(programs, os.path.basename(path)))
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": self.daemon.dir,
            "LANG": "C.UTF-8",
            "LIONGATE_SOCKET": self.daemon.socket,
            "LIONGATED": harness.DAEMON[-1],
        }
        kept = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")
        environment.update({name: os.environ[name] for name in kept if name in os.environ})
        self.shell = Shell(self.daemon.dir, environment)
        self.addCleanup(self.shell.close)

    def run_page(self, name):
        done = 0
        for block in PAGES[name].blocks:
            if block.marker.startswith("file "):
                with open(os.path.join(self.daemon.dir, block.marker[5:]), "w", encoding="utf-8") as file:
                    file.write("\n".join(block.lines) + "\n")
            elif block.marker == "run":
                done += self.run_block(PAGES[name], block)
        self.assertGreater(done, 0)

    def run_block(self, page, block):
        found = sessions(block)
        for command, expected in found:
            said = self.shell.run(command)
            where = f"{page.path}:{block.line}: {command}\n"
            self.assertTrue(
                matches(said, expected), where + "\n".join(["it prints", *said, "the page has", *expected])
            )
        return len(found)

    def test_liongated(self):
        self.run_page("liongated.8")

    def test_liongatectl(self):
        self.run_page("liongatectl.1")

    def test_configuration(self):
        self.run_page("liongated.conf.5")

    def test_protocol(self):
        self.run_page("liongate-protocol.7")


if __name__ == "__main__":
    main()
