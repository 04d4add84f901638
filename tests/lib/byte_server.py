"""An HTTP server that says exactly the bytes it is told to, when it is told to, and counts who comes.

    with ByteServer() as server:
        server.on("/ok", ok(b"hello"))
        server.on("/cut", head(chunked=True), chunk(b"a"), RESET)
        ... requests to server.url + "/ok" ...
        server.requests[0].body

It listens on TCP, with `tls=Authority(directory)` under TLS, with `unix=PATH` on a Unix socket. What a request is answered
with is a list of steps: bytes, or one of the things below; a path may also have a function, which is given the Request and
returns (or yields) steps. When the steps are over, the next request of the connection is read.

Its loop is a thread of its own. Tests wait for what happens by wait(), never by sleeping.
"""

import asyncio
import fcntl
import os
import socket
import ssl
import struct
import subprocess
import termios
import threading
import time

CLOSE = "close"  # in order: FIN, and TLS's goodbye
RESET = "reset"  # RST, on TCP; what is not sent is dropped
STALL = "stall"  # nothing more, until the client closes


class Pause:
    """For so many seconds nothing is said."""

    def __init__(self, seconds):
        self.seconds = seconds


class Gate:
    """Nothing is said until ByteServer.open_gate(name)."""

    def __init__(self, name):
        self.name = name


class Split:
    """Bytes in pieces, cut at `places`. On a Unix socket a piece is sent once the client has read the one before, which
    may be within the same recv()."""

    def __init__(self, data, places):
        borders = [0, *places, len(data)]
        self.pieces = [data[a:b] for a, b in zip(borders, borders[1:]) if a < b]


def drip(data):
    """Byte by byte."""
    return Split(data, range(1, len(data)))


def head(status="200 OK", *headers, chunked=False, length=None, end="\r\n"):
    """A status line and a header."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return (end.join(lines) + end + end).encode("latin-1")


def chunk(data, end=b"\r\n"):
    """One of a chunked body; of no data it is the last."""
    return b"%x" % len(data) + end + data + end


LAST_CHUNK = chunk(b"")


def ok(body=b"", *headers, status="200 OK"):
    """A whole response."""
    return head(status, *headers, length=len(body)) + body


class Request:
    def __init__(self, connection, head_bytes, body):
        line, *fields = head_bytes.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.connection = connection  # from 1
        self.method, self.path, self.version = line.split(" ")
        self.raw_head = head_bytes
        self.headers = {}
        for field in fields:
            name, _, value = field.partition(":")
            self.headers[name.lower()] = value.strip()
        self.body = body


class Authority:
    """A CA of a test's own, and a certificate for localhost from it, made by the openssl command."""

    def __init__(self, directory):
        self.directory = directory
        self.ca_file = self._path("ca.pem")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        self._openssl(
            *("req", "-x509", *key, "-days", "2", "-subj", "/CN=A test's own CA"),
            *("-addext", "keyUsage=critical,keyCertSign"),
            *("-keyout", self._path("ca.key"), "-out", self.ca_file),
        )
        self._openssl(
            *("req", *key, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", self._path("server.key"), "-out", self._path("server.csr")),
        )
        self._openssl(
            *("x509", "-req", "-in", self._path("server.csr"), "-days", "2", "-copy_extensions", "copy"),
            *("-CA", self.ca_file, "-CAkey", self._path("ca.key"), "-CAcreateserial"),
            *("-out", self._path("server.pem")),
        )

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._path("server.pem"), self._path("server.key"))
        return context

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _openssl(self, *args):
        done = subprocess.run(["openssl", *args], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {args[0]}: {done.stderr}")


class ByteServer:
    def __init__(self, tls=None, unix=None, backlog=4096):
        self.connections = 0  # how many came
        self.closed = 0  # how many of them have ended, whoever ended them
        self.requests = []
        self._routes = {}
        self._gates = {}
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._tasks = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._socket = self._listen(unix, backlog)
        self._tls = tls.context() if tls else None
        self.port = None if unix else self._socket.getsockname()[1]
        host = "localhost" if unix or tls else "127.0.0.1"
        self.url = f"{'https' if tls else 'http'}://{host}" + (f":{self.port}" if self.port else "")
        started = threading.Event()
        self._loop.call_soon(started.set)
        self._thread.start()
        started.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def on(self, path, *steps):
        """From now on this is what a request to `path` is answered with."""
        self._routes[path] = steps[0] if callable(steps[0]) else lambda request: steps

    def open_gate(self, name):
        """For everybody who stands before it, or will."""
        gate = self._gate(name)
        self._loop.call_soon_threadsafe(gate.set)

    def wait(self, condition, what, timeout=20):
        """Until condition(server) is true."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), timeout):
                raise TimeoutError(f"never came true: {what}")

    def close(self):
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()
        self._socket.close()

    # --- its thread ---

    @staticmethod
    def _listen(unix, backlog):
        if unix:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(unix)
        else:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        listener.setblocking(False)
        return listener

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.create_task(self._accept())
        self._loop.run_forever()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        for _ in range(3):  # what is aborted is closed in a later turn
            self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _stop(self):
        self._stopping = True
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.call_soon(self._loop.stop)

    async def _accept(self):
        while True:
            peer, _ = await self._loop.sock_accept(self._socket)
            task = self._loop.create_task(self._serve(peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _gate(self, name):
        with self._changed:
            return self._gates.setdefault(name, asyncio.Event())

    def _note(self, change):
        with self._changed:
            change()
            self._changed.notify_all()

    def _count_connection(self):
        self.connections += 1

    def _count_closed(self):
        self.closed += 1

    async def _serve(self, peer):
        self._note(self._count_connection)
        number = self.connections
        writer = None
        try:
            if peer.family == socket.AF_INET:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = asyncio.StreamReader(limit=1 << 20)
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, peer, ssl=self._tls)
            writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
            while await self._answer(number, reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone, or never spoke TLS
        finally:
            if writer and not self._stopping:
                writer.close()
            elif writer:
                writer.transport.abort()
            else:
                peer.close()
            self._note(self._count_closed)

    async def _answer(self, number, reader, writer):
        request_head = await reader.readuntil(b"\r\n\r\n")
        request = Request(number, request_head, b"")
        request.body = await reader.readexactly(int(request.headers.get("content-length", "0")))
        self._note(lambda: self.requests.append(request))
        for step in self._routes[request.path](request):
            if step is CLOSE:
                return False
            if step is RESET:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                return False
            await self._do(step, reader, writer)
        return True

    async def _do(self, step, reader, writer):
        if step is STALL:
            if await reader.read(1):
                raise RuntimeError("the client spoke before it had its answer")
            raise asyncio.IncompleteReadError(b"", 1)
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Gate):
            await self._gate(step.name).wait()
        elif isinstance(step, Split):
            for piece in step.pieces:
                writer.write(piece)
                await writer.drain()
                await self._until_read(writer.get_extra_info("socket"))
        else:
            writer.write(step)
            await writer.drain()

    @staticmethod
    async def _until_read(peer):
        """What a Unix socket has in flight is what its client has not read; TCP says only what was not acknowledged."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if struct.unpack("i", fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0] == 0:
                return
            await asyncio.sleep(0)
