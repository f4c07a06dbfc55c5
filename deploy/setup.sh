#!/usr/bin/env bash
# Sets up a checkout: `setup.sh run` for what Headwater needs to run, `setup.sh test` for what its tests need
# besides. Called by make; safe to call again.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
TEST_PACKAGES=(mosquitto mosquitto-clients chromium socat openssl util-linux gcc libc6-dev python3-dev)
TEST_COMMANDS=(mosquitto mosquitto_pub chromium socat openssl cc unshare)

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

setup_test() {
    local command missing=()
    for command in "${TEST_COMMANDS[@]}"; do
        PATH="$PATH:/usr/sbin" command -v "$command" >/dev/null || missing+=("$command")
    done
    [ ${#missing[@]} = 0 ] || apt_install "the tests need ${missing[*]}" "${TEST_PACKAGES[@]}"
    say "installing the packages of requirements-test.lock …"
    pip install --requirement requirements-test.lock
    touch "$VENV/test.stamp"
}

case "${1:-}" in
    run) setup_run ;;
    test) setup_test ;;
    *) fail "usage: deploy/setup.sh run|test" ;;
esac
