"""An interactive shell on a terminal of its own, for what only a person at the keyboard sees: completion by Tab.

What stands in its line is not read off the screen: a key makes the shell write it to a pipe, after whatever was typed
before has been dealt with.
"""

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

from harness import ROOT, TIMEOUT, Timeout

START_S = 6 * TIMEOUT  # some read hundreds of files first
COMPLETIONS = os.path.join(ROOT, "client", "completions")
TELL_LINE = "\x18\x04"  # ^X^D
CLEAR_LINE = "\x15"  # ^U

# What each reads at its start: `$TOLD` is the pipe, `$SHOWN` the prompt.
BASH_RC = """
PS1=$SHOWN
bind 'set enable-bracketed-paste off'
bind -x '"\\C-x\\C-d": printf "%s\\n" "$READLINE_LINE" >"$TOLD"'
"""
ZSH_RC = f"""
PROMPT=$SHOWN
unsetopt prompt_sp beep
bindkey -e
# compinit reads the beginnings of a thousand files for other commands, which is left out where Debian's folders are.
everywhere=($fpath)
fpath=({COMPLETIONS} ${{(M)fpath:#*/Completion(|/Base|/Zsh)}})
(( $#fpath > 1 )) || fpath+=($everywhere)
autoload -Uz compinit && compinit -u -D
fpath+=($everywhere)
autoload -Uz _files _path_files _list_files _ls_colors _cat
tell_line() {{ print -r -- "$BUFFER" >$TOLD }}
zle -N tell_line
bindkey '^X^D' tell_line
"""
FISH_RC = f"""
function fish_prompt; echo -n $SHOWN; end
set -g fish_greeting
source {COMPLETIONS}/liongatectl.fish
bind \\cx\\cd 'commandline >$TOLD'
"""


def installed(name):
    return shutil.which(name) is not None


class Shell:
    """`kind`: "bash", "zsh" or "fish". `rc` is read after what stands above. It begins in an empty directory, `cwd`."""

    columns = 140
    prompt = "ready> "

    def __init__(self, kind, env=None, rc=""):
        self.kind = kind
        self.dir = tempfile.mkdtemp(prefix="liongate-shell-")
        self.cwd = os.path.join(self.dir, "cwd")
        os.mkdir(self.cwd)
        told = os.path.join(self.dir, "told")
        os.mkfifo(told)
        self._told = os.open(told, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        given = {"HOME": self.dir, "TERM": "xterm", "LC_ALL": "C.UTF-8", "TOLD": told, "SHOWN": self.prompt}
        self.env = {**os.environ, **given, **(env or {})}
        self.screen = b""
        self.pid, self._terminal = self._fork(self._command(rc))
        try:
            self.expect(self.prompt, START_S)
        except BaseException:
            self.close()
            raise

    def _write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def _command(self, rc):
        if self.kind == "bash":
            return ["bash", "--noprofile", "--rcfile", self._write("bashrc", BASH_RC + rc), "-i"]
        if self.kind == "zsh":
            self._write(".zshrc", ZSH_RC + rc)
            self.env["ZDOTDIR"] = self.dir
            return ["zsh", "-d", "-i"]
        self._write("config/fish/config.fish", FISH_RC + rc)
        for name in ("config", "data", "cache"):
            self.env[f"XDG_{name.upper()}_HOME"] = os.path.join(self.dir, name)
        return ["fish", "-i"]

    def _fork(self, command):
        pid, terminal = pty.fork()
        if pid == 0:
            try:
                os.chdir(self.cwd)
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 40, self.columns, 0, 0))
                os.execvpe(command[0], command, self.env)
            finally:
                os._exit(127)
        os.set_inheritable(terminal, False)
        return pid, terminal

    def shown(self, data):
        self.screen += data

    def _read(self, until, what, timeout=TIMEOUT, wake=None):
        """Reads both the terminal and the pipe until `until(told)` is true; asks it at least every `wake` seconds."""
        deadline = time.monotonic() + timeout
        told = b""
        while not until(told):
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout(f"{self.kind}: no {what}; on its screen: {self.screen!r}")
            ready, _, _ = select.select([self._told, self._terminal], [], [], min(left, wake or left))
            if self._terminal in ready:
                self.shown(os.read(self._terminal, 65536))
            if self._told in ready:
                told += os.read(self._told, 65536)
        return told.decode()

    def expect(self, text, timeout=TIMEOUT):
        """Waits until that has been shown."""
        self._read(lambda told: text.encode() in self.screen, repr(text), timeout)

    def type(self, keys):
        os.write(self._terminal, keys.encode())

    def line_after(self, keys):
        """What stands in the line after these keys, which begin an empty one."""
        self.screen = b""
        self.type(keys + TELL_LINE)
        line = self._read(lambda told: told.endswith(b"\n"), "line")
        self.type(CLEAR_LINE)
        return line.removesuffix("\n")

    def run(self, line):
        """The output of the line in another shell of that kind, which is not interactive."""
        done = subprocess.run(
            [self.kind, "-c", line], env=self.env, cwd=self.cwd, capture_output=True, timeout=TIMEOUT, check=True
        )
        return done.stdout

    def close(self):
        os.close(self._terminal)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._told)
        shutil.rmtree(self.dir)
