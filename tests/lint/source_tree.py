"""What the checks of the source share: which files there are, and how a fault is reported."""

import os
import sys

FOLDERS = ("common", "daemon", "client", "tests")


def files(root, *endings):
    """Paths below the root's source folders, relative to it, sorted."""
    found = []
    for folder in FOLDERS:
        for where, _, names in os.walk(os.path.join(root, folder)):
            found += [
                os.path.relpath(os.path.join(where, name), root)
                for name in names
                if name.endswith(endings)
            ]
    return sorted(found)


def lines(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read().splitlines()


def finish(faults, checked):
    """Prints the faults, and exits."""
    for fault in faults:
        print(fault)
    print(f"{checked} files, {len(faults)} faults")
    if checked == 0:
        print("nothing was checked: is this the root of the project?")
    sys.exit(1 if faults or checked == 0 else 0)
