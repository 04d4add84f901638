#!/usr/bin/env bash
# Makes the Debian package and proves it, each in a clean root of Debian 12 that is made for it and goes afterwards. The root's
# packages come from where those of this machine do. As root, or through sudo. What is made lands in build-package/.
# Usage: package.sh [STEP...]    (deb, installed and docker if none is named)
#   deb          builds the source and binary packages; lintian
#   installed    installs the package that `deb` has made; hardening-check; runs a private daemon; purges it
#   autopkgtest  debian/tests against that package, but for what wants a machine of its own
#   service      the units of that package under a systemd of its own
#   docker       goes through the steps of the Dockerfile, starts what it makes, and asks it
#   i386         builds for 32 bits, and runs the unit tests
# LIONGATE_PACKAGE_CACHE names a directory that keeps the clean root and what was fetched for the next time.
# shellcheck disable=SC2016  # expanded by inner shells, by apt and by dpkg
set -euo pipefail
cd "$(dirname "$0")/.."

all_steps=(deb installed autopkgtest service docker i386)
steps=("$@")
[ $# -gt 0 ] || steps=(deb installed docker)
for step in "${steps[@]}"; do
    case " ${all_steps[*]} " in
    *" $step "*) ;;
    *)
        sed -n '/^# Usage/,/^set/{/^set/d;/^# shellcheck/d;s/^# \{0,1\}//;p}' "$0" >&2
        [ "$step" = --help ] && exit 0
        exit 2
        ;;
    esac
done
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"
scripts/install-deps.sh --package

results=$PWD/build-package
mkdir -p "$results"
scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/liongate-package-XXXXXX")
# Nothing is mounted below it that is seen from here: in_root has a mount namespace of its own.
cache=${LIONGATE_PACKAGE_CACHE:-$scratch}
trap 'rm -rf --one-file-system "$scratch"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

say() {
    printf '\n== %s\n' "$*"
}

# What the mirror and the proxy of this machine are is nobody's business here: apt is asked.
sources() {
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
        grep ' bookworm' | sort -u
}

# Makes clean root $2, a folder or a tarball, from those sources that match $1; what follows goes to mmdebstrap.
bootstrap() {
    local pattern=$1 target=$2
    shift 2
    say 'a clean root'
    [ -n "$(sources)" ] || {
        echo "apt of this machine knows no Debian 12 (apt-get update)" >&2
        return 1
    }
    apt-config dump | grep -E '^Acquire::(https?|Check-)' >"$scratch/apt.conf" || true
    mkdir -p "$cache/archives/partial"
    sources | grep -E "$pattern" | mmdebstrap --quiet --variant=minbase --dpkgopt=force-unsafe-io \
        --aptopt="$scratch/apt.conf" "$@" bookworm "$target" -
}

# Makes root $1. They have one origin, made once, and packages that one has fetched are there for the next.
new_root() {
    if ! [ -e "$cache/base.tar" ]; then
        bootstrap . "$scratch/new.tar"
        mv "$scratch/new.tar" "$cache/base.tar"
    fi
    mkdir "$scratch/$1"
    tar -C "$scratch/$1" -xf "$cache/base.tar"
}

drop_root() {
    rm -rf --one-file-system "${scratch:?}/$1"
}

# Runs a command in root $1 of the scratch directory, as process 1 of a namespace: whatever it starts ends with it.
in_root() {
    local root=$scratch/$1
    shift
    unshare --mount --propagation private --pid --fork --kill-child -- sh -euc '
        root=$1 archives=$2
        shift 2
        mount -t proc proc "$root/proc"
        mount -t sysfs -o ro sysfs "$root/sys"
        mount --rbind /dev "$root/dev"
        mount --bind "$archives" "$root/var/cache/apt/archives"
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
    ' in_root "$root" "$cache/archives" "$@"
}

install_in() {
    local root=$1
    shift
    in_root "$root" sh -euc '
        apt-get -q -o Acquire::Retries=3 update
        apt-get -q -y -o Acquire::Retries=3 -o APT::Keep-Downloaded-Packages=true install --no-install-recommends "$@"
    ' install "$@" </dev/null >"$scratch/$root.apt" 2>&1 || {
        tail -n 40 "$scratch/$root.apt" >&2
        return 1
    }
}

project_git() {
    # A clone that belongs to somebody else than root is one that git would not look into.
    git -c safe.directory="$PWD" "$@"
}

version=$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
upstream=${version%-*}

# The source as it is unpacked to build it, in directory $1, with the tarball beside it.
unpack_source() {
    local prefix=liongate-$upstream/
    mkdir -p "$1"
    project_git archive --prefix="$prefix" HEAD -- ':!debian' | gzip -n >"$1/liongate_$upstream.orig.tar.gz"
    tar -C "$1" -xf "$1/liongate_$upstream.orig.tar.gz"
    project_git archive --prefix="$prefix" HEAD -- debian | tar -C "$1" -xf -
}

package() {
    local found=("$results"/liongate_"$version"_*.deb)
    [ -e "${found[0]}" ] || {
        echo "there is no package in $results: the step deb makes it" >&2
        return 1
    }
    printf '%s\n' "${found[0]}"
}

step_deb() {
    local source=/package/liongate-$upstream
    new_root build
    say 'what building needs'
    unpack_source "$scratch/build/package"
    install_in build build-essential devscripts lintian
    in_root build apt-get -q -y --no-install-recommends build-dep "$source/" >"$scratch/build.apt" 2>&1 || {
        tail -n 40 "$scratch/build.apt"
        return 1
    }
    say 'dpkg-buildpackage -us -uc'
    in_root build sh -euc 'useradd --create-home builder && chown -R builder: /package'
    in_root build runuser -u builder -- sh -euc 'cd "$1" && exec dpkg-buildpackage -us -uc' build "$source" \
        >"$results/build.log" 2>&1 || {
        tail -n 60 "$results/build.log"
        return 1
    }
    tail -n 5 "$results/build.log"
    say 'lintian'
    in_root build runuser -u builder -- sh -euc 'exec lintian --version </dev/null'
    in_root build runuser -u builder -- sh -euc 'exec lintian --info --fail-on error,warning /package/*.changes'
    echo 'no errors, no warnings'
    rm -f "$results"/liongate*
    find "$scratch/build/package" -maxdepth 1 -type f -exec cp -t "$results" {} +
    drop_root build
}

step_installed() {
    local deb name
    new_root runtime
    deb=$(package)
    cp "$deb" "$scratch/runtime/liongate.deb"
    say 'what it brings with it'
    install_in runtime /liongate.deb
    grep -A 40 'NEW packages will be installed' "$scratch/runtime.apt" | sed '/upgraded,/,$d' || true
    du -h "$results"/*.deb
    in_root runtime dpkg-query --show --showformat '${Package} ${Version}: ${Installed-Size} KiB installed\n' liongate
    for name in liongated liongatectl; do
        in_root runtime ldd "/usr/bin/$name"
    done
    say 'hardening'
    # Of CET the C library's own start file of Debian 12 knows nothing, and so no program of it is marked.
    install_in runtime devscripts
    in_root runtime hardening-check --nocfprotection /usr/bin/liongated /usr/bin/liongatectl
    drop_root runtime

    new_root daemon
    cp "$deb" "$scratch/daemon/liongate.deb"
    cp debian/tests/private-daemon "$scratch/daemon/usr/local/bin/"
    install_in daemon /liongate.deb
    say 'a private daemon of the installed programs'
    in_root daemon private-daemon
    in_root daemon runuser -u nobody -- private-daemon
    say 'who is there, and what is left once it is purged'
    in_root daemon sh -euc 'getent passwd liongate; getent group liongate-observe; ls -ld /var/lib/liongate /etc/liongate/*'
    in_root daemon dpkg --purge liongate
    in_root daemon sh -euc '
        for dir in /etc/liongate /var/lib/liongate /run/liongate; do
            [ ! -e "$dir" ] || { echo "$dir is left" >&2; exit 1; }
        done
    '
    echo 'nothing is left'
    drop_root daemon
}

step_autopkgtest() {
    local deb status=0
    deb=$(package)
    new_root autopkgtest
    unpack_source "$scratch/autopkgtest/package"
    cp "$deb" "$scratch/autopkgtest/package/liongate.deb"
    install_in autopkgtest autopkgtest dpkg-dev
    in_root autopkgtest useradd --create-home tester
    in_root autopkgtest autopkgtest --user tester --no-built-binaries /package/liongate.deb "/package/liongate-$upstream/" -- null \
        >"$results/autopkgtest.log" 2>&1 || status=$?
    sed -n '/@@@* summary/,$p' "$results/autopkgtest.log"
    drop_root autopkgtest
    # 2: something was skipped, which is `service`.
    [ "$status" -eq 0 ] || [ "$status" -eq 2 ]
}

step_service() {
    local deb
    deb=$(package)
    scripts/install-deps.sh --systemd
    new_root service
    cp "$deb" "$scratch/service/liongate.deb"
    install_in service /liongate.deb systemd systemd-sysv dbus libpam-systemd procps python3 libcurl4
    LIONGATE_SYSTEMD_ROOT=$scratch/service tests/systemd/run.sh .
    drop_root service
}

# A cross build: the compiler of this architecture, and libraries of both in one root. Their versions have to agree, which
# those of an update that is on its way to the mirrors need not.
step_i386() {
    local packages=(gcc-i686-linux-gnu meson pkgconf procps python3 qemu-user-static) foreign
    foreign=(check libc6-dev libcurl4 libcurl4-openssl-dev libevent-dev libinih-dev libjson-c-dev libncurses-dev libsqlite3-dev
        libsystemd-dev systemtap-sdt-dev)
    bootstrap ' bookworm main$' "$scratch/i386" --architectures=amd64,i386 \
        --include="$(IFS=, && echo "${packages[*]},${foreign[*]/%/:i386}")"
    mkdir "$scratch/i386/src"
    project_git archive HEAD | tar -C "$scratch/i386/src" -xf -
    in_root i386 sh -euc '
        cd /src
        meson setup build --cross-file tests/cross/i386.ini -Dbuildtype=release
        ninja -C build --quiet
        file=build/daemon/liongated
        i686-linux-gnu-readelf -h "$file" build/client/liongatectl | grep -E "Class|Type|Machine"
        # qemu-user has no PR_SET_CHILD_SUBREAPER, which the reaper is made of, and no SO_PEERGROUPS.
        meson test -C build --no-rebuild --list --suite unit 2>/dev/null | sed "s,.* / ,," |
            grep -vxE "access|exec|exec-env|reaper" |
            xargs meson test -C build --no-rebuild --timeout-multiplier 5 --print-errorlogs
    '
    drop_root i386
}

# --- The steps of a Dockerfile, of which it knows what ours has -----------------------------------

exec_form() {
    python3 -c 'import json, sys; print(*json.loads(sys.argv[1]), sep="\n")' "$1"
}

# Files of the project or, as `--from=STAGE`, of another root, into root $1.
docker_copy() {
    local root=$1 from=$scratch/context target
    shift
    if [[ $1 == --from=* ]]; then
        from=$scratch/docker-${1#--from=}
        shift
    fi
    target=$scratch/$root/${*: -1}
    case "${*: -1}" in
    */) mkdir -p "$target" ;;
    esac
    set -- "${@:1:$#-1}"
    mkdir -p "$target"
    for file; do
        if [ -d "$from/$file" ]; then
            cp -a "$from/$file/." "$target"
        else
            cp -a "$from/$file" "$target"
        fi
    done
}

# Sets `user`, `dir`, `health` and `entry` as the last stage has them, which is left in root docker-run.
docker_build() {
    local word rest image name=''
    user=root dir=/ health=() entry=()
    while read -r word rest; do
        case "$word" in
        FROM)
            read -r image _ name <<<"$rest"
            [[ $image =~ ^debian:12(-slim)?$ ]] || return 1
            name=docker-${name:-run}
            new_root "$name"
            user=root dir=/
            continue
            ;;
        esac
        printf '%s %s\n' "$word" "$rest"
        case "$word" in
        RUN)
            in_root "$name" runuser -u "$user" -- sh -euc 'cd "$1" && eval "$2"' run "$dir" "$rest" \
                </dev/null >"$scratch/run.log" 2>&1 || {
                tail -n 40 "$scratch/run.log"
                return 1
            }
            ;;
        COPY)
            read -ra words <<<"$rest"
            docker_copy "$name" "${words[@]}"
            ;;
        WORKDIR) dir=$rest && mkdir -p "$scratch/$name$dir" ;;
        USER) user=$rest ;;
        HEALTHCHECK) mapfile -t health < <(exec_form "${rest#*CMD }") ;;
        ENTRYPOINT) mapfile -t entry < <(exec_form "$rest") ;;
        VOLUME | STOPSIGNAL) ;;
        *)
            echo "the Dockerfile has $word, which is unknown here" >&2
            return 1
            ;;
        esac
    done < <(sed -e '/^#/d' -e '/^$/d' Dockerfile | sed -e :a -e '/\\$/N; s/\\\n *//; ta')
}

step_docker() {
    local user dir health entry as_user daemon tries=0 status=0
    mkdir "$scratch/context"
    project_git archive HEAD | tar -C "$scratch/context" -xf -
    say 'the Dockerfile, step by step'
    docker_build
    drop_root docker-build
    say 'the result'
    du -sh --exclude='./var/cache/*' "$scratch/docker-run" | cut -f 1
    as_user=(setpriv "--reuid=$user" "--regid=$user" --init-groups)
    # As the container's process 1.
    in_root docker-run "${as_user[@]}" sh -euc 'cd "$1" && shift && exec "$@"' entry "$dir" "${entry[@]}" &
    daemon=$!
    # Asked from outside of its namespaces, by its own client in its own root.
    until in_root docker-run "${as_user[@]}" "${health[@]}"; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] && kill -0 "$daemon" || return 1
        sleep 0.2
    done
    in_root docker-run "${as_user[@]}" liongatectl spawn-agent --option cwd="$dir" -- sh -c 'id -un; pwd'
    # What `docker stop` sends goes to the container's process 1, which is the child of unshare, and that is the shell's.
    kill -TERM "$(pgrep --parent "$(pgrep --parent "$daemon")")"
    wait "$daemon" || status=$?
    echo "it ended with status $status"
    drop_root docker-run
    return "$status"
}

for step in "${steps[@]}"; do
    say "$step"
    "step_$step"
done
