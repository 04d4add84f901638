#!/usr/bin/env bash
# Has the daemon die, its disk fail, its log rot and its memory run out, and holds it to its promises; see docs/reliability.md.
# Usage: faults.sh [--short] [NAME...]   (all of tests/faults if none is named; `faults.sh --list` names them)
# --short: what CI does. LIONGATE_FAULTS_SEED: to see a run again. The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

mapfile -t all < <(find tests/faults -name 'test_*.py' -printf '%f\n' | sed 's/^test_//; s/\.py$//' | sort)
if [ "${1-}" = --list ]; then
    printf '%s\n' "${all[@]}"
    exit 0
fi
export LIONGATE_FAULTS=long
if [ "${1-}" = --short ]; then
    LIONGATE_FAULTS=short
    shift
fi
[ $# -gt 0 ] || set -- "${all[@]}"

scripts/install-deps.sh --all
build_in build -Dtests=true || exit 1

passed=0 failed=0
for name in "$@"; do
    began=$SECONDS
    if python3 "tests/faults/test_$name.py" </dev/null; then
        passed=$((passed + 1)) word=ok
    else
        failed=$((failed + 1)) word=FAILED
    fi
    echo "$word $name: $((SECONDS - began)) s"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
