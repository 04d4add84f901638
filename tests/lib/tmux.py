"""A program in a real terminal, tmux: what is on its screen, keys, and other sizes.

The server is one of our own: its socket is in a directory of this test's, and it reads no configuration.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile

import harness
from harness import TIMEOUT, Timeout, alive, children, eventually

# The screen that stays when the program has ended says how, and how it has left the terminal.
WRAPPER = r'trap : INT QUIT; "$@"; printf "\nended with %d\n" $?; stty -a | grep -o "[-]*\(echo\|icanon\|isig\)\b"; echo over; exec cat'


def installed():
    return shutil.which("tmux") is not None


class Terminal:
    """Runs `command` in `columns` x `rows`. To be closed."""

    def __init__(self, command, columns=80, rows=24, env=None):
        self.dir = tempfile.mkdtemp(prefix="liongate-tmux-")
        self._socket = os.path.join(self.dir, "socket")
        self._env = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **(env or {})}
        for name in ("TMUX", "NO_COLOR", "LINES", "COLUMNS"):
            self._env.pop(name, None)
        self._server = subprocess.Popen([*self._tmux(), "-D"], env=self._env, cwd=self.dir, stdin=subprocess.DEVNULL)
        harness._ours.add(self._server.pid)
        try:
            eventually(lambda: os.path.exists(self._socket), "tmux listens")
            self.ask("new-session", "-d", "-x", str(columns), "-y", str(rows), "sh", "-c", WRAPPER, "sh", *command)
        except BaseException:
            self.close()
            raise

    def close(self):
        """What still runs is asked to end first: a terminal that goes sends SIGCONT, too, which a leak checker at its work
        waits for ever after."""
        with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError, ProcessLookupError):
            for pid in children(int(self.tell("pane_pid"))):
                os.kill(pid, signal.SIGTERM)
                eventually(lambda pid=pid: not alive(pid), "it has ended")
        self.vanish()

    def vanish(self):
        self._server.terminate()
        self._server.wait(TIMEOUT)
        shutil.rmtree(self.dir, ignore_errors=True)

    def _tmux(self):
        return ["tmux", "-u", "-S", self._socket, "-f", "/dev/null"]

    def ask(self, *command):
        done = subprocess.run(
            [*self._tmux(), *command], env=self._env, cwd=self.dir, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=TIMEOUT, check=True,
        )
        return done.stdout.decode()

    def tell(self, variable):
        return self.ask("display-message", "-p", f"#{{{variable}}}").rstrip("\n")

    def screen(self):
        """Its lines, without the blanks at their ends."""
        return [line.rstrip() for line in self.ask("capture-pane", "-p").split("\n")[:-1]]

    def press(self, *keys):
        """As tmux names them: `Enter`, `Escape`, `C-c`, `Up`, or a character."""
        self.ask("send-keys", *keys)

    def type(self, text):
        self.ask("send-keys", "-l", text)

    def resize(self, columns, rows):
        self.ask("resize-window", "-x", str(columns), "-y", str(rows))

    def pid(self):
        """Of the program."""
        (pid,) = eventually(lambda: children(int(self.tell("pane_pid"))), "it runs")
        return pid

    def expect(self, check, what):
        """Until the lines are so; returns them."""
        last = []

        def look():
            last[:] = self.screen()
            return check(last)

        try:
            eventually(look, what)
        except Timeout as timeout:
            raise Timeout(f"{timeout}; the screen:\n" + "\n".join(last)) from None
        return last

    def expect_text(self, *texts):
        return self.expect(lambda lines: all(text in "\n".join(lines) for text in texts), f"it shows {texts}")

    def expect_gone(self, text):
        return self.expect(lambda lines: text not in "\n".join(lines), f"it shows no {text!r} any more")

    def expect_end(self):
        """The exit code, and what it has left behind: `echo`, `-icanon`, ..."""
        lines = self.expect(lambda lines: "over" in lines, "it has ended")
        (at,) = [i for i, line in enumerate(lines) if line.startswith("ended with ")]
        return int(lines[at].split()[-1]), set(lines[at + 1 : lines.index("over")])
