#!/usr/bin/env bash
# Boots a real systemd in a container (systemd-nspawn) over a copy of this machine, installs the build there, and runs
# units.py in it. Root alone can; nothing of the machine is changed, and nothing stays, whatever ends this.
# Usage: run.sh BUILD [CLASS[.TEST]...]
# LIONGATE_SYSTEMD_ROOT names a root that has all of it installed, in place of the machine and the build.
# Exit status: 0, 1, or 77 where it cannot run here; why is said.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
shift
# The boot with all that follows; meson's own limit is above it.
limit=${LIONGATE_SYSTEMD_TIMEOUT:-150}

skip() {
    echo "SKIPPED: the units were not run under systemd: $*" >&2
    exit 77
}

tools=(systemd-nspawn:systemd-container)
[ -n "${LIONGATE_SYSTEMD_ROOT-}" ] || tools+=(dbus-daemon:dbus meson:meson)
for tool in "${tools[@]}"; do
    command -v "${tool%:*}" >/dev/null || skip "there is no ${tool%:*} (package ${tool#*:})"
done
[ "$(id -u)" -eq 0 ] || skip 'it takes root'
unshare --mount --propagation private true 2>/dev/null || skip 'no mount namespace can be made'
hierarchy=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET) || skip 'there is no cgroup2'
cgroup=$hierarchy/liongate-test-$$
mkdir "$cgroup" 2>/dev/null || skip "no cgroup can be made in $hierarchy"

# Ends what is in the cgroup, and with the last process go its mounts. It has a session of its own and waits for the other
# end of its standard input to close: that happens also where this is killed.
# shellcheck disable=SC2016  # expanded by the inner shell
exec {alive}> >(exec setsid bash -c '
    cat
    for _ in $(seq 100); do
        mapfile -t pids < <(find "$1" -name cgroup.procs -exec grep -hx "[1-9][0-9]*" {} + 2>/dev/null)
        [ "${#pids[@]}" -gt 0 ] || break
        kill -KILL "${pids[@]}"
        sleep 0.1
    done
    # systemd makes the same ones in a hierarchy of the old kind, where there is one.
    name=${1##*/}
    find "${1%/*}" /sys/fs/cgroup -depth -type d \( -path "*/$name" -o -path "*/$name/*" \) -exec rmdir {} +
    ' janitor "$cgroup" >/dev/null 2>&1)
janitor=$!

# shellcheck disable=SC2317  # the trap calls it
finish() {
    exec {alive}>&-
    # It is a child of ours, but not one of those that bash waits for in a trap that a signal set off.
    tail --pid="$janitor" -s 0.1 -f /dev/null
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

(
    exec {alive}>&-
    echo "$BASHPID" >"$cgroup/cgroup.procs" || skip "nothing can be moved into $cgroup"
    exec unshare --mount --propagation private "$here/boot.sh" "$build" "$limit" "$@"
) </dev/null &
status=0
wait $! || status=$?
exit "$status"
