#!/usr/bin/env bash
# Has a liongated work for so many minutes while it prunes its log, and says whether its memory, its descriptors and its
# disk stay as they are; see docs/reliability.md.
# Usage: soak.sh MINUTES [SVG]   (the curve: build/soak.svg unless told otherwise)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

[ $# -ge 1 ] || {
    echo "usage: ${0##*/} MINUTES [SVG]" >&2
    exit 2
}
scripts/install-deps.sh --all
build_in build -Dtests=true
exec python3 tests/faults/soak.py "$1" "${2-build/soak.svg}"
