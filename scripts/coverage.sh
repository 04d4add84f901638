#!/usr/bin/env bash
# Prints how much of common/, client/ and daemon/ the tests reach: file by file, with the lines that they do not.
# Usage: coverage.sh [SUITE...]   (unit integration faults client unless named; `client` is scripts/test_cli.sh)
# What is killed writes nothing down, so each daemon is ended in order where a test leaves it running. All of it is in
# build-cov/coverage.json, too.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

dir=build-cov
[ $# -gt 0 ] || set -- unit integration faults client

scripts/install-deps.sh --all
scripts/install-deps.sh --coverage
# The reaper ends by _exit(), which would write nothing down.
build_in "$dir" -Dtests=true -Dbuildtype=debug -Db_coverage=true "-Dc_args=-fprofile-update=atomic -D_exit=exit" || exit 1

summed=()
sum_up() {
    gcovr -r . --filter common/ --filter client/ --filter daemon/ --gcov-ignore-parse-errors --exclude-unreachable-branches "$@"
}

# Slow builds need time.
export LIONGATE_TEST_SCALE=5 CK_TIMEOUT_MULTIPLIER=5 LIONGATE_TEST_CLEAN=1 CK_EXCLUDE_TAGS=mass
for suite in "$@"; do
    find "$dir" -name '*.gcda' -delete
    case $suite in
    client) scripts/test_cli.sh "$dir" ;;
    *) meson test -C "$dir" --no-rebuild --suite "$suite" --timeout-multiplier 5 ;;
    esac </dev/null >"$dir/$suite.log" 2>&1 || echo "tests failed: see $dir/$suite.log" >&2
    # Each by itself: a process that is killed while it writes takes with it what others wrote before.
    sum_up --json "$dir/$suite.json" "$dir" >/dev/null && summed+=(--add-tracefile "$dir/$suite.json")
done
sum_up --print-summary --json "$dir/coverage.json" --txt - "${summed[@]}"
