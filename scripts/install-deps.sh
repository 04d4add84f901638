#!/usr/bin/env bash
# Installs what Liongate needs, on Debian 12, as root or through sudo. What is there already is left alone.
# Usage: install-deps.sh         what building needs
#        install-deps.sh --all   and what the tests and checks need
#        install-deps.sh --power, --coverage   what power-cut.sh or coverage.sh needs beside
#        install-deps.sh --package   what package.sh needs beside
#        install-deps.sh --systemd   what the tests of a build with -Dsystemd_tests=true need beside
set -euo pipefail

build=(gcc libc6-dev meson ninja-build pkgconf libevent-dev libjson-c-dev libsystemd-dev
    libsqlite3-dev libinih-dev libcurl4 libcurl4-openssl-dev libncursesw6 libncurses-dev ca-certificates)
checks=(check python3 git clang clang-format clang-tidy libclang-rt-14-dev shellcheck valgrind
    libc6-dbg stress-ng jq netcat-openbsd socat tmux systemd util-linux procps sqlite3
    redis-tools nats-server task-spooler supervisor openssl scdoc mandoc prometheus
    systemtap-sdt-dev bash-completion zsh fish)
power=(qemu-system-x86 busybox-static e2fsprogs cpio)
coverage=(gcovr)
package=(mmdebstrap python3 git util-linux procps)
container=(systemd-container libpam-systemd dbus)
# Of these, those that would have a daemon run from then on. Benchmarks start their own; of Prometheus it is promtool
# that is wanted.
services=(nats-server supervisor prometheus)

case "${1-}" in
"") wanted=("${build[@]}") ;;
--all) wanted=("${build[@]}" "${checks[@]}") ;;
--power) wanted=("${power[@]}") ;;
--coverage) wanted=("${coverage[@]}") ;;
--package) wanted=("${package[@]}") ;;
--systemd) wanted=("${container[@]}") ;;
*)
    echo "usage: ${0##*/} [--all | --power | --coverage | --package | --systemd]" >&2
    exit 2
    ;;
esac

# Servers of others, from npm, for tests that are left out without them: they want a newer Node.js than Debian 12 has.
install_servers() {
    local dir major
    dir=$(dirname "$0")/../tests/npm
    major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')
    if [ "${major:-0}" -lt 20 ] || ! command -v npm >/dev/null; then
        echo "There is no Node.js 20 with npm: tests against @copilotkit/aimock will be skipped." >&2
    elif ! [ -d "$dir/node_modules/@copilotkit/aimock" ]; then
        (cd "$dir" && npm install --ignore-scripts --no-audit --no-fund --no-package-lock </dev/null) ||
            echo "npm fails: tests against @copilotkit/aimock will be skipped." >&2
    fi
}
[ "${1-}" = --all ] && install_servers

if ! command -v apt-get >/dev/null; then
    echo "This script knows apt-get only. Please install, by whatever name they have here:" >&2
    echo "  ${wanted[*]}" >&2
    exit 1
fi

missing=()
for package in "${wanted[@]}"; do
    # shellcheck disable=SC2016  # ${...} is dpkg-query's
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=absent
    # Several architectures of one package answer without a blank between them.
    case "$state" in
    installed*) ;;
    *) missing+=("$package") ;;
    esac
done
[ "${#missing[@]}" -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "These packages are missing, and there is no sudo to install them with:" >&2
        echo "  ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "Installing: ${missing[*]}"
as_root+=(env DEBIAN_FRONTEND=noninteractive)
for package in "${services[@]}"; do
    case " ${missing[*]} " in
    *" $package "*) "${as_root[@]}" ln -s /dev/null "/etc/systemd/system/$package.service" || true ;;
    esac
done
# Whoever starts a daemon without systemd asks this file before. Where there is none, all may.
policy=/usr/sbin/policy-rc.d
if ! [ -e "$policy" ]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    "${as_root[@]}" install -m 755 /dev/stdin "$policy" <<<$'#!/bin/sh\nexit 101'
fi
# </dev/null: a package that asks something must not wait for an answer.
"${as_root[@]}" apt-get -q -o Acquire::Retries=3 update </dev/null
"${as_root[@]}" apt-get -q -y -o Acquire::Retries=3 install --no-install-recommends "${missing[@]}" </dev/null
