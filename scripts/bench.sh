#!/usr/bin/env bash
# Measures Liongate and its peers: builds a release in build-bench, and runs the benchmarks of tests/bench in it.
# Usage: bench.sh [OPTION...] [NAME...]   (all if none is named; `bench.sh --help` names the options)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

case " $* " in
*" --help "* | *" -h "* | *" --list "* | *" --from"*) exec python3 tests/bench/bench.py "$@" ;;
esac

scripts/install-deps.sh --all >&2
build_in build-bench -Dbuildtype=release -Dtests=false -Dbench=true >&2
exec python3 tests/bench/bench.py "$@"
