"""What is found wrong in a provisioning folder, and what is brought to the broker."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.provision.check import problems, rows
from gateway.provision.folder import Folder
from gateway.provision.install import install
from gateway.provision.register import LIFETIME
from tests.support.secure import ME, Provisioned, now


def found(path: Path, days: int = 0) -> list[str]:
    """The problems in so many days."""
    with Folder.open(path) as folder:
        return list(problems(folder, now() + timedelta(days=days)))


def states(path: Path, days: int = 0) -> list[tuple[str, str]]:
    with Folder.open(path) as folder:
        listed = rows(folder, now() + timedelta(days=days), everything=True)
        return [(row["name"], row["state"]) for row in listed]


class TestCheck:
    def test_a_folder_that_is_right_has_no_problem(self, provisioned: Provisioned) -> None:
        assert found(provisioned.path) == []

    def test_who_is_to_be_renewed_is_named_the_broker_too(self, provisioned: Provisioned) -> None:
        soon = found(provisioned.path, 700)
        assert len(soon) == 5
        assert soon[0].startswith("the broker: the certificate ends ")
        assert soon[1].startswith("bbb1: the certificate ends ")
        assert soon[1].endswith(": 'headwater provision renew'")
        assert "the certificate ended " in found(provisioned.path, 740)[1]
        assert found(provisioned.path, 3600)[0].startswith("the authority ends ")

    def test_files_that_others_can_read_are_named_with_what_to_do(self, provisioned: Provisioned) -> None:
        key = provisioned.path / "devices" / "bbb1" / "key.pem"
        key.chmod(0o640)
        provisioned.path.chmod(0o755)
        assert found(provisioned.path) == [
            f"{provisioned.path}: others may look into it: chmod 700 {provisioned.path}",
            f"{key}: others may read it: chmod 600 {key}, and think of 'headwater provision revoke'",
        ]

    def test_files_that_do_not_belong_together_are_named(self, provisioned: Provisioned) -> None:
        devices = provisioned.path / "devices"
        (devices / "bbb1" / "key.pem").write_bytes((devices / "bbb2" / "key.pem").read_bytes())
        (devices / "bbb2" / "cert.pem").write_bytes((devices / "bbb1" / "cert.pem").read_bytes())
        first, second = found(provisioned.path)
        assert first == f"{devices}/bbb1/key.pem: does not belong to the certificate beside it"
        assert second.startswith(f"{devices}/bbb2/cert.pem: is not the certificate that was issued last")

    def test_each_certificate_is_listed_with_how_it_is(self, provisioned: Provisioned) -> None:
        provisioned.renew("bbb1")
        provisioned.revoke("bbb2")
        today = f"{now():%Y-%m-%d}"
        assert states(provisioned.path) == [
            ("", "good"),
            ("bbb1", "replaced, still good"),
            ("bbb2", f"revoked {today}"),
            ("relay1", "good"),
            ("anna", "good"),
            ("bbb1", "good"),
        ]
        assert {state for _, state in states(provisioned.path, 700)} >= {"ends soon"}
        assert {state for _, state in states(provisioned.path, 740)} == {"ended", f"revoked {today}"}


class TestInstall:
    @pytest.fixture
    def target(self, provisioned: Provisioned) -> Path:
        return provisioned.directory / "mosquitto"

    def test_the_brokers_user_alone_can_read_what_is_installed(
        self, provisioned: Provisioned, target: Path
    ) -> None:
        """As root, it is another user: mosquitto reads its files after it has given up root's rights."""
        owner = "mosquitto" if os.getuid() == 0 else ME
        conf = provisioned.directory / "headwater.conf"
        changed = install(provisioned.path / "broker", target, conf, owner)
        assert changed == {"acl", "ca.pem", "cert.pem", "crl.pem", "key.pem", "mosquitto.conf"}
        files = list(target.iterdir())
        assert {path.name for path in files} == changed - {"mosquitto.conf"}
        assert {path.owner() for path in (target, *files)} == {owner}
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
        assert target.stat().st_mode & 0o777 == 0o700
        assert conf.stat().st_mode & 0o777 == 0o644

    def test_only_what_changed_is_written(self, provisioned: Provisioned, target: Path) -> None:
        provisioned.install()
        before = {path: path.stat().st_ino for path in target.iterdir()}
        assert provisioned.install() == set()
        provisioned.add("device", "bbb3")
        assert provisioned.install() == {"acl"}
        provisioned.revoke("bbb3")
        assert provisioned.install() == {"acl", "crl.pem"}
        provisioned.renew("")
        assert provisioned.install() == {"cert.pem"}
        after = {path: path.stat().st_ino for path in target.iterdir()}
        assert {path.name for path in before if before[path] != after[path]} == {"acl", "crl.pem", "cert.pem"}

    def test_what_cannot_be_done_is_said(self, provisioned: Provisioned) -> None:
        source = provisioned.path / "broker"
        with pytest.raises(ConfigError, match="there is no user 'nobody-here' on this machine: install mosquitto"):
            install(source, provisioned.directory / "m", provisioned.directory / "c", "nobody-here")
        with pytest.raises(ConfigError, match="cannot be written: "):
            install(source, Path("/proc/nowhere"), provisioned.directory / "c", ME)
        with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
            install(source, provisioned.directory / "m", provisioned.directory / "nowhere" / "c", ME)


def test_a_lifetime_of_two_years_is_the_default(provisioned: Provisioned) -> None:
    with Folder.open(provisioned.path) as folder:
        newest = folder.register.newest("bbb1")
        assert newest is not None
        assert newest.ends - newest.made == LIFETIME == timedelta(days=730)
