#!/usr/bin/env bash
# Builds Liongate and runs all of its tests. The last line is "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

scripts/install-deps.sh --all
build_in build -Dtests=true

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
broken=0

meson test -C build --no-rebuild --print-errorlogs </dev/null | tee "$logs/meson" || broken=1
scripts/test_cli.sh build </dev/null | tee "$logs/cli" || broken=1

read -r passed failed < <(meson_results "$logs/meson")
read -r cli_passed cli_failed < <(last_result "$logs/cli" || echo 0 1)
passed=$((passed + cli_passed)) failed=$((failed + cli_failed))
# Something broke without saying which test it was.
[ "$broken" -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
