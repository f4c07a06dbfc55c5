"""The provisioning folder: what is done with it, and what an interruption leaves of it."""

from __future__ import annotations

import shutil
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from gateway.errors import ConfigError
from gateway.provision.acl import access_list
from gateway.provision.check import problems
from gateway.provision.folder import Folder
from gateway.provision.register import LIFETIME, Broker, Client
from gateway.provision.settings import mosquitto_conf
from gateway.provision.signing import crl_number, fits
from tests.support.interruption import interrupted
from tests.support.processes import RunningProcess
from tests.support.secure import Provisioned, now

BUNDLE = {"ca.pem", "cert.pem", "key.pem", "mqtt.toml"}
FOR_BROKER = {"acl", "ca.pem", "cert.pem", "crl.pem", "key.pem", "mosquitto.conf"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def refused(path: Path, why: str) -> None:
    """The folder cannot be opened."""
    with pytest.raises(ConfigError, match=why), Folder.open(path):
        pass


def check(path: Path) -> None:
    """All that must be so whatever happened, once the folder has been opened."""
    with Folder.open(path) as folder:
        assert list(problems(folder, now())) == []
        assert all(one.written for one in folder.register.certificates)
        assert (folder.broker_folder / "acl").read_text() == access_list(folder.register)
        assert (folder.broker_folder / "mosquitto.conf").read_text() == mosquitto_conf(folder.register.broker)
        assert crl_number((folder.broker_folder / "crl.pem").read_bytes()) == folder.register.crl
        revoked = {one.pem for one in folder.register.revoked()}
        for name, place in folder.places():
            newest = folder.register.newest(name)
            assert newest is not None
            if place.exists():
                assert (place / "cert.pem").read_text() == newest.pem
                assert fits((place / "key.pem").read_bytes(), newest.pem.encode())
        assert not [left for left in path.rglob("*") if left.name.startswith(".")]
        there = {file.read_text() for file in path.rglob("cert.pem")}
        assert not there & revoked


class TestWhatIsThere:
    def test_a_new_one_has_an_authority_and_what_the_broker_needs(self, tmp_path: Path) -> None:
        made = Provisioned(tmp_path)
        assert names(made.path) == {"provision.json", "ca", "broker"}
        assert names(made.path / "ca") == {"ca.pem", "key.pem"}
        assert names(made.path / "broker") == FOR_BROKER
        check(made.path)

    def test_the_broker_is_known_by_its_names_and_on_loopback(self, tmp_path: Path) -> None:
        made = Provisioned(tmp_path)
        held = x509.load_pem_x509_certificate((made.path / "broker" / "cert.pem").read_bytes())
        found = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert found.get_values_for_type(x509.DNSName) == ["localhost"]
        assert {str(address) for address in found.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}

    def test_a_client_has_a_folder_of_its_own(self, provisioned: Provisioned) -> None:
        for bundle in ("devices/bbb1", "devices/bbb2", "relays/relay1", "readers/anna"):
            assert names(provisioned.path / bundle) == BUNDLE
        check(provisioned.path)

    def test_only_its_owner_may_look_into_it_and_nobody_else_reads_a_key(self, provisioned: Provisioned) -> None:
        folders = [provisioned.path, *(path for path in provisioned.path.rglob("*") if path.is_dir())]
        assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}
        secrets = [provisioned.path / "provision.json", *provisioned.path.rglob("key.pem")]
        assert len(secrets) == 7
        assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}

    def test_nothing_is_written_over_what_is_there(self, provisioned: Provisioned, tmp_path: Path) -> None:
        broker = Broker(hosts=("a",), folder="/b")
        (tmp_path / "file").touch()
        (tmp_path / "link").symlink_to("nowhere")
        for path in (provisioned.path, tmp_path / "file", tmp_path / "link", tmp_path):
            with pytest.raises(ConfigError, match="is there already, and nothing is written over it"):
                Folder.make(path, "headwater", broker, now(), LIFETIME)
        check(provisioned.path)

    def test_where_none_can_be_made_it_is_said(self) -> None:
        with pytest.raises(ConfigError, match="/proc/nowhere/pki: cannot be made: "):
            Folder.make(Path("/proc/nowhere/pki"), "r", Broker(hosts=("a",), folder="/b"), now(), LIFETIME)

    def test_a_folder_without_a_register_is_none(self, tmp_path: Path) -> None:
        refused(tmp_path, r"holds no provision\.json; 'headwater provision init DIR'")

    def test_without_the_authoritys_key_nothing_is_issued(self, provisioned: Provisioned) -> None:
        (provisioned.path / "ca" / "key.pem").unlink()
        refused(provisioned.path, r"ca/key\.pem: cannot be read: No such file")


class TestClients:
    def test_a_name_is_one_clients(self, provisioned: Provisioned) -> None:
        with Folder.open(provisioned.path) as folder:
            with pytest.raises(ConfigError, match="'bbb1' is the name of a device"):
                folder.check_free("bbb1", "relay", replace=True)
            with pytest.raises(ConfigError, match="bbb1: is there already; 'headwater provision renew bbb1'"):
                folder.check_free("bbb1", "device", replace=False)
            folder.check_free("bbb1", "device", replace=True)
            folder.check_free("bbb3", "device", replace=False)

    def test_a_renewal_needs_no_key_and_no_files_of_the_client(self, provisioned: Provisioned) -> None:
        elsewhere = provisioned.path.parent / "board"
        (provisioned.path / "devices" / "bbb1").rename(elsewhere)
        place = provisioned.renew("bbb1")
        assert names(place) == BUNDLE - {"key.pem"}
        assert fits((elsewhere / "key.pem").read_bytes(), (place / "cert.pem").read_bytes())

    def test_what_is_moved_away_can_be_made_anew(self, provisioned: Provisioned) -> None:
        shutil.rmtree(provisioned.path / "devices" / "bbb1")
        with Folder.open(provisioned.path) as folder:
            folder.check_free("bbb1", "device", replace=False)
        provisioned.add("device", "bbb1")
        check(provisioned.path)

    def test_to_revoke_removes_its_files_and_leaves_those_of_others(self, provisioned: Provisioned) -> None:
        (provisioned.path / "devices" / "notes.txt").write_text("mine")
        (provisioned.path / "devices" / "mine").mkdir()
        (provisioned.path / "devices" / "bbb2" / "device.toml").write_text("mine")
        assert provisioned.revoke("bbb1") == 1
        assert names(provisioned.path / "devices") == {"bbb2", "notes.txt", "mine"}
        assert provisioned.revoke("bbb2") == 1
        assert names(provisioned.path / "devices" / "bbb2") == {"device.toml"}
        with (
            Folder.open(provisioned.path) as folder,
            pytest.raises(ConfigError, match="there is no client 'bbb1'"),
        ):
            folder.check_known("bbb1")

    def test_the_broker_can_move(self, provisioned: Provisioned) -> None:
        with Folder.open(provisioned.path) as folder:
            moved = folder.register.broker.model_copy(update={"hosts": ("new.lan",)})
            place = folder.move_broker(moved, now(), LIFETIME)
        held = x509.load_pem_x509_certificate((place / "cert.pem").read_bytes())
        found = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert found.get_values_for_type(x509.DNSName) == ["new.lan", "localhost"]
        check(provisioned.path)


class TestClock:
    @pytest.mark.parametrize("clock", ["1970-01-01T00:01:00Z", "2000-01-01T00:00:00Z", "2025-12-31T23:59:59Z"])
    def test_nothing_is_made_with_a_clock_that_has_lost_its_time(self, tmp_path: Path, clock: str) -> None:
        """It would end in the past."""
        with pytest.raises(ConfigError, match=r"clock says .* is later than 2026-01-01 00:00: set it first"):
            Provisioned(tmp_path, made=datetime.fromisoformat(clock))
        assert not (tmp_path / "pki").exists()

    def test_nor_with_one_that_is_behind_what_was_made_already(self, provisioned: Provisioned) -> None:
        with pytest.raises(ConfigError, match="set it first"):
            provisioned.add("device", "bbb3", at=now() - timedelta(hours=1))


class TestInterruption:
    """Wherever it comes: the next command finds the folder in order, and the same command goes through."""

    @pytest.mark.parametrize("what", ["add", "rekey", "revoke", "move"])
    def test_it_leaves_nothing_half_done(self, tmp_path: Path, what: str) -> None:
        made = Provisioned(tmp_path / "original")
        made.add("device", "bbb1")

        def work(path: Path) -> None:
            client = Client(role="device", host="127.0.0.1", at="/x")
            with Folder.open(path) as folder:
                match what:
                    case "add":
                        folder.add("bbb2", client, now(), LIFETIME)
                    case "rekey":
                        folder.renew("bbb1", now(), LIFETIME, new_key_too=True)
                    case "revoke":
                        folder.revoke("bbb1", now())
                    case "move":
                        hosts = folder.register.broker.model_copy(update={"hosts": ("new.lan",)})
                        folder.move_broker(hosts, now(), LIFETIME)

        calls = 0
        while True:
            path = tmp_path / str(calls)
            shutil.copytree(made.path, path)
            cut = interrupted(lambda path=path: work(path), calls)  # type: ignore[misc]
            check(path)
            if not cut:
                break
            with Folder.open(path) as folder:
                done = what == "revoke" and "bbb1" not in folder.register.clients
            if not done:
                work(path)
            check(path)
            calls += 1
        assert calls > 10, "or else nothing was interrupted"

    def test_a_folder_that_was_not_finished_is_none_and_the_next_attempt_makes_it(self, tmp_path: Path) -> None:
        calls = 0
        while interrupted(lambda: Provisioned(tmp_path), calls) and calls < 500:
            assert not (tmp_path / "pki").exists() or (tmp_path / "pki" / "provision.json").exists()
            if (tmp_path / "pki").exists():
                break
            calls += 1
        assert 10 < calls < 500
        check(tmp_path / "pki")


ISSUE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from gateway.provision.folder import Folder
from gateway.provision.register import LIFETIME, Client
for number in range(5):
    with Folder.open(Path(sys.argv[1])) as folder:
        name = f"{sys.argv[2]}-{number}"
        folder.add(name, Client(role="device", host="127.0.0.1", at="/x"), datetime.now(UTC), LIFETIME)
"""


def test_two_at_a_time_lose_nothing_of_each_other(tmp_path: Path) -> None:
    made = Provisioned(tmp_path)
    with (
        RunningProcess([sys.executable, "-c", ISSUE, str(made.path), "a"]) as one,
        RunningProcess([sys.executable, "-c", ISSUE, str(made.path), "b"]) as other,
    ):
        assert one.wait() == 0, one
        assert other.wait() == 0, other
    check(made.path)
    with Folder.open(made.path) as folder:
        assert len(folder.register.clients) == 10
        assert len({certificate.serial for certificate in folder.register.certificates}) == 11
