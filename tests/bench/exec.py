"""Short programs: how fast they are run, two at a time, with all they write kept."""

import glob
import http.client
import json
import os
import socket
import threading
import time
import xmlrpc.client

import harness
import load
import peers
from core import OURS, Contender, Goal, Metric, Work

PARALLEL = 2
LINE = "x" * 199
COMMAND = ["/bin/echo", LINE]
BYTES = len(LINE) + 1


def check_output(programs, got):
    load.expect("bytes that were kept", got, programs * BYTES)


def exec_raw(bench, log, command, **kwargs):
    """Runs a command as often as programs are to be run; returns the seconds."""
    programs = bench.size["programs"]
    said = json.loads(
        bench.run([bench.program("exec-raw"), str(programs), str(PARALLEL), log, *command], **kwargs)
    )
    load.expect("programs that failed", said["failed"], 0)
    return said["seconds"]


def run_raw(bench):
    programs = bench.size["programs"]
    with bench.temp_dir() as path:
        log = os.path.join(path, "log")
        seconds = exec_raw(bench, log, COMMAND)
        check_output(programs, os.path.getsize(log))
    return {"rate": programs / seconds}


def run_ours(bench):
    programs = bench.size["programs"]
    options = {"argv": COMMAND, "stdin": "none"}
    with harness.Daemon(f"--max-running={PARALLEL}", f"--max-queued={programs}") as daemon:
        daemon.start()
        said = load.spawn(bench, daemon, programs, {"prompt": "", "backend": "exec", "options": options})
        check_output(programs, said["bytes"])
    return {"rate": programs / said["ended_s"]}


def run_task_spooler(bench):
    programs = bench.size["programs"]
    with peers.task_spooler(bench, PARALLEL) as (directory, tsp, env):
        began = time.monotonic()
        exec_raw(bench, os.path.join(directory, "ids"), [tsp, *COMMAND], env=env)
        bench.run([tsp, "-w"], env=env)
        # The last one has ended; the one beside it may not have.
        outputs = os.path.join(directory, "ts-out.*")
        harness.eventually(lambda: kept_bytes(outputs) == programs * BYTES, "all is kept")
        seconds = time.monotonic() - began
    return {"rate": programs / seconds}


def kept_bytes(pattern):
    return sum(map(os.path.getsize, glob.glob(pattern)))


# --- supervisord -------------------------------------------------------------------------------


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


class UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def make_connection(self, host):
        if self._connection[1] is None:
            self._connection = host, UnixConnection(self.path)
        return self._connection[1]


def start_over_and_over(path, name, times):
    """One of the programs, again as soon as it has ended. Asking for it keeps supervisord's loop turning, which
    else looks after dead children once a second."""
    with xmlrpc.client.ServerProxy("http://localhost", UnixTransport(path)) as server:
        for _ in range(times):
            server.supervisor.startProcess(name, False)
            while server.supervisor.getProcessInfo(name)["statename"] in ("STARTING", "RUNNING"):
                pass


def run_supervisord(bench):
    each = bench.size["supervised"] // PARALLEL
    with peers.supervisord(bench, COMMAND, PARALLEL) as (path, output):
        clients = [
            threading.Thread(target=start_over_and_over, args=(path, f"job:{number}", each))
            for number in range(PARALLEL)
        ]
        began = time.monotonic()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        seconds = time.monotonic() - began
        check_output(each * PARALLEL, os.path.getsize(output))
    return {"rate": each * PARALLEL / seconds}


WORKS = [
    Work(
        name="exec",
        title="1,000 short programs, two at a time, output captured and logged",
        metrics=[Metric("rate", "programs/s")],
        contenders=[
            Contender(OURS, "Liongate", run_ours),
            Contender("raw", "raw posix_spawn loop", run_raw),
            Contender("task-spooler", "task-spooler", run_task_spooler),
            Contender("supervisord", "supervisord", run_supervisord),
        ],
        goals=[
            Goal("rate", 0.85, of="raw"),
            Goal("rate", 2, of="task-spooler"),
            Goal("rate", 20, of="supervisord"),
        ],
        full={"programs": 1000, "supervised": 100},
        smoke={"programs": 20, "supervised": 4},
        note="Each program is `/bin/echo` with a line of 200 bytes. supervisord runs a hundred.",
    )
]
