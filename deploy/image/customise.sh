#!/bin/bash
# customise.sh ROOT: makes of Debian's packages what is on the card. A customize hook of mmdebstrap, which has mounted
# /proc and keeps services from being started. From the environment:
#   PACKAGES     the .deb files to install, one a line
#   SSH_KEY      the public keys of who may log in; empty for none
#   SOURCES      the lines of the board's sources.list
#   BOOT, LOADER where to put the contents of the first partition, and the bootloader
set -euo pipefail

ROOT=$1
LOGIN=debian

inside() { chroot "$ROOT" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }

install_packages() {
    local package names=()
    while read -r package; do
        [ -n "$package" ] || continue
        cp "$package" "$ROOT/tmp/"
        names+=("/tmp/${package##*/}")
    done <<<"$PACKAGES"
    # their dependencies are in the base; what is not there is fetched
    inside apt-get install --yes --no-install-recommends "${names[@]}"
    # for the first update to have something to fall back to
    for package in "${names[@]}"; do
        case $package in
            /tmp/headwater_*) [ ! -e "$ROOT/usr/sbin/headwater-update" ] || inside headwater-update keep "$package" ;;
        esac
    done
    rm -f "${names[@]/#/$ROOT}"
}

# Nobody has a password: root cannot log in at all, and LOGIN with a key.
add_user() {
    inside useradd --create-home --shell /bin/bash --password '*' "$LOGIN"
    local group
    for group in adm dialout i2c systemd-journal sudo; do
        inside getent group "$group" >/dev/null && inside usermod --append --groups "$group" "$LOGIN"
    done
    inside usermod --password '*' root
    [ -n "$SSH_KEY" ] || return 0
    install -d -m 700 "$ROOT/home/$LOGIN/.ssh"
    printf '%s\n' "$SSH_KEY" >"$ROOT/home/$LOGIN/.ssh/authorized_keys"
    chmod 600 "$ROOT/home/$LOGIN/.ssh/authorized_keys"
    inside chown -R "$LOGIN:$LOGIN" "/home/$LOGIN/.ssh"
}

name_it() {
    echo headwater >"$ROOT/etc/hostname"
    printf '127.0.0.1\tlocalhost\n127.0.1.1\theadwater\n::1\tlocalhost ip6-localhost\n' >"$ROOT/etc/hosts"
    ln -sf ../run/systemd/resolve/stub-resolv.conf "$ROOT/etc/resolv.conf"
    printf '%s\n' "$SOURCES" >"$ROOT/etc/apt/sources.list"
    : >"$ROOT/etc/fstab"
    # systemd lets no clock begin before that: certificates are made at the first start, perhaps without a network
    touch "$ROOT/usr/lib/clock-epoch"
    ln -sf /usr/share/systemd/tmp.mount "$ROOT/etc/systemd/system/tmp.mount"
    mkdir -p "$ROOT/etc/systemd/system/local-fs.target.wants"
    ln -sf ../tmp.mount "$ROOT/etc/systemd/system/local-fs.target.wants/tmp.mount"
    mkdir -p "$ROOT/media/system" "$ROOT/media/state"
}

# From the first start on: what is on the board's first pin, to the broker on the board.
start_headwater() {
    [ -e "$ROOT/etc/headwater/device.toml" ] || return 0
    cp "${BASH_SOURCE[0]%/*}/device.toml" "$ROOT/etc/headwater/device.toml"
    inside systemctl --quiet enable headwater-gateway.service
}

# Nobody looks at a screen, and what runs by itself at night takes time from sampling.
quieten() {
    inside systemctl --quiet set-default multi-user.target
    inside systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service
    echo 'LANG=C.UTF-8' >"$ROOT/etc/default/locale"
}

# What each board makes for itself at its first start must not be the same on all.
remove_what_is_unique() {
    rm -f "$ROOT"/etc/ssh/ssh_host_* "$ROOT/var/lib/systemd/random-seed" "$ROOT/var/lib/dbus/machine-id"
    : >"$ROOT/etc/machine-id"
}

take_boot_files() {
    : "${BOOT:?}" "${LOADER:?}"
    mkdir -p "$BOOT" "$LOADER"
    cp -r "$ROOT/boot/firmware/." "$BOOT/"
    rm -rf "${ROOT:?}/boot/firmware"
    mkdir -p "$ROOT/boot/firmware"
    cp "$ROOT"/usr/lib/u-boot/am335x_boneblack/{MLO,u-boot.img} "$LOADER/"
}

install_packages
add_user
name_it
start_headwater
quieten
remove_what_is_unique
take_boot_files
inside dpkg-query --show >"$LOADER/packages.txt"
