#!/usr/bin/env bash
# What run.sh does in a cgroup and a mount namespace of its own. Usage: boot.sh BUILD SECONDS [CLASS[.TEST]...]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=$1 limit=$2
shift 2

skip() {
    echo "SKIPPED: the units were not run under systemd: $*" >&2
    exit 77
}

# systemd-nspawn wants it to be no disk, and all that is written lands here, in memory.
mount -t tmpfs -o mode=0755 tmpfs /run || skip 'no tmpfs can be mounted'
root=/run/test/root
mkdir -p /run/test/{upper,work,root}
mount -t overlay -o lowerdir="${LIONGATE_SYSTEMD_ROOT:-/}",upperdir=/run/test/upper,workdir=/run/test/work overlay "$root" ||
    skip 'no overlay can be mounted over /'

# Of the machine its programs are wanted, and nothing that it would start, mount or be called.
find "$root/run" -mindepth 1 -delete
rm -rf "$root"/etc/systemd/{system,user}/{*.wants,*.requires,liongate*} \
    "$root"/{usr/,}lib/systemd/{system,user}-generators \
    "$root"/{usr/,}lib/systemd/system/network-online.target.wants \
    "$root"/etc/{liongate,systemd/journald.conf.d} "$root"/var/lib/{private/,}liongate* "$root/var/log/journal"
: >"$root/etc/fstab"
tr -d - </proc/sys/kernel/random/uuid >/run/test/id
install -m 444 /run/test/id "$root/etc/machine-id"

if [ -z "${LIONGATE_SYSTEMD_ROOT-}" ]; then
    DESTDIR=$root meson install -C "$build" --no-rebuild --quiet
fi
[ -e "$root/usr/lib/systemd/system/liongated.service" ] || [ -e "$root/usr/local/lib/systemd/system/liongated.service" ] ||
    skip 'the prefix of this build is none where systemd looks for units'
tests=$root/usr/lib/liongate-test
mkdir -p "$tests"
cp "$here"/units.py "$here"/../lib/{harness,byte_server}.py "$tests/"
cp -r "$here/../../docs" "$tests/"
install -m 644 "$here/users.conf" "$root/usr/lib/sysusers.d/liongate-test.conf"
mkdir -p "$root/etc/systemd/system"
cat >"$root/etc/systemd/system/selftest.service" <<UNIT
[Unit]
# What it needs it starts, and the machine's own services are none of it.
DefaultDependencies=no
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
Environment=PYTHONDONTWRITEBYTECODE=1 LIONGATE_TEST_SCALE=${LIONGATE_TEST_SCALE:-1}
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
TimeoutStartSec=$limit
StandardOutput=file:/selftest.log
StandardError=inherit
ExecStart=python3 /usr/lib/liongate-test/units.py $*
UNIT

status=0
# Whatever hierarchy the machine has, the new one is there.
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
timeout -k 5 "$((limit + 5))" systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit \
    --private-network --link-journal=no --resolv-conf=off --timezone=off --machine=liongate-test --console=pipe \
    systemd.unit=selftest.service systemd.log_color=no >/run/test/console 2>&1 </dev/null || status=$?
if ! [ -e "$root/selftest.log" ]; then
    cat /run/test/console >&2
    skip "systemd-nspawn does not boot here: exit status $status"
fi
cat "$root/selftest.log"
case $status in
124 | 137) tail -n 40 /run/test/console ;;
esac
exit "$status"
