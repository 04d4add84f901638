"""What answers at a socket as a test's script says: for what a client shows of things that no daemon can be made to do
at will.

It speaks the protocol as far as liongatectl needs it, and remembers what it was asked.
"""

import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading

from harness import REASONS, dumps

LOG_ID = "00000000-0000-4000-8000-00000000f00d"
TIME = "2026-01-02T03:04:05.000000Z"


class Refusal(Exception):
    """Raised by a method: becomes its error reply."""

    def __init__(self, reason, message, **data):
        super().__init__(message)
        code, _, retryable = REASONS[reason]
        self.error = {
            "code": code,
            "message": message,
            "data": {"reason": reason, "retryable": bool(retryable), **data},
        }


class FakeDaemon:
    """`methods`: method -> its result, or what makes one of the params. `script`: the events of each agent behind its
    AgentSpawned, as (type, members)."""

    def __init__(self, methods=None, script=()):
        self.dir = tempfile.mkdtemp(prefix="liongate-fake-")
        self.socket = os.path.join(self.dir, "control.sock")
        self.methods = {"agent.spawn": self._spawn, **(methods or {})}
        self.script = list(script)
        self.calls = []
        self._lock = threading.Lock()
        self._seq = 0
        self._spawned = {}
        self._connections = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.socket)
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        shutil.rmtree(self.dir)

    def params(self, method):
        """Of each call of this method so far."""
        with self._lock:
            return [params for called, params in self.calls if called == method]

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                self._connections.append(connection)
                self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            with connection.makefile("rb") as lines:
                for line in lines:
                    answers = self._answer(json.loads(line))
                    connection.sendall(b"".join(dumps(m).encode() + b"\n" for m in answers))
        except OSError:
            pass  # the client has gone
        finally:
            connection.close()

    def _answer(self, request):
        method, params = request["method"], request.get("params", {})
        reply = {"jsonrpc": "2.0", "id": request["id"]}
        with self._lock:
            self.calls.append((method, params))
            try:
                if method == "events.subscribe":
                    return [{**reply, "result": self._subscribed()}, *self._events(params)]
                if method not in self.methods:
                    raise Refusal("method_not_found", f"there is no method '{method}'")
                answer = self.methods[method]
                return [{**reply, "result": answer(params) if callable(answer) else answer}]
            except Refusal as refusal:
                return [{**reply, "error": refusal.error}]

    def _spawn(self, params):
        self._seq += 1
        self._spawned[params["agent_id"]] = self._seq
        return {"agent_id": params["agent_id"], "seq": self._seq, "created": True}

    def _subscribed(self):
        return {"log_id": LOG_ID, "oldest_seq": 1, "newest_seq": self._seq}

    def _events(self, params):
        """The script, event by event, of all agents by turns."""
        agents = params.get("agents") or list(self._spawned)
        for kind, members in self.script:
            for agent in agents:
                self._seq += 1
                event = {"seq": self._seq, "time": TIME, "type": kind, "agent_id": agent, **members}
                yield {"jsonrpc": "2.0", "method": "event", "params": event}
        yield {"jsonrpc": "2.0", "method": "end", "params": {"seq": self._seq}}
