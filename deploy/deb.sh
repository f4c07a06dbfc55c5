#!/usr/bin/env bash
# Builds the Debian package: deploy/deb.sh [ARCH [SUITE]], as `make deb ARCH=armhf SUITE=bookworm` does.
#
# build/debian/ keeps the clean chroot of each suite and architecture, and the wheels that are in the package; with
# both there nothing is fetched. Needs what `deploy/setup.sh deb` installs; root, or a user with an entry in /etc/subuid.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/debian/chroot.sh
. deploy/debian/chroot.sh

ARCH=${1:-$(dpkg --print-architecture)}
SUITE=${2:-bookworm}
BUILD=build/debian
PLACE=$BUILD/$SUITE-$ARCH
LOCKS=(requirements-debian.lock requirements-debian-build.lock)

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

# wheels: fetch, check and build what is in the package; kept for as long as the locks and the chroot are the same.
# pip's cache is kept for longer: with it only what is new is fetched and compiled.
wheels() {
    local key
    key=$(cat "${LOCKS[@]}" deploy/debian/wheels.sh "$CHROOT.packages" | sha256sum | cut -c1-16)
    WHEELS=$PLACE/wheels-$key
    [ ! -d "$WHEELS" ] || return 0
    say "fetching and building the wheels for $SUITE on $ARCH …"
    rm -rf "$PLACE"/wheels-* "$PLACE/in" "$PLACE/out"
    mkdir -p "$PLACE/in" "$PLACE/out" "$PLACE/cache"
    cp -r "${LOCKS[@]}" deploy/debian/wheels.sh "$PLACE/cache" "$PLACE/in/"
    in_chroot "$CHROOT" "$PLACE/in" "$PLACE/out" 'sh wheels.sh' host
    rm -rf "$PLACE/cache"
    mv "$PLACE/out/cache" "$PLACE/cache"
    mv "$PLACE/out/wheels" "$WHEELS"
}

# source_tree: all that dpkg-buildpackage needs.
source_tree() {
    local tree=$PLACE/in/headwater unit
    rm -rf "$PLACE/in"
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
    deploy/debian/changelog.sh "$SUITE" >"$tree/debian/changelog"
}

package() {
    local deb
    say "building the package …"
    rm -rf "$PLACE/out"
    mkdir -p "$PLACE/out" dist
    in_chroot "$CHROOT" "$PLACE/in" "$PLACE/out" \
        'cd headwater && dpkg-buildpackage --build=binary --no-sign >../../out/log 2>&1 || { tail -n 40 ../../out/log; exit 1; }
        mv ../*.deb ../../out/' none
    for deb in "$PLACE"/out/*.deb; do
        mv "$deb" dist/
        say "dist/$(basename "$deb")"
    done
}

check_arguments
check_tools
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
mkdir -p "$PLACE"
CHROOT=$PLACE/chroot.tar
make_chroot "$SUITE" "$ARCH" "$CHROOT"
wheels
source_tree
package
