#!/usr/bin/env python3
"""Runs shell commands side by side as agents of liongated, and shows what they write while they write it.

    fleet.py [--socket PATH] COMMAND...

Each line is shown behind the number of its command. The exit status is 0 if all went well, 1 if one has failed, 3 if the
daemon cannot be reached. Ctrl-C ends this program alone: the agents run on.

Nothing but Python is needed (3.9 or newer). What there is to see:

- Requests go out in one write, and replies are matched by their id.
- A spawn may be repeated when nobody knows whether it has arrived, as the agent's id is the client's choice.
- When the connection is lost, the subscription goes on behind the last event that was seen: none is missing, none comes twice.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import os
import socket
import sys
import time
import uuid
from typing import Any, Iterator

GIVE_UP_AFTER_S = 60
LONGEST_PAUSE_S = 5


class Lost(Exception):
    """The connection is gone, or the daemon asks to come back later. Both pass."""


class Refused(Exception):
    """The daemon has said no."""


def default_socket() -> str:
    """Where liongatectl looks, too."""
    own = os.path.join(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent", "liongate/control.sock")
    usual = own if os.path.exists(own) else "/run/liongate/control.sock"
    return os.environ.get("LIONGATE_SOCKET") or usual


class Connection:
    """JSON-RPC 2.0, a line a message."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._ids = itertools.count(1)
        # Notifications that came while a reply was waited for.
        self._notifications: list[dict[str, Any]] = []
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise Lost(f"{path}: {error.strerror}") from error
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise Lost(str(error)) from error
        # What has no end is a message that was cut off.
        if not line.endswith(b"\n"):
            raise Lost("the daemon has closed the connection")
        return json.loads(line)

    def call_all(self, method: str, many: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Their results, in the same order."""
        requests = {
            next(self._ids): {"jsonrpc": "2.0", "method": method, "params": params} for params in many
        }
        lines = [json.dumps({"id": number, **request}) + "\n" for number, request in requests.items()]
        try:
            self._socket.sendall("".join(lines).encode())
        except OSError as error:
            raise Lost(str(error)) from error
        replies: dict[int, dict[str, Any]] = {}
        while len(replies) < len(requests):
            message = self._receive()
            if "method" in message:
                self._notifications.append(message)
            else:
                replies[message["id"]] = self._result(message)
        return [replies[number] for number in requests]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.call_all(method, [params])[0]

    @staticmethod
    def _result(message: dict[str, Any]) -> dict[str, Any]:
        if "error" not in message:
            return message["result"]
        error = message["error"]
        if error["data"]["retryable"]:
            raise Lost(error["message"])
        raise Refused(error["message"])

    def notifications(self) -> Iterator[dict[str, Any]]:
        while True:
            yield self._notifications.pop(0) if self._notifications else self._receive()


class Fleet:
    """Agents that belong together, from their spawns to their ends."""

    def __init__(self, commands: list[str]) -> None:
        self.commands = {str(uuid.uuid4()): command for command in commands}
        self.numbers = {agent_id: n for n, agent_id in enumerate(self.commands, 1)}
        self.correlation_id = f"fleet-{uuid.uuid4()}"
        self.log_id: str | None = None
        self.cursor: int | None = None
        self.failed = 0
        self.over = False

    def run(self, path: str) -> None:
        deadline = time.monotonic() + GIVE_UP_AFTER_S
        pause_s = 0.1
        while not self.over:
            before = self.cursor
            try:
                with Connection(path) as connection:
                    self._spawn(connection)
                    self._follow(connection)
            except Lost as why:
                if self.cursor != before:
                    deadline, pause_s = time.monotonic() + GIVE_UP_AFTER_S, 0.1
                # A daemon that has never answered is not there.
                if self.log_id is None or time.monotonic() > deadline:
                    raise
                print(f"{why}; trying again", file=sys.stderr)
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _spawn(self, connection: Connection) -> None:
        """Once it is known of all of them where they begin, there is nothing to do."""
        if self.cursor is not None:
            return
        self.log_id = connection.call("daemon.status")["log_id"]
        spawned = connection.call_all(
            "agent.spawn",
            [
                {
                    "agent_id": agent_id,
                    "backend": "exec",
                    "prompt": "",
                    "options": {"argv": ["sh", "-c", command], "cwd": os.getcwd(), "chunking": "line"},
                    "correlation_id": self.correlation_id,
                    "labels": {"fleet": str(self.numbers[agent_id])},
                }
                for agent_id, command in self.commands.items()
            ],
        )
        self.cursor = min(result["seq"] for result in spawned) - 1

    def _follow(self, connection: Connection) -> None:
        connection.call(
            "events.subscribe",
            log_id=self.log_id,
            after=self.cursor,
            correlation_id=self.correlation_id,
            until="idle",
        )
        for notification in connection.notifications():
            method, params = notification["method"], notification["params"]
            if method == "event":
                self._show(params)
            elif method == "gap":
                print(f"events {params['from']} to {params['to']} are gone", file=sys.stderr)
            elif method == "end":
                self.over = True
                return
            # Where to go on. Only now: what was not shown yet has to come again.
            self.cursor = params["to"] if method == "gap" else params["seq"]

    def _show(self, event: dict[str, Any]) -> None:
        number = self.numbers[event["agent_id"]]
        if event["type"] == "AgentPartialOutput":
            stream = sys.stderr if event["channel"] == "error" else sys.stdout
            binary = event.get("encoding") == "base64"
            chunk = base64.b64decode(event["chunk"]) if binary else event["chunk"].encode()
            stream.buffer.write(b"%d| %s\n" % (number, chunk.removesuffix(b"\n")))
            stream.flush()
        elif event["type"] == "AgentError":
            self.failed += 1
            print(f"{number}: {event['code']}: {event['message']}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs shell commands side by side as agents of liongated.")
    parser.add_argument("--socket", default=default_socket(), help="the daemon's control socket")
    parser.add_argument("commands", nargs="+", metavar="COMMAND")
    args = parser.parse_args()
    fleet = Fleet(args.commands)
    try:
        fleet.run(args.socket)
    except Lost as why:
        print(f"the daemon cannot be reached: {why}", file=sys.stderr)
        return 3
    except Refused as why:
        print(f"the daemon refuses it: {why}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if fleet.failed else 0


if __name__ == "__main__":
    sys.exit(main())
