#!/usr/bin/env python3
"""mandoc finds nothing wrong with the manual pages. Usage: man_pages.py PAGE..."""

import re
import shutil
import subprocess
import sys

# Of style: the lines of our sources, which scdoc hands on, have up to 120 columns. A reader sees nothing of it.
IGNORED = re.compile(r"STYLE: input text line longer than 80 bytes")

SKIPPED = 77  # to meson


def main():
    pages = sys.argv[1:]
    mandoc = shutil.which("mandoc")
    if not mandoc:
        print("there is no mandoc")
        sys.exit(SKIPPED)
    done = subprocess.run(
        [mandoc, "-Tlint", "-Wall", *pages], stdout=subprocess.PIPE, text=True, check=False, timeout=60
    )
    said = [line for line in done.stdout.splitlines() if not IGNORED.search(line)]
    print(*said, f"{len(pages)} pages, {len(said)} faults", sep="\n")
    sys.exit(1 if said or not pages else 0)


main()
