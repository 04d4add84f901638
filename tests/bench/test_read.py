#!/usr/bin/env python3
"""bench-read, the reader of all benchmarks, believes nothing: a server plays to it that leaves out, doubles and
mixes up. Usage: test_read.py BENCH-READ"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

COUNT = 300
BYTES = 200
LIMIT = 60


def payload(number):
    return f"{number:012} {1:020} ".encode().ljust(BYTES, b".")


class Lines:
    """Liongate's events: seq 8 is an agent's start, all after it are chunks."""

    kind = "lines"

    @staticmethod
    def subscribe(peer):
        peer.read_until(b"\n")
        peer.send(b'{"jsonrpc":"2.0","id":1,"result":{"log_id":"x","oldest_seq":1,"newest_seq":7}}\n')

    @staticmethod
    def event(seq, rest):
        head = f'{{"jsonrpc":"2.0","method":"event","params":{{"seq":{seq},"time":"2026-11-28T14:19:50.392417Z",'
        return (head + rest + "}}\n").encode()

    def messages(self, numbers):
        agent = '"agent_id":"d47d0562-b952-451f-8a3f-7085230ad063"'
        yield b'{"jsonrpc":"2.0","method":"live","params":{"seq":7}}\n'
        yield self.event(8, f'"type":"AgentStarted",{agent},"attempt":1,"worker":0,"queued_ms":0')
        for number in numbers:
            chunk = f'"index":{number},"chunk":"{payload(number).decode()}","channel":"output"'
            yield self.event(number + 9, f'"type":"AgentPartialOutput",{agent},{chunk}')


class Channel:
    """Redis SUBSCRIBE."""

    kind = "redis-channel"

    @staticmethod
    def subscribe(peer):
        peer.read_until(b"bench\r\n")
        peer.send(b"*3\r\n$9\r\nsubscribe\r\n$5\r\nbench\r\n:1\r\n")

    @staticmethod
    def messages(numbers):
        for number in numbers:
            yield b"*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n$%d\r\n%s\r\n" % (BYTES, payload(number))


class Stream:
    """Redis XREAD: the second answer has the rest, and is not awaited here."""

    kind = "redis-stream"

    @staticmethod
    def subscribe(peer):
        peer.read_until(b"0-0\r\n")

    @staticmethod
    def messages(numbers):
        numbers = list(numbers)
        for first in range(0, len(numbers), 256):
            entries = numbers[first : first + 256]
            yield b"*1\r\n*2\r\n$5\r\nbench\r\n*%d\r\n" % len(entries)
            for number in entries:
                entry_id = b"1764339590392-%d" % number
                head = b"*2\r\n$%d\r\n%s\r\n*2\r\n$1\r\np\r\n" % (len(entry_id), entry_id)
                yield head + b"$%d\r\n%s\r\n" % (BYTES, payload(number))


class JetStream:
    """NATS: between the messages there are a heartbeat, and a PING."""

    kind = "jetstream"

    @staticmethod
    def subscribe(peer):
        peer.send(b'INFO {"server_id":"x"}\r\n')
        peer.read_until(b"PING\r\n")
        peer.send(b"PONG\r\n")
        for _ in ("stream", "consumer"):
            peer.read_until(b"}\r\n")
            peer.send(b'MSG _INBOX.reply 1 15\r\n{"type":"good"}\r\n')

    @staticmethod
    def messages(numbers):
        for number in numbers:
            if number % 100 == 50:
                yield b"PING\r\n"
                yield b"HMSG bench 2 31 31\r\nNATS/1.0 100 Idle Heartbeat\r\n\r\n\r\n"
            head = b"MSG bench 2 $JS.ACK.BENCH.c.1.%d.%d.1.0 %d\r\n" % (number, number, BYTES)
            yield head + payload(number) + b"\r\n"


PROTOCOLS = (Lines(), Channel(), Stream(), JetStream())


class Peer(threading.Thread):
    """Takes one subscriber and plays to it, in pieces of that size."""

    def __init__(self, path, protocol, numbers, piece):
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.protocol, self.numbers, self.piece = protocol, numbers, piece
        self.sock = None
        self.start()

    def run(self):
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(LIMIT)
        try:
            self.protocol.subscribe(self)
            data = b"".join(self.protocol.messages(self.numbers))
            for at in range(0, len(data), self.piece):
                self.send(data[at : at + self.piece])
            self.sock.shutdown(socket.SHUT_WR)
            while self.sock.recv(65536):
                pass
        except OSError:
            pass  # it has seen enough
        finally:
            self.sock.close()
            self.listener.close()

    def send(self, data):
        self.sock.sendall(data)

    def read_until(self, end):
        data = b""
        while not data.endswith(end):
            data += self.sock.recv(4096)


class Reading(unittest.TestCase):
    def read(self, protocol, numbers, piece=1 << 20, args=()):
        """What bench-read says at its end: its result, or its complaint."""
        with tempfile.TemporaryDirectory(prefix="liongate-bench-") as directory:
            path = os.path.join(directory, "socket")
            peer = Peer(path, protocol, numbers, piece)
            command = [BENCH_READ, "--kind", protocol.kind, "--address", path, "--count", str(COUNT), *args]
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
            peer.join(LIMIT)
        if done.returncode != 0:
            self.assertEqual(done.returncode, 1, done.stderr)
            return done.stderr
        ready, _, result = done.stdout.partition("\n")
        self.assertEqual(ready, "ready")
        return json.loads(result)

    def test_all_is_well(self):
        for protocol in PROTOCOLS:
            for piece in (1 << 20, 1000, 61):
                with self.subTest(protocol.kind, piece=piece):
                    self.assertEqual(self.read(protocol, range(COUNT), piece)["messages"], COUNT)

    def test_delays(self):
        result = self.read(Channel(), range(COUNT), args=["--stamps", "1"])
        self.assertGreater(result["p50_us"], 0)
        self.assertGreaterEqual(result["max_us"], result["p50_us"])

    def test_one_is_left_out(self):
        for protocol in PROTOCOLS:
            with self.subTest(protocol.kind):
                numbers = [n for n in range(COUNT + 1) if n != 150]
                self.assertRegex(self.read(protocol, numbers), r"expected number 0*1(50|59), got 0*1(51|60)")

    def test_the_first_is_left_out(self):
        for protocol in PROTOCOLS:
            with self.subTest(protocol.kind):
                self.assertRegex(self.read(protocol, range(1, COUNT + 1)), "expected number")

    def test_one_comes_twice(self):
        for protocol in PROTOCOLS:
            with self.subTest(protocol.kind):
                self.assertRegex(self.read(protocol, sorted([*range(COUNT), 150])), "expected number")

    def test_two_are_mixed_up(self):
        for protocol in PROTOCOLS:
            with self.subTest(protocol.kind):
                numbers = list(range(COUNT))
                numbers[150], numbers[151] = numbers[151], numbers[150]
                self.assertRegex(self.read(protocol, numbers), "expected number")

    def test_the_last_is_missing(self):
        for protocol in PROTOCOLS:
            with self.subTest(protocol.kind):
                self.assertRegex(self.read(protocol, range(COUNT - 1)), f"closed after {COUNT - 1} of {COUNT}")

    def test_gap(self):
        lines = Lines()
        whole = lines.messages
        gap = b'{"jsonrpc":"2.0","method":"gap","params":{"from":9,"to":9}}\n'
        lines.messages = lambda numbers: [gap, *whole(numbers)]
        self.assertRegex(self.read(lines, range(COUNT)), "unexpected: .*gap")

    def test_of_one_agent(self):
        """seq has holes, and the agent's chunks are counted."""
        lines = Lines()
        whole = lines.event
        lines.event = lambda seq, rest: whole(seq * 7, rest)
        args = ["--filtered", "1", "--params", '"after":0,"agents":["d47d"]']
        self.assertEqual(self.read(lines, range(COUNT), args=args)["messages"], COUNT)
        numbers = [n for n in range(COUNT + 1) if n != 20]
        complaint = self.read(lines, numbers, args=args)
        self.assertTrue(re.search("expected number 20, got 21", complaint), complaint)


if __name__ == "__main__":
    BENCH_READ = sys.argv.pop(1)
    unittest.main()
