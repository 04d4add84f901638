#!/usr/bin/env python3
"""Every header has #pragma once and compiles alone. Usage: headers.py ROOT COMPILER..."""

import concurrent.futures
import os
import subprocess
import sys

import source_tree

FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c", "-"]


def check_file(root, compiler, path):
    if "#pragma once" not in source_tree.lines(root, path):
        return f"{path}:1: no #pragma once"
    # By an #include, as `#pragma once` in the main file is worth a warning to compilers.
    done = subprocess.run(
        [*compiler, f"-I{root}", *FLAGS],
        input=f'#include "{path}"\n',
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{path}:1: does not compile alone\n{done.stderr}" if done.returncode else None


def main():
    root, compiler = sys.argv[1], sys.argv[2:]
    paths = source_tree.files(root, ".h")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda path: check_file(root, compiler, path), paths))
    source_tree.finish([fault for fault in results if fault], len(paths))


main()
