# Clean chroots from Debian's own packages, kept as tar files, each use in a fresh copy. Sourced by deploy/deb.sh.
# shellcheck shell=bash

CHROOT_PACKAGES=(build-essential ca-certificates debhelper libffi-dev python3-dev python3-numpy python3-pip python3-venv)
CHROOT_DAYS=30

say() { printf 'headwater: %s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

check_tools() {
    command -v mmdebstrap >/dev/null || fail "mmdebstrap is not installed: run deploy/setup.sh deb"
    command -v dpkg >/dev/null || fail "this is no Debian: packages are built on Debian or Ubuntu"
}

# mirrors SUITE: where this machine has its Debian packages from, as lines for apt; nothing if that is not Debian.
mirrors() {
    local suite=$1 uri label
    apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' |
        sort -u | while read -r uri label; do
            case "$label" in
                Debian) echo "deb $uri $suite main" ;;
                Debian-Security) echo "deb $uri $suite-security main" ;;
            esac
        done | sort -u
}

# make_chroot SUITE ARCH TAR: unless there is a recent one with the same packages.
make_chroot() {
    local suite=$1 arch=$2 tar=$3 lines=()
    if [ "${CHROOT_PACKAGES[*]}" = "$(cat "$tar.packages" 2>/dev/null)" ] &&
        [ -n "$(find "$tar" -mtime -$CHROOT_DAYS 2>/dev/null)" ]; then
        return
    fi
    say "making a clean chroot of $suite for $arch (2 minutes; up to 15 where the processor is emulated) …"
    mapfile -t lines < <(mirrors "$suite")
    if ! bootstrap "$suite" "$arch" "$tar" "${lines[@]}"; then
        # Of the two archives the security one is the more often out of step with itself; the chroot only builds.
        mapfile -t lines < <(printf '%s\n' "${lines[@]}" | grep -v -- '-security main$')
        say "that failed; once more without the security archive …"
        bootstrap "$suite" "$arch" "$tar" "${lines[@]}" || fail "$tar.log says why there is no chroot"
    fi
    echo "${CHROOT_PACKAGES[*]}" >"$tar.packages"
}

# bootstrap SUITE ARCH TAR LINE...
bootstrap() {
    local suite=$1 arch=$2 tar=$3
    shift 3
    mmdebstrap --format=tar --variant=buildd --architectures="$arch" --include="$(IFS=,; echo "${CHROOT_PACKAGES[*]}")" \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$suite" "$tar.new" "$@" >"$tar.log" 2>&1 && mv "$tar.new" "$tar"
}

# in_chroot TAR FOLDER COMMAND NETWORK: run the shell's COMMAND in a fresh copy of the chroot, where FOLDER is /build.
# NETWORK is the host's, with pip as it is set up here, or none. For others than root user namespaces do it.
in_chroot() {
    local apart=(--mount --pid --fork --kill-child)
    [ "$(id -u)" = 0 ] || apart+=(--map-root-user --map-auto)
    [ "$4" != none ] || apart+=(--net)
    unshare "${apart[@]}" bash deploy/debian/inside.sh "$@"
}
