#!/usr/bin/env python3
"""What `meson install` puts where, and how hard its programs are made. Usage: install.py ROOT BUILD MESON...

What a build leaves out (manual pages without scdoc, _FORTIFY_SOURCE without optimisation) it says by its introspection.
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT, BUILD = sys.argv[1:3]
MESON = sys.argv[3:]

PROGRAMS = ("liongated", "liongatectl")
UNITS = (
    "system/liongated.service",
    "system/liongated.socket",
    "system/liongated@.service",
    "system/liongated@.socket",
    "user/liongated.service",
)
MAN_PAGES = ("liongatectl.1", "liongated.conf.5", "liongate-protocol.7", "liongated.8")
SHARED = (
    "bash-completion/completions/liongatectl",
    "zsh/site-functions/_liongatectl",
    "fish/vendor_completions.d/liongatectl.fish",
    "liongate/liongated.conf",
    "liongate/liongated-locked.conf",
    "doc/liongate/CHANGELOG.md",
    "doc/liongate/LICENSE",
    "doc/liongate/README.md",
)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def introspect(what):
    return json.loads(run(*MESON, "introspect", BUILD, what))


def documents():
    """All of docs/ but the sources of the manual pages, and all of examples/."""
    found = [
        os.path.relpath(path, ROOT)
        for part in ("docs", "examples")
        for path in glob.glob(os.path.join(ROOT, part, "**"), recursive=True)
        if os.path.isfile(path)
    ]
    return [path for path in found if not path.startswith("docs/man/")]


def expected(options, targets):
    """Paths relative to the prefix."""
    pages = [page for page in MAN_PAGES if page in targets]
    return {
        *(os.path.join(options["bindir"], name) for name in PROGRAMS),
        *(os.path.join("lib/systemd", unit) for unit in UNITS),
        "lib/sysusers.d/liongate.conf",
        "lib/tmpfiles.d/liongate.conf",
        *(os.path.join(options["datadir"], path) for path in SHARED),
        *(os.path.join(options["datadir"], "doc/liongate", path) for path in documents()),
        *(os.path.join(options["mandir"], "man" + page[-1], page) for page in pages),
    }


def installed(top):
    return {
        os.path.relpath(os.path.join(where, name), top) for where, _, names in os.walk(top) for name in names
    }


def file_faults(top, options, targets):
    held, found = expected(options, targets), installed(top)
    faults = [f"{path} is not installed" for path in sorted(held - found)]
    faults += [f"{path} is installed, and not in the list of this test" for path in sorted(found - held)]
    for path in sorted(found):
        mode = os.stat(os.path.join(top, path)).st_mode
        if path.startswith(options["bindir"]) and not mode & 0o111:
            faults.append(f"{path} cannot be executed")
        if mode & 0o022:
            faults.append(f"{path} can be written by others: {mode & 0o7777:o}")
    return faults


def hardening(options):
    """What -> the pattern that `readelf` must print."""
    wanted = {
        "full RELRO (segment)": r"^ +GNU_RELRO ",
        "full RELRO (BIND_NOW)": r"\(FLAGS_1\).*\bNOW\b",
        "a stack that is no code": r"^ +GNU_STACK .* RW +0x",
        "the stack protector": r"\b__stack_chk_fail\b",
    }
    if options["b_pie"]:
        wanted["position independent"] = r"\(FLAGS_1\).*\bPIE\b"
    # Of `plain` and of flags from outside it is those that decide.
    optimised = options["optimization"] not in ("0", "plain")
    if optimised and options["b_sanitize"] == "none" and not any("FORTIFY" in arg for arg in options["c_args"]):
        wanted["_FORTIFY_SOURCE"] = r"\b__\w+_chk\b"
    return wanted


def hardening_faults(top, options):
    faults = []
    for name in PROGRAMS:
        path = os.path.join(top, options["bindir"], name)
        said = run("readelf", "-W", "-l", "-d", "--dyn-syms", path)
        faults += [
            f"{name}: not there: {what}"
            for what, pattern in hardening(options).items()
            if not re.search(pattern, said, re.M)
        ]
    return faults


def main():
    options = {option["name"]: option["value"] for option in introspect("--buildoptions")}
    targets = {target["name"] for target in introspect("--targets")}
    with tempfile.TemporaryDirectory() as scratch:
        run(*MESON, "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", scratch)
        top = os.path.join(scratch, options["prefix"].lstrip("/"))
        faults = file_faults(top, options, targets) + hardening_faults(top, options)
        print(*faults, f"{len(installed(top))} files, {len(faults)} faults", sep="\n")
    sys.exit(1 if faults else 0)


main()
