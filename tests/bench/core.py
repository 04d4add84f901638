"""The framework of the benchmarks. It measures, judges and reports; it knows of no daemon and of no peer.

How to add a benchmark:

1. A family is a module (`stream.py`) with a list `WORKS`, named in the table `FAMILIES` of `bench.py`. It may
   have a list `CHARTS` too; a work that is in none of them gets a chart of its own, with bars.
2. A `Work` is a thing to be done: `name`, `title`, its `metrics`, its `contenders`, its `goals`, and how much of
   it is done: `full`, or `smoke`, so little that it only shows that all of it still runs.
3. A `Contender` is somebody who does it: `run(bench)` does it once, from nothing, and returns `{metric: value}`
   with the metrics that it can be measured by. It checks that what came out is right, and raises `Wrong` if
   not: a number that was not verified is none. It raises `Missing` when the peer is not installed. The contender
   `OURS` is Liongate; ratios are always ours to theirs.
4. A `Goal` is a bound on a metric of ours: a ratio to a peer (`Goal("rate", 5, of="redis")`), or absolute
   (`Goal("rate", 1e6)`). The metric's `better` says on which side of the bound it is met.
5. What all rounds of a work share and is dear to make (a log with 10 M events) comes from its `fixture`: a
   function of a `Bench` that is a context manager; what it yields is `bench.fixture` in `run()`.

`run(bench)` is given a `Bench`: `bench.size` (the work's `full` or `smoke`), `bench.smoke`, `bench.fixture`,
`bench.program("bench-raw")` (the path of a C program of tests/bench), `bench.temp_dir()` (a context manager: a
directory that goes again), `bench.run(command)`. Everybody starts from nothing in each round, and rounds
alternate: A B C, B C A, C A B, so that what the machine does meanwhile, or remembers, is shared out evenly.

    WORKS = [
        Work(
            name="exec",
            title="1,000 short programs",
            metrics=[Metric("rate", "programs/s")],
            contenders=[Contender(OURS, "Liongate", run_ours), Contender("raw", "posix_spawn", run_raw)],
            goals=[Goal("rate", 0.85, of="raw")],
            full={"programs": 1000},
            smoke={"programs": 20},
        )
    ]
"""

import contextlib
import dataclasses
import os
import shutil
import statistics
import subprocess
import tempfile
import time

OURS = "liongate"
# A round that takes longer than this hangs.
ROUND_SECONDS = 300


class Missing(Exception):
    """A peer is not installed."""


class Wrong(Exception):
    """The work was not done, or not as it should be: no number counts."""


@dataclasses.dataclass(frozen=True)
class Metric:
    key: str
    unit: str
    better: str = "higher"  # or "lower"
    title: str = ""  # where a work has more than one

    def __post_init__(self):
        assert self.better in ("higher", "lower"), self.better


@dataclasses.dataclass(frozen=True)
class Goal:
    metric: str
    bound: float
    of: str = None  # the contender whose value the bound is a multiple of; None: the bound is absolute


@dataclasses.dataclass(frozen=True)
class Contender:
    key: str
    title: str
    run: object  # of a Bench; returns {metric: value}


@dataclasses.dataclass(frozen=True)
class Work:
    name: str
    title: str
    metrics: list
    contenders: list
    full: dict
    smoke: dict
    goals: list = dataclasses.field(default_factory=list)
    fixture: object = None  # of a Bench; a context manager
    note: str = ""  # what a reader of the table has to know

    def metric(self, key):
        return next(metric for metric in self.metrics if metric.key == key)

    def contender(self, key):
        return next(contender for contender in self.contenders if contender.key == key)


@dataclasses.dataclass(frozen=True)
class Chart:
    """Works that differ in one number, in one picture: a curve of each contender, both axes logarithmic."""

    name: str
    title: str
    metric: str
    axis: str  # what that number is
    works: dict  # name: the number


class Bench:
    """What a contender is given."""

    def __init__(self, build, smoke, size):
        self.build = build
        self.smoke = smoke
        self.size = size
        self.fixture = None

    def program(self, name):
        return os.path.join(self.build, "tests", "bench", name)

    @contextlib.contextmanager
    def temp_dir(self):
        path = tempfile.mkdtemp(prefix="liongate-bench-")
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def run(self, command, **kwargs):
        """Runs a program to its end and returns its standard output; Wrong if it fails."""
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, timeout=ROUND_SECONDS, check=False, **kwargs
        )
        if done.returncode != 0:
            raise Wrong(f"{os.path.basename(command[0])} ended with {done.returncode}")
        return done.stdout


def find_program(*names):
    """The first of these that is installed; Missing if none is. Daemons live in sbin."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise Missing(f"{names[0]} is not installed")


# --- measuring ---------------------------------------------------------------------------------


def measure(work, build, rounds, smoke, say):
    """All rounds of a work. Returns {contender: {metric: [value, ...]}}, and {contender: why it is left out}."""
    bench = Bench(build, smoke, work.smoke if smoke else work.full)
    values = {contender.key: {} for contender in work.contenders}
    out = {}
    with work.fixture(bench) if work.fixture else contextlib.nullcontext() as fixture:
        bench.fixture = fixture
        for number in range(rounds):
            first = number % len(work.contenders)
            for contender in work.contenders[first:] + work.contenders[:first]:
                if contender.key not in out:
                    _one_round(bench, work, contender, values[contender.key], out, say)
    return values, out


def _one_round(bench, work, contender, values, out, say):
    began = time.monotonic()
    try:
        result = contender.run(bench)
    except Missing as why:
        out[contender.key] = str(why)
        say(f"{work.name:<14} {contender.key:<12} left out: {why}")
        return
    for key, value in result.items():
        work.metric(key)
        values.setdefault(key, []).append(value)
    shown = ", ".join(f"{number(value)} {work.metric(key).unit}" for key, value in result.items())
    say(f"{work.name:<14} {contender.key:<12} {shown} ({time.monotonic() - began:.1f} s)")


# --- judging -----------------------------------------------------------------------------------


def summarise(work, values, out):
    """The result of a work, as it goes into the JSON."""
    contenders = {}
    for contender in work.contenders:
        measured = {
            key: {
                "median": statistics.median(series),
                "min": min(series),
                "max": max(series),
                "rounds": series,
            }
            for key, series in values[contender.key].items()
        }
        contenders[contender.key] = {"title": contender.title, "metrics": measured}
        if contender.key in out:
            contenders[contender.key]["left_out"] = out[contender.key]
    ours = contenders[OURS]["metrics"]
    for key, contender in contenders.items():
        contender["ratios"] = {
            metric: ours[metric]["median"] / theirs["median"]
            for metric, theirs in contender["metrics"].items()
            if key != OURS and metric in ours and theirs["median"] > 0
        }
    return {
        "title": work.title,
        "note": work.note,
        "size": work.full,
        "metrics": {m.key: {"unit": m.unit, "better": m.better, "title": m.title} for m in work.metrics},
        "contenders": contenders,
        "goals": [_judge(work, goal, contenders) for goal in work.goals],
    }


def _judge(work, goal, contenders):
    metric = work.metric(goal.metric)
    sign = "≥" if metric.better == "higher" else "≤"
    what = f"{metric.title}: " if metric.title else ""
    if goal.of is None:
        text = f"{what}{sign} {number(goal.bound)} {metric.unit}"
        value = contenders[OURS]["metrics"].get(goal.metric, {}).get("median")
    else:
        text = f"{what}{sign} {number(goal.bound)} × {work.contender(goal.of).title}"
        value = contenders[goal.of]["ratios"].get(goal.metric)
    met = None
    if value is not None:
        met = value >= goal.bound if metric.better == "higher" else value <= goal.bound
    return {
        "metric": goal.metric,
        "text": text,
        "value": value,
        "bound": goal.bound,
        "of": goal.of,
        "met": met,
    }


# --- reporting ---------------------------------------------------------------------------------


def number(value):
    """For people: three digits that count, thousands apart."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        digits = len(str(int(abs(value))))
        return f"{round(value, 3 - digits):,.0f}"
    text = f"{value:.{max(0, 2 - _exponent(value))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _exponent(value):
    return int(f"{abs(value):e}".partition("e")[2])


def _spread(measured):
    return f"{number(measured['min'])}–{number(measured['max'])}"


def _goal_line(goal):
    if goal["met"] is None:
        return f"not measured: {goal['text']}"
    reached = f"{number(goal['value'])}{' ×' if goal['of'] else ''}"
    return f"{'met' if goal['met'] else 'MISSED'}: {goal['text']} (it is {reached})"


def _rows(result):
    """(metric, contender, median, min–max, ratio) for every contender and metric that was measured."""
    for key, metric in result["metrics"].items():
        for name, contender in result["contenders"].items():
            measured = contender["metrics"].get(key)
            if measured is None:
                continue
            ratio = contender["ratios"].get(key)
            yield (
                f"{metric['title']}, {metric['unit']}" if metric["title"] else metric["unit"],
                contender["title"],
                number(measured["median"]),
                _spread(measured),
                f"{number(ratio)} ×" if ratio is not None else "" if name == OURS else "–",
            )


def text_report(name, result):
    lines = ["", f"{name}: {result['title']}"]
    for metric, contender, median, spread, ratio in _rows(result):
        lines.append(f"  {contender:<34} {median:>12} {metric:<24} {spread:<26} {ratio}")
    for contender in result["contenders"].values():
        if "left_out" in contender:
            lines.append(f"  {contender['title']:<34} left out: {contender['left_out']}")
    lines += ["  " + _goal_line(goal) for goal in result["goals"]]
    return "\n".join(lines)


def markdown_report(name, result, chart):
    lines = [f"### {name}: {result['title']}", ""]
    if result["note"]:
        lines += [result["note"], ""]
    if chart:
        lines += [f"![{result['title']}]({chart})", ""]
    lines += ["| | | median | min–max | Liongate is |", "| --- | --- | ---: | ---: | ---: |"]
    for metric, contender, median, spread, ratio in _rows(result):
        lines.append(f"| {contender} | {metric} | {median} | {spread} | {ratio} |")
    lines += [""] + [f"- {_goal_line(goal)}" for goal in result["goals"]]
    return "\n".join(lines + [""])
