#!/usr/bin/env bash
# Records the terminal session of README.md anew, against a daemon of its own, and draws it: docs/img/session.svg.
# Usage: record.sh [FILE.svg]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

file=${1-docs/img/session.svg}
command -v jq >/dev/null || {
    echo "jq is missing; scripts/install-deps.sh --all installs it" >&2
    exit 1
}
scripts/install-deps.sh
build_in build -Dtests=false
python3 tests/record/session.py "$file"
echo "$file: $(stat -c %s "$file") bytes"
