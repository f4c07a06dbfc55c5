#!/bin/sh
# Run in the chroot: the wheels of requirements-debian.lock, each with the hash that stands there, to ../out. What has
# no wheel for this machine is compiled, with the tools of requirements-debian-build.lock and nothing else.
set -eu

python3 -m venv --system-site-packages /build/venv
pip() { /build/venv/bin/python3 -m pip --disable-pip-version-check -qq "$@"; }

pip install --require-hashes --only-binary :all: --requirement requirements-debian-build.lock
pip wheel --require-hashes --no-deps --no-build-isolation --wheel-dir ../out --requirement requirements-debian.lock
