#!/bin/sh
# The package's changelog for a suite, on standard output: deploy/debian/changelog.sh SUITE. The version is the one in
# pyproject.toml, in Debian's spelling, and the Debian that it is for, so that a newer Debian's is a newer package:
# 0.2.0rc1 becomes 0.2.0~rc1+deb12.
set -eu
cd "$(dirname "$0")/../.."

case "${1:-}" in
    bookworm) release=12 ;;
    trixie) release=13 ;;
    *)
        echo "headwater: SUITE=${1:-}: must be bookworm or trixie" >&2
        exit 2
        ;;
esac

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml | sed -E 's/\.?(dev|a|b|rc)([0-9]+)$/~\1\2/')
maintainer=$(sed -n 's/^Maintainer: //p' deploy/debian/control)
date=$(date --utc --rfc-email --date "@${SOURCE_DATE_EPOCH:-$(date +%s)}")

cat <<END
headwater ($version+deb$release) $1; urgency=medium

  * See CHANGELOG.md.

 -- $maintainer  $date
END
