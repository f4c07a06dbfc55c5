#!/usr/bin/env bash
# Copies this checkout to a board and runs the tests that need one: deploy/hw-test.sh user@board [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."

HOST=${1:-}
FOLDER=headwater-hw-test
if [ -z "$HOST" ]; then
    echo 'headwater: which board? make hw-test HOST=debian@192.168.7.2' >&2
    exit 2
fi
shift

echo "headwater: copying to $HOST …" >&2
git ls-files boards gateway hw_tests tests pyproject.toml README.md LICENSE deploy |
    tar --create --gzip --files-from - |
    ssh "$HOST" "rm -rf $FOLDER/src && mkdir -p $FOLDER/src && tar --extract --gzip --directory $FOLDER/src"
echo "headwater: installing there (the first time takes a while) …" >&2
ssh "$HOST" "cd $FOLDER && { [ -x venv/bin/python ] || python3 -m venv --system-site-packages venv; } &&
    venv/bin/pip install --quiet Adafruit-BBIO aiohttp cbor2 click paho-mqtt pydantic pyserial pytest pytest-asyncio pytest-timeout"
ssh -t "$HOST" "cd $FOLDER/src && ../venv/bin/python -m pytest hw_tests $*"
