#!/usr/bin/env bash
# Builds the Debian package: deploy/deb.sh [ARCH [SUITE]], as `make deb ARCH=armhf SUITE=bookworm` does.
#
# build/debian/ keeps, for each suite and architecture, a clean chroot, the wheels that are in the package, and pip's
# cache; with the first two nothing is fetched. Needs what `deploy/setup.sh deb` installs, and root or a user with an
# entry in /etc/subuid.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/debian/chroot.sh
. deploy/debian/chroot.sh

LOCKS=(requirements-debian.lock requirements-debian-build.lock)

main() {
    ARCH=${1:-$(dpkg --print-architecture)}
    SUITE=${2:-bookworm}
    PLACE=build/debian/$SUITE-$ARCH
    CHROOT=$PLACE/chroot.tar
    BUILD=$PLACE/build # what the chroot has as /build
    check_arguments
    check_tools
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
    export SOURCE_DATE_EPOCH
    mkdir -p "$BUILD" dist
    make_chroot "$SUITE" "$ARCH" "$CHROOT"
    wheels
    source_tree
    package
}

check_arguments() {
    case "$ARCH" in
        amd64 | arm64 | armhf) ;;
        *)
            say "ARCH=$ARCH: must be amd64, arm64 or armhf"
            exit 2
            ;;
    esac
    deploy/debian/changelog.sh "$SUITE" >/dev/null
}

# wheels: fetch, check and compile what is in the package; kept for as long as the locks and the chroot are the same.
# pip's cache is kept for longer: with it only what is new is fetched and compiled.
wheels() {
    local key
    key=$(cat "${LOCKS[@]}" deploy/debian/wheels.sh "$CHROOT.packages" | sha256sum | cut -c1-16)
    WHEELS=$PLACE/wheels-$key
    [ ! -d "$WHEELS" ] || return 0
    say "fetching and compiling the wheels for $SUITE on $ARCH …"
    rm -rf "$PLACE"/wheels-* "$BUILD/wheels"
    cp "${LOCKS[@]}" deploy/debian/wheels.sh "$BUILD/"
    in_chroot "$CHROOT" "$BUILD" 'sh wheels.sh' host
    mv "$BUILD/wheels" "$WHEELS"
}

# source_tree: all that dpkg-buildpackage needs.
source_tree() {
    local tree=$BUILD/headwater unit
    rm -rf "$tree"
    mkdir -p "$tree/wheels" "$tree/docs"
    say "building headwater's own wheel …"
    .venv/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$tree/wheels" .
    cp "$WHEELS"/*.whl "$tree/wheels/"
    cp -r deploy/debian "$tree/debian"
    rm "$tree"/debian/*.sh
    cp -r deploy/config "$tree/config"
    cp docs/*.md "$tree/docs/"
    for unit in deploy/systemd/*.service; do
        cp "$unit" "$tree/debian/headwater.$(basename "$unit")"
    done
    cp deploy/systemd/backoff.conf "$tree/debian/"
    .venv/bin/python -m deploy.rollout.updater "$tree/debian/bin/headwater-update"
    deploy/debian/changelog.sh "$SUITE" >"$tree/debian/changelog"
}

package() {
    local deb
    say "building the package …"
    rm -f "$BUILD"/headwater_*
    in_chroot "$CHROOT" "$BUILD" 'cd headwater && dpkg-buildpackage --build=binary --no-sign >../log 2>&1' none ||
        fail "the package was not built: $BUILD/log ends with
$(tail -n 20 "$BUILD/log")"
    for deb in "$BUILD"/headwater_*.deb; do
        mv "$deb" dist/
        say "dist/$(basename "$deb")"
    done
}

main "$@"
exit
