#!/usr/bin/env python3
"""No function above 80 lines, no .c file above 800. Usage: sizes.py ROOT"""

import sys

import source_tree

MAX_FUNCTION = 80
MAX_FILE = 800


def check_file(root, path):
    lines = source_tree.lines(root, path)
    faults, start = [], None
    if path.endswith(".c") and len(lines) > MAX_FILE:
        faults.append(f"{path}:1: {len(lines)} lines, at most {MAX_FILE}")
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start - 1 > MAX_FUNCTION:
                faults.append(
                    f"{path}:{start}: a function of {number - start - 1} lines, at most {MAX_FUNCTION}"
                )
            start = None
    return faults


def main():
    root = sys.argv[1]
    paths = source_tree.files(root, ".c", ".h")
    source_tree.finish([fault for path in paths for fault in check_file(root, path)], len(paths))


main()
