"""The exec backend: environment, stdin, chunking, ends, limits, and that its whole tree ends with it."""

import base64
import os
import pwd
import re
import signal
import tempfile
import unittest
import uuid
from datetime import datetime

from common import *

KIB = 1024
MIB = 1024 * KIB


class ExecCase(DaemonCase):
    args = ("--kill-grace=300ms",)

    def run_sh(self, script, **kwargs):
        """Runs a shell script to its end; keeps what agent.get says in `got`, and its events."""
        return self.run_argv("/bin/sh", "-c", script, **kwargs)

    def run_python(self, script, **kwargs):
        return self.run_argv(PYTHON, "-I", "-S", "-c", script, **kwargs)

    def run_argv(self, *argv, **kwargs):
        self.agent = self.client.spawn_exec(*argv, **kwargs)
        self.got = self.client.wait(self.agent)
        self.events = self.daemon.events_of(self.agent)
        self.end = self.events[-1]
        return self.client.output(self.agent)

    def chunks(self, channel="output"):
        return [e for e in self.events if e.get("channel") == channel]

    def first_chunk(self, agent):
        watcher = self.connect()
        watcher.call("events.subscribe", after=0, agents=[agent], types=["AgentPartialOutput"])
        event = watcher.wait_event(lambda e: True)
        watcher.close()
        return event

    def tearDown(self):
        if self.daemon.process:
            check_lives(self.daemon.events())


class UsersDaemon(Daemon):
    """Not root's, whoever starts it."""

    UID = 4242

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if os.geteuid() == 0:
            os.chown(self.dir, self.UID, self.UID)

    def command(self, *args):
        ids = (f"--reuid={self.UID}", f"--regid={self.UID}", "--clear-groups")
        return [*(("setpriv", *ids) if os.geteuid() == 0 else ()), *super().command(*args)]


class SecretInTheEnvironment(ExecCase):
    """A program runs as the daemon's user, whose processes it may look into, unless they hide."""

    # Of the reaper, which is the program's parent, and of the daemon, which is the reaper's.
    LOOK = """
        daemon=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$PPID/status)
        for pid in $PPID $daemon; do
            tr '\\0' '\\n' 2>/dev/null </proc/$pid/environ | grep -c ^LIONGATE_TEST_KEY=
        done
    """

    def setUp(self):
        self.daemon = UsersDaemon(*self.args, env={"LIONGATE_TEST_KEY": "not for programs"})
        self.addCleanup(self.daemon.close)

    def look(self, *args):
        self.daemon.start(*args)
        self.client = self.connect()
        return self.run_sh(self.LOOK).split()

    def test_can_be_seen_where_no_provider_has_it(self):
        self.assertEqual(self.look(), [b"1", b"1"])

    def test_is_hidden(self):
        provider = ("--provider.x.kind=openai", "--provider.x.key=env:LIONGATE_TEST_KEY")
        self.assertEqual(self.look(*provider), [b"0", b"0"])


class Environment(ExecCase):
    env = {"LIONGATE_TEST_SECRET": "not for programs"}

    def environment(self, **options):
        text = self.run_argv("/usr/bin/env", "-0", options=options).decode()
        return dict(entry.split("=", 1) for entry in text.split("\0") if entry)

    def test_not_the_daemons(self):
        environment = self.environment()
        self.assertNotIn("LIONGATE_TEST_SECRET", environment)
        self.assertNotIn("NOTIFY_SOCKET", environment)
        self.assertTrue(environment["PATH"])

    def test_env(self):
        env = {"A": "1", "EMPTY": "", "UNI": "é€😀", "SPACES": " a b ", "EQ": "a=b", "LINES": "a\nb"}
        environment = self.environment(env=env)
        for name, value in env.items():
            self.assertEqual(environment[name], value)

    def test_env_goes_over_the_base(self):
        self.assertEqual(self.environment(env={"PATH": "/nowhere"})["PATH"], "/nowhere")

    def test_env_from(self):
        secret = "s3cret-in-a-file-é"
        path = os.path.join(self.daemon.dir, "secret")
        with open(path, "w", encoding="utf-8") as f:
            f.write(secret)
        environment = self.environment(env_from={"TOKEN": "file:" + path})
        self.assertEqual(environment["TOKEN"], secret)
        self.assertEqual(self.events[0]["options"]["env_from"], {"TOKEN": "file:" + path})
        out = self.run_sh('printf %s "$TOKEN" | wc -c', options={"env_from": {"TOKEN": "file:" + path}})
        self.assertEqual(int(out), len(secret.encode()))
        log = b"\n".join(line for line in self.daemon.log_lines() if b"AgentPartialOutput" not in line)
        self.assertNotIn(b"s3cret", log)

    def test_env_from_a_missing_file(self):
        self.run_sh("true", options={"env_from": {"TOKEN": "file:/does/not/exist"}})
        self.assertEqual(self.end["type"], "AgentError")

    def test_credentials(self):
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "token"), "w", encoding="ascii") as f:
                f.write("from-a-credential")
            self.daemon.stop()
            self.daemon.env["CREDENTIALS_DIRECTORY"] = directory
            self.daemon.start()
            self.client = self.connect()
            environment = self.environment(env_from={"TOKEN": "credential:token"})
            self.assertEqual(environment["TOKEN"], "from-a-credential")
            self.assertNotIn("CREDENTIALS_DIRECTORY", environment)

    def test_env_from_of_another_kind(self):
        """The daemon's environment is nothing that a spawn may take from."""
        for source in ("http://x", "env:LIONGATE_TEST_SECRET"):
            options = {"argv": ["x"], "env_from": {"T": source}}
            reply = self.client.reply(
                self.client.request("agent.spawn", prompt="", backend="exec", options=options)
            )
            self.assertEqual(reply["error"]["data"]["reason"], "invalid_params")

    def test_found_on_the_daemons_path(self):
        with tempfile.TemporaryDirectory() as directory:
            program = os.path.join(directory, "only-here")
            with open(program, "w", encoding="ascii") as f:
                f.write("#!/bin/sh\necho found $0 $1\n")
            os.chmod(program, 0o755)
            self.daemon.stop()
            self.daemon.env["PATH"] = directory + ":/usr/bin:/bin"
            self.daemon.start()
            self.client = self.connect()
            self.assertEqual(self.run_argv("only-here", "arg"), f"found {program} arg\n".encode())

    def test_arguments_are_not_split(self):
        args = ["a b", "", "$HOME", "*", "é", "-n", "'\"\\"]
        out = self.run_argv("/usr/bin/printf", "%s\\0", *args)
        self.assertEqual(out.decode().split("\0")[:-1], args)

    def test_cwd(self):
        self.assertEqual(self.run_argv("/bin/pwd", options={"cwd": "/usr"}), b"/usr\n")

    def test_default_cwd(self):
        cwd = self.run_argv("/bin/pwd").decode().rstrip("\n")
        home = pwd.getpwuid(os.geteuid()).pw_dir
        self.assertEqual(cwd, os.path.realpath(home) if os.path.isdir(home) else "/")

    def test_umask(self):
        # What the daemon itself creates is nobody else's all the same.
        for umask in ("0022", "0002", "0277"):
            self.daemon.stop()
            before = os.umask(int(umask, 8))
            try:
                self.daemon.start()
            finally:
                os.umask(before)
            self.client = self.connect()
            self.assertEqual(self.run_sh("umask").decode(), umask + "\n")
            for name in os.listdir(self.daemon.state):
                mode = os.stat(os.path.join(self.daemon.state, name)).st_mode
                self.assertEqual(mode & 0o677, 0o600, name)

    def test_signals_are_as_in_a_fresh_process(self):
        status = self.run_argv("/bin/cat", "/proc/self/status").decode()
        self.assertEqual(int(re.search(r"SigBlk:\s*(\S+)", status).group(1), 16), 0)
        self.assertEqual(int(re.search(r"SigIgn:\s*(\S+)", status).group(1), 16) & (1 << (signal.SIGPIPE - 1)), 0)

    def test_no_descriptor_is_inherited(self):
        script = "import os; print(sorted(int(f) for f in os.listdir('/proc/self/fd')))"
        self.assertIn(self.run_python(script), (b"[0, 1, 2, 3]\n",))


class Ends(ExecCase):
    def test_exit_0(self):
        self.run_sh("exit 0")
        self.assertEqual((self.end["type"], self.end["exit_code"]), ("AgentCompleted", 0))
        self.assertEqual(self.got["state"], "completed")

    def test_exit_codes(self):
        for code in (1, 3, 126, 255):
            self.run_sh(f"echo out; exit {code}")
            self.assertEqual((self.end["type"], self.end["code"]), ("AgentError", "exit"))
            self.assertEqual(self.end["exit_code"], code)
            self.assertEqual((self.end["chunks"], self.end["bytes"]), (1, 4))
            self.assertEqual(self.got["state"], "failed")

    def test_signals(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGUSR1):
            self.run_sh(f"kill -{int(number)} $$")
            self.assertEqual((self.end["type"], self.end["code"]), ("AgentError", "signal"))
            self.assertEqual(self.end["signal"], int(number))

    @unittest.skipIf(UNDER_VALGRIND, "valgrind makes a fork() of a vfork(): nobody learns that execve() has failed")
    def test_no_such_program(self):
        for program in ("/does/not/exist", "no-such-program-anywhere"):
            self.run_argv(program)
            self.assertEqual(self.end["code"], "spawn_failed")
            self.assertIn(program, self.end["message"])

    @unittest.skipIf(UNDER_VALGRIND, "valgrind makes a fork() of a vfork(): nobody learns that execve() has failed")
    def test_no_program(self):
        path = os.path.join(self.daemon.dir, "plain")
        with open(path, "w", encoding="ascii") as f:
            f.write("text")
        for program in (path, "/usr"):
            self.run_argv(program)
            self.assertEqual(self.end["code"], "spawn_failed")
            self.assertIn(program, self.end["message"])

    @unittest.skipIf(UNDER_VALGRIND, "valgrind makes a fork() of a vfork(): nobody learns that execve() has failed")
    def test_no_such_directory(self):
        self.run_argv("/bin/true", options={"cwd": "/does/not/exist"})
        self.assertEqual(self.end["code"], "spawn_failed")
        self.assertIn("/does/not/exist", self.end["message"])

    def test_pid(self):
        out = self.run_sh("echo $$")
        started = next(e for e in self.events if e["type"] == "AgentStarted")
        self.assertEqual(started["pid"], int(out))

    def test_many_at_once(self):
        agents = {self.client.spawn_exec("/bin/echo", str(i)): i for i in range(200)}
        for agent, i in agents.items():
            self.assertEqual(self.client.wait(agent)["state"], "completed")
            self.assertEqual(self.client.output(agent), b"%d\n" % i)
        self.daemon.wait_no_programs()


class Stdin(ExecCase):
    def test_prompt(self):
        prompt = "héllo\n€😀 without an end"
        self.assertEqual(self.run_argv("/bin/cat", prompt=prompt), prompt.encode())

    def test_an_empty_prompt(self):
        self.assertEqual(self.run_argv("/bin/cat", prompt=""), b"")
        self.assertEqual(self.got["state"], "completed")

    def test_none(self):
        self.assertEqual(self.run_argv("/bin/cat", prompt="not this", options={"stdin": "none"}), b"")
        self.assertEqual(self.got["state"], "completed")

    def test_a_large_prompt(self):
        prompt = "0123456789abcdef" * (3 * MIB // 16)
        self.assertEqual(self.run_argv("/bin/cat", prompt=prompt), prompt.encode())
        self.assertEqual(self.run_argv("/usr/bin/wc", "-c", prompt=prompt), b"%d\n" % len(prompt))

    def test_a_large_prompt_that_nobody_reads(self):
        prompt = "x" * (3 * MIB)
        self.run_argv("/bin/true", prompt=prompt)
        self.assertEqual(self.got["state"], "completed")
        out = self.run_sh("exec 0<&-; echo closed; sleep 0.1; echo done", prompt=prompt)
        self.assertEqual(out, b"closed\ndone\n")
        self.assertEqual(self.run_argv("/usr/bin/head", "-c", "3", prompt=prompt), b"xxx")
        self.assertEqual(self.got["state"], "completed")

    def test_one_that_never_reads_can_be_cancelled(self):
        agent = self.client.spawn_exec("/bin/sh", "-c", "echo up; exec sleep 1000", prompt="x" * (3 * MIB))
        self.first_chunk(agent)
        self.assertEqual(self.client.call("agent.cancel", agent_id=agent)["state"], "cancelled")

    def open(self, *argv, **options):
        return self.client.spawn_exec(*argv, options={"stdin": "open", **options})

    def send(self, agent, data, **params):
        reply = self.client.call("agent.send", agent_id=agent, data=data, **params)
        self.assertEqual(reply["agent_id"], agent)
        self.assertIs(type(reply["queued_bytes"]), int)
        self.assertGreaterEqual(reply["queued_bytes"], 0)
        return reply["queued_bytes"]

    def started(self, *argv, **options):
        """An open agent that has said that it is up."""
        agent = self.open("/bin/sh", "-c", "echo up; exec " + " ".join(argv), **options)
        self.first_chunk(agent)
        return agent

    def test_send(self):
        agent = self.started("cat")
        for text in ("one\n", "twö\n", "", "three"):
            self.send(agent, text)
        self.send(agent, "\n", eof=True)
        self.assertEqual(self.client.wait(agent)["state"], "completed")
        self.assertEqual(self.client.output(agent), "up\none\ntwö\nthree\n".encode())

    def test_a_conversation(self):
        agent = self.started("cat", chunking="line")
        watcher = self.connect()
        watcher.call("events.subscribe", agents=[agent])
        for i in range(20):
            self.send(agent, f"line {i}\n")
            self.assertEqual(watcher.wait_event(lambda e: "chunk" in e)["chunk"], f"line {i}\n")
        self.send(agent, "", eof=True)
        self.assertEqual(watcher.wait_event(lambda e: e["type"] in ENDS)["type"], "AgentCompleted")

    def test_base64(self):
        agent = self.started("cat")
        data = bytes(range(256)) * 10
        self.send(agent, base64.b64encode(data).decode(), encoding="base64", eof=True)
        self.client.wait(agent)
        self.assertEqual(self.client.output(agent), b"up\n" + data)

    def test_bad_base64(self):
        agent = self.started("cat")
        for data in ("@@@@", "abc", "ab=c"):
            self.client.fail("agent.send", "invalid_params", agent_id=agent, data=data, encoding="base64")

    def test_after_eof(self):
        agent = self.started("sleep", "1000")
        self.send(agent, "x", eof=True)
        self.client.fail("agent.send", "not_running", agent_id=agent, data="x")
        self.client.call("agent.cancel", agent_id=agent)
        self.client.fail("agent.send", "not_running", agent_id=agent, data="x")

    def test_queue_full(self):
        fifo = os.path.join(self.daemon.dir, "fifo")
        os.mkfifo(fifo)
        agent = self.open("/bin/sh", "-c", f"echo up; read go < {fifo}; exec cat")
        self.first_chunk(agent)
        sent = bytearray()
        for i in range(100):
            piece = f"{i:06}\n" * 5000
            reply = self.client.reply(self.client.request("agent.send", agent_id=agent, data=piece))
            if "error" in reply:
                self.assertEqual(check_error(reply, "queue_full")["limit"], MIB)
                break
            self.assertLessEqual(reply["result"]["queued_bytes"], MIB)
            sent += piece.encode()
        else:
            self.fail("it took everything")
        self.assertGreaterEqual(len(sent), MIB - 35000)
        with open(fifo, "w", encoding="ascii") as f:
            f.write("go\n")
        watcher = self.connect()
        watcher.call("events.subscribe", after=0, agents=[agent], types=["AgentPartialOutput"])
        got = bytearray()
        while len(got) < len(sent) + 3:
            got += raw_bytes(watcher.wait_event(lambda e: True))
        self.send(agent, "end", eof=True)
        self.client.wait(agent)
        self.assertEqual(self.client.output(agent), b"up\n" + sent + b"end")

    def test_the_reader_has_gone(self):
        agent = self.open("/bin/sh", "-c", "exec 0<&-; echo closed; exec sleep 1000")
        self.first_chunk(agent)
        for _ in range(3):
            reply = self.client.reply(self.client.request("agent.send", agent_id=agent, data="x"))
            if "error" in reply:
                check_error(reply, "not_running")
        self.assertEqual(self.client.call("agent.cancel", agent_id=agent)["state"], "cancelled")


class SentBeforeTheStart(ExecCase):
    args = ("--max-running=1",)
    OPEN = {"stdin": "open"}

    def wait_in_line(self, **params):
        """One that runs, and a cat behind it that cannot start before it has ended."""
        self.first = self.client.spawn_exec("/bin/sh", "-c", "echo up; exec sleep 1000")
        self.first_chunk(self.first)
        return self.client.spawn_exec("/bin/cat", **{"options": self.OPEN, **params})

    def let_it_run(self, agent):
        self.client.call("agent.cancel", agent_id=self.first)
        got = self.client.wait(agent)
        self.assertEqual(got["state"], "completed")
        return self.client.output(agent)

    def test_in_one_write_with_the_spawn(self):
        agent = str(uuid.uuid4())
        options = {"argv": ["/bin/cat"], **self.OPEN}
        spawn = {"prompt": "<", "backend": "exec", "options": options, "agent_id": agent}
        send = {"agent_id": agent, "data": "X", "eof": True}
        self.client.send(make_request("agent.spawn", spawn, "a"), make_request("agent.send", send, "b"))
        self.assertEqual(self.client.result("b")["agent_id"], agent)
        self.assertEqual(self.client.wait(agent)["state"], "completed")
        self.assertEqual(self.client.output(agent), b"<X")

    def test_all_of_it_comes_in_order(self):
        agent = self.wait_in_line(prompt="prompt ")
        for text, queued in (("one ", 11), ("", 11), ("two", 14)):
            reply = self.client.call("agent.send", agent_id=agent[:13], data=text)
            self.assertEqual(reply, {"agent_id": agent, "queued_bytes": queued})
        self.client.call("agent.send", agent_id=agent, data="AAECgA==", encoding="base64", eof=True)
        self.client.fail("agent.send", "not_running", agent_id=agent, data="x")
        self.assertEqual(self.let_it_run(agent), b"prompt one two\0\1\2\x80")

    def test_it_takes_more_once_it_runs(self):
        agent = self.wait_in_line()
        self.client.call("agent.send", agent_id=agent, data="early ")
        self.client.call("agent.cancel", agent_id=self.first)
        self.client.call("agent.send", agent_id=agent, data="late", eof=True)
        self.assertEqual(self.client.wait(agent)["state"], "completed")
        self.assertEqual(self.client.output(agent), b"early late")

    def test_one_whose_spec_is_not_kept(self):
        agent = self.wait_in_line(context={"long": "x" * 100000})
        self.client.call("agent.send", agent_id=agent, data="X", eof=True)
        self.assertEqual(self.let_it_run(agent), b"X")

    def test_the_prompt_counts(self):
        agent = self.wait_in_line(prompt="p" * (MIB - 2))
        self.client.call("agent.send", agent_id=agent, data="ab")
        self.assertEqual(self.client.fail("agent.send", "queue_full", agent_id=agent, data="c")["limit"], MIB)
        self.client.call("agent.send", agent_id=agent, data="", eof=True)
        self.assertEqual(self.let_it_run(agent), b"p" * (MIB - 2) + b"ab")

    def test_one_that_will_take_none(self):
        self.wait_in_line()
        for stdin in ("prompt", "none"):
            agent = self.client.spawn_exec("/bin/cat", options={"stdin": stdin})
            self.client.fail("agent.send", "not_running", agent_id=agent, data="x")
        agent = self.client.spawn()
        self.client.fail("agent.send", "not_running", agent_id=agent, data="x")

    def test_one_that_was_cancelled(self):
        agent = self.wait_in_line()
        self.client.call("agent.send", agent_id=agent, data="x")
        self.client.call("agent.cancel", agent_id=agent)
        self.client.fail("agent.send", "not_running", agent_id=agent, data="x")

    def test_all_of_them_together(self):
        # 64 MiB for all that wait; what is cancelled, and what starts, makes room again.
        agents = [self.wait_in_line()]
        agents += [self.client.spawn_exec("/bin/cat", options=self.OPEN) for _ in range(64)]
        data = "x" * MIB
        for agent in agents[:-1]:
            self.client.call("agent.send", agent_id=agent, data=data)
        got = self.client.fail("agent.send", "queue_full", agent_id=agents[-1], data="y")
        self.assertEqual(got["limit"], 64 * MIB)
        self.client.call("agent.cancel", agent_id=agents[-2])
        self.client.call("agent.send", agent_id=agents[-1], data=data)
        self.client.fail("agent.send", "queue_full", agent_id=agents[-1], data="y")
        self.client.call("agent.send", agent_id=agents[0], data="", eof=True)
        self.assertEqual(len(self.let_it_run(agents[0])), MIB)
        other = self.client.spawn_exec("/bin/cat", options=self.OPEN)
        self.client.call("agent.send", agent_id=other, data=data)

    def test_a_restart_forgets_it(self):
        agent = self.wait_in_line(on_restart="rerun")
        self.client.call("agent.send", agent_id=agent, data="old")
        self.daemon.kill()
        self.daemon.start()
        self.client = self.daemon.client()
        self.client.call("agent.send", agent_id=agent, data="new", eof=True)
        self.assertEqual(self.client.wait(agent)["state"], "completed")
        self.assertEqual(self.client.output(agent), b"new")

    def test_a_daemon_that_stops_takes_none(self):
        agent = self.wait_in_line()
        watcher = self.connect()
        watcher.call("events.subscribe", types=["DaemonStopping"])
        self.daemon.signal(signal.SIGTERM)
        watcher.wait_event(lambda e: True)
        self.client.fail("agent.send", "shutting_down", agent_id=agent, data="x")
        self.daemon.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.wait(), 0)


class Chunking(ExecCase):
    def test_raw_is_byte_for_byte(self):
        out = self.run_argv("/usr/bin/seq", "100000")
        self.assertEqual(out, "".join(f"{i}\n" for i in range(1, 100001)).encode())
        self.assertEqual(b"".join(raw_bytes(e) for e in self.chunks()), out)
        for event in self.chunks():
            self.assertLessEqual(len(raw_bytes(event)), 64 * KIB)

    def test_line(self):
        out = self.run_sh("printf 'one\\n\\ntwo\\r\\n three\\nlast'", options={"chunking": "line"})
        self.assertEqual(out, b"one\n\ntwo\r\n three\nlast")
        self.assertEqual([e["chunk"] for e in self.chunks()], ["one\n", "\n", "two\r\n", " three\n", "last"])

    def test_line_with_pauses(self):
        script = "printf on; sleep 0.1; printf 'e\\ntw'; sleep 0.1; printf 'o\\n'; sleep 0.1; printf end"
        self.run_sh(script, options={"chunking": "line"})
        self.assertEqual([e["chunk"] for e in self.chunks()], ["one\n", "two\n", "end"])

    def test_many_lines(self):
        self.run_argv("/usr/bin/seq", "20000", options={"chunking": "line"})
        self.assertEqual([e["chunk"] for e in self.chunks()], [f"{i}\n" for i in range(1, 20001)])

    def test_long_lines_come_in_pieces(self):
        script = "import sys; sys.stdout.write('a' * 65535 + '\\n' + 'b' * 200000 + '\\nshort\\n' + 'c' * 70000)"
        out = self.run_python(script, options={"chunking": "line"})
        self.assertEqual(out, b"a" * 65535 + b"\n" + b"b" * 200000 + b"\nshort\n" + b"c" * 70000)
        pieces = [raw_bytes(e) for e in self.chunks()]
        for piece in pieces:
            self.assertLessEqual(len(piece), 64 * KIB)
            self.assertNotIn(b"\n", piece[:-1])
        self.assertEqual(pieces[0], b"a" * 65535 + b"\n", "65,536 bytes are not above the bound")
        self.assertIn(b"short\n", pieces)

    def test_line_on_both_channels(self):
        script = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done"
        self.run_sh(script, options={"chunking": "line"})
        self.assertEqual([e["chunk"] for e in self.chunks()], [f"out {i}\n" for i in range(1, 6)])
        self.assertEqual([e["chunk"] for e in self.chunks("error")], [f"err {i}\n" for i in range(1, 6)])
        indexes = [e["index"] for e in self.events if e["type"] == "AgentPartialOutput"]
        self.assertEqual(indexes, list(range(10)))

    def test_utf8_is_never_cut(self):
        text = "é€😀a" * 30000
        script = f"import sys; sys.stdout.buffer.write(({text[:4]!r} * 30000).encode())"
        for chunking in ("raw", "line"):
            self.assertEqual(self.run_python(script, options={"chunking": chunking}), text.encode())
            for event in self.chunks():
                self.assertNotIn("encoding", event)
                self.assertLessEqual(len(raw_bytes(event)), 64 * KIB)

    def test_utf8_written_byte_by_byte(self):
        script = (
            "import os, time\n"
            "for byte in 'é€😀'.encode():\n"
            "    os.write(1, bytes([byte])); time.sleep(0.03)\n"
        )
        for chunking in ("raw", "line"):
            self.assertEqual(self.run_python(script, options={"chunking": chunking}), "é€😀".encode())
            for event in self.chunks():
                self.assertNotIn("encoding", event)

    def test_utf8_cut_by_its_own_end(self):
        out = self.run_argv("/usr/bin/printf", r"abc\342\202")
        self.assertEqual(out, b"abc\xe2\x82")
        self.assertEqual(self.chunks()[-1]["encoding"], "base64")

    def test_no_utf8(self):
        script = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 2000)"
        for chunking in ("raw", "line"):
            self.assertEqual(self.run_python(script, options={"chunking": chunking}), bytes(range(256)) * 2000)
            for event in self.chunks():
                self.assertLessEqual(len(raw_bytes(event)), 64 * KIB)

    def test_nul_bytes(self):
        self.assertEqual(self.run_argv("/usr/bin/printf", r"a\0b\0\0"), b"a\0b\0\0")
        for event in self.chunks():
            self.assertNotIn("encoding", event, "U+0000 is UTF-8")

    def test_json_and_control_characters(self):
        raw = bytes(range(1, 128)) + "\u2028\u2029\ufeff\ufffe\U0010ffff".encode()
        self.assertEqual(self.run_python(f"import sys; sys.stdout.buffer.write({raw!r})"), raw)

    def test_stderr(self):
        self.run_sh("echo error >&2; echo out")
        self.assertEqual([e["chunk"] for e in self.chunks("error")], ["error\n"])
        self.assertEqual([e["chunk"] for e in self.chunks()], ["out\n"])

    def test_it_comes_while_it_runs(self):
        agent = self.client.spawn_exec("/bin/sh", "-c", "printf partial; exec sleep 1000")
        self.assertEqual(self.first_chunk(agent)["chunk"], "partial")
        self.client.call("agent.cancel", agent_id=agent)

    def test_closing_stdout_is_no_end(self):
        out = self.run_sh("echo out; exec 1>&-; sleep 0.2; echo error >&2; exit 4")
        self.assertEqual((out, self.end["exit_code"]), (b"out\n", 4))
        self.assertEqual([e["chunk"] for e in self.chunks("error")], ["error\n"])


class Limits(ExecCase):
    def limited(self, script, **limits):
        return self.run_sh(script, options={"limits": limits})

    def test_output_bytes(self):
        self.limited("yes", output_bytes=100000)
        self.assertEqual((self.end["type"], self.end["code"]), ("AgentError", "output_limit"))
        self.assertLessEqual(self.end["bytes"], 100000 + 64 * KIB)
        self.daemon.wait_no_programs()

    def test_output_within_its_limit(self):
        self.assertEqual(len(self.limited("head -c 100000 /dev/zero", output_bytes=100000)), 100000)
        self.assertEqual(self.got["state"], "completed")

    @unittest.skipIf(UNDER_VALGRIND, "valgrind keeps RLIMIT_NOFILE itself")
    def test_open_files(self):
        self.assertEqual(self.limited("ulimit -n", open_files=77), b"77\n")

    def test_cpu_seconds(self):
        self.limited("while :; do :; done", cpu_seconds=1)
        self.assertEqual(self.end["type"], "AgentError")
        self.assertIn(self.end["code"], ("resource_limit", "signal"))

    def test_memory_bytes(self):
        script = "print('small', flush=True); x = bytearray(400 << 20); print(len(x))"
        out = self.run_python(script, options={"limits": {"memory_bytes": 200 * MIB}})
        self.assertEqual(out, b"small\n")
        self.assertEqual(self.got["state"], "failed")

    def test_processes(self):
        # Needs cgroups of the daemon's own; without them it must say so.
        options = {"argv": ["/bin/true"], "limits": {"processes": 10}}
        reply = self.client.reply(self.client.request("agent.spawn", prompt="", backend="exec", options=options))
        if "error" in reply:
            self.assertEqual(check_error(reply, "invalid_params")["param"], "options.limits.processes")


class Tree(ExecCase):
    """Nothing that an agent started outlives it."""

    def up(self, script, **kwargs):
        """Starts a script that prints `up` when it is ready to be ended."""
        agent = self.client.spawn_exec("/bin/sh", "-c", script, **kwargs)
        watcher = self.connect()
        watcher.call("events.subscribe", after=0, agents=[agent], types=["AgentPartialOutput", "AgentError"])
        seen = b""
        while b"up\n" not in seen:
            seen += raw_bytes(watcher.wait_event(lambda e: "chunk" in e))
        self.pids = [int(word) for word in re.findall(rb"pid (\d+)", seen)]
        for pid in self.pids:
            self.assertTrue(alive(pid))
        return agent

    def gone(self):
        eventually(lambda: not any(alive(pid) for pid in self.pids), f"{self.pids} are gone")
        self.daemon.wait_no_programs()

    def cancel(self, agent):
        self.assertEqual(self.client.call("agent.cancel", agent_id=agent)["state"], "cancelled")
        self.end = self.daemon.events_of(agent)[-1]
        self.gone()

    def test_children(self):
        self.cancel(self.up("sleep 1000 & echo pid $!; sleep 1000 & echo pid $!; echo up; wait"))

    def test_then_kill(self):
        agent = self.up("trap '' TERM; echo pid $$; echo up; while :; do sleep 0.05; done")
        self.cancel(agent)

    def test_not_before_the_grace(self):
        agent = self.up("trap '' TERM; echo up; while :; do sleep 0.02; done")
        before = self.daemon.events_of(agent)[-1]
        self.cancel(agent)
        self.assertGreaterEqual(seconds_between(before, self.end), 0.29)

    def test_a_child_that_ignores_term(self):
        self.cancel(self.up("(trap '' TERM; while :; do sleep 0.05; done) & echo pid $!; echo up; wait"))

    def test_set_apart(self):
        script = "setsid sh -c 'echo pid $$; setsid sleep 1000 & echo pid $!; wait' & sleep 0.2; echo up; wait"
        self.cancel(self.up(script))

    def daemonizing(self):
        return (
            "import os, sys, time\n"
            "for i in range(3):\n"
            "    if os.fork() == 0:\n"
            "        os.setsid()\n"
            "        if os.fork() == 0:\n"
            "            os.write(1, b'pid %d\\n' % os.getpid())\n"
            "            for fd in range(3): os.close(fd)\n"
            "            os.environ.clear()\n"
            "            time.sleep(1000)\n"
            "        os._exit(0)\n"
            "    os.wait()\n"
        )

    def test_double_forks_end_with_their_agent(self):
        script = self.daemonizing()
        out = self.run_python(script)
        self.assertEqual(self.got["state"], "completed")
        self.pids = [int(word) for word in re.findall(rb"pid (\d+)", out)]
        self.gone()

    def test_double_forks_are_cancelled(self):
        script = self.daemonizing() + "os.write(1, b'up\\n')\ntime.sleep(1000)\n"
        agent = self.client.spawn_exec(PYTHON, "-I", "-S", "-c", script)
        watcher = self.connect()
        watcher.call("events.subscribe", after=0, agents=[agent])
        seen = b""
        while seen.count(b"\n") < 4:  # they say it in any order
            seen += raw_bytes(watcher.wait_event(lambda e: "chunk" in e))
        self.pids = [int(word) for word in re.findall(rb"pid (\d+)", seen)]
        self.assertEqual(len(self.pids), 3)
        self.cancel(agent)

    def test_a_clean_environment_is_no_hiding_place(self):
        self.run_sh("env -i setsid sh -c 'sleep 1000 & sleep 1000' >/dev/null 2>&1 & echo started")
        self.assertEqual(self.got["state"], "completed")
        self.daemon.wait_no_programs()

    def test_a_grandchild_that_keeps_the_pipe(self):
        out = self.run_sh("sleep 1000 & echo pid $!; echo hi")
        self.assertIn(b"hi\n", out)
        self.assertEqual(self.got["state"], "completed")
        self.assertLess(seconds_between(self.events[1], self.end), 10 * harness.SCALE)
        self.pids = [int(word) for word in re.findall(rb"pid (\d+)", out)]
        self.gone()

    def test_a_grandchild_that_writes_for_ever(self):
        self.run_sh("yes & echo hi; exit 3")
        self.assertEqual((self.end["code"], self.end["exit_code"]), ("exit", 3))
        self.daemon.wait_no_programs()

    def test_cancelled_after_its_own_end(self):
        # The grandchild tells when the program is gone, and keeps the agent alive for a while.
        script = "(trap '' TERM; while [ -d /proc/$$ ]; do sleep 0.01; done; echo up; sleep 1000) & exit 3"
        agent = self.up(script)
        reply = self.client.reply(self.client.request("agent.cancel", agent_id=agent))
        if "result" in reply:  # else even the grandchild was gone by then
            self.assertEqual(reply["result"]["state"], "failed")
        self.end = self.daemon.events_of(agent)[-1]
        self.assertEqual((self.end["code"], self.end["exit_code"]), ("exit", 3))
        self.assertIn("status 3", self.end["message"])
        self.daemon.wait_no_programs()

    def test_what_was_written_is_read_to_the_end(self):
        # More than a pipe holds is still in it, and in the writer, when the program says goodbye.
        for _ in range(5):
            self.assertEqual(len(self.run_sh("head -c 65536 /dev/zero; exit 0")), 65536)

    def test_time_outs_end_the_tree(self):
        agent = self.client.spawn_exec(
            "/bin/sh",
            "-c",
            "setsid sleep 1000 & echo pid $!; trap '' TERM; while :; do sleep 0.05; done",
            timeouts={"total_ms": 400},
        )
        self.assertEqual(self.client.wait(agent)["ending"]["code"], "timeout")
        self.pids = [int(word) for word in re.findall(rb"pid (\d+)", self.client.output(agent))]
        self.gone()

    def test_a_fork_loop(self):
        script = (
            "import os, time\n"
            "os.write(1, b'up\\n')\n"
            "end = time.monotonic() + 1000\n"
            "while time.monotonic() < end:\n"
            "    if os.fork():\n"
            "        os._exit(0)\n"
            "    time.sleep(0.002)\n"
        )
        self.run_python(script)
        self.daemon.wait_no_programs()

    def test_agents_do_not_end_each_other(self):
        other = self.up("setsid sleep 1000 & echo pid $!; echo up; wait")
        pids = self.pids
        for _ in range(10):
            self.run_sh("setsid sleep 1000 & sleep 1000 & exit 0")
        self.assertTrue(all(alive(pid) for pid in pids))
        self.assertEqual(self.client.call("agent.get", agent_id=other)["state"], "running")
        self.pids = pids
        self.cancel(other)

    def test_zombies_are_reaped(self):
        for _ in range(20):
            self.run_sh("(exit 0) & (exit 0) & exit 0")
        reapers = harness.children(self.daemon.pid)

        def no_zombies():
            return not [p for r in reapers for p in harness.children(r) if harness.process_state(p) == "Z"]

        eventually(no_zombies, "no zombies are left")


def seconds_between(first, second):
    a, b = (datetime.strptime(e["time"], "%Y-%m-%dT%H:%M:%S.%fZ") for e in (first, second))
    return (b - a).total_seconds()


if __name__ == "__main__":
    main()
