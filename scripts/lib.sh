# Sourced by the scripts beside it, from the root of the project.
# shellcheck shell=bash

# Makes (or updates) build directory $1 with the further arguments of `meson setup`, and builds in it.
build_in() {
    local dir=$1
    shift
    if [ -f "$dir/build.ninja" ]; then
        meson setup --reconfigure "$dir" "$@" >/dev/null
    else
        meson setup "$dir" "$@" >/dev/null
    fi || {
        tail -n 40 "$dir/meson-logs/meson-log.txt" >&2
        return 1
    }
    ninja -C "$dir" --quiet
}

# "PASSED FAILED" of a log of `meson test`. Skipped tests are neither; meson names them.
meson_results() {
    awk '
        $1 == "Ok:" { passed += $2 }
        /^Expected Fail:/ { passed += $3 }
        $1 == "Fail:" || $1 == "Timeout:" { failed += $2 }
        /^Unexpected Pass:/ { failed += $3 }
        END { print passed + 0, failed + 0 }' "$1"
}

# "PASSED FAILED" of a log whose last line is "N passed, N failed"; fails if it is not.
last_result() {
    tail -n 1 "$1" | awk '
        /^[0-9]+ passed, [0-9]+ failed$/ { print $1, $3; found = 1 }
        END { exit !found }'
}
