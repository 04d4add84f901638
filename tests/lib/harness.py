"""Drives a real liongated over its real socket.

Knows nothing of the daemon but docs/protocol.md and its options. Nothing here sleeps to wait for
something: readiness comes by sd_notify, replies and events by the socket, ends by pidfds. Only what
/proc alone can tell is polled, and only by eventually().

Environment: LIONGATED (the daemon); LIONGATE_TEST_WRAPPER (a command that runs it: `valgrind --quiet`);
LIONGATE_TEST_SCALE (factor on every time limit: sanitizers are slow); LIONGATE_TEST_CLEAN=1 (end every daemon by
SIGTERM, so that a leak checker has its say); LIONGATE_TEST_KEEP=1 (leave the directories).
"""

import base64
import collections
import ctypes
import faulthandler
import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DAEMON = [
    *shlex.split(os.environ.get("LIONGATE_TEST_WRAPPER", "")),
    os.environ.get("LIONGATED", os.path.join(ROOT, "build", "daemon", "liongated")),
]
UNDER_VALGRIND = any(os.path.basename(word).startswith("valgrind") for word in DAEMON)
SCALE = float(os.environ.get("LIONGATE_TEST_SCALE", "1"))
TIMEOUT = 20.0 * SCALE
CLEAN = bool(os.environ.get("LIONGATE_TEST_CLEAN"))
# What sanitizers and valgrind say of their findings.
FINDINGS = (
    "ERROR: AddressSanitizer",
    "ERROR: LeakSanitizer",
    "WARNING: ThreadSanitizer",
    "runtime error:",
    "==    at 0x",
)
PYTHON = sys.executable

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602

# reason -> (code, members that data must have, retryable or None where the protocol leaves it open)
REASONS = {
    "parse_error": (-32700, (), False),
    "invalid_request": (-32600, (), False),
    "line_too_long": (-32600, (), False),
    "method_not_found": (-32601, (), False),
    "invalid_params": (-32602, ("param",), False),
    "permission_denied": (403, ("need",), False),
    "not_found": (404, (), False),
    "timeout": (408, (), None),
    "already_exists": (409, (), False),
    "already_subscribed": (409, (), False),
    "not_running": (409, (), False),
    "ambiguous": (409, ("matches",), False),
    "log_replaced": (409, ("log_id", "newest_seq"), False),
    "pruned": (410, ("oldest_seq",), False),
    "too_large": (413, ("limit",), False),
    "queue_full": (429, ("limit",), True),
    "log_unavailable": (503, (), True),
    "shutting_down": (503, (), True),
}


class Timeout(Exception):
    """A hard limit ran out: always a failure."""


class Closed(Exception):
    """The daemon closed the connection where an answer was owed."""


class RpcError(Exception):
    """An error reply."""

    def __init__(self, error, method=""):
        super().__init__(f"{method}: {json.dumps(error)}")
        self.error = error
        self.code = error.get("code")
        self.data = error.get("data", {})
        self.reason = self.data.get("reason")


def eventually(check, what, timeout=None):
    """The one place that polls: for what nothing announces (mostly /proc). Returns check()'s true value."""
    deadline = time.monotonic() + (TIMEOUT if timeout is None else timeout)
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"never came true: {what}")
        select.select([], [], [], 0.01)


def _reject_constant(name):
    raise ValueError(f"{name} is no JSON")


def _no_twins(pairs):
    keys = [k for k, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a member stands twice: {keys}")
    return dict(pairs)


def parse_strict(line):
    """One line from the daemon, held to RFC 8259 and UTF-8."""
    return json.loads(
        line.decode("utf-8", "strict"), parse_constant=_reject_constant, object_pairs_hook=_no_twins
    )


def dumps(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def raw_bytes(chunk):
    """What an event's `chunk` or an output's `text` stands for."""
    text = chunk.get("chunk", chunk.get("text"))
    if chunk.get("encoding") == "base64":
        return base64.b64decode(text, validate=True)
    assert "encoding" not in chunk, f"unknown encoding {chunk['encoding']!r}"
    return text.encode("utf-8")


# --- processes ---------------------------------------------------------------------------------


def become_subreaper():
    """What loses its parent becomes our child, so that nothing can escape unseen."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def children(pid):
    """Direct children of all of a process's threads."""
    found = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                found += [int(word) for word in f.read().split()]
        except OSError:
            pass
    return found


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child] + descendants(child)
    return found


def process_state(pid):
    """The letter of /proc/PID/stat; None: no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            return f.read().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return None


def alive(pid):
    return process_state(pid) not in (None, "Z", "X")


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


_ours = set()


def orphans():
    """Children of ours that we did not start; dead ones are reaped on the way."""
    live = []
    for pid in children(os.getpid()):
        if pid in _ours:
            continue
        try:
            done, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue
        if done == 0:
            live.append(pid)
    return live


def running_orphans():
    """Those that run. The reaper of a dead daemon has nothing left to run, and no memory, when its lock is free; it is
    its parent's to reap a moment later."""
    return [pid for pid in orphans() if command_line(pid)]


def wait_no_orphans(timeout=None):
    """Returns once nothing that a dead daemon left behind is alive."""
    deadline = time.monotonic() + (TIMEOUT if timeout is None else timeout)
    while True:
        live = orphans()
        if not live:
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise Timeout("left running: " + ", ".join(f"{p} {command_line(p)}" for p in live))
        try:
            fd = os.pidfd_open(live[0])
        except ProcessLookupError:
            continue
        try:
            select.select([fd], [], [], left)
        finally:
            os.close(fd)


def status_kib(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    raise AssertionError(f"no {name}")


def cpu_seconds(pid):
    """What all threads of it have worked by now, the kernel's work for them included."""
    with open(f"/proc/{pid}/stat", "rb") as f:
        utime, stime = f.read().rpartition(b")")[2].split()[11:13]
    return (int(utime) + int(stime)) / os.sysconf("SC_CLK_TCK")


def rss_anon_kib(pid):
    return status_kib(pid, "RssAnon")


def rss_highest_kib(pid):
    return status_kib(pid, "VmHWM")


class Daemon:
    """One state directory and the daemons that live on it, one after another."""

    def __init__(self, *args, env=None, captures=False):
        self.dir = tempfile.mkdtemp(prefix="liongate-test-")
        self.socket = os.path.join(self.dir, "control.sock")
        self.state = os.path.join(self.dir, "state")
        self.stderr_path = os.path.join(self.dir, "stderr")
        self.captures = os.path.join(self.dir, "captures") if captures else None
        if captures:
            os.mkdir(self.captures)
        self.args = list(args)
        self.env = dict(env or {})
        self.pass_fds = ()  # that it inherits
        self.process = None
        self.ended_with = None
        self.generation = 0
        self._notify = None
        self._clients = []
        self._lock = threading.Lock()
        self._n_captures = 0
        become_subreaper()

    # A daemon's life

    def command(self, *args):
        brief = ("--stop-grace=100ms", "--kill-grace=100ms") if CLEAN else ()
        return [*DAEMON, "--no-config", "--socket", self.socket, "--state-dir", self.state, *brief, *args]

    def spawn(self, *args):
        """Starts it and waits for nothing."""
        assert self.process is None, "still running"
        self.generation += 1
        path = os.path.join(self.dir, f"notify-{self.generation}")
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._notify.bind(path)
        os.chmod(path, 0o666)
        env = {**os.environ, **self.env, "NOTIFY_SOCKET": path}
        with open(self.stderr_path, "ab") as err:
            self.process = subprocess.Popen(
                self.command(*self.args, *args),
                stdin=subprocess.DEVNULL,
                stdout=err,
                stderr=err,
                env=env,
                cwd=self.dir,
                pass_fds=self.pass_fds,
            )
        _ours.add(self.process.pid)
        return self

    def start(self, *args, timeout=None):
        """Starts it and waits for READY=1."""
        self.spawn(*args)
        self.wait_notify("READY=1", TIMEOUT if timeout is None else timeout)
        return self

    def wait_notify(self, wanted, timeout):
        """Waits for a line of sd_notify, and returns all of that message; fails at once if the daemon ends before."""
        deadline = time.monotonic() + timeout
        pidfd = os.pidfd_open(self.process.pid)
        try:
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Timeout(f"no {wanted} from the daemon\n{self.stderr()}")
                ready, _, _ = select.select([self._notify, pidfd], [], [], left)
                if self._notify in ready:
                    lines = self._notify.recv(65536).decode("utf-8", "replace").split("\n")
                    if any(line.startswith(wanted) for line in lines):
                        return lines
                elif pidfd in ready:
                    code = self.process.wait()
                    self._ended()
                    raise AssertionError(f"the daemon ended with {code}\n{self.stderr()}")
        finally:
            os.close(pidfd)

    @property
    def pid(self):
        return self.process.pid

    def stderr(self):
        if not os.path.exists(self.stderr_path):
            return ""
        with open(self.stderr_path, "r", encoding="utf-8", errors="replace") as f:
            return f.read()[-8000:]

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=None):
        """Waits for its end and returns the exit status as Popen gives it."""
        self._notify.close()  # else a daemon that says much waits for us to read it
        try:
            code = self.process.wait(TIMEOUT if timeout is None else timeout)
        except subprocess.TimeoutExpired:
            raise Timeout(f"the daemon does not end\n{self.stderr()}") from None
        self._ended()
        return code

    def _ended(self):
        self.ended_with = self.process.returncode
        _ours.discard(self.process.pid)
        self.process = None
        self._notify.close()

    def kill(self):
        """kill -9, and nothing waited for but the daemon itself."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def stop(self, timeout=None):
        """SIGTERM; the exit status must be 0."""
        self.signal(signal.SIGTERM)
        code = self.wait(timeout)
        assert code == 0, f"SIGTERM ended it with {code}\n{self.stderr()}"
        wait_no_orphans()

    def restart(self, *args):
        self.stop()
        return self.start(*args)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def drop_clients(self):
        """Closes all connections; of a daemon that is dead, what they still hold is read."""
        for client in self._clients:
            if self.process is None:
                client.drain()
            client.close()
        self._clients = []

    def close(self):
        self.drop_clients()
        try:
            if CLEAN and self.process and self.process.poll() is None:
                self.stop()
        finally:
            self._clear()

    def _check_findings(self):
        if not os.path.exists(self.stderr_path):
            return
        with open(self.stderr_path, "r", encoding="utf-8", errors="replace") as f:
            said = f.read()
        places = [place for words in FINDINGS if (place := said.find(words)) >= 0]
        assert not places, said[max(0, min(places) - 200) :][:8000]

    def _clear(self):
        died = self.process.poll() if self.process else None
        if self.process:
            self.kill()
        try:
            assert died is None, f"the daemon ended by itself with {died}\n{self.stderr()}"
            wait_no_orphans()
            self._check_findings()
        finally:
            if os.environ.get("LIONGATE_TEST_KEEP"):
                print(f"kept {self.dir}", file=sys.stderr)
            else:
                shutil.rmtree(self.dir, ignore_errors=True)

    # What it left

    def log_files(self):
        directory = os.path.join(self.state, "log")
        return [
            os.path.join(directory, n) for n in sorted(os.listdir(directory)) if n.endswith(".ndjson")
        ]

    def log_lines(self):
        """The log as it lies on disk, line by line, without the line ends."""
        lines = []
        for path in self.log_files():
            with open(path, "rb") as f:
                data = f.read()
            lines += data.split(b"\n")[:-1]
        return lines

    def events(self):
        return [parse_strict(line)["params"] for line in self.log_lines()]

    def events_of(self, agent_id):
        return [e for e in self.events() if e.get("agent_id") == agent_id]

    def fd_census(self):
        """How many sockets, pipes and the like it has open (files come and go with the log)."""
        census = collections.Counter()
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                target = os.readlink(f"/proc/{self.pid}/fd/{fd}")
            except OSError:
                continue
            if not target.startswith("/"):
                census[target.partition("[")[0].rstrip(":")] += 1
        return census

    def programs(self):
        """What the daemon's reaper has running: every descendant but the reaper itself."""
        found = []
        for child in children(self.pid):
            found += [pid for pid in descendants(child) if alive(pid)]
        return found

    def wait_no_programs(self):
        eventually(lambda: not self.programs(), "every program of an ended agent is gone")

    # Clients

    def client(self, name="client", **kwargs):
        capture = None
        if self.captures:
            with self._lock:
                self._n_captures += 1
                capture = os.path.join(self.captures, f"{name}-{self._n_captures:04}.ndjson")
        client = Client(self.socket, capture=capture, **kwargs)
        self._clients.append(client)
        return client

    def client_as(self, uid, gid=None, groups=(), **kwargs):
        """A connection whose peer credentials are someone else's. Only root can make one."""
        gid = uid if gid is None else gid
        os.chmod(self.dir, 0o755)
        own_groups, own_gid, own_uid = os.getgroups(), os.getegid(), os.geteuid()
        os.setgroups(groups)
        os.setegid(gid)
        os.seteuid(uid)
        try:
            return self.client(**kwargs)
        finally:
            os.seteuid(own_uid)
            os.setegid(own_gid)
            os.setgroups(own_groups)


def run_check(state):
    """liongated --check: (exit status, what it printed)."""
    done = subprocess.run(
        [*DAEMON, "--no-config", "--state-dir", state, "--check"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT * 3,
        check=False,
    )
    return done.returncode, done.stdout.decode("utf-8", "strict")


class Client:
    """One connection. Every read has a hard limit; every line is checked to be strict JSON."""

    def __init__(self, path, capture=None, rcvbuf=None, timeout=None):
        self.timeout = TIMEOUT if timeout is None else timeout
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(self.timeout)
        self.sock.connect(path)
        self._buffer = bytearray()
        self._scanned = 0
        self._lines = collections.deque()
        self._eof = False
        self._next_id = 0
        self._capture = open(capture, "ab", buffering=0) if capture else None
        self.notes = collections.deque()
        self.replies = {}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()
        if self._capture:
            self._capture.close()
            self._capture = None

    def reset(self):
        """Goes away with unread bytes in the socket."""
        self.sock.close()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    # Bytes and lines

    def send_raw(self, data):
        """Writes all of it, or fails when the daemon takes nothing for the whole limit."""
        if self._capture:
            self._capture.write(data if data.endswith(b"\n") else data + b"\n")
        self.sock.settimeout(self.timeout)
        self.sock.sendall(data)

    def send(self, *messages):
        """Each message on a line of its own, all in one write."""
        self.send_raw(b"".join(dumps(m).encode() + b"\n" for m in messages))

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.sock], [], [], left)[0]:
            raise Timeout(f"nothing came within {self.timeout:.0f} s (have {bytes(self._buffer)[:200]!r})")
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            self._eof = True
            return
        self._buffer += data
        end = self._buffer.rfind(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._buffer)
            return
        whole = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._scanned = 0
        if self._capture:
            self._capture.write(whole + b"\n")
        self._lines.extend(whole.split(b"\n"))

    def read_line(self, timeout=None):
        """The next line without its end; None at the end of the stream, which must not tear a line."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not self._lines:
            if self._eof:
                return None
            self._fill(deadline)
        return self._lines.popleft()

    def torn(self):
        """What came after the last whole line."""
        return bytes(self._buffer)

    def read_message(self, timeout=None):
        line = self.read_line(timeout)
        return None if line is None else parse_strict(line)

    def expect_eof(self, timeout=None):
        line = self.read_line(timeout)
        assert line is None, f"expected the end of the stream, got {line[:300]!r}"
        assert not self._buffer, f"the stream ends inside a line: {self.torn()[:300]!r}"

    def silent(self):
        """True if nothing at all has come by now (a round trip elsewhere says when to ask)."""
        return not self._lines and not self._buffer and not select.select([self.sock], [], [], 0)[0]

    def drain(self):
        """Reads to the end of the stream, for the capture."""
        try:
            while self._capture and self.pump():
                pass
        except OSError:
            pass

    # JSON-RPC

    def request(self, method, **params):
        """Sends it and returns its id."""
        self._next_id += 1
        self.send(make_request(method, params, self._next_id))
        return self._next_id

    def notify(self, method, **params):
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def pump(self, timeout=None):
        """Takes one message from the wire into `notes` or `replies`. False at the end of the stream."""
        message = self.read_message(timeout)
        if message is None:
            return False
        if isinstance(message, dict) and "method" in message:
            check_notification(message)
            self.notes.append(message)
        elif isinstance(message, list):
            for reply in message:
                check_reply(reply)
                self.replies[reply["id"]] = reply
        else:
            check_reply(message)
            self.replies[message["id"]] = message
        return True

    def reply(self, request_id, timeout=None):
        """The whole reply object."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while request_id not in self.replies:
            if not self.pump(max(deadline - time.monotonic(), 0.001)):
                raise Closed(f"closed before the reply to {request_id}")
        return self.replies.pop(request_id)

    def result(self, request_id, timeout=None, method=""):
        reply = self.reply(request_id, timeout)
        if "error" in reply:
            raise RpcError(reply["error"], method)
        return reply["result"]

    def call(self, method, *, timeout=None, **params):
        return self.result(self.request(method, **params), timeout, method)

    def fail(self, method, reason, **params):
        """Calls, expects this error, checks its form, returns its `data`."""
        reply = self.reply(self.request(method, **params))
        return check_error(reply, reason)

    # Notifications

    def note(self, timeout=None):
        """The next notification; None at the end of the stream."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not self.notes:
            if not self.pump(max(deadline - time.monotonic(), 0.001)):
                return None
        return self.notes.popleft()

    def wait_note(self, method, timeout=None):
        """Reads up to the first notification of this method; returns (params, the events before it)."""
        events = []
        while True:
            note = self.note(timeout)
            if note is None:
                raise Closed(f"closed before {method}")
            if note["method"] == method:
                return note["params"], events
            if note["method"] == "event":
                events.append(note["params"])

    def wait_event(self, wanted, timeout=None):
        """Reads up to the first event for which wanted(event) holds; returns it."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            note = self.note(max(deadline - time.monotonic(), 0.001))
            if note is None:
                raise Closed("closed before the event")
            if note["method"] == "event" and wanted(note["params"]):
                return note["params"]

    def until_end(self, timeout=None):
        """All events up to `end`, and the end's seq."""
        end, events = self.wait_note("end", timeout)
        return events, end["seq"]

    # Shorthands

    def spawn(self, prompt="p", **params):
        return self.call("agent.spawn", prompt=prompt, **params)["agent_id"]

    def spawn_exec(self, *argv, prompt="", options=None, **params):
        return self.spawn(prompt, backend="exec", options={"argv": list(argv), **(options or {})}, **params)

    def wait(self, agent_id, timeout=None):
        return self.call("agent.wait", agent_id=agent_id, timeout=timeout)

    def run_exec(self, *argv, timeout=None, **kwargs):
        """Runs a program to its end and returns what agent.wait says."""
        return self.wait(self.spawn_exec(*argv, **kwargs), timeout)

    def output(self, agent_id, channel="output", limit_bytes=None):
        """Every byte of a channel, page by page."""
        data = bytearray()
        while True:
            params = {"limit_bytes": limit_bytes} if limit_bytes else {}
            page = self.call(
                "agent.output", agent_id=agent_id, channel=channel, offset=len(data), **params
            )
            assert page["agent_id"] == agent_id and page["offset"] == len(data), page
            piece = raw_bytes(page)
            data += piece
            if "next" not in page:
                return bytes(data)
            assert piece and page["next"] == len(data), (page["next"], len(data), len(piece))

    def read_all(self, **params):
        """Every event that events.read gives, page by page."""
        events, after = [], 0
        while True:
            page = self.call("events.read", after=after, **params)
            events += page["events"]
            if not page["more"]:
                return events
            assert page["seq"] > after, "no progress"
            after = page["seq"]


def make_request(method, params=None, request_id=None):
    message = {"jsonrpc": "2.0", "id": request_id, "method": method}
    if params:
        message["params"] = params
    return message


def check_notification(message):
    assert message.get("jsonrpc") == "2.0" and "id" not in message, message
    assert message["method"] in ("event", "live", "gap", "end"), message
    assert isinstance(message.get("params"), dict), message


def check_reply(message):
    """The form of a JSON-RPC 2.0 response."""
    assert isinstance(message, dict), message
    assert message.get("jsonrpc") == "2.0" and "id" in message, message
    assert ("result" in message) != ("error" in message), message
    extra = set(message) - {"jsonrpc", "id", "result", "error"}
    assert not extra, f"extra members {extra}"


def check_error(reply, reason):
    """The form of an error of the protocol's table; returns its data."""
    check_reply(reply)
    assert "error" in reply, f"expected {reason}, got {str(reply)[:400]}"
    error = reply["error"]
    assert set(error) == {"code", "message", "data"}, error
    assert isinstance(error["message"], str) and error["message"], error
    data = error["data"]
    assert data.get("reason") == reason, f"expected {reason}, got {error}"
    code, members, retryable = REASONS[reason]
    assert error["code"] == code and type(error["code"]) is int, error
    assert type(data.get("retryable")) is bool, error
    if retryable is not None:
        assert data["retryable"] is retryable, error
    for member in members:
        assert member in data, f"data.{member} is missing: {error}"
    return data


class DaemonCase(unittest.TestCase):
    """A fresh daemon with one client for each test."""

    args = ()
    env = {}

    def make_daemon(self):
        return Daemon(*self.args, env=self.env)

    def setUp(self):
        self.daemon = self.make_daemon()
        self.addCleanup(self.daemon.close)
        self.daemon.start()
        self.client = self.daemon.client()

    def connect(self, **kwargs):
        return self.daemon.client(**kwargs)


def main():
    # What runs the tests ends one that hangs by SIGTERM: it says where it hung.
    faulthandler.register(signal.SIGTERM, chain=True)
    unittest.main(verbosity=2 if os.environ.get("VERBOSE") else 1)
