#!/usr/bin/env bash
# Shows Liongate at work: builds it, starts a daemon of its own in a temporary directory, runs a few agents
# on it, and takes everything away again. Nothing is installed but what building needs.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
    bold=$'\033[1m' plain=$'\033[0m'
fi

say() {
    printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

# Prints a command as it would be typed, and runs it.
show() {
    local word line='$'
    for word in "$@"; do
        case "$word" in
        *[!A-Za-z0-9_./=:-]* | '') line+=" ${word@Q}" ;;
        *) line+=" $word" ;;
        esac
    done
    printf '%s\n' "$line"
    "$@"
}

say "1. Building (the first time takes a minute)"
scripts/install-deps.sh
build_in build -Dtests=false
PATH=$PWD/build/client:$PWD/build/daemon:$PATH

scratch=$(mktemp -d "${TMPDIR:-/tmp}/liongate-demo-XXXXXX")
daemon=
clean_up() {
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" || true
    fi
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

say "2. Starting the daemon, with its socket and its log in $scratch"
export LIONGATE_SOCKET=$scratch/control.sock
liongated --no-config --socket="$LIONGATE_SOCKET" --state-dir="$scratch/state" --log-level=warning &
daemon=$!
until liongatectl status >/dev/null 2>&1; do
    kill -0 "$daemon" 2>/dev/null || {
        echo "the daemon did not start" >&2
        exit 1
    }
    sleep 0.1
done
show liongatectl status

say "3. Three agents at once. They are mocks: each writes three chunks, and the daemon streams them as they come"
show liongatectl multi-agent-demo

say "4. Real programs as agents: three shell scripts, side by side, each in a process tree of its own"
job=demo-$$
spawn() {
    show liongatectl spawn-agent --detach --correlation-id "$job" --label name="$1" -- bash -c "$2"
}
# shellcheck disable=SC2016  # expanded by the agents' shells
{
    spawn counter 'for i in 1 2 3 4; do echo "counting: $i"; sleep 0.3; done'
    spawn system 'echo "running on $(uname -sr)"; sleep 0.5; echo "with $(nproc) cores"'
    spawn fails 'sleep 0.4; echo "this one fails" >&2; exit 3'
}
show liongatectl watch --from-start --correlation-id "$job" --prefix name --until-idle

say "5. What the daemon remembers of them: every event was in the log before anyone saw it"
show liongatectl list
show liongatectl stats

say "Done. The daemon is being stopped, and $scratch removed."
echo "The programs are build/daemon/liongated and build/client/liongatectl: both have --help."
