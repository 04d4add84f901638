"""What power-cut.sh does once its machine is made: cuts its power, starts it anew, and asks what is left.

Usage: power.py DIRECTORY ROUNDS

The disk has a cache that it loses with its power. qemu writes down what the machine wrote and when it flushed
(blklogwrites); at a cut, a disk is made of what was flushed, and of what was not a part that chance picks, page by
page, in no order. What a client has seen when the machine dies is what came out of its serial bus."""

import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from datetime import datetime

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "lib"))
sys.dont_write_bytecode = True

import checker  # noqa: E402
import harness  # noqa: E402

SEED = int(os.environ.get("LIONGATE_FAULTS_SEED", random.randrange(1 << 30)))
DISK_MIB = 192
SECTOR = 512
PAGE = 8 * SECTOR
FLUSH, DISCARD = 1, 4
SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
MAGIC = 0x6A736677736872
# Emulated, on a machine that may be busy: a start takes its time.
START_S = 300
SYNC_MS = 1000
OPTIONS = f"--segment-bytes=1MiB --sync-interval={SYNC_MS}ms --kill-grace=100ms --stop-grace=100ms --max-running=16"
CLIENTS = 2
# What a chunk is at the least, for loads that differ.
CHUNKS = (10, 400, 3000)


class Disk:
    """An image, and what is written to its copy while a machine runs."""

    def __init__(self, directory, chance):
        self.image = os.path.join(directory, "disk.img")
        self.copy = os.path.join(directory, "copy.img")
        self.log = os.path.join(directory, "writes.log")
        self.chance = chance
        with open(self.image, "wb") as f:
            f.truncate(DISK_MIB << 20)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", self.image], check=True)

    def plug(self):
        subprocess.run(["cp", "--sparse=always", self.image, self.copy], check=True)
        with open(self.log, "wb"):
            pass

    def entries(self, f):
        """(flags, where on the disk, where in the log, bytes) of each that the log has whole."""
        magic, _, _, sector = SUPER.unpack(f.read(SUPER.size))
        assert (magic, sector) == (MAGIC, SECTOR), "no log of writes"
        size, at = os.fstat(f.fileno()).st_size, SECTOR
        while at + SECTOR <= size:
            f.seek(at)
            where, n, flags, _ = ENTRY.unpack(f.read(ENTRY.size))
            if (n, flags) == (0, 0):
                break
            n_bytes = 0 if flags & DISCARD else n * SECTOR
            if at + SECTOR + n_bytes > size:
                break
            yield flags, where * SECTOR, at + SECTOR, n_bytes
            at += SECTOR + n_bytes

    def cut(self, keep):
        """The image becomes what is left; of what was not flushed, a page stays with the chance `keep`.

        Returns (pages that were not flushed, those of them that are lost)."""
        pages = lost = 0
        with open(self.log, "rb") as log, open(self.image, "r+b") as image:
            entries = list(self.entries(log))
            flushed = max((i for i, entry in enumerate(entries) if entry[0] & FLUSH), default=-1)
            for i, (_, where, at, n) in enumerate(entries):
                log.seek(at)
                data = log.read(n)
                for first in range(0, n, PAGE):
                    pages += i > flushed
                    if i > flushed and self.chance.random() >= keep:
                        lost += 1
                        continue
                    image.seek(where + first)
                    image.write(data[first : first + PAGE])
        return pages, lost

    def unplug(self):
        """After an end in order."""
        os.replace(self.copy, self.image)

    def extract(self, to):
        """Its files, from a disk that was unmounted."""
        os.makedirs(to, exist_ok=True)
        subprocess.run(["debugfs", "-R", f"rdump /state {to}", self.image], check=True, stderr=subprocess.DEVNULL)
        return os.path.join(to, "state")


class Machine:
    """Running from the moment it is made."""

    def __init__(self, directory, work, disk, options):
        disk.plug()
        self.ports = [os.path.join(work, f"port{i}") for i in range(CLIENTS + 1)]
        self.console = os.path.join(work, "console")
        serial = []
        for i, path in enumerate(self.ports):
            if os.path.exists(path):
                os.unlink(path)
            serial += ["-chardev", f"socket,id=c{i},path={path},server=on,wait=off"]
            serial += ["-device", f"virtserialport,chardev=c{i},nr={i + 1}"]
        self.process = subprocess.Popen(
            [
                *"qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot".split(),
                *"-machine pc,accel=tcg -cpu max -m 256 -smp 1 -device virtio-serial-pci".split(),
                *serial,
                *("-kernel", f"{directory}/vmlinuz", "-initrd", f"{directory}/initrd"),
                *("-append", f"console=ttyS0 quiet panic=-1 random.trust_cpu=on -- {options}"),
                *("-serial", f"file:{self.console}"),
                "-blockdev",
                "driver=blklogwrites,node-name=disk"
                f",file.driver=file,file.filename={disk.copy},log.driver=file,log.filename={disk.log}",
                *"-device virtio-blk-pci,drive=disk".split(),
            ],
            stdin=subprocess.DEVNULL,
        )
        try:
            harness.eventually(lambda: all(os.path.exists(path) for path in self.ports), "qemu has its sockets")
            self.stopper, *self.clients = (harness.Client(path, timeout=START_S) for path in self.ports)
            self.clients[0].call("daemon.status")
        except Exception:
            self.kill()
            raise

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.stopper.send_raw(b"stop\n")
        assert self.process.wait(START_S) == 0
        with open(self.console, encoding="utf-8", errors="replace") as f:
            said = f.read()
        assert "liongated: 0" in said, said[-4000:]


def micros(event):
    return datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%S.%fZ").timestamp() * 1e6


class Series:
    """One disk, one durability, and all that was ever seen of it."""

    def __init__(self, directory, durability, chance):
        self.directory = directory
        self.work = os.path.join(directory, durability)
        shutil.rmtree(self.work, ignore_errors=True)
        os.mkdir(self.work)
        self.durability = durability
        self.chance = chance
        self.disk = Disk(self.work, chance)
        self.seen = {}  # seq: event
        self.spawned = {}  # agent_id: seq, of those whose spawn was answered
        self.lost = set()  # of the seen
        self.gaps = []
        self.cursor = 0
        self.log_id = None
        self.worst_ms = 0.0

    def boot(self):
        self.machine = Machine(self.directory, self.work, self.disk, f"--durability={self.durability} {OPTIONS}")
        self.watcher, self.spawner = self.machine.clients

    # Before the cut

    def load(self):
        for _ in range(6):
            options = {
                "chunks": self.chance.randint(1, 5000),
                "delay_ms": self.chance.choice((0, 2, 20)),
                "chunk_bytes": self.chance.choice(CHUNKS),
            }
            self.spawn(options=options, on_restart=self.chance.choice(("fail", "rerun")))
        lines = ["/bin/sh", "-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done"]
        self.spawn(backend="exec", options={"argv": lines, "chunking": "line"})

    def spawn(self, **params):
        got = self.spawner.call("agent.spawn", prompt="power", **params)
        self.spawned[got["agent_id"]] = got["seq"]

    def take(self, note):
        if note["method"] == "event":
            event = note["params"]
            twin = self.seen.setdefault(event["seq"], event)
            assert twin == event, f"seq {event['seq']} was given twice: {twin} and {event}"
            assert event["seq"] not in self.lost, f"seq {event['seq']} was lost, and is there"
        elif note["method"] == "gap":
            self.gaps.append((note["params"]["from"], note["params"]["to"]))

    def run_until_cut(self):
        """Sees so many events, spawning now and then, and has the power cut in the middle of it."""
        enough = len(self.seen) + self.chance.randint(50, 3000)
        self.load()
        pending = []
        # With so few seconds of work to be seen, an interval would not often be over.
        until = time.monotonic() + self.chance.random() * 6 * SYNC_MS / 1000
        while len(self.seen) < enough or time.monotonic() < until:
            try:
                note = self.watcher.note(2 * SYNC_MS / 1000)
            except harness.Timeout:
                self.load()
                continue
            assert note is not None, "the machine died by itself"
            self.take(note)
            if self.chance.random() < 0.01 and len(pending) < 20:
                short = {"chunks": 3, "delay_ms": 1}
                pending.append(self.spawner.request("agent.spawn", prompt="power", options=short))
        self.machine.kill()
        while (note := self.watcher.note()) is not None:
            self.take(note)
        while self.spawner.pump():
            pass
        for request in pending:
            result = self.spawner.replies.get(request, {}).get("result")
            if result:
                self.spawned[result["agent_id"]] = result["seq"]

    # After it

    def check(self):
        """Reads on from where it was known to be whole, as any client would."""
        before = {seq: event for seq, event in self.seen.items() if seq > self.cursor}
        ids = {"log_id": self.log_id} if self.log_id else {}
        got = self.watcher.call("events.subscribe", after=self.cursor, **ids)
        self.log_id = got["log_id"]
        there, gaps = {}, len(self.gaps)
        while True:
            note = self.watcher.note()
            self.take(note)
            if note["method"] == "event":
                there[note["params"]["seq"]] = note["params"]
            if note["method"] == "live":
                break
        assert note["params"]["seq"] >= got["newest_seq"], note
        lost = sorted(set(before) - set(there))
        self.lost |= set(lost)
        self.check_lost(lost, before, there, self.gaps[gaps:])
        self.check_spawned()
        self.cursor = note["params"]["seq"]
        return lost

    def check_lost(self, lost, before, there, gaps):
        if not lost:
            return
        assert self.durability == "interval", f"{len(lost)} events that were seen are lost, {lost[0]} the first"
        said = [e["lost"] for e in there.values() if "lost" in e]
        for seq in lost:
            assert any(a <= seq <= b for a, b in gaps), f"{seq} is lost, and no gap says so: {gaps}"
            assert any(s["from"] <= seq <= s["to"] for s in said), f"{seq} is lost, and DaemonStarted has {said}"
        for seq in lost:
            del self.seen[seq]
        newest = max(before)
        lost_ms = (micros(before[newest]) - micros(before[lost[0]])) / 1e3
        self.worst_ms = max(self.worst_ms, lost_ms)
        # What comes while a sync goes on is the next one's.
        assert lost_ms < 2 * SYNC_MS, f"the last {lost_ms:.0f} ms are lost"

    def check_spawned(self):
        requests = {agent: self.spawner.request("agent.get", agent_id=agent) for agent in self.spawned}
        for agent, request in requests.items():
            reply = self.spawner.reply(request)
            if "error" in reply:
                harness.check_error(reply, "not_found")
                assert self.durability == "interval", f"{agent} was accepted, and is forgotten"
                seq = self.spawned[agent]
                assert any(a <= seq <= b for a, b in self.gaps), f"{agent} is forgotten, and no gap has {seq}"
        # Those that were kept once are looked at in the log in the end.
        self.spawned.clear()

    def finish(self):
        """Stops it in order, and has the files themselves checked."""
        self.machine.stop()
        self.disk.unplug()
        state = self.disk.extract(os.path.join(self.work, "files"))
        log = checker.Log(state)
        for seq, event in self.seen.items():
            assert harness.parse_strict(log.lines[seq])["params"] == event, f"{seq} is otherwise in the log"
        daemon = os.path.join(harness.ROOT, "build", "daemon", "liongated")
        subprocess.run([daemon, "--no-config", "--state-dir", state, "--check"], check=True, stdout=subprocess.DEVNULL)
        return len(log.events)

    def run(self, rounds):
        self.boot()
        self.check()
        for i in range(1, rounds + 1):
            seen = len(self.seen)
            self.run_until_cut()
            seen = len(self.seen) - seen
            pages, gone = self.disk.cut(self.chance.choice((0, 0, 0.1, 0.5, 0.9, 1)))
            began = time.monotonic()
            self.boot()
            lost = self.check()
            print(
                f"{self.durability} {i}: {seen} events seen; of {pages} pages that were not flushed {gone} lost; "
                f"{len(lost)} events lost; up again after {time.monotonic() - began:.0f} s",
                flush=True,
            )
        n = self.finish()
        return f"{self.durability}: {rounds} cuts, {n} events in the log, {len(self.lost)} of those that were seen lost"


def main(directory, rounds):
    print(f"seed {SEED}", flush=True)
    chance = random.Random(SEED)
    for durability in ("fsync", "interval"):
        series = Series(directory, durability, chance)
        try:
            print(series.run(rounds))
        finally:
            series.machine.kill()
        if durability == "interval":
            print(f"the most that one cut took: {series.worst_ms:.0f} ms, of an interval of {SYNC_MS} ms")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
