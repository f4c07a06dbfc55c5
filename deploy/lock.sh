#!/usr/bin/env bash
# Resolves the newest versions that pyproject.toml admits, for every platform, with their hashes, and names no
# package registry: whoever installs uses their own.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-emit-find-links --upgrade --custom-compile-command "make lock" "$@"
}

compile pyproject.toml --extra demo --group build --output-file requirements.lock
compile pyproject.toml --extra demo --group build --group test --constraint requirements.lock \
    --output-file requirements-test.lock
compile pyproject.toml --group debian --no-emit-package numpy --constraint requirements-test.lock \
    --output-file requirements-debian.lock
compile --group debian-build --constraint requirements-test.lock --output-file requirements-debian-build.lock
compile pyproject.toml --extra fast --extra keys --extra zmq --constraint requirements-test.lock \
    --output-file deploy/container/requirements.lock
