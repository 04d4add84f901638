"""Records the terminal session that README.md shows: a person's keys go to a shell on a terminal, and what it writes is
drawn with its colours and its pauses.

Usage: session.py FILE.svg    (LIONGATED, LIONGATECTL: the programs; else those in build/)
"""

import codecs
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True

import picture  # noqa: E402
from harness import ROOT, Daemon  # noqa: E402
from screen import Screen  # noqa: E402
from shell import Shell  # noqa: E402

CTL = os.environ.get("LIONGATECTL", os.path.join(ROOT, "build", "client", "liongatectl"))
TITLE = "liongatectl"
ABOUT = "A terminal session: programs run as agents, are watched while they write, and are remembered after kill -9."
COLUMNS = 100
KEY_S = 0.025
THINK_S = 0.7  # before a command is typed, and before it is sent off
STEP_S = 0.05  # what comes within it comes at once

KILL = "kill -9 $(liongatectl status --json | jq .pid)    # its supervisor starts it again"
COMMANDS = (
    "liongatectl spawn-agent -d -l name=tests -- sh -c 'for i in 1 2 3; do sleep 3; echo ok $i; done'",
    "liongatectl spawn-agent -d -l name=build -- sh -c 'sleep 6; echo linking; echo full >&2; exit 3'",
    "liongatectl watch --from-start --prefix name --until-idle",
    "liongatectl spawn-agent -d -l name=long -- sh -c 'echo begun; sleep 600'",
    KILL,
    "liongatectl list",
    "liongatectl watch --tail 4 --prefix name --until-idle",
)


class Terminal(Shell):
    columns = COLUMNS
    prompt = "\x1b[1;32m$\x1b[0m "
    rc = "PS1='\\[\\e[1;32m\\]$\\[\\e[0m\\] '\n"

    def __init__(self, env):
        self.output = []  # (when, bytes)
        super().__init__("bash", env=env, rc=self.rc)

    def shown(self, data):
        super().shown(data)
        self.output.append((time.monotonic(), data))

    def pause(self, seconds):
        """As long as a person takes."""
        end = time.monotonic() + seconds
        self._read(lambda told: time.monotonic() >= end, "pause", wake=KEY_S)

    def enter(self, command, meanwhile=lambda: None):
        """Types it, and waits for the next prompt."""
        self.pause(THINK_S)
        for key in command:
            self.type(key)
            self.pause(KEY_S)
        self.pause(THINK_S)
        self.screen = b""
        self.type("\r")
        meanwhile()
        self.expect(self.prompt)


def record(daemon):
    """What the terminal showed, as (seconds, bytes)."""

    def supervise():
        daemon.wait()
        daemon.start()

    path = f"{os.path.dirname(CTL)}:{os.environ['PATH']}"
    terminal = Terminal({"LIONGATE_SOCKET": daemon.socket, "PATH": path})
    try:
        for command in COMMANDS:
            terminal.enter(command, supervise if command == KILL else lambda: None)
    finally:
        terminal.close()
    begin = terminal.output[0][0]
    return [(when - begin, data) for when, data in terminal.output]


def show(output):
    screen = Screen(COLUMNS)
    decoder = codecs.getincrementaldecoder("utf-8")()
    for when, data in output:
        screen.write(decoder.decode(data), round(when / STEP_S) * STEP_S)
    return screen


def main():
    with Daemon() as daemon:
        daemon.start()
        output = record(daemon)
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write(picture.draw(show(output), TITLE, ABOUT))


if __name__ == "__main__":
    main()
