#!/usr/bin/env bash
# Every check there is; what .ci/run calls. Logs are in build-ci/logs. The last line is "N passed, N failed".
# Usage: ci.sh [STEP...]   (all steps if none is named; `ci.sh --list` names them)
# Some more are for a release, and take long: asan-all, tsan-all, valgrind-all, analyze, and repeat (REPEAT_RUNS times all tests
# on a busy machine).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

steps=(asan tests tsan valgrind fuzz clang-debug bench clang-release format shell)
fuzz_seconds=${FUZZ_SECONDS:-15}
cores=$(nproc)
logs=$PWD/build-ci/logs

tracked() {
    # A clone that belongs to somebody else than root is one that git would not look into.
    git -c safe.directory="$PWD" ls-files -- "$@"
}

step_tests() {
    scripts/test.sh
}

step_format() {
    tracked '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

step_shell() {
    tracked '*.sh' '*.bash' '.ci/run' examples/git/pre-commit 'debian/*.p*' debian/tests/{private-daemon,integration,service} |
        xargs shellcheck -x
}

build_with() {
    CC=$1 build_in "build-ci/$1-$2" -Dbuildtype="$2" "${@:3}"
}

step_clang-release() { build_with clang release -Dtests=false; }

# What follows is for clang-tidy.
clang_tidy() {
    build_with clang debug || return 1
    tracked 'common/*.c' 'daemon/*.c' 'client/*.c' |
        xargs -P "$cores" -n 4 clang-tidy -p build-ci/clang-debug --quiet --warnings-as-errors='*' "$@"
}

# Its analyzer looks a few calls deep here, which takes a sixth of the time.
step_clang-debug() {
    clang_tidy --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=mode=shallow
}

# And here as deep as it can.
step_analyze() { clang_tidy; }

# Runs `meson test` on build directory $1 as it suits sanitizers; what follows goes to meson.
meson_slow() {
    local dir=$1
    shift
    # Sanitizers are slow: the time limits of the tests, of Check and of meson all grow. How much is done is for the
    # plain tests; these look at how.
    export LIONGATE_TEST_SCALE=5 CK_TIMEOUT_MULTIPLIER=5 LIONGATE_CRASH_ROUNDS=15 LIONGATE_LOAD_AGENTS=3000 \
        LIONGATE_LOAD_BYTES=$((20 << 20)) LIONGATE_REAL_SOURCES=3 CK_EXCLUDE_TAGS=mass
    meson test -C "$dir" --no-rebuild --print-errorlogs --timeout-multiplier 5 "$@"
}

# The tests of suite $2 of build directory $1, a line each, but those that follow.
tests_but() {
    local dir=$1 suite=$2
    shift 2
    meson test -C "$dir" --no-rebuild --list --suite "$suite" 2>/dev/null | sed 's,.* / ,,' |
        grep -vxF "$(printf '%s\n' "$@")"
}

make_asan() {
    CC=clang build_in build-ci/asan -Dbuildtype=debug -Doptimization=1 -Db_lundef=false \
        -Db_sanitize=address,undefined
}

# Runs the integration tests, and the unit tests that are arguments of `meson test`, of a build with AddressSanitizer.
under_asan() {
    local dir=build-ci/asan status=0 passed failed cli_passed cli_failed integration
    # Those that are about what stands in pages and scripts have their say elsewhere. The leak checker waits for ever
    # where a terminal goes while it looks, as it does in a test of top: that goes with it, by hand.
    mapfile -t integration < <(tests_but "$dir" integration integration-{man,examples,completion,top})
    # Each daemon ends in order, so that the leak checker has its say.
    export LIONGATE_TEST_CLEAN=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=1
    # Of the faults those that have the daemon do most; the others load a library into it, or are about how much.
    {
        meson_slow "$dir" "$@" || status=1
        meson_slow "$dir" "${integration[@]}" || status=1
        meson_slow "$dir" faults-crash faults-disk && [ "$status" -eq 0 ]
    } | tee "$logs/asan-meson" || status=1
    # The client, too, as a person uses it. It has one thread: this is not for tsan.
    scripts/test_cli.sh "$dir" | tee "$logs/asan-cli" || status=1
    read -r passed failed < <(meson_results "$logs/asan-meson")
    read -r cli_passed cli_failed < <(last_result "$logs/asan-cli" || echo 0 1)
    echo "$((passed + cli_passed)) passed, $((failed + cli_failed)) failed"
    return "$status"
}

# Not those that start a process for each of many cases.
step_asan() {
    local units
    make_asan || return 1
    mapfile -t units < <(tests_but build-ci/asan unit exec reaper)
    under_asan "${units[@]}"
}

step_asan-all() {
    make_asan && under_asan --suite unit
}

make_tsan() {
    CC=gcc build_in build-ci/tsan -Dbuildtype=debug -Doptimization=1 -Db_lundef=false -Db_sanitize=thread
}

# Runs tests of a build with ThreadSanitizer; what follows are arguments of `meson test`.
under_tsan() {
    local randomised=()
    # Where vm.mmap_rnd_bits is above 28, the sanitizer cannot bear randomised addresses; some
    # containers do not let them be switched off.
    setarch -R true 2>/dev/null && randomised=(setarch -R)
    export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
    export -f meson_slow
    # shellcheck disable=SC2016  # expanded by the inner shell
    "${randomised[@]}" bash -c 'meson_slow "$@"' tsan build-ci/tsan "$@"
}

# What has the threads hand one another most. The others are about what main alone does, or the reaper, who has but one.
step_tsan() {
    local names=(load spawn life llm subscribe read restart state) units
    make_tsan || return 1
    mapfile -t units < <(tests_but build-ci/tsan threads exec scan jsonx)
    under_tsan "${units[@]}" "${names[@]/#/integration-}"
}

step_tsan-all() {
    make_tsan && under_tsan --suite unit --suite integration
}

# Runs tests under valgrind; what follows are arguments of `meson test`.
under_valgrind() {
    local valgrind
    valgrind='valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite'
    valgrind+=' --errors-for-leak-kinds=definite'
    build_in build -Dtests=true || return 1
    export LIONGATE_TEST_SCALE=20 CK_TIMEOUT_MULTIPLIER=20 LIONGATE_TEST_CLEAN=1
    # What valgrind cannot run as the machine does carries the tag, and says why.
    export CK_EXCLUDE_TAGS='no-valgrind mass'
    if [ "$1" = --suite ] && [ "$2" = integration ]; then
        LIONGATE_TEST_WRAPPER=$valgrind meson test -C build --no-rebuild --print-errorlogs \
            --timeout-multiplier 20 "$@"
    else
        meson test -C build --no-rebuild --print-errorlogs --timeout-multiplier 20 \
            --wrapper "$valgrind" "$@"
    fi
}

# The unit tests but those that start programs, which is what valgrind is slowest at, and those that go through every byte
# of something.
step_valgrind() {
    local names
    build_in build -Dtests=true || return 1
    mapfile -t names < <(tests_but build unit exec reaper jsonx log-recover scan)
    under_valgrind "${names[@]}"
}

# Hours, most of them for integration tests that start a daemon for each of many cases.
step_valgrind-all() {
    under_valgrind --suite unit || return 1
    under_valgrind --suite integration
}

# An hour or two: all tests, again and again, beside something that wants the machine for itself.
step_repeat() {
    local dir=build-ci/gcc-release load run passed=0 failed=0
    build_with gcc release || return 1
    stress-ng --quiet --cpu "$cores" &
    load=$!
    for ((run = 1; run <= ${REPEAT_RUNS:-20}; run++)); do
        if meson test -C "$dir" --no-rebuild --print-errorlogs --no-suite lint; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
        fi
    done
    kill "$load"
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}

run_fuzzer() {
    local target=$1 name=${1##*/} corpus seeds=() status=ok
    corpus=$(mktemp -d)
    [ -d "tests/fuzz/corpus/${name#fuzz-}" ] && seeds=("tests/fuzz/corpus/${name#fuzz-}")
    "$target" -max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$logs/$name-" "$corpus" "${seeds[@]}" >"$logs/$name.log" 2>&1 || status=FAILED
    [ "$status" = ok ] || tail -n 60 "$logs/$name.log"
    echo "$status $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$name.log") runs"
    rm -rf "$corpus"
}

step_fuzz() {
    local dir=build-ci/fuzz targets results
    CC=clang build_in "$dir" -Dfuzz=true -Dbuildtype=debugoptimized -Db_lundef=false \
        -Db_sanitize=address,undefined || return 1
    targets=$(find "$dir/tests/fuzz" -maxdepth 1 -type f -executable -name 'fuzz-*' | sort)
    [ -n "$targets" ] || {
        echo "there are no fuzzers in $dir"
        return 1
    }
    export -f run_fuzzer
    export fuzz_seconds logs
    # shellcheck disable=SC2016  # expanded by the inner shell
    results=$(xargs -P "$cores" -I{} bash -c 'run_fuzzer "$1"' fuzz {} <<<"$targets")
    printf '%s\n' "$results"
    echo "$(grep -c '^ok ' <<<"$results") passed, $(grep -c '^FAILED ' <<<"$results") failed"
}

# Whether each benchmark still runs, and is still right; no times are judged. Its build is gcc's for a release.
step_bench() {
    build_in build-bench -Dbuildtype=release -Dtests=false -Dbench=true || return 1
    meson test -C build-bench --no-rebuild --print-errorlogs --suite bench || return 1
    scripts/bench.sh --smoke
}

# Runs a step, and shows the end of its log if it failed. A step that counts nothing is one check. The line that says
# how it went is what is added up at the end.
run_step() {
    local name=$1 log=$logs/$1.log began=$SECONDS passed failed status=0 word=ok
    "step_$name" >"$log" 2>&1 </dev/null || status=1
    read -r passed failed < <(last_result "$log" || meson_results "$log")
    if [ "$status" -ne 0 ]; then
        [ "$failed" -gt 0 ] || failed=1
    elif [ $((passed + failed)) -eq 0 ]; then
        passed=1
    fi
    [ "$failed" -eq 0 ] || word=FAILED
    {
        printf '%-14s %s  %d passed, %d failed, %d s\n' "$name" "$word" "$passed" "$failed" $((SECONDS - began))
        [ "$failed" -eq 0 ] || tail -n 200 "$log"
    } >"$logs/$name.result"
    cat "$logs/$name.result"
}

if [ "${1-}" = --list ]; then
    printf '%s\n' "${steps[@]}"
    exit 0
fi
[ $# -gt 0 ] && steps=("$@")
mkdir -p "$logs"
rm -f "$logs"/*.result

scripts/install-deps.sh --all >"$logs/install.log" 2>&1 || {
    cat "$logs/install.log"
    exit 1
}

# Two at a time, the longest first: most tests wait most of the time, and what a busy machine breaks is broken.
for step in "${steps[@]}"; do
    run_step "$step" &
    if [ "$(jobs -rp | wc -l)" -ge 2 ]; then
        wait -n
    fi
done
wait

total_passed=0 total_failed=0
for step in "${steps[@]}"; do
    read -r _ _ passed _ failed _ <"$logs/$step.result" || passed=0 failed=1
    total_passed=$((total_passed + passed)) total_failed=$((total_failed + failed))
done
echo
echo "$total_passed passed, $total_failed failed"
[ "$total_failed" -eq 0 ]
