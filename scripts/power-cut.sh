#!/usr/bin/env bash
# Cuts the power of a small machine (qemu, emulated) under a liongated that writes, again and again, and holds it to
# what was seen of it; see docs/reliability.md.
# Usage: power-cut.sh [ROUNDS]   (10 of each durability unless told otherwise)
# LIONGATE_FAULTS_SEED: to see a run again. The kernel is Debian's, unpacked, not installed; all is in build/power-cut.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

rounds=${1-10}
dir=$PWD/build/power-cut
root=$dir/root

scripts/install-deps.sh --all
scripts/install-deps.sh --power
build_in build -Dtests=true
mkdir -p "$dir"

if ! [ -d "$dir/kernel/boot" ]; then
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" { print $2; exit }')
    (cd "$dir" && apt-get -q download "$package" && dpkg-deb -x "$package"_*.deb kernel && rm "$package"_*.deb)
fi

# Everything that the machine has, but for its disk.
rm -rf "$root"
mkdir -p "$root"/{bin,dev,proc,sys,run,tmp,disk,etc}
cp tests/faults/power/init "$root/init"
cp /bin/busybox build/daemon/liongated "$(command -v socat)" "$root/bin/"
echo root:x:0:0:root:/:/bin/sh >"$root/etc/passwd"
ldd "$root/bin/liongated" "$root/bin/socat" | grep -o '/[^ :]* (' | tr -d ' (' | sort -u |
    xargs cp -L --parents -t "$root"
version=$(basename "$dir"/kernel/lib/modules/*)
(cd "$dir/kernel" && cp --parents -t "$root" \
    lib/modules/"$version"/kernel/drivers/{virtio/*,block/virtio_blk,char/virtio_console}.ko)
busybox depmod -b "$root" "$version"
(cd "$root" && find . | cpio --quiet -o -H newc) >"$dir/initrd"
cp "$dir/kernel/boot/vmlinuz-$version" "$dir/vmlinuz"

exec python3 tests/faults/power/power.py "$dir" "$rounds"
