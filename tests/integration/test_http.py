"""daemon/backend/http.c against a server that says bytes: HTTP as it comes, and as it should not come."""

import os
import resource
import select
import shlex
import socket
import subprocess
import tempfile
import time
import unittest

from common import *
from byte_server import CLOSE, LAST_CHUNK, RESET, STALL, Authority, ByteServer, Gate, Pause, Split
from byte_server import chunk, drip, head, ok

DRIVER = [
    *shlex.split(os.environ.get("LIONGATE_TEST_WRAPPER", "")),
    os.environ.get("HTTP_DRIVER", os.path.join(ROOT, "build", "tests", "integration", "http-driver")),
]
SECRET = "sk-test-0123456789"
PARALLEL = 1000


class Call:
    def __init__(self):
        self.body = b""
        self.pieces = 0
        self.did = []
        self.failure = None  # until it is done
        self.status = self.retry_after_ms = self.content_type = self.request_id = self.why = None
        self.total = None


class Driver:
    """tests/lib/http-driver.c"""

    def __init__(self, **env):
        self.process = subprocess.Popen(
            DRIVER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A resolver that does not answer says so soon.
            env={"RES_OPTIONS": "timeout:1 attempts:1", **os.environ, **env},
            bufsize=0,
        )
        os.set_blocking(self.process.stdin.fileno(), False)
        self.calls = []
        self._pending = b""

    def close(self):
        self.process.stdin.close()
        out = self.process.stdout.read()
        self.process.stdout.close()
        assert self.process.wait() == 0, f"the driver ended with {self.process.returncode}"
        assert SECRET.encode() not in out

    def start(self, url, **fields):
        """Headers as `headers`; the other fields are the driver's."""
        words = ["start", str(len(self.calls)), f"url={url}"]
        for header in fields.pop("headers", [f"Authorization: Bearer {SECRET}"]):
            words.append(f"header={header}")
        fields.setdefault("body", "{}") if "body_bytes" not in fields else None
        words += [f"{key}={value}" for key, value in fields.items()]
        self._send(words)
        self.calls.append(Call())
        return len(self.calls) - 1

    def tell(self, command, call=0):
        """Returns once it is carried out."""
        before = len(self.calls[call].did)
        self._send([command, str(call)])
        self.wait(lambda: len(self.calls[call].did) > before, command)

    def fetch(self, url, **fields):
        call = self.start(url, **fields)
        return self.done(call)

    def done(self, call):
        c = self.calls[call]
        self.wait(lambda: c.failure is not None, f"the end of call {call}")
        return c

    def wait(self, condition, what):
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            self._turn(deadline, what)

    def _send(self, words):
        """What the driver says meanwhile is read: it takes nothing while nobody does."""
        assert not any("\n" in word or "\t" in word for word in words)
        line = ("\t".join(words) + "\n").encode()
        deadline = time.monotonic() + TIMEOUT
        while line := line[self.process.stdin.write(line) or 0 :]:
            self._turn(deadline, f"room for {words[:2]}", [self.process.stdin])

    def _turn(self, deadline, what, writers=()):
        """Until the driver says something, or one of `writers` has room."""
        left = max(0, deadline - time.monotonic())
        readable, writable, _ = select.select([self.process.stdout], writers, [], left)
        if not readable and not writable:
            raise Timeout(f"never came true: {what}")
        if not readable:
            return
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        if not data:
            raise Closed(f"the driver has ended: {what}")
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._take(line.decode("ascii"))

    def _take(self, line):
        assert SECRET not in line, line
        kind, call, *fields = line.split("\t")
        c = self.calls[int(call)]
        if kind == "did":
            c.did.append(fields[0])
            return
        assert c.failure is None, f"call {call} is over, and yet: {line[:80]}"
        if kind == "body":
            c.body += bytes.fromhex(fields[0])
            c.pieces += 1
        elif kind == "total":
            c.total = tuple(int(n) for n in fields)
        else:
            assert kind == "done", line
            c.failure, status, retry, c.content_type, c.request_id, c.why = fields
            c.status, c.retry_after_ms = int(status), int(retry)


class HttpCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="liongate-http-")
        self.addCleanup(directory.cleanup)
        self.dir = directory.name
        self.driver = Driver()
        self.addCleanup(self.driver.close)

    def serve(self, **kwargs):
        server = ByteServer(**kwargs)
        self.addCleanup(server.close)
        return server

    def serve_unix(self):
        self.unix = os.path.join(self.dir, "server.sock")
        return self.serve(unix=self.unix)

    def check(self, call, failure, body=b"", status=200):
        self.assertEqual((call.failure, call.status, call.body), (failure, status, body), call.why)

    def pieces_of(self, call):
        return self.driver.calls[call].pieces


# name: (bytes, status, body); those that the server ends by closing are in CLOSED.
STREAM = b'data: {"a":1}\n\ndata: \xf0\x9f\x98\x80\n\n'
RESPONSES = {
    "length": (ok(STREAM), 200, STREAM),
    "empty": (ok(), 200, b""),
    "no_reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    "lf_only": (head(length=2, end="\n") + b"ok", 200, b"ok"),
    "folded": (b"HTTP/1.1 200 OK\r\nX-A: a\r\n  b\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    "chunked": (head(chunked=True) + chunk(STREAM[:7]) + chunk(STREAM[7:]) + LAST_CHUNK, 200, STREAM),
    "chunks_of_one": (
        head(chunked=True) + b"".join(chunk(bytes([c])) for c in STREAM) + LAST_CHUNK,
        200,
        STREAM,
    ),
    "chunk_extension": (head(chunked=True) + b"2;a=b\r\nok\r\n0;c\r\n\r\n", 200, b"ok"),
    "chunk_zeros": (head(chunked=True) + b"0002\r\nok\r\n000\r\n\r\n", 200, b"ok"),
    "chunk_lf_only": (
        head(chunked=True, end="\n") + chunk(STREAM, b"\n") + chunk(b"", b"\n"),
        200,
        STREAM,
    ),
    "trailer": (
        head(chunked=True) + chunk(b"ok") + b"0\r\nX-Request-Id: late\r\nX-B: c\r\n\r\n",
        200,
        b"ok",
    ),
    "early_hints": (head("103 Early Hints", "Link: </x>") + ok(STREAM), 200, STREAM),
    "continue": (head("100 Continue") + head(chunked=True) + chunk(STREAM) + LAST_CHUNK, 200, STREAM),
    "error": (ok(b'{"error":1}', status="429 Too Many Requests"), 429, b'{"error":1}'),
    "html": (ok(b"<html>502</html>", "Content-Type: text/html", status="502 Bad Gateway"), 502, b"<html>502</html>"),
    "no_content": (head("204 No Content"), 204, b""),
}
CLOSED = {
    "until_close": (head() + STREAM, 200, STREAM),
    "http_1_0": (b"HTTP/1.0 200 OK\r\n\r\n" + STREAM, 200, STREAM),
}


class Bytes(HttpCase):
    """Over a Unix socket, where the server sees what the client has read."""

    def setUp(self):
        super().setUp()
        self.server = self.serve_unix()

    def start(self, path):
        return self.driver.start(f"http://localhost{path}", unix=self.unix, connect=int(TIMEOUT * 1000))

    def test_every_split(self):
        for name, (data, status, body) in {**RESPONSES, **CLOSED}.items():
            with self.subTest(name):
                calls = []
                for place in range(len(data) + 1):
                    steps = [Split(data, [place])] + ([CLOSE] if name in CLOSED else [])
                    self.server.on(f"/{name}/{place}", *steps)
                    calls.append(self.start(f"/{name}/{place}"))
                for call in calls:
                    self.check(self.driver.done(call), "ok", body, status)
                    self.assertEqual(self.driver.calls[call].request_id, "-")

    def test_drip(self):
        for name, (data, status, body) in {**RESPONSES, **CLOSED}.items():
            with self.subTest(name):
                self.server.on(f"/{name}", *([drip(data)] + ([CLOSE] if name in CLOSED else [])))
                call = self.driver.done(self.start(f"/{name}"))
                # Not in how many pieces: recv() takes what comes while it is in there.
                self.check(call, "ok", body, status)

    def test_cut_everywhere(self):
        """However much there was: it is never taken for the whole."""
        for name in ("length", "chunked", "early_hints"):
            data, _, body = RESPONSES[name]
            calls = []
            for place in range(len(data)):
                self.server.on(f"/{name}/{place}", data[:place], CLOSE)
                calls.append(self.start(f"/{name}/{place}"))
            for place, call in enumerate(calls):
                call = self.driver.done(call)
                if data[place:] == b"\n" and name == "chunked":
                    continue  # nothing of it is missing
                self.assertEqual(call.failure, "reset", (name, place, data[:place]))
                self.assertTrue(body.startswith(call.body))

    def test_pieces_are_given_at_once(self):
        self.server.on("/a", head(chunked=True), chunk(b"one"), Gate("two"), chunk(b"two"), LAST_CHUNK)
        call = self.start("/a")
        self.driver.wait(lambda: self.pieces_of(call) == 1, "the first piece")
        self.assertEqual(self.driver.calls[call].body, b"one")
        self.server.open_gate("two")
        self.check(self.driver.done(call), "ok", b"onetwo")

    def test_large(self):
        body = os.urandom(3 << 20)
        self.server.on("/length", ok(body))
        self.server.on("/chunked", head(chunked=True), chunk(body), LAST_CHUNK)
        self.check(self.driver.done(self.start("/length")), "ok", body)
        self.check(self.driver.done(self.start("/chunked")), "ok", body)


class Faults(HttpCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()

    def fetch(self, *steps, **fields):
        self.server.on("/fault", *steps)
        return self.driver.fetch(self.server.url + "/fault", **fields)

    def test_reset(self):
        part = head(chunked=True) + chunk(b"part")
        gate = Gate("got it")
        self.server.on("/fault", part, gate, RESET)
        call = self.driver.start(self.server.url + "/fault")
        self.driver.wait(lambda: self.pieces_of(call) == 1, "what came before")
        self.server.open_gate("got it")
        self.check(self.driver.done(call), "reset", b"part")

    def test_reset_before_the_response(self):
        self.check(self.fetch(RESET), "reset", status=0)

    def test_reset_where_the_end_is_the_close(self):
        self.server.on("/fault", head(), b"part", Gate("got it"), RESET)
        call = self.driver.start(self.server.url + "/fault")
        self.driver.wait(lambda: self.pieces_of(call) == 1, "what came before")
        self.server.open_gate("got it")
        self.check(self.driver.done(call), "reset", b"part")

    def test_closed_without_a_response(self):
        self.check(self.fetch(CLOSE), "reset", status=0)

    def test_short_body(self):
        self.check(self.fetch(head(length=10), b"part", CLOSE), "reset", b"part")

    def test_no_last_chunk(self):
        self.check(self.fetch(head(chunked=True), chunk(b"part"), CLOSE), "reset", b"part")

    def test_no_http(self):
        for garbage in (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"<html>hello</html>\n", b"\0" * 64, b"\r\n\r\n\r\n"):
            self.assertEqual(self.fetch(garbage, CLOSE).failure, "protocol", garbage)

    def test_broken_chunks(self):
        for broken in (b"zz\r\nok\r\n", b"2\r\nok!!0\r\n\r\n", b"f" * 40 + b"\r\n", b"-1\r\n"):
            call = self.fetch(head(chunked=True), broken, CLOSE)
            self.assertEqual((call.failure, call.status), ("protocol", 200), (broken, call.why))

    def test_endless_header(self):
        def endless(_):
            yield b"HTTP/1.1 200 OK\r\nX-A: "
            while True:
                yield b"x" * 65536

        def many(_):
            yield b"HTTP/1.1 200 OK\r\n"
            while True:
                yield b"X-A: b\r\n" * 1000

        for response, failure in ((endless, "no_memory"), (many, "protocol")):
            self.server.on("/fault", response)
            call = self.driver.fetch(self.server.url + "/fault")
            self.assertEqual(call.failure, failure, call.why)

    def test_refused(self):
        call = self.driver.fetch("http://127.0.0.1:1/")
        self.check(call, "connect", status=0)
        self.assertIn("Connection refused", call.why)

    def test_no_such_socket(self):
        call = self.driver.fetch("http://localhost/", unix=os.path.join(self.dir, "nobody"))
        self.check(call, "connect", status=0)

    def test_no_such_host(self):
        self.check(self.driver.fetch("http://nowhere.invalid/"), "resolve", status=0)

    def test_other_protocols(self):
        for url in ("file:///etc/hostname", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "no url", "http://"):
            self.check(self.driver.fetch(url), "protocol", status=0)

    def test_redirect_is_not_followed(self):
        self.server.on("/elsewhere", ok(b"the key, please"))
        where = f"Location: {self.server.url}/elsewhere"
        for status in (301, 302, 303, 307, 308):
            self.check(self.fetch(ok(b"no", where, status=f"{status} Go"), CLOSE), "ok", b"no", status)
        self.assertEqual({r.path for r in self.server.requests}, {"/fault"})


class Requests(HttpCase):
    def test_what_is_sent(self):
        server = self.serve()
        server.on("/v1/chat", ok(b"fine"))
        headers = ["Content-Type: application/json", f"Authorization: Bearer {SECRET}", "X-Empty;"]
        call = self.driver.fetch(server.url + "/v1/chat", headers=headers, body='{"é":1}')
        self.check(call, "ok", b"fine")
        (request,) = server.requests
        self.assertEqual((request.method, request.version), ("POST", "HTTP/1.1"))
        self.assertEqual(request.body, '{"é":1}'.encode())
        self.assertEqual(request.headers["content-type"], "application/json")
        self.assertEqual(request.headers["authorization"], f"Bearer {SECRET}")
        self.assertEqual(request.headers["x-empty"], "")
        self.assertTrue(request.headers["user-agent"].startswith("liongate/"))
        self.assertEqual(
            set(request.headers),
            {"host", "user-agent", "accept", "content-type", "authorization", "x-empty", "content-length"},
        )

    def test_large_body(self):
        for server, fields in (
            (self.serve(), {}),
            (self.serve(tls=Authority(self.dir)), {"ca": os.path.join(self.dir, "ca.pem")}),
        ):
            server.on("/", ok(b"fine"))
            for n in (0, 1, 16384, 100_000, 4 << 20):
                self.check(self.driver.fetch(server.url + "/", body_bytes=n, **fields), "ok", b"fine")
                self.assertEqual(server.requests[-1].body, b"x" * n)

    def test_answered_before_the_body_is_sent(self):
        """A refusal may come before the request is there."""
        server = self.serve()
        server.on("/", ok(b"too large", "Connection: close", status="413 No"), CLOSE)
        self.check(self.driver.fetch(server.url + "/", body_bytes=4 << 20), "ok", b"too large", 413)

    def test_response_fields(self):
        server = self.serve()
        server.on(
            "/",
            ok(b"", "Retry-After: 3", "X-Request-ID: req_1", "Content-Type: text/event-stream", status="429 Later"),
        )
        call = self.driver.fetch(server.url + "/")
        self.assertEqual(
            (call.status, call.retry_after_ms, call.request_id, call.content_type),
            (429, 3000, "req_1", "text/event-stream"),
        )

    def test_environment_has_no_say(self):
        server = self.serve()
        server.on("/", ok(b"fine"))
        nowhere = "http://127.0.0.1:1"
        driver = Driver(http_proxy=nowhere, https_proxy=nowhere, ALL_PROXY=nowhere, all_proxy=nowhere)
        self.addCleanup(driver.close)
        self.check(driver.fetch(server.url + "/"), "ok", b"fine")

    def test_proxy(self):
        server = self.serve()
        server.on("http://nowhere.invalid/x", ok(b"by the proxy"))
        driver = Driver(no_proxy="*", NO_PROXY="*")
        self.addCleanup(driver.close)
        call = driver.fetch("http://nowhere.invalid/x", proxy=server.url)
        self.check(call, "ok", b"by the proxy")

    def test_proxy_that_refuses(self):
        """Of a tunnel that was not made the server's own status is not shown, nor is the proxy's password."""
        server = self.serve()
        server.on("nowhere.invalid:443", ok(b"", status="407 Who are you"), CLOSE)
        proxy = server.url.replace("//", f"//user:{SECRET}@")
        call = self.driver.fetch("https://nowhere.invalid/", proxy=proxy)
        self.assertIn(call.failure, ("reset", "connect"), call.why)
        self.assertEqual(call.status, 0)
        for odd in ("bogus", "ftp", "https", "socks5"):
            call = self.driver.fetch("http://x/", proxy=f"{odd}://user:{SECRET}@127.0.0.1:1")
            self.assertIn(call.failure, ("resolve", "connect"), call.why)


class Connections(HttpCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.server.on("/", ok(b"fine"))
        self.server.on("/stall", head(chunked=True), chunk(b"a"), STALL)

    def fetch(self, path="/"):
        self.check(self.driver.fetch(self.server.url + path), "ok", b"fine")

    def test_kept_alive(self):
        for _ in range(50):
            self.fetch()
        self.assertEqual(self.server.connections, 1)
        self.assertEqual(len(self.server.requests), 50)

    def test_closed_by_the_server_meanwhile(self):
        self.server.on("/last", ok(b"fine"), CLOSE)
        for n in range(1, 6):
            self.fetch("/last")
            self.server.wait(lambda s: s.closed == n, "the close")
        self.fetch()
        self.assertEqual(self.server.connections, 6)

    def test_cancel(self):
        """The connection goes at once, and is not used again; those of others stay."""
        other = self.driver.start(self.server.url + "/stall")
        call = self.driver.start(self.server.url + "/stall")
        self.driver.wait(lambda: self.pieces_of(call) and self.pieces_of(other), "the first pieces")
        self.driver.tell("cancel", call)
        self.server.wait(lambda s: s.closed == 1, "the close")
        self.fetch()
        self.assertEqual(self.server.connections, 3)
        self.assertIsNone(self.driver.calls[call].failure)
        self.assertIsNone(self.driver.calls[other].failure)

    def test_cancel_before_anything_was_done(self):
        call = self.driver.start(self.server.url + "/stall")
        self.driver.tell("cancel", call)
        self.fetch()

    def test_cancel_early(self):
        """Before the response, and within TLS."""
        silent = self.serve()
        silent.on("/", STALL)
        for n, url in enumerate((silent.url, silent.url.replace("http:", "https:")), 1):
            call = self.driver.start(url + "/")
            silent.wait(lambda s, n=n: s.connections == n, "a connection")
            self.driver.tell("cancel", call)
        silent.wait(lambda s: s.closed == 2, "all closed")

    def test_cancel_within_on_body(self):
        call = self.driver.start(self.server.url + "/stall", cancel=1)
        self.driver.wait(lambda: self.pieces_of(call) == 1, "the first piece")
        self.server.wait(lambda s: s.closed == 1, "the close")

    def test_on_body_that_fails(self):
        call = self.driver.start(self.server.url + "/stall", stop=1)
        self.driver.wait(lambda: self.pieces_of(call) == 1, "the first piece")
        self.server.wait(lambda s: s.closed == 1, "the close")
        self.driver.tell("cancel", call)
        self.assertIsNone(self.driver.calls[call].failure)

    def test_cancel_after_the_end(self):
        call = self.driver.start(self.server.url + "/")
        self.driver.done(call)
        self.driver.tell("cancel", call)
        self.fetch()
        self.assertEqual(self.server.connections, 1)

    def test_client_that_goes(self):
        call = self.driver.start(self.server.url + "/stall")
        self.driver.wait(lambda: self.pieces_of(call) == 1, "the first piece")
        self.driver.tell("client", call)
        self.server.wait(lambda s: s.closed == 1, "the close")
        self.driver.tell("pause", call)
        self.driver.tell("resume", call)
        self.driver.tell("first", call)
        self.driver.tell("cancel", call)
        self.fetch()

    def test_sockets_are_not_inherited(self):
        call = self.driver.start(self.server.url + "/stall")
        self.driver.wait(lambda: self.pieces_of(call) == 1, "the first piece")
        with open("/proc/net/tcp", encoding="ascii") as f:
            inodes = {f"socket:[{line.split()[9]}]" for line in f.readlines()[1:]}
        proc = f"/proc/{self.driver.process.pid}"
        flags = []
        for fd in os.listdir(f"{proc}/fd"):
            if os.readlink(f"{proc}/fd/{fd}") in inodes:
                with open(f"{proc}/fdinfo/{fd}", encoding="ascii") as f:
                    flags += [int(line.split()[1], 8) for line in f if line.startswith("flags:")]
        self.assertEqual(len(flags), 1)
        self.assertTrue(flags[0] & os.O_CLOEXEC)

    def test_a_name_that_is_not_found_yet(self):
        """Nobody waits for the thread that looks it up: the driver's getaddrinfo() of this name never returns."""
        call = self.driver.start("http://slow.invalid/")
        late = self.driver.start("http://slow.invalid/", connect=50)
        self.check(self.driver.done(late), "timeout_connect", status=0)
        self.driver.tell("cancel", call)
        self.fetch()
        self.fetch_large()

    def fetch_large(self):
        """What libcurl reads at once stays what it was set to, whatever a handle was used for before."""
        body = os.urandom(1 << 20)
        self.server.on("/large", ok(body))
        calls = [self.driver.start(self.server.url + "/large") for _ in range(8)]
        for call in calls:
            self.check(self.driver.done(call), "ok", body)
            self.assertGreaterEqual(self.pieces_of(call), len(body) // 2048)

    def threads(self):
        return len(os.listdir(f"/proc/{self.driver.process.pid}/task"))

    def test_one_name_is_looked_up_once(self):
        """However many calls want it, whoever gives up, and whoever comes then."""
        self.fetch()
        before = self.threads()
        calls = [self.driver.start("http://slow.invalid/") for _ in range(100)]
        late = [self.driver.start("http://slow.invalid/", connect=50) for _ in range(20)]
        for call in late:
            self.check(self.driver.done(call), "timeout_connect", status=0)
        for call in calls:
            self.driver.tell("cancel", call)
        more = [self.driver.start("http://slow.invalid/other", connect=50) for _ in range(20)]
        more += [self.driver.start("http://slow.invalid/", connect=50) for _ in range(20)]
        for call in more:
            self.check(self.driver.done(call), "timeout_connect", status=0)
        self.fetch()
        self.assertLessEqual(self.threads() - before, 2, "one for each URL")
        # The client goes in the midst of it.
        call = self.driver.start("http://slow.invalid/")
        self.driver.tell("client", call)
        self.driver.tell("cancel", call)
        self.fetch()

    def test_one_answer_for_all(self):
        """What is found is found for all who wait, and what is not found as well."""
        url = self.server.url.replace("127.0.0.1", "localhost")
        self.assertIn("localhost", url)
        found = [self.driver.start(url + "/") for _ in range(50)]
        lost = [self.driver.start("http://no.such.host.invalid/") for _ in range(50)]
        for call in found:
            self.assertEqual(self.driver.done(call).status, 200)
        for call in lost:
            self.check(self.driver.done(call), "resolve", status=0)
            self.assertIn("no.such.host.invalid", self.driver.calls[call].why)


class Tls(HttpCase):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.dir)
        self.server = self.serve(tls=self.authority)
        self.server.on("/", ok(b"fine"))

    def test_own_ca(self):
        for _ in range(10):
            call = self.driver.fetch(self.server.url + "/", ca=self.authority.ca_file)
            self.check(call, "ok", b"fine")
        self.assertEqual(self.server.connections, 1)

    def test_unknown_ca(self):
        call = self.driver.fetch(self.server.url + "/")
        self.check(call, "tls", status=0)
        self.assertIn("certificate", call.why)
        self.assertEqual(self.server.requests, [])

    def test_connection_of_another_ca_is_not_used(self):
        """What one provider trusts is nothing to another one."""
        self.check(self.driver.fetch(self.server.url + "/", ca=self.authority.ca_file), "ok", b"fine")
        self.check(self.driver.fetch(self.server.url + "/"), "tls", status=0)
        self.check(self.driver.fetch(self.server.url + "/", ca=self.authority.ca_file), "ok", b"fine")

    def test_other_name(self):
        url = self.server.url.replace("localhost", "other.localhost")
        call = self.driver.fetch(url + "/", ca=self.authority.ca_file)
        self.check(call, "tls", status=0)
        self.assertIn("other.localhost", call.why)

    def test_ca_that_is_not_there(self):
        call = self.driver.fetch(self.server.url + "/", ca=os.path.join(self.dir, "nothing"))
        self.check(call, "tls", status=0)

    def test_no_tls(self):
        plain = self.serve()
        plain.on("/", ok())
        url = plain.url.replace("http:", "https:")
        call = self.driver.start(url + "/", connect=int(TIMEOUT * 1000))
        plain.wait(lambda s: s.connections == 1, "the connection")
        self.driver.tell("cancel", call)

    def test_split_and_cut(self):
        self.server.on("/split", drip(RESPONSES["chunked"][0]))
        self.check(
            self.driver.fetch(self.server.url + "/split", ca=self.authority.ca_file), "ok", STREAM
        )
        self.server.on("/cut", head(chunked=True), chunk(b"part"), Gate("got it"), RESET)
        call = self.driver.start(self.server.url + "/cut", ca=self.authority.ca_file)
        self.driver.wait(lambda: self.pieces_of(call) == 1, "what came before")
        self.server.open_gate("got it")
        self.check(self.driver.done(call), "reset", b"part")


class Timeouts(HttpCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.server.on("/", ok(b"fine"))
        self.server.on("/silent", STALL)
        self.server.on("/header", head(chunked=True), STALL)
        self.server.on("/piece", head(chunked=True), chunk(b"a"), STALL)

    def test_connect(self):
        """A TLS handshake is part of it."""
        url = self.server.url.replace("http:", "https:")
        call = self.driver.fetch(url + "/", connect=100, first=1, idle=1)
        self.check(call, "timeout_connect", status=0)
        self.assertIn("100 ms", call.why)

    def test_first_chunk(self):
        for path, status, body in (("/silent", 0, b""), ("/header", 200, b""), ("/piece", 200, b"a")):
            # What comes at all has to come before.
            first = 100 if path == "/silent" else int(1000 * SCALE)
            call = self.driver.fetch(self.server.url + path, connect=20000, first=first, idle=1)
            self.check(call, "timeout_first_chunk", body, status)
        self.server.wait(lambda s: s.closed == 3, "the close")

    def test_idle(self):
        call = self.driver.fetch(self.server.url + "/piece", connect=20000, first=20000, idle=100, first_chunk=1)
        self.check(call, "timeout_idle", b"a")
        self.server.wait(lambda s: s.closed == 1, "the close")

    def test_bytes_start_idle_anew(self):
        """In all it takes longer than what may pass between two."""
        pieces = [step for _ in range(10) for step in (Pause(0.3), chunk(b"a"))]
        self.server.on("/slow", head(chunked=True), *pieces, LAST_CHUNK)
        call = self.driver.fetch(self.server.url + "/slow", idle=int(2000 * SCALE), first_chunk=1)
        self.check(call, "ok", b"a" * 10)

    def test_none(self):
        call = self.driver.start(self.server.url + "/piece")
        self.driver.wait(lambda: self.pieces_of(call) == 1, "the first piece")
        self.driver.tell("first", call)
        self.check(self.driver.fetch(self.server.url + "/silent", first=100), "timeout_first_chunk", status=0)
        self.assertIsNone(self.driver.calls[call].failure)

    def test_paused_time_does_not_count(self):
        call = self.driver.start(self.server.url + "/piece", idle=200, first_chunk=1, pause=1)
        self.driver.wait(lambda: self.pieces_of(call) == 1, "the first piece")
        for _ in range(2):
            self.check(self.driver.fetch(self.server.url + "/silent", first=300), "timeout_first_chunk", status=0)
        self.assertIsNone(self.driver.calls[call].failure)
        self.driver.tell("resume", call)
        self.check(self.driver.done(call), "timeout_idle", b"a")

    def test_paused_from_the_start(self):
        self.server.on("/gate", Gate("go"), ok(b"fine"))
        limit = int(1000 * SCALE)
        call = self.driver.start(self.server.url + "/gate", connect=limit, first=limit)
        self.driver.tell("pause", call)
        self.check(self.driver.fetch(self.server.url + "/silent", first=2 * limit), "timeout_first_chunk", status=0)
        self.assertIsNone(self.driver.calls[call].failure)
        self.server.open_gate("go")
        self.driver.tell("resume", call)
        self.check(self.driver.done(call), "ok", b"fine")


class Pausing(HttpCase):
    def check_pause(self, server, **fields):
        """Nothing comes while it is paused, all comes afterwards; others go on meanwhile."""
        body = os.urandom(300_000)
        server.on("/", ok(b"fine"))
        server.on("/large", ok(body))
        server.on("/chunks", head(chunked=True), *(chunk(body[i : i + 777]) for i in range(0, len(body), 777)), LAST_CHUNK)
        for path in ("/large", "/chunks"):
            call = self.driver.start(server.url + path, pause=3, **fields)
            self.driver.wait(lambda: self.pieces_of(call) == 3, "three pieces")
            for _ in range(3):
                self.check(self.driver.fetch(server.url + "/", **fields), "ok", b"fine")
            self.assertEqual(self.pieces_of(call), 3)
            self.driver.tell("resume", call)
            self.check(self.driver.done(call), "ok", body)

    def test_plain(self):
        self.check_pause(self.serve())

    def test_unix(self):
        server = self.serve_unix()
        self.check_pause(server, unix=self.unix)

    def test_tls(self):
        self.check_pause(self.serve(tls=Authority(self.dir)), ca=os.path.join(self.dir, "ca.pem"))

    def test_again_and_again(self):
        server = self.serve()
        body = os.urandom(200_000)
        server.on("/", head(chunked=True), chunk(body), LAST_CHUNK)
        call = self.driver.start(server.url + "/")
        while self.driver.calls[call].failure is None:
            self.driver.tell("pause", call)
            before = self.pieces_of(call)
            self.driver.tell("resume", call)
            self.driver.wait(
                lambda: self.pieces_of(call) > before or self.driver.calls[call].failure, "a piece, or the end"
            )
        self.check(self.driver.calls[call], "ok", body)

    def test_the_end_waits_too(self):
        """All of it has been read already when it is paused."""
        server = self.serve()
        for name in ("length", "chunked", "until_close"):
            data, status, body = {**RESPONSES, **CLOSED}[name]
            server.on(f"/{name}", data, CLOSE)
            call = self.driver.start(f"{server.url}/{name}", pause=1)
            self.driver.wait(lambda: self.pieces_of(call) == 1, "a piece")
            server.on("/", ok(b"fine"))
            self.check(self.driver.fetch(server.url + "/"), "ok", b"fine")
            self.assertIsNone(self.driver.calls[call].failure)
            self.driver.tell("resume", call)
            self.check(self.driver.done(call), "ok", body, status)

    def test_cancel_while_paused(self):
        server = self.serve()
        server.on("/", head(chunked=True), chunk(b"a" * 100_000), STALL)
        call = self.driver.start(server.url + "/", pause=1)
        self.driver.wait(lambda: self.pieces_of(call) == 1, "a piece")
        self.driver.tell("cancel", call)
        server.wait(lambda s: s.closed == 1, "the close")


class Many(HttpCase):
    def check_many(self, server, **fields):
        """All of them at once: nobody has an answer before all have asked."""
        server.on("/", head(chunked=True), chunk(b"a"), Gate("all"), chunk(b"b"), LAST_CHUNK)
        fields = {"connect": int(TIMEOUT * 1000), "count": 1, **fields}
        calls = [self.driver.start(server.url + "/", **fields) for _ in range(PARALLEL)]
        server.wait(lambda s: len(s.requests) == PARALLEL, "all requests", TIMEOUT)
        self.assertEqual(server.connections, PARALLEL)
        server.open_gate("all")
        for call in calls:
            done = self.driver.done(call)
            self.assertEqual((done.failure, done.total[0]), ("ok", 2), done.why)
        # And again, on what they left.
        calls = [self.driver.start(server.url + "/", **fields) for _ in range(PARALLEL)]
        for call in calls:
            self.assertEqual(self.driver.done(call).failure, "ok")
        self.assertEqual(server.connections, PARALLEL)

    def test_tcp(self):
        self.check_many(self.serve())

    def test_unix(self):
        server = self.serve_unix()
        self.check_many(server, unix=self.unix)

    def test_unix_with_a_short_queue(self):
        """Who finds it full comes again, until there is room."""
        self.unix = os.path.join(self.dir, "server.sock")
        self.check_many(self.serve(unix=self.unix, backlog=4), unix=self.unix)

    def test_unix_queue_that_stays_full(self):
        path = os.path.join(self.dir, "server.sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            calls = [self.driver.start("http://x/", unix=path, connect=int(1000 * SCALE), first=300) for _ in range(5)]
            cancelled = self.driver.start("http://x/", unix=path)
            failures = {self.driver.done(call).failure for call in calls}
            self.assertEqual(failures, {"timeout_connect", "timeout_first_chunk"})
            self.driver.tell("cancel", cancelled)

    def test_tls(self):
        self.check_many(self.serve(tls=Authority(self.dir)), ca=os.path.join(self.dir, "ca.pem"))


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    main()
