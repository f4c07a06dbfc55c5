#!/bin/bash
# Makes of another Debian image for the board one with Headwater. Runs inside of it, with in /tmp: debs/ with all
# packages that are missing, authorized_keys, BB-ADCFAST-00A0.dtbo.
set -euo pipefail

DEVICE=$1 # where this system is
LOGIN=debian
UENV=/boot/uEnv.txt
OVERLAY=BB-ADCFAST-00A0.dtbo
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

say() { echo "adopt: $*"; }

install_packages() {
    # no service is to start here
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    mkdir -p /tmp/lists
    apt-get --quiet -o Dir::State::lists=/tmp/lists -o Dpkg::Use-Pty=false \
        install --yes --no-install-recommends /tmp/debs/*.deb
    rm /usr/sbin/policy-rc.d
}

# Images of others have a password that is the same for all.
lock_passwords() {
    local name password rest
    while IFS=: read -r name password rest; do
        case $password in
            '*' | '!' | '!*' | '!!') ;;
            *) say "locking $name's password" && usermod --password '*' "$name" ;;
        esac
    done < <(cat /etc/shadow)
    getent passwd "$LOGIN" >/dev/null || useradd --create-home --shell /bin/bash --password '*' "$LOGIN"
}

take_keys() {
    local home
    home=$(getent passwd "$LOGIN" | cut -d: -f6)
    [ -s /tmp/authorized_keys ] || return 0
    install -d -m 700 -o "$LOGIN" -g "$LOGIN" "$home/.ssh"
    install -m 600 -o "$LOGIN" -g "$LOGIN" /tmp/authorized_keys "$home/.ssh/authorized_keys"
}

# set_line KEY VALUE: of U-Boot's settings, whether the line was there or not
set_line() {
    sed -i "/^#\?$1=/d" "$UENV"
    echo "$1=$2" >>"$UENV"
}

# As docs/boards.md says for 200 000 samples a second.
switch_adc_on() {
    install -D -m 644 "/tmp/$OVERLAY" "/lib/firmware/$OVERLAY"
    if [ ! -e "$UENV" ]; then
        say "there is no $UENV: whether the ADC is on is this image's own affair"
        return
    fi
    local path=/lib/firmware/$OVERLAY
    # newer images take the file's name alone, and say so in the examples of the file itself
    grep -q '<file4>.dtbo' "$UENV" && ! grep -q '/lib/firmware/<file4>.dtbo' "$UENV" && path=$OVERLAY
    set_line enable_uboot_overlays 1
    set_line disable_uboot_overlay_adc 1
    set_line uboot_overlay_addr4 "$path"
}

remove_what_is_unique() {
    rm -f /etc/ssh/ssh_host_* /var/lib/systemd/random-seed /var/lib/dbus/machine-id
    : >/etc/machine-id
    echo headwater >/etc/hostname
}

resize2fs "$DEVICE"
install_packages
lock_passwords
take_keys
switch_adc_on
remove_what_is_unique
apt-get clean
say "done"
