#!/usr/bin/env python3
"""Runs benchmarks, and reports. `scripts/bench.sh` builds what it needs and calls it; see its `--help`."""

import argparse
import datetime
import functools
import importlib
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import core  # noqa: E402
import plot  # noqa: E402

# Modules beside this file, each with WORKS and maybe CHARTS; in the order in which they are run.
FAMILIES = ["stream", "exec", "spawn", "many", "llm", "idle"]

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
IMAGES = os.path.join(ROOT, "docs", "img")
PAGE = os.path.join(ROOT, "docs", "benchmarks.md")
# What --docs writes stands between these lines of the page.
BEGIN, END = "<!-- results: written by ./scripts/bench.sh --docs -->\n", "<!-- end of results -->\n"
LEAST_ROUNDS = 5
# Packages of peers, whose versions stand in the report.
PEERS = ["redis-tools", "nats-server", "task-spooler", "supervisor"]


def arguments():
    parser = argparse.ArgumentParser(
        prog="bench.sh", description="Measures Liongate and its peers, in turns, and compares them."
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="a work, or a family of them; all if none is named")
    add("--list", action="store_true", help="name the works, and end")
    add("--rounds", type=int, default=LEAST_ROUNDS, help="how often each does it (%(default)s)")
    add("--smoke", action="store_true", help="one tiny round, to see that all still runs; judges nothing")
    add("--json", metavar="FILE", help="write all that was measured to FILE")
    add("--from", dest="source", metavar="FILE", help="measure nothing: report what --json wrote")
    add("--markdown", action="store_true", help="report as Markdown")
    add("--plots", metavar="DIR", help="draw charts into DIR, as SVG")
    add("--docs", action="store_true", help="write tables and charts into docs/benchmarks.md and docs/img")
    add("--build", default=os.path.join(ROOT, "build-bench"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < LEAST_ROUNDS and not options.smoke:
        parser.error(f"fewer than {LEAST_ROUNDS} rounds say nothing")
    return options


def load_families():
    return {name: importlib.import_module(name) for name in FAMILIES}


def chosen_works(families, names):
    """The works that are named, by their own name or by their family's."""
    works, unknown = [], set(names)
    for family, module in families.items():
        for work in module.WORKS:
            if not names or {family, work.name} & set(names):
                works.append(work)
            unknown -= {family, work.name}
    if unknown:
        sys.exit(f"bench.sh: there is no benchmark {', '.join(sorted(unknown))} (--list names them)")
    return works


# --- where and when ----------------------------------------------------------------------------


def _first_match(path, name):
    with open(path, encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return "unknown"


def _output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def machine(build):
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "command": "./scripts/bench.sh " + " ".join(sys.argv[1:]).replace(f"--build {build} ", ""),
        "commit": _output("git", "-c", f"safe.directory={ROOT}", "rev-parse", "--short=12", "HEAD"),
        "cpu": _first_match("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory": _first_match("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "libc": " ".join(platform.libc_ver()),
        "logs on": _output("findmnt", "-n", "-o", "FSTYPE", "-T", tempfile.gettempdir()),
        "peers": _output("dpkg-query", "-W", "-f", "${Package} ${Version}  ", *PEERS),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


# --- doing it ----------------------------------------------------------------------------------


def say(text):
    print(text, file=sys.stderr, flush=True)


def smoke(works, build):
    """Whether each contender of each work still does its work. The last line is "N passed, N failed"."""
    passed = failed = 0
    for work in works:
        try:
            _, out = core.measure(work, build, 1, True, say)
        except Exception as why:  # pylint: disable=broad-except
            print(f"FAILED {work.name}: {type(why).__name__}: {why}")
            failed += 1
            continue
        for contender, why in out.items():
            print(f"FAILED {work.name}: {contender}: {why}")
        passed, failed = passed + (not out), failed + bool(out)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def measure(works, options):
    results = {"machine": machine(options.build), "rounds": options.rounds, "works": {}}
    for work in works:
        try:
            values, out = core.measure(work, options.build, options.rounds, False, say)
        except Exception as why:  # pylint: disable=broad-except
            say(f"FAILED {work.name}: {type(why).__name__}: {why}")
            results["failed"] = results.get("failed", []) + [work.name]
            continue
        results["works"][work.name] = core.summarise(work, values, out)
    return results


def pictures_of(families, results):
    """{file name: (what draws it, its works)}: the families' charts, and bars of each work that is in none."""
    works, pictures, drawn = results["works"], {}, set()
    for module in families.values():
        for chart in getattr(module, "CHARTS", []):
            if set(chart.works) <= set(works):
                pictures[f"bench-{chart.name}.svg"] = functools.partial(plot.curves, chart), list(chart.works)
                drawn |= set(chart.works)
    for name in works:
        if name not in drawn:
            pictures[f"bench-{name}.svg"] = functools.partial(plot.bars, name), [name]
    return pictures


def draw(pictures, works, directory):
    os.makedirs(directory, exist_ok=True)
    for name, (drawing, _) in pictures.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(drawing(works))


def markdown(results, pictures):
    lines = ["| | |", "| --- | --- |"]
    lines += [f"| {key} | {value} |" for key, value in results["machine"].items()]
    lines += [f"| rounds | {results['rounds']} |", ""]
    first = {works[0]: f"img/{name}" for name, (_, works) in pictures.items()}
    for name, result in results["works"].items():
        lines.append(core.markdown_report(name, result, first.get(name)))
    return "\n".join(lines)


def write_page(text):
    with open(PAGE, encoding="utf-8") as file:
        before, begin, rest = file.read().partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin and end, f"{PAGE} has no place for results"
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}\n{text}{end}{after}")


def report_text(results):
    for key, value in results["machine"].items():
        print(f"{key:<12} {value}")
    for name, result in results["works"].items():
        print(core.text_report(name, result))


def report(results, pictures, options):
    if options.plots:
        draw(pictures, results["works"], options.plots)
    if options.docs:
        draw(pictures, results["works"], IMAGES)
        write_page(markdown(results, pictures))
    if options.markdown:
        print(markdown(results, pictures))
    else:
        report_text(results)


def main():
    options = arguments()
    # What was started ends with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # What tests/lib/harness.py starts: it looks when it is imported.
    os.environ["LIONGATED"] = os.path.join(options.build, "daemon", "liongated")
    # A thousand subscribers are a thousand descriptors, at both ends.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
    families = load_families()
    works = chosen_works(families, options.names)
    if options.list:
        for work in works:
            print(f"{work.name:<16} {work.title} ({', '.join(c.key for c in work.contenders)})")
        return 0
    if options.smoke:
        return smoke(works, options.build)
    if options.source:
        with open(options.source, encoding="utf-8") as file:
            results = json.load(file)
    else:
        results = measure(works, options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1, ensure_ascii=False)
            file.write("\n")
    report(results, pictures_of(families, results), options)
    return 1 if "failed" in results else 0


if __name__ == "__main__":
    sys.exit(main())
