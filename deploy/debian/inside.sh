# What in_chroot (chroot.sh) runs in namespaces of its own: TAR FOLDER COMMAND NETWORK. What is mounted ends with them.
# shellcheck shell=bash
set -euo pipefail

tar=$1 folder=$2 command=$3 network=$4
root=$(mktemp --directory --tmpdir headwater-chroot.XXXXXX)
trap 'umount --recursive --lazy "$root" && rm -rf --one-file-system "$root"' EXIT

mount --bind "$root" "$root"
tar --extract --file "$tar" --directory "$root" --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*'
mkdir -p "$root/build" "$root/dev/shm"
mount --bind "$folder" "$root/build"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
if [ "$network" != none ]; then
    for file in /etc/resolv.conf /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "$file" ] || cat "$file" >"$root$file"
    done
fi

# What is set here may name programs and folders that are not there. pip's own settings and proxies hold.
for name in $(compgen -e); do
    case $name in
        PIP_* | *_proxy | *_PROXY | SOURCE_DATE_EPOCH) ;;
        *) unset "$name" ;;
    esac
done
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
chroot "$root" sh -ec "cd /build; $command"
