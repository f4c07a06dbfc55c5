#!/usr/bin/env bash
# Sets up a checkout: `setup.sh run` for what Headwater needs to run, `setup.sh test` for what its tests need
# besides, `setup.sh deb` for what builds packages, `setup.sh image` for what builds cards, `setup.sh vm` for tests that
# boot whole systems. Called by make; safe to call again.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
TEST_PACKAGES=(mosquitto mosquitto-clients chromium socat openssl util-linux gcc libc6-dev python3-dev systemd shellcheck
    nginx-light curl openssh-client)
TEST_COMMANDS=(mosquitto mosquitto_pub chromium socat openssl cc unshare systemd-analyze shellcheck nginx curl ssh-keygen)
DEB_PACKAGES=(mmdebstrap qemu-user-static arch-test uidmap)
DEB_COMMANDS=(mmdebstrap qemu-arm-static arch-test newuidmap)
IMAGE_PACKAGES=(device-tree-compiler fdisk e2fsprogs dosfstools mtools kmod cpio xz-utils qemu-system-arm)
IMAGE_COMMANDS=(dtc sfdisk mke2fs mkfs.vfat mcopy depmod cpio xz qemu-system-arm)
VM_PACKAGES=(systemd-container lintian buildah docker-compose qemu-system-x86 e2fsprogs iproute2)
VM_COMMANDS=(systemd-nspawn lintian buildah docker-compose qemu-system-x86_64 mke2fs ip)

say() { printf 'headwater: %s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# apt_install WHY PACKAGE...: install Debian packages, or say which command would.
apt_install() {
    local why=$1 sudo=()
    shift
    local command="apt-get install --no-install-recommends $*"
    command -v apt-get >/dev/null || fail "$why; install the equivalent of: $*"
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || fail "$why; this user may not install it. Run: sudo $command"
        sudo=(sudo -n)
    fi
    say "installing $* …"
    local log
    log=$(mktemp)
    if ! { "${sudo[@]}" apt-get update && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends "$@"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "$why; this failed: $command"
    fi
    rm -f "$log"
}

find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed; found $(python3 --version 2>&1 || echo none)"
}

make_venv() {
    local python
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install "$python cannot make virtual environments" \
            "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    fi
    say "making $VENV with $("$python" --version) …"
    "$python" -m venv "$VENV"
}

pip() { "$VENV/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

setup_run() {
    [ -x "$VENV/bin/python" ] || make_venv
    say "installing the packages of requirements.lock (a minute or two the first time) …"
    pip install --requirement requirements.lock
    say "installing headwater and building its page …"
    pip install --no-deps --no-build-isolation --editable .
    touch "$VENV/run.stamp"
}

# need_commands WHY COMMAND... -- PACKAGE...: install the packages unless the commands are there.
need_commands() {
    local why=$1 missing=()
    shift
    while [ "$1" != -- ]; do
        PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null || missing+=("$1")
        shift
    done
    shift
    [ ${#missing[@]} = 0 ] || apt_install "$why ${missing[*]}" "$@"
}

setup_test() {
    need_commands "the tests need" "${TEST_COMMANDS[@]}" -- "${TEST_PACKAGES[@]}"
    say "installing the packages of requirements-test.lock …"
    pip install --requirement requirements-test.lock
    touch "$VENV/test.stamp"
}

# register_emulators: what systemd-binfmt does at boot, where there is no systemd: let the kernel run ARM's programs.
register_emulators() {
    local folder=/proc/sys/fs/binfmt_misc emulator
    [ "$(id -u)" = 0 ] || return 0
    [ -e $folder/register ] || mount -t binfmt_misc binfmt_misc $folder
    for emulator in qemu-arm qemu-aarch64; do
        [ -e "$folder/$emulator" ] || [ ! -e "/usr/lib/binfmt.d/$emulator.conf" ] ||
            cat "/usr/lib/binfmt.d/$emulator.conf" >$folder/register
    done
}

setup_deb() {
    need_commands "building packages needs" "${DEB_COMMANDS[@]}" -- "${DEB_PACKAGES[@]}"
    register_emulators
    touch "$VENV/deb.stamp"
}

setup_image() {
    need_commands "building a card needs" "${IMAGE_COMMANDS[@]}" -- "${IMAGE_PACKAGES[@]}"
    touch "$VENV/image.stamp"
}

setup_vm() {
    need_commands "the tests of whole systems need" "${VM_COMMANDS[@]}" -- "${VM_PACKAGES[@]}"
    # a bootloader for QEMU's machine is no command
    [ -e /usr/lib/u-boot/qemu_arm/u-boot.bin ] || apt_install "the tests of whole systems need u-boot-qemu" u-boot-qemu
    touch "$VENV/vm.stamp"
}

case "${1:-}" in
    run) setup_run ;;
    test) setup_test ;;
    deb) setup_deb ;;
    image) setup_image ;;
    vm) setup_vm ;;
    *) fail "usage: deploy/setup.sh run|test|deb|image|vm" ;;
esac
