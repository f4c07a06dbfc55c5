"""Certificates and lists of revoked ones, judged by OpenSSL."""

from __future__ import annotations

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from gateway.errors import ConfigError
from gateway.provision.register import Certificate
from gateway.provision.signing import Signer, crl_number, fits, key_pem, new_key, public_key_of

NOW = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
YEAR = timedelta(days=365)
YEAR_2000_S = 946_684_800
"""When the clock of a BeagleBone starts that has lost its time."""


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.make(NOW, 10 * YEAR)


def for_client(signer: Signer, name: str = "bbb1", lifetime: timedelta = YEAR) -> Certificate:
    return signer.client(name, new_key().public_key(), NOW, lifetime)


def for_broker(signer: Signer) -> Certificate:
    return signer.broker(["broker.lan", "192.168.7.1", "fd00::1"], new_key().public_key(), NOW, YEAR)


class Verify:
    """`openssl verify`, as strict as it can be."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self.folder = folder
        self.authority = folder / "authority.pem"
        self.authority.write_bytes(signer.pem)

    def __call__(self, pem: str, purpose: str, *options: str, at_s: float = NOW.timestamp()) -> str:
        """Nothing if it is right, or else why not."""
        path = self.folder / "certificate.pem"
        path.write_text(pem)
        command = ["openssl", "verify", "-x509_strict", "-attime", str(int(at_s)), "-purpose", purpose, *options]
        ran = subprocess.run(
            [*command, "-CAfile", self.authority, path], capture_output=True, text=True, check=False
        )
        return "" if ran.returncode == 0 else ran.stderr


@pytest.fixture
def verify(tmp_path: Path, signer: Signer) -> Verify:
    return Verify(tmp_path, signer)


def test_a_client_is_a_client_and_no_server(signer: Signer, verify: Verify) -> None:
    pem = for_client(signer).pem
    assert verify(pem, "sslclient") == ""
    assert "unsuitable certificate purpose" in verify(pem, "sslserver")


def test_a_broker_is_a_server_and_no_client(signer: Signer, verify: Verify) -> None:
    pem = for_broker(signer).pem
    assert verify(pem, "sslserver", "-verify_hostname", "broker.lan") == ""
    assert verify(pem, "sslserver", "-verify_ip", "192.168.7.1") == ""
    assert verify(pem, "sslserver", "-verify_ip", "fd00::1") == ""
    assert "hostname mismatch" in verify(pem, "sslserver", "-verify_hostname", "other.lan")
    assert "unsuitable certificate purpose" in verify(pem, "sslclient")


def test_nobody_can_sign_with_a_certificate_that_was_issued(
    signer: Signer, verify: Verify, tmp_path: Path
) -> None:
    key = new_key()
    held = signer.client("bbb1", key.public_key(), NOW, YEAR)
    (tmp_path / "held.pem").write_text(held.pem)
    false = Signer(x509.load_pem_x509_certificate(held.pem.encode()), key)
    forged = false.client("bbb2", new_key().public_key(), NOW, YEAR)
    assert "invalid CA certificate" in verify(forged.pem, "sslclient", "-untrusted", str(tmp_path / "held.pem"))


def test_the_authority_admits_none_below_it(signer: Signer) -> None:
    extensions = x509.load_pem_x509_certificate(signer.pem).extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert extensions.get_extension_for_class(x509.KeyUsage).critical


@pytest.mark.parametrize("at_s", [0, YEAR_2000_S, NOW.timestamp()])
def test_it_is_good_also_for_a_clock_that_has_lost_its_time(
    signer: Signer, verify: Verify, tmp_path: Path, at_s: float
) -> None:
    (tmp_path / "crl.pem").write_bytes(signer.revocations([], 1))
    crl = ("-crl_check", "-CRLfile", str(tmp_path / "crl.pem"))
    assert verify(for_client(signer).pem, "sslclient", *crl, at_s=max(at_s, 1)) == ""
    assert verify(for_broker(signer).pem, "sslserver", at_s=at_s) == ""


def test_it_ends_when_it_was_said_and_never_after_the_authority(signer: Signer, verify: Verify) -> None:
    certificate = for_client(signer)
    assert certificate.ends == NOW.replace(microsecond=0) + YEAR
    assert "certificate has expired" in verify(certificate.pem, "sslclient", at_s=certificate.ends.timestamp() + 1)
    assert for_client(signer, lifetime=50 * YEAR).ends == signer.ends


def test_a_revoked_one_is_on_the_list_and_others_are_not(signer: Signer, verify: Verify, tmp_path: Path) -> None:
    bad, good = for_client(signer), for_client(signer)
    revoked = bad.model_copy(update={"revoked": NOW})
    (tmp_path / "crl.pem").write_bytes(signer.revocations([revoked], 2))
    options = ("-crl_check", "-CRLfile", str(tmp_path / "crl.pem"))
    assert "certificate revoked" in verify(bad.pem, "sslclient", *options)
    assert verify(good.pem, "sslclient", *options) == ""


def test_the_list_does_not_run_out_before_the_authority_and_grows_in_number_and_time(signer: Signer) -> None:
    lists = [x509.load_pem_x509_crl(signer.revocations([], number)) for number in (1, 2, 3)]
    assert {one.next_update_utc for one in lists} == {signer.ends}
    times = [one.last_update_utc for one in lists]
    assert times == sorted(set(times))
    assert times[-1] is not None
    assert times[-1].year == 1970
    assert [crl_number(signer.revocations([], number)) for number in (1, 2, 3)] == [1, 2, 3]
    assert crl_number(b"nothing") is None


def test_serial_numbers_are_random(signer: Signer, tmp_path: Path) -> None:
    certificates = [for_client(signer) for _ in range(20)]
    assert len({one.serial for one in certificates}) == 20
    assert {len(one.serial) for one in certificates} == {40}
    (tmp_path / "one.pem").write_text(certificates[0].pem)
    command = ["openssl", "x509", "-in", str(tmp_path / "one.pem"), "-noout", "-serial", "-subject"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert int(printed[0].partition("=")[2], 16) == int(certificates[0].serial, 16)
    assert printed[1].replace(" ", "") == "subject=CN=bbb1"


def test_python_takes_the_broker_at_its_strictest(signer: Signer, tmp_path: Path) -> None:
    """Python 3.13 and newer are so without being told."""
    key = new_key()
    held = signer.broker(["broker.lan"], key.public_key(), NOW, 3 * YEAR)
    (tmp_path / "cert.pem").write_text(held.pem)
    (tmp_path / "key.pem").write_bytes(key_pem(key))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    client = ssl.create_default_context(cadata=signer.pem.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    shake_hands(client, server, "broker.lan")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(client, server, "other.lan")


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    """A TLS handshake in memory."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)]
    for _ in range(5):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


def test_keys_and_certificates_that_do_not_belong_together_are_told_apart(signer: Signer) -> None:
    key = new_key()
    pem = signer.client("bbb1", key.public_key(), NOW, YEAR).pem
    assert fits(key_pem(key), pem.encode())
    assert not fits(key_pem(new_key()), pem.encode())
    assert not fits(b"", pem.encode())
    assert not fits(key_pem(key), b"")
    assert public_key_of(pem) == key.public_key()
    with pytest.raises(ConfigError, match="ca: the authority's certificate and key do not belong together"):
        Signer.load(signer.pem, key_pem(key), "ca")
    assert Signer.load(signer.pem, signer.key_pem, "ca").ends == signer.ends


def test_two_authorities_have_names_of_their_own() -> None:
    made = [x509.load_pem_x509_certificate(Signer.make(NOW, YEAR).pem) for _ in range(2)]
    assert made[0].subject != made[1].subject
