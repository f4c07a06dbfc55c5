"""What is wrong in a provisioning folder, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from gateway.provision import settings
from gateway.provision.folder import Folder
from gateway.provision.register import BROKER, Certificate
from gateway.provision.signing import fits

SOON = timedelta(days=90)
"""Who uses a certificate that ends sooner is to get another."""
OTHERS = 0o077
"""The bits of a mode that let others in."""


def problems(folder: Folder, now: datetime) -> Iterator[str]:
    """One line for each; none if all is well."""
    yield from _open_to_others(folder.path)
    if folder.signer.ends < now + SOON:
        yield f"the authority ends {folder.signer.ends:%Y-%m-%d}: make another with 'headwater provision init'"
    for name, place in folder.places():
        newest = folder.register.newest(name)
        assert newest is not None
        yield from _ends(name, newest, now)
        yield from _differs(name, place, newest)


def state_of(folder: Folder, certificate: Certificate, now: datetime) -> str:
    """How a certificate is, in a few words."""
    if certificate.revoked is not None:
        return f"revoked {certificate.revoked:%Y-%m-%d}"
    if certificate.ends <= now:
        return "ended"
    if certificate != folder.register.newest(certificate.name):
        return "replaced, still good"
    return "ends soon" if certificate.ends < now + SOON else "good"


def rows(folder: Folder, now: datetime, *, everything: bool) -> Iterator[dict[str, str]]:
    """Who has which certificate; `everything`: also those that were replaced or revoked."""
    register = folder.register
    for one in register.certificates:
        if not everything and one != register.newest(one.name):
            continue
        client = register.clients.get(one.name)
        yield {
            "name": one.name,
            "role": "broker" if one.name == BROKER else client.role if client is not None else "",
            "serial": one.serial,
            "made": one.made.isoformat(),
            "ends": one.ends.isoformat(),
            "state": state_of(folder, one, now),
        }


def called(name: str) -> str:
    """The client's name, or what the broker is called."""
    return "the broker" if name == BROKER else name


def _ends(name: str, certificate: Certificate, now: datetime) -> Iterator[str]:
    if certificate.ends < now + SOON:
        verb = "ended" if certificate.ends <= now else "ends"
        yield f"{called(name)}: the certificate {verb} {certificate.ends:%Y-%m-%d}: 'headwater provision renew'"


def _differs(name: str, place: Path, newest: Certificate) -> Iterator[str]:
    """A client's files need not be here any more; those that are must be right."""
    certificate, key = place / settings.CERT, place / settings.KEY
    if not certificate.is_file():
        return
    if certificate.read_text() != newest.pem:
        yield f"{certificate}: is not the certificate that was issued last: 'headwater provision renew {name}'"
    elif key.is_file() and not fits(key.read_bytes(), certificate.read_bytes()):
        yield f"{key}: does not belong to the certificate beside it"


def _open_to_others(path: Path) -> Iterator[str]:
    if path.stat().st_mode & OTHERS:
        yield f"{path}: others may look into it: chmod 700 {path}"
    for key in sorted(path.rglob(settings.KEY)):
        if key.stat().st_mode & OTHERS:
            yield f"{key}: others may read it: chmod 600 {key}, and think of 'headwater provision revoke'"
