#!/usr/bin/env bash
# Builds the fuzzers in build-fuzz and runs each for SECONDS, two at a time. What they find stays in
# build-fuzz/findings, and makes this fail. What they learn is kept in build-fuzz/corpus.
# Usage: fuzz.sh [SECONDS [TARGET...]]   (60 seconds; all targets: those of tests/fuzz/fuzz-TARGET.c)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

seconds=${1:-60}
shift || true
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 [SECONDS [TARGET...]]" >&2
    exit 2
fi

dir=$PWD/build-fuzz
targets=("$@")
if [ $# -eq 0 ]; then
    for source in tests/fuzz/fuzz-*.c; do
        target=${source##*/fuzz-}
        targets+=("${target%.c}")
    done
fi
for target in "${targets[@]}"; do
    if ! [ -f "tests/fuzz/fuzz-$target.c" ]; then
        echo "$0: there is no fuzzer '$target'" >&2
        exit 2
    fi
done

CC=clang build_in "$dir" -Dfuzz=true -Dbuildtype=debugoptimized -Db_lundef=false \
    -Db_sanitize=address,undefined -Dc_args='-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined'

run_one() {
    local target=$1 learned=$dir/corpus/$1 findings=$dir/findings/$1 log=$dir/logs/$1
    mkdir -p "$learned" "$findings" "$dir/logs"
    if "$dir/tests/fuzz/fuzz-$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$findings/" \
        "$learned" "tests/fuzz/corpus/$target" >"$log" 2>&1 </dev/null; then
        echo "$target: $(awk '/^stat::number_of_executed_units:/ { print $2 }' "$log") runs, nothing found"
    else
        echo "$target: FOUND SOMETHING"
        grep -E '^(SUMMARY|Test unit written|.*fuzz-[a-z-]*\.c:[0-9]+: )|runtime error' "$log" || tail -n 20 "$log"
        return 1
    fi
}
export -f run_one
export dir seconds

# shellcheck disable=SC2016  # expanded by the inner shell
printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -c 'run_one "$1"' fuzz {}
