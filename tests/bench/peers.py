"""Liongate's peers, each started privately in a directory of its own, and ended. As they come from Debian, but
for what is said here: what would put them at a disadvantage is switched off."""

import collections
import contextlib
import json
import os
import socket
import subprocess

from core import Wrong, find_program
from harness import become_subreaper, eventually, wait_no_orphans

STOP_SECONDS = 20

Server = collections.namedtuple("Server", "address pid")


@contextlib.contextmanager
def running(command, directory, is_ready, what, executable=None):
    """A daemon, from when it is ready."""
    with open(os.path.join(directory, "log"), "wb") as log:
        process = subprocess.Popen(
            command, executable=executable, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory
        )
    try:

        def ready():
            if process.poll() is not None:
                with open(os.path.join(directory, "log"), encoding="utf-8", errors="replace") as said:
                    raise Wrong(f"{what} ended with {process.returncode}: {said.read()[-2000:]}")
            return is_ready()

        eventually(ready, f"{what} is ready")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(path):
    """Whether somebody listens on this Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        return sock.connect_ex(path) == 0


@contextlib.contextmanager
def redis(bench):
    """Redis on a Unix socket, its append-only file synced every second. Yields a Server."""
    # The server is the same file as its checker, under another name; the package `redis-server`, which has that
    # name, would bring a service along.
    program = find_program("redis-server", "redis-check-rdb")
    with bench.temp_dir() as directory:
        path = os.path.join(directory, "redis.sock")
        command = ["redis-server", "--port", "0", "--unixsocket", path, "--dir", directory, "--daemonize", "no"]
        command += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        # Otherwise a subscriber that falls 32 MiB behind is thrown out.
        command += ["--client-output-buffer-limit", "pubsub", "0", "0", "0"]
        with running(command, directory, lambda: answers(path), "redis-server", program) as process:
            yield Server(path, process.pid)


NATS = """
host: "127.0.0.1"
port: -1
ports_file_dir: "{0}"
jetstream {{ store_dir: "{0}/store", max_file_store: 16GB }}
"""


@contextlib.contextmanager
def nats(bench):
    """NATS with JetStream on the loopback (it knows no Unix sockets). Yields a Server."""
    program = find_program("nats-server")
    with bench.temp_dir() as directory:
        config = os.path.join(directory, "nats.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(NATS.format(directory))

        def ports():
            names = [name for name in os.listdir(directory) if name.endswith(".ports")]
            return names and os.path.getsize(os.path.join(directory, names[0])) > 0 and names[0]

        with running([program, "-c", config], directory, ports, "nats-server") as process:
            with open(os.path.join(directory, ports()), encoding="utf-8") as file:
                port = json.load(file)["nats"][0].rpartition(":")[2]
            yield Server(port, process.pid)


@contextlib.contextmanager
def task_spooler(bench, parallel):
    """A task-spooler that runs so many at a time. Yields its directory, its command, and the environment that it
    takes to reach it."""
    program = find_program("tsp")
    become_subreaper()
    with bench.temp_dir() as directory:
        env = {**os.environ, "TMPDIR": directory, "TS_SOCKET": os.path.join(directory, "socket")}
        bench.run([program, "-S", str(parallel)], env=env)
        try:
            yield directory, program, env
        finally:
            bench.run([program, "-K"], env=env)
            wait_no_orphans()


SUPERVISORD = """
[supervisord]
nodaemon = true
logfile = {0}/supervisord.log
pidfile = {0}/supervisord.pid
childlogdir = {0}

[unix_http_server]
file = {0}/socket

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[program:job]
command = {1}
process_name = %(process_num)d
numprocs = {2}
autostart = false
autorestart = false
startsecs = 0
redirect_stderr = true
stdout_logfile = {0}/output
stdout_logfile_maxbytes = 0
"""


@contextlib.contextmanager
def supervisord(bench, command, copies):
    """A supervisord that knows so many programs job:0, job:1, …, all alike. Yields the paths of its socket and of
    the file that they write to."""
    program = find_program("supervisord")
    with bench.temp_dir() as directory:
        config = os.path.join(directory, "supervisord.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(SUPERVISORD.format(directory, " ".join(command), copies))
        path = os.path.join(directory, "socket")
        with running([program, "-n", "-c", config], directory, lambda: answers(path), "supervisord"):
            yield path, os.path.join(directory, "output")
