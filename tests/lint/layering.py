#!/usr/bin/env python3
"""Who may include whom. Usage: layering.py ROOT"""

import os
import re
import sys

import source_tree

DAEMON = {"common", "config", "loop", "reaper", "backend", "eventlog", "agent", "control", "daemon"}

# module -> modules whose headers it may include
ALLOWED = {
    "common": {"common"},
    "config": {"common", "config", "eventlog", "backend", "reaper"},
    "loop": {"common", "loop"},
    "reaper": {"common", "reaper"},
    "backend": {"common", "loop", "reaper", "backend"},
    "eventlog": {"common", "loop", "eventlog"},
    "agent": {"common", "config", "loop", "reaper", "backend", "eventlog", "agent"},
    "control": DAEMON - {"daemon"},
    "daemon": DAEMON,
    "client": {"common", "client"},
}

# library's headers -> files that may include them
LIBRARIES = (
    (r"event2/|event\.h", r"daemon/(loop|reaper|backend|control)/|daemon/[^/]+\.[ch]$"),
    (r"sqlite3\.h", r"daemon/eventlog/catalog[^/]*$"),
    (r"systemd/", r"daemon/[^/]+\.c$|daemon/control/listener[^/]*$"),
    (r"curl/", r"daemon/backend/(curl|http[^/]*)\.[ch]$"),
    (r"curses\.h", r"client/screen\.c$"),
    (r"ini\.h", r"daemon/config-[^/]+\.c$"),
    (r"json-c/|json\.h", r"(common|daemon|client)/"),
    (r"pthread\.h|threads\.h", r"common/log\.c$|daemon/"),
)

INCLUDE = re.compile(r'\s*#\s*include\s*(["<])([^">]+)[">]')


def module_of(path):
    """The module that a file belongs to; None for what may include anything."""
    parts = path.split("/")
    if parts[0] == "daemon":
        if len(parts) > 2:
            return parts[1]
        return "config" if parts[1].startswith("config") else "daemon"
    return parts[0] if parts[0] in ALLOWED else None


def check_own(root, path, included):
    if not os.path.isfile(os.path.join(root, included)):
        return f'"{included}" is not there (paths begin at the root of the project)'
    module, target = module_of(path), module_of(included)
    if module is None or target in ALLOWED[module]:
        return None
    return f'{module} may not include "{included}"'


def check_library(path, included):
    for headers, where in LIBRARIES:
        if re.match(headers, included) and not re.match(where, path):
            return f"<{included}> has no business here"
    return None


def check_file(root, path):
    if module_of(path) is not None and module_of(path) not in ALLOWED:
        return [f"{path}:1: no rule for folder {module_of(path)}: add one to layering.py"]
    faults = []
    for number, line in enumerate(source_tree.lines(root, path), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, included = match.group(1) == '"', match.group(2)
        fault = check_own(root, path, included) if quoted else None
        if not quoted and module_of(path) is not None:
            fault = check_library(path, included)
        if fault:
            faults.append(f"{path}:{number}: {fault}")
    return faults


def main():
    root = sys.argv[1]
    paths = source_tree.files(root, ".c", ".h")
    source_tree.finish([fault for path in paths for fault in check_file(root, path)], len(paths))


main()
