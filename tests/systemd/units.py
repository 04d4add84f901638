"""Runs inside of the container that boot.sh boots, as its root: what a real systemd makes of the installed units.

Knows the units by their names, and the daemon by its protocol. Nothing of it may run anywhere else: it rewrites /etc and
kills.
"""

import grp
import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from byte_server import LAST_CHUNK, ByteServer, chunk, head  # noqa: E402
from harness import SCALE, TIMEOUT, Client, RpcError, alive, children, dumps, eventually  # noqa: E402

SERVICE = "liongated.service"
SOCKET_UNIT = "liongated.socket"
SOCKET = "/run/liongate/control.sock"
CONFIG_DIR = "/etc/liongate"
KEY = "sk-test-0123456789abcdef"
SUBMITTER, OBSERVER, NOBODY, OWNER = "lg-submit", "lg-observe", "lg-nobody", "lg-own"
# An agent that says that it is up, and ends when its standard input does.
UP = ("/bin/sh", "-c", "echo up; read -r line; echo bye")


def run(*argv, ok=True, timeout=TIMEOUT, **kwargs):
    """Standard output and error, together; ok: its exit status must be 0, else (status, that)."""
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
        **kwargs,
    )
    if not ok:
        return done.returncode, done.stdout
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: {done.returncode}\n{done.stdout}\n{journal()}")
    return done.stdout


def journal(*args):
    return subprocess.run(
        ["journalctl", "--no-pager", "--lines=60", *args], stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False
    ).stdout


def systemctl(*args, **kwargs):
    return run("systemctl", *args, **kwargs)


def show(name, unit=SERVICE):
    return systemctl("show", "-P", name, unit).strip()


def as_user(user, *argv):
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env", *argv)


def ctl(user, *args, ok=True):
    return run(*as_user(user, shutil.which("liongatectl"), *args), ok=ok)


def call(user, method, **params):
    return json.loads(ctl(user, "call", method, dumps(params)))


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, mode)


def about(path):
    """Mode, owner and group."""
    st = os.stat(path)
    return f"{stat.S_IMODE(st.st_mode):04o} {pwd.getpwuid(st.st_uid).pw_name} {grp.getgrgid(st.st_gid).gr_name}"


def prefix():
    return os.path.dirname(os.path.dirname(shutil.which("liongated")))


def locked_conf():
    with open(f"{prefix()}/share/liongate/liongated-locked.conf", encoding="ascii") as f:
        return f.read()


def unmask_proc():
    """systemd-nspawn lays things over parts of /proc, and has a whole one beside, neither of which a machine has."""

    def places():
        with open("/proc/self/mountinfo", encoding="ascii") as f:
            return [line.split()[4] for line in f if line.split()[4].startswith(("/proc/", "/run/host/proc"))]

    # Some lie below others: the upper ones first.
    for _ in places():
        for place in reversed(places()):
            run("umount", place, ok=False)
    assert not places(), places()


def setUpModule():
    with open("/proc/1/comm", encoding="ascii") as f:
        assert f.read() == "systemd\n"
    unmask_proc()
    run("systemd-sysusers")
    run("systemd-tmpfiles", "--create", "liongate.conf")
    systemctl("start", "dbus.socket", "systemd-journald.service")


class Case(unittest.TestCase):
    """A listening socket whose daemon has not been started."""

    unit, socket_unit, socket = SERVICE, SOCKET_UNIT, SOCKET

    def setUp(self):
        systemctl("start", self.socket_unit)
        self.addCleanup(self.clear)

    def clear(self):
        # SIGKILL: what a test leaves running is not waited for.
        systemctl("kill", "--signal=KILL", self.unit, ok=False)
        systemctl("stop", self.unit, self.socket_unit, ok=False)
        systemctl("reset-failed", ok=False)

    def _remove(self, path):
        os.unlink(path)
        systemctl("daemon-reload")

    def drop_in(self, text, name="50-test.conf"):
        path = f"/etc/systemd/system/{self.unit}.d/{name}"
        write(path, text)
        self.addCleanup(self._remove, path)
        systemctl("daemon-reload")

    def configure(self, text):
        path = f"{CONFIG_DIR}/liongated.conf.d/50-test.conf"
        write(path, text)
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))

    def client(self, path=None):
        client = Client(path or self.socket, timeout=TIMEOUT)
        self.addCleanup(client.close)
        return client

    def watch(self, **params):
        client = self.client()
        client.call("events.subscribe", **params)
        return client

    def main_pid(self, unit=None):
        return int(show("MainPID", unit or self.unit))

    def restarted(self, old_pid):
        """Waits for the next daemon; returns its pid."""
        eventually(
            lambda: show("ActiveState", self.unit) == "active" and self.main_pid() not in (0, old_pid),
            "systemd starts the next daemon",
            TIMEOUT,
        )
        return self.main_pid()

    def kill_daemon(self, with_reaper):
        """Not by `systemctl kill`, which fails where a cgroup goes while it walks through them."""
        pid = self.main_pid()
        pids = [pid, *(children(pid) if with_reaper else [])]
        # None of them sees the other one die.
        for sig in (signal.SIGSTOP, signal.SIGKILL):
            for p in pids:
                os.kill(p, sig)
        return self.restarted(pid)


class Starting(Case):
    def test_units_are_in_order(self):
        units = (SERVICE, SOCKET_UNIT, "liongated@a.service", "liongated@a.socket")
        self.assertEqual(run("systemd-analyze", "--man=no", "--recursive-errors=no", "verify", *units), "")

    def test_the_first_request_starts_it(self):
        self.assertEqual(show("ActiveState"), "inactive")
        status = call(SUBMITTER, "daemon.status")
        self.assertEqual(show("ActiveState"), "active")
        self.assertEqual((show("Type"), self.main_pid()), ("notify", status["pid"]))
        self.assertRegex(show("StatusText"), r"^0 running, 0 queued, \d clients$")
        self.assertEqual(show("TriggeredBy"), SOCKET_UNIT)
        self.assertEqual(pwd.getpwuid(os.stat(f"/proc/{status['pid']}").st_uid).pw_name, "liongate")

    def test_started_by_hand_it_has_its_socket_from_systemd(self):
        systemctl("stop", SOCKET_UNIT)
        systemctl("start", SERVICE)
        self.assertEqual(show("ActiveState", SOCKET_UNIT), "active")
        before = os.stat(SOCKET).st_ino
        systemctl("restart", SERVICE)
        self.assertEqual(os.stat(SOCKET).st_ino, before)
        self.assertIn("liongated", ctl(OBSERVER, "status"))

    def test_directories(self):
        ctl(SUBMITTER, "spawn-agent", "--prompt", "p", "--option", "chunks=1")
        self.assertEqual(about("/run/liongate"), "0755 liongate liongate")
        self.assertEqual(about(SOCKET), "0660 liongate liongate")
        self.assertEqual(about("/var/lib/liongate"), "0700 liongate liongate")
        self.assertEqual(about("/var/lib/liongate/home"), "0700 liongate liongate")
        self.assertEqual(about(CONFIG_DIR), "0755 root root")
        for directory, _, files in os.walk("/var/lib/liongate/log"):
            self.assertEqual(about(directory), "0700 liongate liongate")
            for name in files:
                self.assertEqual(about(os.path.join(directory, name)), "0600 liongate liongate", name)
        # The daemon's messages are the journal's, and the log of events is its state.
        self.assertEqual((show("LogsDirectory"), os.path.exists("/var/log/liongate")), ("", False))
        self.assertEqual(pwd.getpwnam("liongate").pw_dir, "/var/lib/liongate/home")

    def test_a_wrong_configuration_is_not_tried_again(self):
        self.configure("[limits]\nmax_qeued = 1\n")
        status, _ = systemctl("start", SERVICE, ok=False)
        self.assertNotEqual(status, 0)
        self.assertEqual((show("ActiveState"), show("ExecMainStatus"), show("NRestarts")), ("failed", "2", "0"))
        self.assertIn("did you mean max_queued?", journal("--unit", SERVICE))
        self.configure("[limits]\nmax_queued = 1\n")
        systemctl("start", SERVICE)
        self.assertEqual(self.client().call("daemon.status")["limits"]["max_queued"], 1)

    def test_a_client_of_one_that_cannot_start_is_not_left_waiting(self):
        self.configure("[limits]\nmax_qeued = 1\n")
        client = self.client()
        client.request("daemon.status")
        client.expect_eof()
        eventually(lambda: show("ActiveState", SOCKET_UNIT) == "failed", "systemd gives it up", TIMEOUT)
        self.configure("")
        # As docs/service.md has it.
        systemctl("reset-failed", SERVICE, SOCKET_UNIT)
        systemctl("start", SERVICE)
        self.assertEqual((show("ActiveState"), show("ActiveState", SOCKET_UNIT)), ("active", "active"))
        self.assertEqual(self.client().call("daemon.status")["pid"], self.main_pid())

    def test_journal(self):
        systemctl("start", SERVICE)
        pid = self.main_pid()
        lines = run("journalctl", "--output=json", f"_PID={pid}", "PRIORITY=5").splitlines()
        ready = next(line for line in map(json.loads, lines) if "is ready on" in line["MESSAGE"])
        self.assertEqual(ready["_SYSTEMD_UNIT"], SERVICE)
        self.assertEqual(ready["SYSLOG_IDENTIFIER"], "liongated")
        self.assertEqual(ready["_TRANSPORT"], "journal")
        self.assertTrue(ready["CODE_FILE"].endswith("daemon/daemon.c"), ready["CODE_FILE"])
        self.assertEqual(ready["CODE_FUNC"], "daemon_run")
        self.assertGreater(int(ready["CODE_LINE"]), 0)


class Access(Case):
    def test_two_groups_and_nobody(self):
        def refused(user, *args):
            status, said = ctl(user, *args, ok=False)
            self.assertNotEqual(status, 0, said)
            return said

        agent = ctl(SUBMITTER, "spawn-agent", "--detach", "--", "id", "-un").strip()
        self.assertEqual(ctl(OBSERVER, "wait", agent).split()[1], "completed")
        self.assertEqual(call(OBSERVER, "agent.output", agent_id=agent)["text"], "liongate\n")
        self.assertEqual(call(OBSERVER, "agent.get", agent_id=agent)["uid"], pwd.getpwnam(SUBMITTER).pw_uid)
        self.assertIn("needs the role submit", refused(OBSERVER, "spawn-agent", "--prompt", "p"))
        self.assertIn("Permission denied", refused(NOBODY, "status"))
        # Not their own: the role admin.
        root = self.client()
        others = root.spawn_exec(*UP, options={"stdin": "open"})
        self.assertIn("was spawned by uid 0", refused(SUBMITTER, "cancel", others))
        self.assertIn("needs the role submit", refused(OBSERVER, "cancel", others))
        root.call("agent.cancel", agent_id=others)

    def test_what_the_daemon_keeps_is_closed_to_both(self):
        systemctl("start", SERVICE)
        for user in (SUBMITTER, OBSERVER, NOBODY):
            status, _ = run(*as_user(user, "ls", "/var/lib/liongate/log"), ok=False)
            self.assertNotEqual(status, 0, user)


class Running(Case):
    def test_reload(self):
        self.configure("[daemon]\nworkers = 1\n[limits]\nmax_running = 1\n")
        watcher = self.watch(types=["AgentStarted"])
        agents = [watcher.spawn(str(i), options={"delay_ms": 60000}) for i in range(2)]
        self.assertEqual(watcher.wait_event(lambda e: True)["agent_id"], agents[0])
        pid = self.main_pid()
        self.configure("[daemon]\nworkers = 2\n[limits]\nmax_running = 2\n")
        systemctl("reload", SERVICE)
        self.assertEqual(watcher.wait_event(lambda e: True)["agent_id"], agents[1])
        restart = "1 clients; only a restart takes over: daemon.workers"
        eventually(lambda: show("StatusText").endswith(restart), restart, TIMEOUT)
        self.configure("[limits]\nmax_running = 0\nmax_qeued = 1\n")
        systemctl("reload", SERVICE)
        eventually(lambda: "did you mean max_queued?" in journal(f"_PID={pid}"), "the mistake is in the journal", TIMEOUT)
        eventually(lambda: show("ActiveState") == "active", "the reload is over", TIMEOUT)
        self.assertEqual((self.main_pid(), show("SubState")), (pid, "running"))
        self.assertEqual(watcher.call("daemon.status")["limits"]["max_running"], 2)

    def test_stop_drains(self):
        watcher = self.watch()
        agent = watcher.spawn_exec(*UP, options={"stdin": "open"})
        watcher.wait_event(lambda e: e.get("chunk") == "up\n")
        systemctl("stop", "--no-block", SERVICE)
        watcher.wait_event(lambda e: e["type"] == "DaemonStopping")
        self.assertEqual(show("ActiveState"), "deactivating")
        self.assertEqual(show("StatusText"), "Stopping: 1 running, 0 queued, 1 clients")
        watcher.fail("agent.spawn", "shutting_down", prompt="p")
        watcher.call("agent.send", agent_id=agent, data="x\n")
        self.assertEqual(watcher.wait_event(lambda e: e["type"].startswith("AgentCompleted"))["agent_id"], agent)
        watcher.expect_eof()
        eventually(lambda: show("ActiveState") == "inactive", "it has stopped", TIMEOUT)
        self.assertEqual((show("Result"), show("ExecMainStatus")), ("success", "0"))
        # Who comes then is answered by the next.
        events = self.client().read_all()
        kinds = [e["type"].removeprefix("Agent") for e in events if e.get("agent_id", agent) == agent][-5:]
        self.assertEqual(kinds, ["PartialOutput", "DaemonStopping", "PartialOutput", "Completed", "DaemonStarted"])

    def test_watchdog(self):
        self.drop_in(f"[Service]\nWatchdogSec={2 * SCALE:.0f}\n")
        client = self.client()
        agent = client.spawn_exec("/bin/sleep", "1000")
        program = eventually(lambda: client.call("agent.get", agent_id=agent).get("pid"), "it runs", TIMEOUT)
        pid = self.main_pid()
        os.kill(pid, signal.SIGSTOP)
        self.restarted(pid)
        self.assertIn("Watchdog timeout", journal("--unit", SERVICE))
        ended = self.client().wait(agent)
        self.assertEqual((ended["state"], ended["ending"]["code"]), ("failed", "interrupted"))
        self.assertFalse(alive(program))
        self.assertEqual(show("NRestarts"), "1")

    def test_kill_9(self):
        with open("/watched", "wb") as out, open("/watched.err", "wb") as err:
            argv = as_user(OBSERVER, shutil.which("liongatectl"), "watch", "--json", "--from-start")
            watcher = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self.addCleanup(watcher.wait)
        self.addCleanup(watcher.kill)
        client = self.client()
        failing = client.spawn_exec("/bin/sleep", "1000")
        again = client.spawn("p", options={"delay_ms": 300, "chunks": 2}, on_restart="rerun")
        program = eventually(lambda: client.call("agent.get", agent_id=failing).get("pid"), "it runs", TIMEOUT)
        for _ in range(3):
            self.kill_daemon(with_reaper=False)
        client = self.client()
        self.assertEqual(client.wait(failing)["ending"]["code"], "interrupted")
        self.assertEqual(client.wait(again)["state"], "completed")
        self.assertFalse(alive(program))
        self.assertEqual(show("NRestarts"), "3")
        last = client.spawn("p", options={"chunks": 1, "delay_ms": 0})
        client.wait(last)

        def watched():
            with open("/watched", encoding="utf-8") as f:
                return [json.loads(line) for line in f.read().splitlines(keepends=True) if line.endswith("\n")]

        ended = (last, "AgentCompleted")
        eventually(
            lambda: any((e.get("agent_id"), e["type"]) == ended for e in watched()), "it watches on", TIMEOUT
        )
        self.assertIsNone(watcher.poll())
        self.assertEqual([e["seq"] for e in watched()], [e["seq"] for e in client.read_all()])

    def test_credential(self):
        write("/etc/liongate/test.key", KEY + "\n", 0o600)
        server = self.llm()
        self.drop_in("[Service]\nLoadCredential=test.key:/etc/liongate/test.key\n")
        self.assertEqual(self.ask(), ("completed", "Hello"))
        self.assertEqual(server.requests[0].headers["authorization"], f"Bearer {KEY}")
        with open(f"/proc/{self.main_pid()}/environ", "rb") as f:
            self.assertIn(b"CREDENTIALS_DIRECTORY=/run/credentials/liongated.service", f.read())
        # The file is root's alone, and the credential nobody's but the daemon's.
        self.assertEqual(about("/etc/liongate/test.key"), "0600 root root")
        status, _ = run(*as_user(SUBMITTER, "cat", "/run/credentials/liongated.service/test.key"), ok=False)
        self.assertNotEqual(status, 0)
        self.assertEqual(run("grep", "-rlF", KEY, "/var/lib/liongate", ok=False), (1, ""))
        self.assertNotIn(KEY, journal("--unit", SERVICE))

    def llm(self):
        """A server of a language model on this machine, and the daemon's provider."""
        server = ByteServer()
        self.addCleanup(server.close)
        choices = ({"delta": {"content": "Hello"}, "index": 0}, {"delta": {}, "finish_reason": "stop", "index": 0})
        body = "".join(f"data: {dumps({'choices': [choice]})}\n\n" for choice in choices) + "data: [DONE]\n\n"
        answer = head("200 OK", "Content-Type: text/event-stream", chunked=True) + chunk(body.encode()) + LAST_CHUNK
        server.on("/v1/chat/completions", answer)
        self.configure(f"[provider p]\nkind = openai\nbase_url = {server.url}/v1\nkey = credential:test.key\nmodel = m\n")
        return server

    def ask(self):
        client = self.client()
        agent = client.spawn("hi", backend="openai", options={"provider": "p"})
        return client.wait(agent)["state"], client.output(agent).decode()


class Cgroups(Case):
    """A cgroup for each agent, below that which the unit delegates."""

    # Orphaned, in a session of its own, deaf, and without the agent's name: the cgroup alone tells. It is so before the
    # script goes on.
    ESCAPE = (
        "(setsid env -i /bin/sh -c 'trap \"\" TERM; echo $$; exec sleep 1000 >/dev/null' &) |"
        " (read -r pid; echo $pid; echo up); "
    )

    def setUp(self):
        super().setUp()
        self.configure("[daemon]\nkill_grace = 200ms\n")
        self.begin()

    def begin(self):
        self.ctl = self.client(self.socket)
        self.how = self.ctl.call("daemon.status")["containment"]
        self.root = os.path.join("/sys/fs/cgroup", show("ControlGroup").lstrip("/"))

    def left(self):
        agents = os.path.join(self.root, "agents")
        return [e.name for e in os.scandir(agents) if e.is_dir()] if os.path.isdir(agents) else []

    def need(self, controller):
        if controller not in self.how["controllers"]:
            self.skipTest(f"this machine gives the container no controller {controller}")

    def run_agent(self, *argv, **limits):
        got = self.ctl.run_exec(*argv, options={"limits": limits})
        return got["ending"], self.ctl.output(got["agent_id"]).decode()

    def up(self, script):
        agent = self.ctl.spawn_exec("/bin/sh", "-c", script)
        watcher = self.watch(after=0, agents=[agent])
        said = ""
        while "up\n" not in said:
            said += watcher.wait_event(lambda e: "chunk" in e)["chunk"]
        return agent, int(said.split()[0])

    def test_status(self):
        self.assertEqual(self.how["by"], "cgroup")
        with open(os.path.join(self.root, "cgroup.controllers"), encoding="ascii") as f:
            given = f.read().split()
        self.assertEqual(set(self.how["controllers"]), {"memory", "pids", "cpu"} & set(given))
        self.assertIn("programs: each kept by a cgroup", ctl(OBSERVER, "status"))
        with open(f"/proc/{self.main_pid()}/cgroup", encoding="ascii") as f:
            self.assertIn(f"0::{show('ControlGroup')}/daemon\n", f.read())

    def test_each_agent_has_one_and_says_what_it_used(self):
        end, said = self.run_agent("/bin/sh", "-c", "cat /proc/self/cgroup; head -c 20000000 /dev/zero | wc -c >&2")
        self.assertIn(f"0::{show('ControlGroup')}/agents/{end['agent_id']}\n", said)
        self.assertEqual(end["type"], "AgentCompleted")
        self.assertGreater(end["resource"]["cpu_us"], 0)
        if "memory" in self.how["controllers"] and os.path.exists(os.path.join(self.root, "agents/memory.peak")):
            self.assertGreater(end["resource"]["memory_peak_bytes"], 0)
        self.assertEqual(self.left(), [])

    def test_nothing_escapes(self):
        agent, pid = self.up(self.ESCAPE + "exec sleep 1000")
        self.ctl.call("agent.cancel", agent_id=agent)
        self.assertFalse(alive(pid))
        end, said = self.run_agent("/bin/sh", "-c", self.ESCAPE + "true")
        self.assertEqual(end["type"], "AgentCompleted")
        self.assertFalse(alive(int(said.split()[0])))
        self.assertEqual(self.left(), [])

    def test_nor_from_a_daemon_that_dies(self):
        for with_reaper in (False, True):
            with self.subTest(with_reaper=with_reaper):
                _, escaped = self.up(self.ESCAPE + "exec sleep 1000")
                self.kill_daemon(with_reaper)
                self.begin()
                self.assertFalse(alive(escaped))
                self.assertEqual((self.how["by"], self.left()), ("cgroup", []))
                self.assertEqual(self.run_agent("/bin/echo", "again")[1], "again\n")

    def test_processes(self):
        self.need("pids")
        bomb = (
            "import os, time\nn = 0\n"
            "for _ in range(200):\n"
            "    try:\n"
            "        if os.fork() == 0:\n            time.sleep(1000)\n            os._exit(0)\n"
            "        n += 1\n"
            "    except BlockingIOError:\n        pass\n"
            "print(n)\n"
        )
        end, said = self.run_agent(sys.executable, "-I", "-S", "-c", bomb, processes=10)
        self.assertEqual((end["type"], said, end["resource"]["forks_refused"]), ("AgentCompleted", "9\n", 191))
        self.assertEqual(self.left(), [])

    def test_memory(self):
        self.need("memory")
        grow = "x = bytearray(200 << 20)"
        end, _ = self.run_agent(sys.executable, "-I", "-S", "-c", grow, memory_bytes=64 << 20)
        self.assertEqual((end["code"], end["resource"]["oom_kills"]), ("resource_limit", 1))
        self.assertIn("limits.memory_bytes", end["message"])
        # It took nothing down but itself.
        self.assertEqual(self.run_agent("/bin/echo", "on")[1], "on\n")

    def test_where_a_program_has_to_go_there_by_itself(self):
        # In order to look at its flags, systemd lets no clone3() pass.
        self.drop_in("[Service]\nRestrictNamespaces=yes\n")
        systemctl("restart", SERVICE)
        self.begin()
        end, said = self.run_agent("/bin/cat", "/proc/self/cgroup")
        self.assertIn(f"0::{show('ControlGroup')}/agents/{end['agent_id']}\n", said)
        self.assertEqual(self.left(), [])

    def test_without_delegation(self):
        self.drop_in("[Service]\nDelegate=no\n")
        systemctl("restart", SERVICE)
        self.begin()
        self.assertEqual((self.how["by"], self.how["reason"]), ("process walk", "no cgroup is delegated to the daemon"))
        self.assertIn("programs: each kept by a process walk (no cgroup", ctl(OBSERVER, "status"))
        with self.assertRaises(RpcError) as refused:
            self.ctl.spawn_exec("/bin/true", options={"limits": {"processes": 3}})
        self.assertEqual(refused.exception.data["param"], "options.limits.processes")
        self.assertNotIn("resource", self.run_agent("/bin/true")[0])
        # Its own cgroup has been left as it was.
        self.assertEqual([e.name for e in os.scandir(self.root) if e.is_dir()], [])


class Sandbox(Case):
    def sh(self, script):
        """As an agent of the service: (exit status, output and error)."""
        client = self.client()
        agent = client.spawn_exec("/bin/sh", "-c", f"exec 2>&1; {script}")
        ending = client.wait(agent)["ending"]
        return ending.get("exit_code"), client.output(agent).decode()

    def test_what_programs_live_on_is_open(self):
        for script in (
            "test $(id -un) = liongate && test $PWD = /var/lib/liongate/home && touch x && rm x && touch /tmp/x /var/tmp/x",
            "python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=7)'",
            "python3 -c 'import socket; socket.socket(socket.AF_INET6); socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)'",
            "unshare --user --map-root-user --pid --mount --fork --mount-proc true",
            # That much systemd-nspawn may let pass anyway: what forbids it elsewhere is a mount below /proc.
            "! grep ' /proc/' /proc/self/mountinfo",
            "unshare --user --map-root-user --uts hostname x",
            "setarch --addr-no-randomize true",
            "mkdir d && chmod g+s d && test -g d && rmdir d",
            "cat /proc/cpuinfo /proc/meminfo /proc/sys/kernel/ostype >/dev/null",
            "echo x >/dev/null && test -r /dev/urandom",
        ):
            with self.subTest(script):
                self.assertEqual(self.sh(script), (0, ""))

    def test_what_they_do_not_is_shut(self):
        write("/setuid-id", "")
        shutil.copy(shutil.which("id"), "/setuid-id")
        os.chmod("/setuid-id", 0o4755)
        self.addCleanup(os.unlink, "/setuid-id")
        status, said = self.sh("/setuid-id -u")
        self.assertEqual((status, said.strip()), (0, str(pwd.getpwnam("liongate").pw_uid)), "no new privileges")
        for script in (
            "touch /usr/x",
            "touch /etc/x",
            "cat /etc/shadow",
            "echo 1 >/proc/sys/kernel/printk",
            # In a network of its own it may, without the unit.
            "unshare --user --map-root-user --net python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
            "chrt --fifo 1 true",
        ):
            with self.subTest(script):
                status, said = self.sh(script)
                self.assertNotIn(status, (0, None), said)
                self.assertNotIn("not found", said)
        caps = re.findall(r"^Cap(?:Prm|Eff|Bnd|Amb):\s*([0-9a-f]+)$", self.sh("cat /proc/self/status")[1], re.M)
        self.assertEqual([int(c, 16) for c in caps], [0, 0, 0, 0])
        # Its /tmp is its own.
        write("/tmp/of-the-machine", "")
        self.assertNotEqual(self.sh("ls /tmp/of-the-machine")[0], 0)

    def test_scores_are_those_of_the_docs(self):
        def score():
            said = run("systemd-analyze", "security", "--no-pager", SERVICE)
            return float(re.search(r"exposure level for \S+: ([0-9.]+)", said).group(1))

        plain = score()
        self.drop_in(locked_conf())
        locked = score()
        self.assertLessEqual(locked, 1.5)
        version = run("systemd-analyze", "--version").split()[1]
        with open(os.path.join(os.path.dirname(__file__), "docs", "service.md"), encoding="utf-8") as f:
            told = re.search(r"systemd (\d+) gives the service ([0-9.]+), and with it ([0-9.]+)", " ".join(f.read().split()))
        self.assertTrue(told, "docs/service.md has the scores")
        # Each version has its own idea of them.
        if told.group(1) == version:
            self.assertEqual((plain, locked), (float(told.group(2)), float(told.group(3))))


class Locked(Running):
    """What a daemon does with liongated-locked.conf, but for what takes programs."""

    test_stop_drains = test_watchdog = test_kill_9 = None

    def setUp(self):
        super().setUp()
        self.drop_in(locked_conf(), "40-locked.conf")

    def test_no_program(self):
        client = self.client()
        for argv in (["/bin/true"], ["/bin/sh", "-c", "true"], ["/lib64/ld-linux-x86-64.so.2", "/bin/true"]):
            if os.path.exists(argv[0]):
                ended = client.run_exec(*argv)
                self.assertEqual(ended["state"], "failed", (argv, ended["ending"]))
        self.assertEqual(client.run_exec("/bin/true")["ending"]["code"], "spawn_failed")

    def test_clients_are_still_known(self):
        agent = ctl(SUBMITTER, "spawn-agent", "--detach", "--prompt", "p", "--option", "chunks=1").strip()
        self.assertEqual(self.client().wait(agent)["uid"], pwd.getpwnam(SUBMITTER).pw_uid)
        status, said = ctl(OBSERVER, "spawn-agent", "--prompt", "p", ok=False)
        self.assertIn("needs the role submit", said)
        self.assertNotEqual(status, 0)


class Instances(Case):
    unit, socket_unit, socket = "liongated@a.service", "liongated@a.socket", "/run/liongate/a/control.sock"

    def setUp(self):
        for name, limit in (("a", 3), ("b", 4)):
            write(f"{CONFIG_DIR}/{name}.conf", f"[limits]\nmax_queued = {limit}\n[access]\ngroup.liongate-observe = observe\n")
        systemctl("start", "liongated@b.socket", SOCKET_UNIT)
        self.addCleanup(systemctl, "stop", "liongated@b.socket", "liongated@b.service", SERVICE, SOCKET_UNIT)
        super().setUp()

    def test_side_by_side(self):
        names = {"a": "liongated@a", "b": "liongated@b", "main": "liongated"}
        sockets = {"a": self.socket, "b": "/run/liongate/b/control.sock", "main": SOCKET}
        status = {name: self.client(path).call("daemon.status") for name, path in sockets.items()}
        self.assertEqual({n: s["pid"] for n, s in status.items()}, {n: self.main_pid(u + ".service") for n, u in names.items()})
        self.assertEqual([status[name]["limits"]["max_queued"] for name in "ab"], [3, 4])
        self.assertEqual(len({s["log_id"] for s in status.values()}), 3)
        for name in "ab":
            self.assertEqual(about(f"/var/lib/liongate-{name}"), "0700 liongate liongate")
            self.assertEqual(about(f"/run/liongate/{name}"), "0755 root root")
            self.assertEqual(about(f"/run/liongate/{name}/control.sock"), "0660 liongate liongate")
            self.assertIn("liongated", ctl(OBSERVER, f"--socket={sockets[name]}", "status"))
        self.assertEqual(show("Description", self.unit), "Liongate agent daemon (a)")

    def test_one_dies_and_the_other_goes_on(self):
        other = self.client("/run/liongate/b/control.sock")
        theirs = other.spawn_exec(*UP, options={"stdin": "open"})
        ours = self.client().spawn_exec("/bin/sleep", "1000")
        program = eventually(lambda: other.call("agent.get", agent_id=theirs).get("pid"), "it runs", TIMEOUT)
        eventually(lambda: self.client().call("agent.get", agent_id=ours).get("pid"), "it runs, too", TIMEOUT)
        # The reaper with it, so that the next daemon looks for what is left.
        self.kill_daemon(with_reaper=True)
        self.assertEqual(self.client().wait(ours)["ending"]["code"], "interrupted")
        self.assertTrue(alive(program))
        other.call("agent.send", agent_id=theirs, data="x\n")
        self.assertEqual(other.wait(theirs)["state"], "completed")
        systemctl("stop", self.unit)
        self.assertTrue(os.path.exists(self.socket) and os.path.exists("/run/liongate/b/control.sock"))


class Dynamic(Case):
    unit, socket_unit, socket = "liongated@dyn.service", "liongated@dyn.socket", "/run/liongate/dyn/control.sock"

    def test_dynamic_user(self):
        write(f"{CONFIG_DIR}/dyn.conf", "")
        self.drop_in("[Service]\nUser=liongate-dyn\nGroup=\nDynamicUser=yes\n")
        client = self.client()
        agent = client.spawn_exec("/usr/bin/id", "-u")
        self.assertEqual(client.wait(agent)["state"], "completed")
        uid = int(client.output(agent))
        self.assertTrue(61184 <= uid <= 65519, uid)
        self.assertEqual(os.stat(f"/proc/{self.main_pid()}").st_uid, uid)
        self.assertEqual(os.path.realpath("/var/lib/liongate-dyn"), "/var/lib/private/liongate-dyn")
        seq = client.call("daemon.status")["log"]["newest_seq"]
        systemctl("restart", self.unit)
        self.assertGreater(self.client().call("daemon.status")["log"]["newest_seq"], seq)


class UserUnit(unittest.TestCase):
    def user(self, *argv, ok=True):
        home = f"HOME=/home/{OWNER}"
        uid = pwd.getpwnam(OWNER).pw_uid
        return run(*as_user(OWNER, "env", home, f"XDG_RUNTIME_DIR=/run/user/{uid}", *argv), ok=ok)

    def test_it(self):
        uid = pwd.getpwnam(OWNER).pw_uid
        os.makedirs(f"/home/{OWNER}", exist_ok=True)
        os.chown(f"/home/{OWNER}", uid, uid)
        systemctl("start", f"user@{uid}.service")
        self.addCleanup(systemctl, "stop", f"user@{uid}.service", ok=False)
        self.user("systemctl", "--user", "start", "liongated")
        said = self.user("systemctl", "--user", "show", "liongated", "-P", "StatusText", "-P", "MainPID")
        self.assertIn("0 running, 0 queued", said)
        said = self.user(shutil.which("liongatectl"), "spawn-agent", "--", "id", "-un")
        self.assertEqual(said, f"{OWNER}\n")
        self.assertEqual(about(f"/run/user/{uid}/liongate"), f"0700 {OWNER} {OWNER}")
        self.assertEqual(about(f"/home/{OWNER}/.local/state/liongate"), f"0700 {OWNER} {OWNER}")
        pid = json.loads(self.user(shutil.which("liongatectl"), "call", "daemon.status"))["pid"]
        os.kill(pid, signal.SIGKILL)

        def next_pid():
            status, said = self.user(shutil.which("liongatectl"), "call", "daemon.status", ok=False)
            return status == 0 and json.loads(said)["pid"] != pid

        eventually(next_pid, "its manager starts the next one", TIMEOUT)
        self.user("systemctl", "--user", "stop", "liongated")
        self.assertFalse(os.path.exists(f"/run/user/{uid}/liongate"))


class Result(unittest.TextTestResult):
    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def addSuccess(self, test):
        self.stream.write(f"{time.monotonic() - self.began:.1f} s ")
        super().addSuccess(test)

    def stopTestRun(self):
        super().stopTestRun()
        # Of a test with subtests each is a failure of its own.
        bad = len({getattr(test, "test_case", test) for test, _ in self.failures + self.errors})
        self.stream.writeln(f"{self.testsRun - bad} passed, {bad} failed")


if __name__ == "__main__":
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result))
