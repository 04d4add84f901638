"""A Unix socket before the daemon's, whose connections are cut off: the first ones after as many bytes of the daemon's as the
test says, wherever in a line that is."""

import os
import socket
import tempfile
import threading


class Cutter:
    """`lengths`: one for each connection, in their order; those behind are left whole."""

    def __init__(self, target, lengths):
        self.target = target
        self.cuts = 0
        self._lengths = list(lengths)
        self._dir = tempfile.TemporaryDirectory(prefix="liongate-cutter-")
        self.path = os.path.join(self._dir.name, "control.sock")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._clients = []
        self._serving = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for client in self._clients:
            _end(client)
        for thread in self._serving:
            thread.join()
        self._dir.cleanup()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            length = self._lengths.pop(0) if self._lengths else None
            self._clients.append(client)
            self._serving.append(threading.Thread(target=self._serve, args=(client, length)))
            self._serving[-1].start()

    def _serve(self, client, length):
        with client, socket.socket(socket.AF_UNIX) as daemon:
            daemon.connect(self.target)
            upward = threading.Thread(target=_copy, args=(client, daemon))
            upward.start()
            if _copy(daemon, client, length) == length:
                self.cuts += 1
            _end(client)
            _end(daemon)
            upward.join()


def _end(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other side was faster


def _copy(source, target, length=None):
    """To the end, or so many bytes. Returns how many."""
    copied = 0
    try:
        while copied != length:
            data = source.recv(65536 if length is None else min(length - copied, 65536))
            if not data:
                target.shutdown(socket.SHUT_WR)
                break
            target.sendall(data)
            copied += len(data)
    except OSError:
        pass  # one of them has gone
    return copied
