"""The private authority: certificates and lists of revoked ones (RFC 5280), of bytes and times.

Everything is valid from 1970 on. A BeagleBone has no battery clock, and starts in 1970 or 2000: a device or a
broker on it would refuse what is right until somebody told it the time.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import ConfigError
from gateway.provision.names import is_address
from gateway.provision.register import Certificate

NOT_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)

PublicKey = ec.EllipticCurvePublicKey
PrivateKey = ec.EllipticCurvePrivateKey


def new_key() -> PrivateKey:
    """A key on P-256: what every TLS library knows, and small enough for a small board."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """The key as a file holds it: PKCS #8, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_key_of(certificate: str) -> PublicKey:
    """The key that a certificate in PEM is for."""
    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    assert isinstance(key, PublicKey), "we issue no others"
    return key


def fits(key: bytes, certificate: bytes) -> bool:
    """Whether a key and a certificate, both in PEM, belong together."""
    try:
        private, held = load_pem_private_key(key, None), x509.load_pem_x509_certificate(certificate)
    except (ValueError, TypeError):
        return False
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(*form) == held.public_key().public_bytes(*form)


class Signer:
    """The authority's certificate and its key."""

    def __init__(self, certificate: x509.Certificate, key: PrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def make(cls, now: datetime, lifetime: timedelta) -> Self:
        """A new authority. Its name is its own, so that two of them are told apart."""
        key = new_key()
        name = _name(f"headwater authority {secrets.token_hex(4)}")
        builder = (
            _builder(name, name, key.public_key(), now + lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes, where: str) -> Self:
        """The authority of two PEM files; raises ConfigError."""
        if not fits(key, certificate):
            raise ConfigError(f"{where}: the authority's certificate and key do not belong together")
        loaded = load_pem_private_key(key, None)
        assert isinstance(loaded, PrivateKey), "we make no others"
        return cls(x509.load_pem_x509_certificate(certificate), loaded)

    @property
    def pem(self) -> bytes:
        """The certificate, which everybody trusts."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key, which nobody else may have."""
        return key_pem(self._key)

    @property
    def ends(self) -> datetime:
        """When it ends, and with it all that it has issued."""
        return self._certificate.not_valid_after_utc

    def broker(self, hosts: Sequence[str], key: PublicKey, now: datetime, lifetime: timedelta) -> Certificate:
        """A certificate for the broker at these names and addresses; no client can use it."""
        names = [x509.IPAddress(ipaddress.ip_address(h)) if is_address(h) else x509.DNSName(h) for h in hosts]
        return self._issue("", "headwater broker", ExtendedKeyUsageOID.SERVER_AUTH, names, key, now, lifetime)

    def client(self, name: str, key: PublicKey, now: datetime, lifetime: timedelta) -> Certificate:
        """A certificate for a client; no broker can use it."""
        return self._issue(name, name, ExtendedKeyUsageOID.CLIENT_AUTH, [], key, now, lifetime)

    def revocations(self, revoked: Iterable[Certificate], number: int) -> bytes:
        """The list of revoked certificates, in PEM.

        It holds as long as the authority: a list that runs out shuts everybody out. Its time grows with its number
        and not with the clock, for a broker without one, and because OpenSSL goes by the newest.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(NOT_BEFORE + timedelta(seconds=number))
            .next_update(self.ends)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self._authority(), critical=False)
        )
        for one in revoked:
            assert one.revoked is not None
            entry = x509.RevokedCertificateBuilder().serial_number(int(one.serial, 16))
            builder = builder.add_revoked_certificate(entry.revocation_date(one.revoked).build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _issue(
        self,
        name: str,
        common_name: str,
        purpose: x509.ObjectIdentifier,
        alternatives: Sequence[x509.GeneralName],
        key: PublicKey,
        now: datetime,
        lifetime: timedelta,
    ) -> Certificate:
        builder = (
            _builder(_name(common_name), self._certificate.subject, key, min(now + lifetime, self.ends))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(self._authority(), critical=False)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        made = builder.sign(self._key, hashes.SHA256())
        return Certificate(
            name=name,
            serial=f"{made.serial_number:040X}",
            made=now.replace(microsecond=0),
            ends=made.not_valid_after_utc,
            pem=made.public_bytes(Encoding.PEM).decode(),
        )

    def _authority(self) -> x509.AuthorityKeyIdentifier:
        identifier = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def crl_number(pem: bytes) -> int | None:
    """The number of a list of revoked certificates; None if it is none."""
    try:
        listed = x509.load_pem_x509_crl(pem)
        return listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (ValueError, x509.ExtensionNotFound):
        return None


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: PublicKey, ends: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(ends.replace(microsecond=0))
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    """What a key may sign: certificates and lists of revoked ones, or handshakes."""
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
