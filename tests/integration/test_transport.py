"""Framing, JSON and JSON-RPC 2.0, batches, order, half-close: the protocol's «Transport»."""

import json
import select
import shutil
import subprocess
import unittest
import uuid

from common import *

MIB = 1024 * 1024

# One line each; none is JSON as RFC 8259 has it, in UTF-8, with integers within 64 bits.
NOT_JSON = {
    "nothing whole": b"{",
    "text": b"hello",
    "NaN": b'{"jsonrpc":"2.0","id":NaN,"method":"daemon.status"}',
    "Infinity": b'{"jsonrpc":"2.0","id":Infinity,"method":"daemon.status"}',
    "-Infinity": b'{"jsonrpc":"2.0","id":-Infinity,"method":"daemon.status"}',
    "nan": b"nan",
    "single quotes": b"{'jsonrpc':'2.0','id':1,'method':'daemon.status'}",
    "one single-quoted value": b'{"jsonrpc":"2.0","id":1,"method":\'daemon.status\'}',
    "a key without quotes": b'{jsonrpc:"2.0","id":1,"method":"daemon.status"}',
    "a trailing comma in an object": b'{"jsonrpc":"2.0","id":1,"method":"daemon.status",}',
    "a trailing comma in an array": b'[{"jsonrpc":"2.0","id":1,"method":"daemon.status"},]',
    "no comma": b'{"jsonrpc":"2.0" "id":1,"method":"daemon.status"}',
    "no colon": b'{"jsonrpc" "2.0","id":1,"method":"daemon.status"}',
    "two values": b'{"jsonrpc":"2.0","id":1,"method":"daemon.status"} {}',
    "garbage behind": b'{"jsonrpc":"2.0","id":1,"method":"daemon.status"}x',
    "a closing brace too many": b'{"jsonrpc":"2.0","id":1,"method":"daemon.status"}}',
    "mismatched brackets": b'[{"jsonrpc":"2.0","id":1,"method":"daemon.status"]}',
    "a block comment": b'{"jsonrpc":"2.0","id":1,/* c */"method":"daemon.status"}',
    "a line comment": b'{"jsonrpc":"2.0","id":1,"method":"daemon.status"} // c',
    "a raw U+0001 in a string": b'{"jsonrpc":"2.0","id":"a\x01b","method":"daemon.status"}',
    "a raw tab in a string": b'{"jsonrpc":"2.0","id":"a\tb","method":"daemon.status"}',
    "a raw CR in a string": b'{"jsonrpc":"2.0","id":"a\rb","method":"daemon.status"}',
    "a raw NUL in a string": b'{"jsonrpc":"2.0","id":"a\x00b","method":"daemon.status"}',
    "a NUL behind": b'{"jsonrpc":"2.0","id":1,"method":"daemon.status"}\x00',
    "a NUL alone": b"\x00",
    "a form feed as white space": b'\x0c{"jsonrpc":"2.0","id":1,"method":"daemon.status"}',
    "a vertical tab as white space": b'\x0b{"jsonrpc":"2.0","id":1,"method":"daemon.status"}',
    "a no-break space as white space": b'\xc2\xa0{"jsonrpc":"2.0","id":1,"method":"daemon.status"}',
    "a byte order mark": b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"daemon.status"}',
    "a lone high surrogate": b'{"jsonrpc":"2.0","id":"\\ud800","method":"daemon.status"}',
    "a lone low surrogate": b'{"jsonrpc":"2.0","id":"\\udc00","method":"daemon.status"}',
    "surrogates the wrong way round": b'{"jsonrpc":"2.0","id":"\\udc00\\ud800","method":"daemon.status"}',
    "a high surrogate before a letter": b'{"jsonrpc":"2.0","id":"\\ud800x","method":"daemon.status"}',
    "two high surrogates": b'{"jsonrpc":"2.0","id":"\\ud800\\ud800","method":"daemon.status"}',
    "a lone surrogate as a key": b'{"jsonrpc":"2.0","id":1,"method":"daemon.status","\\ud800":1}',
    "an unknown escape": b'{"jsonrpc":"2.0","id":"\\x41","method":"daemon.status"}',
    "a short escape": b'{"jsonrpc":"2.0","id":"\\u12","method":"daemon.status"}',
    "an escape that is no hex": b'{"jsonrpc":"2.0","id":"\\u12g4","method":"daemon.status"}',
    "an unfinished string": b'{"jsonrpc":"2.0","id":"abc',
    "an unfinished escape": b'"\\',
    "2^64": b'{"jsonrpc":"2.0","id":18446744073709551616,"method":"daemon.status"}',
    "-2^63-1": b'{"jsonrpc":"2.0","id":-9223372036854775809,"method":"daemon.status"}',
    "a hundred digits": b'{"jsonrpc":"2.0","id":' + b"9" * 100 + b',"method":"daemon.status"}',
    "a leading zero": b'{"jsonrpc":"2.0","id":01,"method":"daemon.status"}',
    "a minus before a leading zero": b'{"jsonrpc":"2.0","id":-01,"method":"daemon.status"}',
    "a plus": b'{"jsonrpc":"2.0","id":+1,"method":"daemon.status"}',
    "a minus alone": b'{"jsonrpc":"2.0","id":-,"method":"daemon.status"}',
    "no digit before the point": b'{"jsonrpc":"2.0","id":.5,"method":"daemon.status"}',
    "no digit after the point": b'{"jsonrpc":"2.0","id":1.,"method":"daemon.status"}',
    "no digit after the e": b'{"jsonrpc":"2.0","id":1e,"method":"daemon.status"}',
    "a hexadecimal number": b'{"jsonrpc":"2.0","id":0x10,"method":"daemon.status"}',
    "True": b'{"jsonrpc":"2.0","id":1,"method":"daemon.status","x":True}',
    "nul": b'{"jsonrpc":"2.0","id":nul,"method":"daemon.status"}',
    "nulll": b"nulll",
    "a stray continuation byte": b'{"jsonrpc":"2.0","id":"\x80","method":"daemon.status"}',
    "an overlong slash": b'{"jsonrpc":"2.0","id":"\xc0\xaf","method":"daemon.status"}',
    "an overlong NUL": b'{"jsonrpc":"2.0","id":"\xc0\x80","method":"daemon.status"}',
    "an overlong three-byte form": b'{"jsonrpc":"2.0","id":"\xe0\x80\xaf","method":"daemon.status"}',
    "an overlong four-byte form": b'{"jsonrpc":"2.0","id":"\xf0\x80\x80\xaf","method":"daemon.status"}',
    "an encoded surrogate": b'{"jsonrpc":"2.0","id":"\xed\xa0\x80","method":"daemon.status"}',
    "above U+10FFFF": b'{"jsonrpc":"2.0","id":"\xf4\x90\x80\x80","method":"daemon.status"}',
    "byte F5": b'{"jsonrpc":"2.0","id":"\xf5\x80\x80\x80","method":"daemon.status"}',
    "byte FF": b'{"jsonrpc":"2.0","id":"\xff","method":"daemon.status"}',
    "a character cut short": b'{"jsonrpc":"2.0","id":"\xe2\x82","method":"daemon.status"}',
    "Latin-1": b'{"jsonrpc":"2.0","id":"caf\xe9","method":"daemon.status"}',
    "bad UTF-8 outside strings": b'{"jsonrpc":"2.0","id":1,"method":"daemon.status"}\xff',
}

# JSON, but no request.
NO_REQUEST = {
    "a number": b"1",
    "a string": b'"daemon.status"',
    "null": b"null",
    "true": b"true",
    "an empty object": b"{}",
    "an empty array": b"[]",
    "no version": b'{"id":7,"method":"daemon.status"}',
    "version 1.0": b'{"jsonrpc":"1.0","id":7,"method":"daemon.status"}',
    "version as a number": b'{"jsonrpc":2.0,"id":7,"method":"daemon.status"}',
    "no method": b'{"jsonrpc":"2.0","id":7}',
    "neither method nor id": b'{"jsonrpc":"2.0"}',
    "a method that is no string": b'{"jsonrpc":"2.0","id":7,"method":1}',
    "a method that is null": b'{"jsonrpc":"2.0","id":7,"method":null}',
    "no method, no id": b'{"jsonrpc":"2.0","method":1}',
    "an id that is an object": b'{"jsonrpc":"2.0","id":{},"method":"daemon.status"}',
    "an id that is an array": b'{"jsonrpc":"2.0","id":[1],"method":"daemon.status"}',
    "an id that is true": b'{"jsonrpc":"2.0","id":true,"method":"daemon.status"}',
    "an id that is 1.5": b'{"jsonrpc":"2.0","id":1.5,"method":"daemon.status"}',
}

# Echoed exactly: as values, and where the text has one usual form, as text.
IDS = [
    b"0",
    b"1",
    b"-1",
    b"9007199254740993",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551615",
    b"null",
    b'""',
    b'"a"',
    b'"1"',
    b'"null"',
    '"h\u00e9 \u20ac \U0001f600"'.encode(),
    b'"quote \\" backslash \\\\ newline \\n"',
    b'"/slash/"',
    b'"' + b"x" * 10000 + b'"',
]


class Framing(DaemonCase):
    def test_one_line_one_reply(self):
        self.client.send(STATUS)
        line = self.client.read_line()
        self.assertEqual(parse_strict(line)["id"], 1)
        self.assertNotIn(b"\r", line)

    def test_blank_lines_are_ignored(self):
        self.client.send_raw(b"\n \n\t\n\r\n \t \r \n" + dumps(STATUS).encode() + b"\n\n")
        self.assertEqual(self.client.read_message()["id"], 1)
        self.client.send(status(2))
        self.assertEqual(self.client.read_message()["id"], 2)

    def test_white_space_around_and_crlf(self):
        for i, (before, after) in enumerate(((b"", b"\r\n"), (b" \t", b" \n"), (b"\r", b"\t\r\n"))):
            self.client.send_raw(before + dumps(status(i)).encode() + after)
            self.assertEqual(self.client.read_message()["id"], i)

    def test_white_space_inside(self):
        self.client.send_raw(b'{ "jsonrpc"\t:"2.0",\r"id" : 4 , "method": "daemon.status" , "params" : { } }\n')
        self.assertIn("result", self.client.read_message())

    def test_escapes_in_member_names_and_method(self):
        self.client.send_raw(b'{"jsonrpc":"2.0","\\u0069d":4,"method":"daemon\\u002estatus"}\n')
        reply = self.client.read_message()
        self.assertEqual(reply["id"], 4)
        self.assertIn("result", reply)

    def test_byte_by_byte(self):
        for byte in '{"jsonrpc":"2.0","id":"\u20ac\U0001f600","method":"daemon.status"}\n'.encode():
            self.client.send_raw(bytes([byte]))
        self.assertEqual(self.client.read_message()["id"], "\u20ac\U0001f600")

    def test_two_and_a_half_lines(self):
        data = b"".join(dumps(status(i)).encode() + b"\n" for i in range(3))
        self.client.send_raw(data[:-20])
        self.assertEqual({self.client.read_message()["id"] for _ in range(2)}, {0, 1})
        self.client.send_raw(data[-20:])
        self.assertEqual(self.client.read_message()["id"], 2)

    def test_thousands_at_once_unread(self):
        # More answers than any socket holds: the daemon must neither lose nor hoard.
        n = 5000
        data = b"".join(dumps(status(i)).encode() + b"\n" for i in range(n))
        self.client.sock.setblocking(False)
        got = []
        while len(got) < n:
            _, writable, _ = select.select([], [self.client.sock] if data else [], [], 0)
            if writable:
                sent = self.client.sock.send(data[:65536])
                data = data[sent:]
            else:
                got.append(self.client.read_message()["id"])
        self.assertEqual(sorted(got), list(range(n)))

    def test_nothing_unasked(self):
        watcher = self.connect()
        self.client.wait(self.client.spawn(options={"chunks": 2, "delay_ms": 0}))
        self.assertTrue(watcher.silent())
        watcher.send(STATUS)
        self.assertEqual(watcher.read_message()["id"], 1)

    def test_replies_only_between_whole_lines(self):
        # Chunks far larger than a socket buffer, and requests all the while on the same connection.
        client = self.connect(rcvbuf=4096)
        client.call("events.subscribe", after=0)
        for _ in range(3):
            self.client.spawn(options={"chunks": 4, "delay_ms": 1, "chunk_bytes": 700000})
        seqs, replies, ids = [], 0, []
        ended = 0
        while ended < 3 or replies < len(ids):
            if len(ids) < 100:
                ids.append(client.request("daemon.status"))
            message = client.read_message()
            if "method" not in message:
                check_reply(message)
                replies += 1
            elif message["method"] == "event":
                seqs.append(message["params"]["seq"])
                ended += message["params"]["type"] in ENDS
        self.assertEqual(seqs, list(range(1, len(seqs) + 1)))


class LongLines(DaemonCase):
    def padded(self, length, request_id=1):
        line = dumps(status(request_id)).encode()
        return line[:-1] + b" " * (length - len(line)) + b"}"

    def test_just_short_enough(self):
        self.client.send_raw(self.padded(4 * MIB - 1) + b"\n")
        self.assertIn("result", self.client.read_message())
        self.client.send(status(2))
        self.assertEqual(self.client.read_message()["id"], 2)

    def check_too_long(self, client, data, first=None):
        try:
            client.send_raw(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        if first is not None:
            self.assertEqual(client.read_message()["id"], first)
        reply = client.read_message()
        check_error(reply, "line_too_long")
        self.assertIsNone(reply["id"])
        client.expect_eof()

    def test_too_long(self):
        self.check_too_long(self.client, self.padded(4 * MIB + 1) + b"\n")
        self.assertEqual(self.connect().call("daemon.status")["protocol"], 1)

    def test_too_long_without_an_end(self):
        self.check_too_long(self.client, b"x" * (4 * MIB + 2))

    def test_what_came_before_is_answered(self):
        self.check_too_long(self.client, dumps(status(9)).encode() + b"\n" + b"x" * (4 * MIB + 2), 9)

    def test_others_are_unharmed(self):
        other = self.connect()
        agent = other.spawn(options={"chunks": 3, "delay_ms": 50})
        self.check_too_long(self.client, b"x" * (4 * MIB + 2))
        self.assertEqual(other.wait(agent)["state"], "completed")

    def test_all_that_have_no_end(self):
        """They may take 256 MiB together; then the first ones go, and whoever ends its line is served."""
        halves = [self.connect() for _ in range(70)]
        for client in halves:
            client.send_raw(b"x" * (4 * MIB - 1))
        self.client.send_raw(self.padded(4 * MIB - 1) + b"\n")
        self.assertIn("result", self.client.read_message())
        halves[0].expect_eof()
        closed = [bool(select.select([client.sock], [], [], 0)[0]) for client in halves]
        self.assertEqual(closed, sorted(closed, reverse=True), "the first ones went")
        self.assertLess(closed.count(True), 10)
        halves[-1].send_raw(b"\n")
        check_error(halves[-1].read_message(), "parse_error")

    def test_configured(self):
        with Daemon("--max-request-bytes=8192") as daemon:
            daemon.start()
            client = daemon.client()
            client.send_raw(self.padded(8191) + b"\n")
            self.assertIn("result", client.read_message())
            self.check_too_long(client, self.padded(8193) + b"\n")


class StrictJson(DaemonCase):
    def test_not_json(self):
        for name, line in NOT_JSON.items():
            with self.subTest(name):
                client = self.connect()
                client.send_raw(line + b"\n" + dumps(status("next")).encode() + b"\n")
                reply = client.read_message()
                check_error(reply, "parse_error")
                self.assertIsNone(reply["id"])
                self.assertIn("result", client.read_message(), "the connection goes on")
                client.close()

    def test_not_json_reaches_no_log(self):
        for line in NOT_JSON.values():
            spawn = b'{"jsonrpc":"2.0","id":1,"method":"agent.spawn","params":{"prompt":"p","context":{"x":'
            self.client.send_raw(spawn + line + b"}}}\n")
        self.client.send(status("end"))
        while self.client.read_message()["id"] != "end":
            pass
        # Some of the lines are JSON once they stand inside; whatever came of it, the log is sound.
        for line in self.daemon.log_lines():
            check_event(parse_strict(line)["params"])

    def test_no_request(self):
        for name, line in NO_REQUEST.items():
            with self.subTest(name):
                self.client.send_raw(line + b"\n")
                reply = self.client.read_message()
                check_error(reply, "invalid_request")
                self.assertIn(reply["id"], (None, 7))
        self.client.send(status("next"))
        self.assertEqual(self.client.read_message()["id"], "next")

    def test_ids_are_echoed_exactly(self):
        for text in IDS:
            for method in (b"daemon.status", b"no.such"):
                with self.subTest(id=text[:40], method=method):
                    self.client.send_raw(b'{"jsonrpc":"2.0","id":' + text + b',"method":"' + method + b'"}\n')
                    line = self.client.read_line()
                    got, sent = parse_strict(line)["id"], json.loads(text)
                    self.assertEqual((type(got), got), (type(sent), sent))
        for text in IDS[:12]:
            self.client.send_raw(b'{"jsonrpc":"2.0","id":' + text + b',"method":"no.such"}\n')
            self.assertIn(b'"id":' + text, self.client.read_line())

    def test_escaped_ids(self):
        for text in (b'"\\ud83d\\ude00"', b'"\\u00e9"', b'"\\/\\b\\f\\n\\r\\t"', b'"\\u001f\\u007f"'):
            self.client.send_raw(b'{"jsonrpc":"2.0","id":' + text + b',"method":"daemon.status"}\n')
            self.assertEqual(self.client.read_message()["id"], json.loads(text))

    def test_unicode_survives_the_log(self):
        prompt = 'é€😀 "\\/\b\f\n\r\t\x7f\u2028\u2029\ufffe\U0010ffff'
        agent = self.client.spawn(prompt, labels={"é": "€"}, context={"😀": ["\x1f"]}, correlation_id="ü")
        self.client.wait(agent)
        event = self.daemon.events_of(agent)[0]
        self.assertEqual(event["prompt"], prompt)
        self.assertEqual(event["labels"], {"é": "€"})
        self.assertEqual(event["context"], {"😀": ["\x1f"]})
        self.assertEqual(event["correlation_id"], "ü")

    def test_what_the_protocol_leaves_open_leaves_the_log_sound(self):
        # Members that stand twice, U+0000: taken or refused, but the log stays JSON that means one thing.
        for params in (
            b'{"prompt":"a","prompt":"b"}',
            b'{"prompt":"a","context":{"x":1,"x":2}}',
            b'{"prompt":"a","labels":{"x":"1","x":"2"}}',
            b'{"prompt":"a\u0000b"}',
            b'{"prompt":"a","context":{"\u0000":"\u0000"}}',
            b'{"prompt":"a","labels":{"\u0000":"\u0000"}}',
            b'{"prompt":"a","correlation_id":"\u0000"}',
            b'{"prompt":"a","group":"\u0000"}',
            b'{"prompt":"a","context":{"x":1e999}}',
            b'{"prompt":"a","context":{"x":-0.0,"y":-0,"z":1E5}}',
        ):
            with self.subTest(params):
                self.client.send_raw(b'{"jsonrpc":"2.0","id":1,"method":"agent.spawn","params":' + params + b"}\n")
                reply = self.client.read_message()
                if "result" in reply:
                    self.assertEqual(self.client.wait(reply["result"]["agent_id"])["state"], "completed")
        for line in self.daemon.log_lines():
            check_event(parse_strict(line)["params"])

    def test_very_deep(self):
        # Whatever is said to it, the daemon says it and lives.
        self.client.send_raw(b"[" * 100000 + b"]" * 100000 + b"\n")
        self.assertIn("error", self.client.read_message())
        deep = b'{"a":' * 50000 + b"1" + b"}" * 50000
        self.client.send_raw(b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + deep + b"}\n")
        self.assertIn("error", self.client.read_message())
        self.assertIn("version", self.client.call("daemon.status"))

    def test_params(self):
        self.client.send_raw(b'{"jsonrpc":"2.0","id":1,"method":"daemon.status","params":[]}\n')
        check_reply_error(self, "invalid_params")
        self.client.send_raw(b'{"jsonrpc":"2.0","id":1,"method":"agent.spawn","params":["p"]}\n')
        check_reply_error(self, "invalid_params")
        self.client.send_raw(b'{"jsonrpc":"2.0","id":1,"method":"daemon.status","params":{}}\n')
        self.assertIn("result", self.client.read_message())


def check_reply_error(case, reason):
    reply = case.client.read_message()
    case.assertIn("error", reply)
    case.assertEqual(reply["error"]["data"]["reason"], reason)
    case.assertEqual(reply["error"]["code"], harness.REASONS[reason][0])


class Notifications(DaemonCase):
    def test_no_reply_not_even_an_error(self):
        self.client.send(
            {"jsonrpc": "2.0", "method": "daemon.status"},
            {"jsonrpc": "2.0", "method": "no.such"},
            {"jsonrpc": "2.0", "method": "agent.spawn", "params": {}},
            {"jsonrpc": "2.0", "method": "agent.spawn", "params": []},
            {"jsonrpc": "2.0", "method": "agent.get", "params": {"agent_id": NOBODY}},
            {"jsonrpc": "2.0", "method": "agent.wait", "params": {"agent_id": NOBODY}},
            status("last"),
        )
        self.assertEqual(self.client.read_message()["id"], "last")

    def test_it_is_done_all_the_same(self):
        watcher = self.connect()
        watcher.call("events.subscribe", after=0)
        agent = str(uuid.uuid4())
        self.client.notify("agent.spawn", prompt="p", agent_id=agent, options={"chunks": 1, "delay_ms": 0})
        watcher.wait_event(lambda e: e["type"] == "AgentCompleted" and e["agent_id"] == agent)
        self.client.send(status(1))
        self.assertEqual(self.client.read_message()["id"], 1)

    def test_a_subscription_by_notification_streams(self):
        self.client.notify("events.subscribe", after=0)
        first = self.client.read_message()
        self.assertEqual((first["method"], first["params"]["seq"]), ("event", 1))


class Batches(DaemonCase):
    def batch(self, *messages):
        self.client.send(list(messages))
        reply = self.client.read_message()
        self.assertIsInstance(reply, list)
        for part in reply:
            check_reply(part)
        return reply

    def test_one_array_back(self):
        reply = self.batch(*(status(i) for i in range(5)))
        self.assertEqual(sorted(r["id"] for r in reply), list(range(5)))

    def test_a_batch_of_one(self):
        self.assertEqual([r["id"] for r in self.batch(STATUS)], [1])

    def test_empty(self):
        self.client.send_raw(b"[]\n")
        reply = self.client.read_message()
        check_error(reply, "invalid_request")
        self.assertIsNone(reply["id"])
        self.client.send_raw(b"[ ]\n")
        check_error(self.client.read_message(), "invalid_request")

    def test_all_invalid(self):
        reply = self.batch(1, 2, 3)
        self.assertEqual(len(reply), 3)
        for part in reply:
            check_error(part, "invalid_request")
            self.assertIsNone(part["id"])

    def test_nested(self):
        for part in self.batch([], [STATUS], {}):
            check_error(part, "invalid_request")
            self.assertIsNone(part["id"])

    def test_mixed(self):
        reply = self.batch(
            status("good"),
            {"jsonrpc": "2.0", "id": "bad", "method": "no.such"},
            {"jsonrpc": "2.0", "method": "daemon.status"},
            {"jsonrpc": "2.0", "method": "no.such"},
            {"foo": "boo"},
            {"jsonrpc": "2.0", "id": "params", "method": "agent.get", "params": []},
            {"jsonrpc": "2.0", "id": None, "method": "daemon.status"},
        )
        self.assertEqual(len(reply), 5)
        by_id = {r["id"]: r for r in reply if r["id"] is not None}
        self.assertIn("result", by_id["good"])
        check_error(by_id["bad"], "method_not_found")
        self.assertEqual(by_id["params"]["error"]["data"]["reason"], "invalid_params")
        null = [r for r in reply if r["id"] is None]
        self.assertEqual(sorted("error" in r for r in null), [False, True])

    def test_same_id_twice(self):
        self.assertEqual([r["id"] for r in self.batch(STATUS, STATUS)], [1, 1])

    def test_only_notifications(self):
        note = {"jsonrpc": "2.0", "method": "daemon.status"}
        self.client.send([note, note, {"jsonrpc": "2.0", "method": "no.such"}], STATUS)
        self.assertEqual(self.client.read_message()["id"], 1)

    def test_not_json_inside(self):
        self.client.send_raw(b'[{"jsonrpc":"2.0","id":1,"method":"daemon.status"},{"jsonrpc":"2.0","meth]\n')
        reply = self.client.read_message()
        check_error(reply, "parse_error")
        self.assertIsNone(reply["id"])

    def test_a_thousand(self):
        reply = self.batch(*(status(i) for i in range(1000)))
        self.assertEqual(sorted(r["id"] for r in reply), list(range(1000)))

    def test_a_thousand_and_one(self):
        agent = str(uuid.uuid4())
        spawn = make_request("agent.spawn", {"prompt": "p", "agent_id": agent}, 0)
        self.client.send([spawn] + [status(i) for i in range(1, 1001)])
        reply = self.client.read_message()
        self.assertIsInstance(reply, dict)
        self.assertEqual(check_error(reply, "too_large")["limit"], 1000)
        self.client.fail("agent.get", "not_found", agent_id=agent)

    def test_configured(self):
        with Daemon("--max-batch=3") as daemon:
            daemon.start()
            self.client = daemon.client()
            self.assertEqual(len(self.batch(*(status(i) for i in range(3)))), 3)
            self.client.send([status(i) for i in range(4)])
            self.assertEqual(check_error(self.client.read_message(), "too_large")["limit"], 3)

    def test_it_waits_for_the_slowest(self):
        agent = str(uuid.uuid4())
        spawn = {"prompt": "p", "agent_id": agent, "options": {"chunks": 2, "delay_ms": 100}}
        reply = self.batch(
            make_request("agent.spawn", spawn, "s"),
            make_request("agent.wait", {"agent_id": agent}, "w"),
            status("t"),
        )
        by_id = {r["id"]: r["result"] for r in reply}
        self.assertEqual(by_id["w"]["state"], "completed")
        self.assertEqual(by_id["s"]["agent_id"], agent)

    def test_others_overtake_a_waiting_batch(self):
        agent = self.client.spawn(options=slow_agent())
        self.client.send([make_request("agent.wait", {"agent_id": agent}, "w")], status("t"))
        self.assertEqual(self.client.read_message()["id"], "t")
        cancel = self.client.request("agent.cancel", agent_id=agent)
        replies = [self.client.read_message(), self.client.read_message()]
        batch = next(r for r in replies if isinstance(r, list))
        self.assertEqual(batch[0]["result"]["state"], "cancelled")
        self.assertIn(cancel, [r["id"] for r in replies if isinstance(r, dict)])

    def test_events_come_after_the_reply(self):
        agent = str(uuid.uuid4())
        spawn = {"prompt": "p", "agent_id": agent, "options": {"chunks": 5, "delay_ms": 1}}
        self.client.send(
            [
                make_request("events.subscribe", {"after": 0}, "sub"),
                make_request("agent.spawn", spawn, "s"),
                make_request("agent.wait", {"agent_id": agent}, "w"),
            ]
        )
        reply = self.client.read_message()
        self.assertIsInstance(reply, list, "the batch's reply comes first")
        self.assertEqual({r["id"] for r in reply}, {"sub", "s", "w"})
        seqs = []
        while True:
            message = self.client.read_message()
            if message["method"] == "event":
                seqs.append(message["params"]["seq"])
                if message["params"]["type"] == "AgentCompleted":
                    break
        self.assertEqual(seqs, list(range(1, len(seqs) + 1)))

    def test_follow_in_a_batch(self):
        spawn = {"prompt": "p", "follow": True, "options": {"chunks": 3, "delay_ms": 0}}
        reply = self.batch(make_request("agent.spawn", spawn, "s"), STATUS)
        agent = next(r for r in reply if r["id"] == "s")["result"]["agent_id"]
        events, _ = self.client.until_end()
        self.assertEqual(events, self.daemon.events_of(agent))

    def test_two_subscriptions_in_a_batch(self):
        reply = self.batch(
            make_request("events.subscribe", {}, 1), make_request("events.subscribe", {}, 2)
        )
        failed = [r for r in reply if "error" in r]
        self.assertEqual(len(failed), 1)
        self.assertEqual(check_error(failed[0], "already_subscribed") and failed[0]["id"], 2)


class Order(DaemonCase):
    def test_started_in_order(self):
        options = {"chunks": 1, "delay_ms": 0}
        ids = [self.client.request("agent.spawn", prompt=str(i), options=options) for i in range(500)]
        seqs = [self.client.result(i)["seq"] for i in ids]
        self.assertEqual(seqs, sorted(seqs))
        prompts = [e["prompt"] for e in self.daemon.events() if e["type"] == "AgentSpawned"]
        self.assertEqual(prompts, [str(i) for i in range(500)])

    def test_spawn_and_everything_else_in_one_write(self):
        agent = str(uuid.uuid4())
        spawn = {"prompt": "p", "agent_id": agent, "options": slow_agent()}
        self.client.send(
            make_request("agent.spawn", spawn, "spawn"),
            make_request("agent.get", {"agent_id": agent}, "get"),
            make_request("agent.get", {"agent_id": agent[:13]}, "prefix"),
            make_request("agent.output", {"agent_id": agent}, "output"),
            make_request("agent.wait", {"agent_id": agent}, "wait"),
            make_request("agent.cancel", {"agent_id": agent}, "cancel"),
        )
        self.assertTrue(self.client.result("spawn")["created"])
        self.assertEqual(self.client.result("get")["agent_id"], agent)
        self.assertEqual(self.client.result("prefix")["agent_id"], agent)
        self.assertEqual(self.client.result("output")["offset"], 0)
        self.assertEqual(self.client.result("cancel")["state"], "cancelled")
        self.assertEqual(self.client.result("wait")["state"], "cancelled")

    def test_wait_before_spawn(self):
        agent = str(uuid.uuid4())
        spawn = {"prompt": "p", "agent_id": agent, "options": {"chunks": 1, "delay_ms": 0}}
        self.client.send(
            make_request("agent.wait", {"agent_id": agent}, "wait"),
            make_request("agent.spawn", spawn, "spawn"),
        )
        check_error(self.client.reply("wait"), "not_found")
        self.assertTrue(self.client.result("spawn")["created"])

    def test_the_same_spawn_twice_in_one_write(self):
        params = {"prompt": "p", "agent_id": str(uuid.uuid4())}
        self.client.send(*(make_request("agent.spawn", params, i) for i in range(3)))
        results = [self.client.result(i) for i in range(3)]
        self.assertEqual([r["created"] for r in results], [True, False, False])
        self.assertEqual(len({r["seq"] for r in results}), 1)

    def test_replies_overtake(self):
        agent = self.client.spawn(options=slow_agent())
        wait = self.client.request("agent.wait", agent_id=agent)
        self.client.send(status("quick"))
        self.assertEqual(self.client.read_message()["id"], "quick")
        self.client.call("agent.cancel", agent_id=agent)
        self.assertEqual(self.client.result(wait)["state"], "cancelled")

    def test_a_reply_implies_a_committed_event(self):
        for _ in range(50):
            result = self.client.call("agent.spawn", prompt="p", options={"chunks": 1, "delay_ms": 0})
            self.assertIn(b'"seq":%d,' % result["seq"], b"\n".join(self.daemon.log_lines()))


class HalfClose(DaemonCase):
    def test_answer_then_end(self):
        self.client.send(STATUS)
        self.client.half_close()
        self.assertEqual(self.client.read_message()["id"], 1)
        self.client.expect_eof()

    def test_nothing_asked(self):
        self.client.half_close()
        self.client.expect_eof()

    def test_every_answer_that_is_owed(self):
        agent = str(uuid.uuid4())
        spawn = {"prompt": "p", "agent_id": agent, "options": {"chunks": 3, "delay_ms": 100}}
        self.client.send(
            make_request("agent.spawn", spawn, "s"),
            make_request("agent.wait", {"agent_id": agent}, "w"),
            [make_request("agent.wait", {"agent_id": agent}, "b")],
            status("t"),
        )
        self.client.half_close()
        self.assertEqual(self.client.result("w")["state"], "completed")
        for key in ("s", "t", "b"):
            self.client.result(key)
        self.client.expect_eof()

    def test_many_large_answers(self):
        agent = self.client.spawn(options={"chunks": 4, "delay_ms": 0, "chunk_bytes": 500000})
        self.client.wait(agent)
        reader = self.connect(rcvbuf=4096)
        reader.send(*(make_request("agent.output", {"agent_id": agent}, i) for i in range(5)))
        reader.half_close()
        for i in range(5):
            self.assertEqual(len(reader.result(i)["text"]), 2000000)
        reader.expect_eof()

    def test_a_subscription_streams_on(self):
        watcher = self.connect()
        watcher.send(make_request("events.subscribe", {"after": 0}, 1))
        watcher.half_close()
        for _ in range(2):
            agent = self.client.spawn(options={"chunks": 2, "delay_ms": 10})
            watcher.wait_event(lambda e, a=agent: e["type"] == "AgentCompleted" and e["agent_id"] == a)
        self.client.call("daemon.status")
        self.assertTrue(watcher.silent())

    def test_it_closes_when_the_subscription_is_over(self):
        watcher = self.connect()
        spawn = {"prompt": "p", "follow": True, "options": {"chunks": 3, "delay_ms": 50}}
        watcher.send(make_request("agent.spawn", spawn, 1))
        watcher.half_close()
        agent = watcher.result(1)["agent_id"]
        events, _ = watcher.until_end()
        self.assertEqual(events, self.daemon.events_of(agent))
        watcher.expect_eof()

    @unittest.skipUnless(shutil.which("nc"), "no nc")
    def test_nc(self):
        done = subprocess.run(
            ["nc", "-N", "-U", self.daemon.socket],
            input=dumps(STATUS).encode() + b"\n",
            capture_output=True,
            timeout=TIMEOUT,
            check=True,
        )
        self.assertEqual(parse_strict(done.stdout)["id"], 1)
        self.assertTrue(done.stdout.endswith(b"\n"))

    @unittest.skipUnless(shutil.which("socat"), "no socat")
    def test_socat(self):
        agent = str(uuid.uuid4())
        spawn = {"prompt": "p", "agent_id": agent, "options": {"chunks": 2, "delay_ms": 50}}
        lines = make_request("agent.spawn", spawn, 1), make_request("agent.wait", {"agent_id": agent}, 2)
        done = subprocess.run(
            ["socat", "-t", str(TIMEOUT), "-", f"UNIX-CONNECT:{self.daemon.socket}"],
            input="".join(dumps(line) + "\n" for line in lines).encode(),
            capture_output=True,
            timeout=TIMEOUT,
            check=True,
        )
        self.assertEqual([parse_strict(line)["id"] for line in done.stdout.splitlines()], [1, 2])


class Losing(DaemonCase):
    def test_losing_a_client_never_stops_an_agent(self):
        agents = []
        for way in ("close", "reset", "half_close"):
            client = self.connect()
            spawn = client.call("agent.spawn", prompt=way, follow=True, options={"chunks": 5, "delay_ms": 40})
            agents.append(spawn["agent_id"])
            getattr(client, way)()
        for agent in agents:
            self.assertEqual(self.client.wait(agent)["state"], "completed")

    def test_losing_one_that_waits(self):
        agent = self.client.spawn(options={"chunks": 5, "delay_ms": 40})
        for _ in range(10):
            client = self.connect()
            client.request("agent.wait", agent_id=agent)
            client.request("events.subscribe", after=0)
            client.close()
        self.assertEqual(self.client.wait(agent)["state"], "completed")

    def test_losing_one_in_the_middle_of_a_line(self):
        for cut in range(1, 60, 7):
            client = self.connect()
            client.send_raw(dumps(STATUS).encode()[:cut])
            client.close()
        self.assertEqual(self.client.call("daemon.status")["protocol"], 1)

    def test_no_descriptor_is_left(self):
        self.client.call("daemon.status")
        before = self.daemon.fd_census()
        for i in range(30):
            client = self.connect()
            client.call("events.subscribe", after=0)
            agent = client.spawn_exec("/bin/echo", "x")
            client.wait(agent)
            if i % 2:
                client.half_close()
            client.close()
        eventually(lambda: self.daemon.fd_census() == before, f"descriptors as before: {before}")


if __name__ == "__main__":
    main()
