#!/bin/sh
# Run in the chroot: the wheels of requirements-debian.lock, each with a hash that stands there, to wheels/. What has no
# wheel for this machine is compiled, with the tools of requirements-debian-build.lock and nothing else.
set -eu

export PIP_CACHE_DIR=/build/cache
pip() { /tmp/venv/bin/python3 -m pip --disable-pip-version-check -qq "$@"; }

from_source=:none:
# There its only wheel is the one without C, which takes four times as long.
[ "$(uname -m)" != armv7l ] || from_source=cbor2

python3 -m venv --system-site-packages /tmp/venv
pip install --require-hashes --only-binary :all: --requirement requirements-debian-build.lock
pip wheel --require-hashes --no-deps --no-build-isolation --no-binary "$from_source" --wheel-dir wheels \
    --requirement requirements-debian.lock
