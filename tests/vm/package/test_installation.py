"""Installing without a network, upgrading, removing and purging."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import __version__
from tests.support.debs import fields, repacked
from tests.vm.nspawn import Container

pytestmark = pytest.mark.timeout(900)

GATEWAY, RELAY = "headwater-gateway.service", "headwater-relay.service"
PLACES = "/etc/headwater /var/lib/headwater /usr/lib/headwater /usr/bin/headwater /run/systemd/system/headwater*"


@pytest.fixture(scope="module")
def newer(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The next version, whose default configuration says something else."""

    def change(tree: Path) -> None:
        for name in ("device.toml", "relay.toml"):
            path = tree / "etc" / "headwater" / name
            path.write_text(path.read_text() + "# newer\n")

    version = fields(deb)["Version"].replace("+", ".1+")
    return repacked(deb, tmp_path_factory.mktemp("newer"), version, change)


def state(machine: Container, unit: str) -> str:
    """Such as `active running`."""
    return machine.run(f"systemctl show -P ActiveState -P SubState {unit}").replace("\n", " ").strip()


def test_it_is_installed_without_a_network_and_starts_nothing(installed: Container) -> None:
    assert installed.run("ls /sys/class/net").split() == ["lo"]
    assert installed.run("headwater --version") == f"headwater {__version__}\n"
    assert installed.run("dpkg --audit") == ""
    for unit in (GATEWAY, RELAY):
        assert state(installed, unit) == "inactive dead"
        assert installed.try_run(f"systemctl is-enabled {unit}")[1] == "disabled\n"


def test_its_python_finds_all_that_it_imports_and_is_left_alone_by_the_callers(installed: Container) -> None:
    everything = (
        "import pkgutil, importlib, gateway, boards; "
        "walk = pkgutil.walk_packages; "
        "names = [m.name for p in (gateway, boards) for m in walk(p.__path__, p.__name__ + '.')]; "
        "[importlib.import_module(n) for n in names if not n.endswith(('__main__', 'broker', 'demo'))]; "
        "import uvloop, zmq, cryptography, numpy; print(numpy.__file__)"
    )
    found = installed.run(f'/usr/lib/headwater/bin/python3 -I -c "{everything}"')
    assert found.startswith("/usr/lib/python3/dist-packages/numpy/")

    installed.run("mkdir -p /root/trap && echo 'raise SystemExit(7)' >/root/trap/click.py")
    assert installed.run("cd /root/trap && PYTHONPATH=/root/trap headwater --version").startswith("headwater ")


def test_the_installed_bytecode_is_up_to_date(installed: Container) -> None:
    before = "touch /root/mark && headwater --version && headwater doctor --help >/dev/null"
    installed.run(before)
    assert installed.run("find /usr/lib/headwater -name '*.pyc' | wc -l").strip() != "0"
    assert installed.run("find /usr/lib/headwater -name '*.pyc' -newer /root/mark") == ""


def test_the_configuration_that_comes_with_it_is_good(installed: Container) -> None:
    assert "board simulated" in installed.run("headwater run --check /etc/headwater/device.toml")
    assert "127.0.0.1:8080" in installed.run("headwater relay --check /etc/headwater/relay.toml")
    assert "disabled" in installed.try_run(f"systemctl is-enabled {GATEWAY}")[1]


def test_the_broker_that_is_not_in_it_says_what_is(installed: Container) -> None:
    code, said = installed.try_run("headwater broker")

    assert code == 2
    assert said.count("\n") == 1
    assert "apt install mosquitto" in said


def test_an_upgrade_keeps_what_was_edited_and_restarts_what_runs(installed: Container, newer: Path) -> None:
    installed.put(newer, "/root/newer.deb")
    installed.run("sed -i 's/^name = .*headwater.*/name = \"bbb7\"/' /etc/headwater/device.toml")
    edited = installed.path("/etc/headwater/device.toml").read_text()
    assert '"bbb7"' in edited
    installed.run(f"systemctl start {GATEWAY}")
    pid = installed.run(f"systemctl show -P MainPID {GATEWAY}")

    installed.run("DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold --install /root/newer.deb")

    assert installed.path("/etc/headwater/device.toml").read_text() == edited
    assert installed.path("/etc/headwater/relay.toml").read_text().endswith("# newer\n"), "nobody had edited it"
    assert state(installed, GATEWAY) == "active running"
    assert installed.run(f"systemctl show -P MainPID {GATEWAY}") != pid
    assert state(installed, RELAY) == "inactive dead"


def test_an_upgrade_by_the_updater_leaves_restarting_to_it(installed: Container) -> None:
    pid = installed.run(f"systemctl show -P MainPID {GATEWAY}")

    installed.run("HEADWATER_UPDATE=1 dpkg --force-downgrade --force-confold --install /root/headwater.deb")

    assert state(installed, GATEWAY) == "active running"
    assert installed.run(f"systemctl show -P MainPID {GATEWAY}") == pid
    installed.run(f"systemctl restart {GATEWAY}")


def test_removing_stops_it_and_keeps_configuration_and_state(installed: Container) -> None:
    installed.run("echo secret >/etc/headwater/secrets/mqtt-password")

    installed.run("dpkg --remove headwater")

    assert installed.run("pgrep -u headwater || true") == ""
    assert {"device.toml", "relay.toml", "secrets"} <= set(installed.run("ls /etc/headwater").split())
    assert installed.run("ls /var/lib/headwater") != ""
    assert installed.run("test ! -e /usr/lib/headwater && test ! -e /usr/bin/headwater; echo $?") == "0\n"


def test_purging_leaves_nothing_but_the_user(installed: Container) -> None:
    installed.run("dpkg --purge headwater")

    assert installed.run(f"ls -d {PLACES} 2>/dev/null || true") == ""
    left = "find / -xdev -name '*headwater*' -not -path '/proc/*' -not -path '/root/*' -not -path '/var/log/*'"
    assert installed.run(left) == ""
    assert "headwater" in installed.run("getent passwd headwater")
    assert (
        installed.run("dpkg-query --show --showformat='${db:Status-Status}' headwater || true").strip()
        != "installed"
    )
