"""The services, started by systemd in their sandboxes: samples from board to page, and what may go wrong."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tests.vm.nspawn import Container

pytestmark = pytest.mark.timeout(900)

GATEWAY, RELAY = "headwater-gateway.service", "headwater-relay.service"
STREAM = "headwater/ecg"
PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def running(installed: Container) -> Container:
    """Both services started, as README.Debian says."""
    installed.run(f"systemctl enable --now {GATEWAY} {RELAY}")
    return installed


def shown(machine: Container, unit: str, name: str) -> str:
    """A property of a unit."""
    return machine.run(f"systemctl show -P {name} {unit}").strip()


def status(machine: Container) -> dict[str, Any]:
    """What the device said when it connected."""
    text = machine.run("mosquitto_sub -h 127.0.0.1 -W 10 -C 1 -t headwater/headwater/status")
    content: dict[str, Any] = json.loads(text)
    return content


def audited(machine: Container) -> dict[str, Any]:
    """What became of five seconds of samples."""
    report: dict[str, Any] = json.loads(machine.run(f"headwater audit {STREAM} --duration 5 --json 2>/dev/null"))
    return report


def inside(machine: Container, command: str) -> tuple[int, str]:
    """Run a command where the gateway lives: its file systems and its user, without its system call filter."""
    pid = shown(machine, GATEWAY, "MainPID")
    enter = f"nsenter --target {pid} --mount setpriv --reuid headwater --regid headwater --init-groups"
    return machine.try_run(f"{enter} sh -c '{command}'")


def test_samples_arrive_and_every_one_is_accounted_for(running: Container) -> None:
    assert shown(running, GATEWAY, "ActiveState") == "active"

    report = audited(running)

    assert report["undeclared"] == 0
    (account,) = report["epochs"].values()
    assert account["delivered"] >= 1500


def test_the_device_knows_how_good_its_clock_is_and_may_not_set_it(running: Container) -> None:
    clock = status(running)["clock"]

    assert clock, "the kernel was asked"
    print(clock)


def test_only_its_state_can_be_written(running: Container) -> None:
    for place in ("/etc/headwater/x", "/usr/lib/headwater/x", "/var/lib/x", "/boot/x", "/root/x", "/run/x"):
        code, said = inside(running, f"touch {place}")
        assert code != 0, place
        assert "Read-only file system" in said or "Permission denied" in said
    assert inside(running, "touch /var/lib/headwater/x && rm /var/lib/headwater/x") == (0, "")


def test_it_sees_no_other_users_processes_and_homes(running: Container) -> None:
    assert inside(running, "ls /home /root")[1].strip().count("cannot open") <= 2
    assert inside(running, "cat /proc/1/cmdline")[0] != 0
    assert inside(running, "head -c 1 /proc/cmdline >/dev/null") == (0, ""), "Adafruit_BBIO reads it"


def test_secrets_reach_it_though_only_root_may_read_them(running: Container) -> None:
    running.run(
        "umask 077; echo 'a long secret' >/etc/headwater/secrets/mqtt-password; umask 022; "
        "mosquitto_passwd -b -c /etc/mosquitto/users bbb1 'a long secret'; chown mosquitto /etc/mosquitto/users; "
        "printf 'per_listener_settings true\\nlistener 1884 127.0.0.1\\npassword_file /etc/mosquitto/users\\n"
        "listener 1883 127.0.0.1\\nallow_anonymous true\\n' >/etc/mosquitto/conf.d/users.conf; "
        "systemctl restart mosquitto; "
        'sed -i \'s|^url = .*|url = "mqtt://bbb1@127.0.0.1:1884"\\n'
        'password_file = "/etc/headwater/secrets/mqtt-password"|\' /etc/headwater/device.toml; '
        f"systemctl restart {GATEWAY}"
    )

    wait_until(lambda: "connected to 127.0.0.1:1884" in journal(running), "a login with the password", PATIENCE_S)
    running.run("headwater run --check /etc/headwater/device.toml")  # by root, from the same file
    assert inside(running, "cat /etc/headwater/secrets/mqtt-password")[0] != 0


def test_it_starts_without_any_secret(running: Container) -> None:
    running.run(
        "mv /etc/headwater/secrets/mqtt-password /root/; sed -i '/^password_file/d' /etc/headwater/device.toml"
    )
    running.run("sed -i 's|^url = .*|url = \"mqtt://127.0.0.1\"|' /etc/headwater/device.toml")

    running.run(f"systemctl restart {GATEWAY}")

    assert shown(running, GATEWAY, "ActiveState") == "active"


def test_a_hang_is_ended_by_the_watchdog(running: Container) -> None:
    pid, restarts = shown(running, GATEWAY, "MainPID"), shown(running, GATEWAY, "NRestarts")

    running.run(f"kill -STOP {pid}")

    wait_until(lambda: shown(running, GATEWAY, "NRestarts") != restarts, "a restart by the watchdog", PATIENCE_S)
    wait_until(lambda: shown(running, GATEWAY, "SubState") == "running", "the gateway to be back", PATIENCE_S)
    assert "watchdog" in running.run(f"journalctl --unit {GATEWAY} --output cat")


def test_a_kill_costs_nothing_that_is_not_declared(running: Container) -> None:
    restarts = shown(running, GATEWAY, "NRestarts")
    epoch = status(running)["epoch"]

    running.run(f"systemctl kill --signal KILL {GATEWAY}")

    wait_until(lambda: shown(running, GATEWAY, "NRestarts") != restarts, "a restart", PATIENCE_S)
    wait_until(lambda: status(running)["epoch"] > epoch, "a new epoch", PATIENCE_S)
    assert audited(running)["undeclared"] == 0


def test_the_relay_serves_the_page_and_keeps_its_history_in_its_own_place(running: Container) -> None:
    wait_until(lambda: running.try_run("curl -sf http://127.0.0.1:8080/healthz")[0] == 0, "the relay", PATIENCE_S)

    assert shown(running, RELAY, "ActiveState") == "active"
    assert "<title>" in running.run("curl -sf http://127.0.0.1:8080/")
    wait_until(lambda: running.try_run("test -e /var/lib/headwater/relay/history")[0] == 0, "history", PATIENCE_S)
    lines = running.run(
        f"curl -sN --max-time 3 'http://127.0.0.1:8080/api/v1/streams/{STREAM}/live?format=csv' || true"
    )
    assert lines.count("\n") > 500


def test_the_relay_reads_its_keys_anew_without_a_restart(running: Container) -> None:
    pid = shown(running, RELAY, "MainPID")

    running.run(f"systemctl reload {RELAY}")

    wait_until(lambda: "read anew" in journal(running, RELAY), "the reload", PATIENCE_S)
    assert shown(running, RELAY, "MainPID") == pid


def test_a_stop_is_clean_and_quick(running: Container) -> None:
    began = time.monotonic()
    running.run(f"systemctl stop {GATEWAY} {RELAY}")

    assert time.monotonic() - began < 30
    for unit in (GATEWAY, RELAY):
        assert shown(running, unit, "Result") == "success"
    assert status(running)["online"] is False


def journal(machine: Container, unit: str = GATEWAY) -> str:
    """What the service has said."""
    return machine.run(f"journalctl --unit {unit} --output cat --no-pager")
