"""All that provisioning keeps, in one folder: the register, the authority, the broker's files and each client's.

The register is written first, and what follows from it afterwards; what an interruption has left undone is done
when the folder is opened again. docs/provision.md says what is where.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from gateway.errors import ConfigError
from gateway.provision import files, settings
from gateway.provision.acl import access_list, plain_access_list
from gateway.provision.files import SECRET, Content
from gateway.provision.register import (
    AUTHORITY_LIFETIME,
    BROKER,
    ROLES,
    Broker,
    Certificate,
    Client,
    Register,
    Role,
    read_register,
)
from gateway.provision.signing import PrivateKey, PublicKey, Signer, crl_number, key_pem, new_key, public_key_of

REGISTER = "provision.json"
OLDEST_CLOCK = datetime.fromisoformat("2026-01-01T00:00:00Z")
"""A clock that shows less is wrong: this was written later."""


class Folder:
    """What is kept in it, and what can be done with that."""

    def __init__(self, path: Path, register: Register, signer: Signer) -> None:
        self.path = path
        self.register = register
        self.signer = signer

    @classmethod
    def make(cls, path: Path, root: str, broker: Broker, now: datetime, lifetime: timedelta) -> Folder:
        """A new folder with a new authority and the broker's certificate. Raises ConfigError."""
        _check_clock(now, None)
        if path.exists() or path.is_symlink():
            raise ConfigError(f"{path}: is there already, and nothing is written over it: name a new folder")
        signer = Signer.make(now, AUTHORITY_LIFETIME)
        key = new_key()
        certificate = signer.broker(_all_hosts(broker), key.public_key(), now, lifetime)
        register = Register(root=root, broker=broker).with_certificate(certificate).settled({certificate.serial})
        folder = cls(path, register, signer)
        contents = {
            REGISTER: Content(register.dump(), SECRET),
            f"ca/{settings.CA}": Content(signer.pem),
            f"ca/{settings.KEY}": Content(signer.key_pem, SECRET),
            f"broker/{settings.CERT}": Content(certificate.pem.encode()),
            f"broker/{settings.KEY}": Content(key_pem(key), SECRET),
            **{f"broker/{name}": content for name, content in folder._for_broker().items()},
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_folder(path, contents)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be made: {error.strerror}") from None
        return folder

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Folder]:
        """The folder, for as long as the block lasts; others wait. Raises ConfigError."""
        if not (path / REGISTER).is_file():
            raise ConfigError(
                f"{path}: holds no {REGISTER}; 'headwater provision init DIR' makes such a folder, --dir names it"
            )
        with files.locked(path):
            folder = cls(path, *_read(path))
            folder._settle()
            yield folder

    @property
    def broker_folder(self) -> Path:
        """What the broker gets."""
        return self.path / "broker"

    def client_folder(self, name: str) -> Path:
        """What the client of that name gets."""
        return self.path / f"{self.register.clients[name].role}s" / name

    def places(self) -> list[tuple[str, Path]]:
        """The broker and each client, by name, and where its files are, or were."""
        return [(name, self._place(name)) for name in (BROKER, *self.register.clients)]

    def add(self, name: str, client: Client, now: datetime, lifetime: timedelta) -> Path:
        """A client with a new key and a certificate for it; where its files are. What it had stays good."""
        return self._issue(self.register.with_client(name, client), name, new_key(), now, lifetime)

    def check_free(self, name: str, role: Role, *, replace: bool) -> None:
        """Raise ConfigError if somebody else has the name, or if it has files and they are not to be replaced."""
        known = self.register.clients.get(name)
        if known is not None and known.role != role:
            raise ConfigError(f"{name!r} is the name of a {known.role}; each client needs a name of its own")
        if known is not None and self.client_folder(name).exists() and not replace:
            raise ConfigError(
                f"{self.client_folder(name)}: is there already; 'headwater provision renew {name}' makes a new "
                f"certificate, --force a new key too"
            )

    def check_known(self, name: str) -> None:
        """Raise ConfigError if there is no such client."""
        if name not in self.register.clients:
            raise ConfigError(
                f"there is no client {name!r:.100}; 'headwater provision list' names those there are"
            )

    def renew(self, name: str, now: datetime, lifetime: timedelta, *, new_key_too: bool = False) -> Path:
        """A certificate that ends later for the same name, a client's or BROKER, and, if not told otherwise, key.

        So it needs no secret: the client's key need not be here any more. The old one stays good until it ends.
        Returns where it is; raises ConfigError.
        """
        if name != BROKER:
            self.check_known(name)
        return self._issue(self.register, name, new_key() if new_key_too else None, now, lifetime)

    def move_broker(self, broker: Broker, now: datetime, lifetime: timedelta) -> Path:
        """The broker at other names and addresses, for which it gets a certificate; where it is."""
        return self._issue(self.register.with_broker(broker), BROKER, None, now, lifetime)

    def revoke(self, name: str, now: datetime) -> int:
        """Take the client its rights, and put all its certificates onto the list; how many. Raises ConfigError."""
        self.check_known(name)
        before = len(self.register.revoked())
        self._note(self.register.without(name, now.replace(microsecond=0)))
        self._settle()
        return len(self.register.revoked()) - before

    def _issue(
        self, register: Register, name: str, key: PrivateKey | None, now: datetime, lifetime: timedelta
    ) -> Path:
        """Note a certificate, write it, note that it is written. Without a `key`, for the one that is in use."""
        _check_clock(now, max(one.made for one in self.register.certificates))
        public = key.public_key() if key is not None else self._public_key(name)
        if name == BROKER:
            certificate = self.signer.broker(_all_hosts(register.broker), public, now, lifetime)
        else:
            certificate = self.signer.client(name, public, now, lifetime)
        self._note(register.with_certificate(certificate))
        place = self._write(name, certificate, key_pem(key) if key is not None else None)
        self._note(self.register.settled({certificate.serial}))
        self._write_for_broker()
        return place

    def _public_key(self, name: str) -> PublicKey:
        held = self.register.newest(name)
        assert held is not None, "who is known has a certificate"
        return public_key_of(held.pem)

    def _note(self, register: Register) -> None:
        files.write(self.path / REGISTER, Content(register.dump(), SECRET))
        self.register = register

    def _settle(self) -> None:
        """Do what an interruption has left undone, and bring up to date what follows from the register."""
        for parent in (self.path, self.broker_folder, *(self.path / f"{role}s" for role in ROLES)):
            files.clean_up(parent)
        if not all(one.written for one in self.register.certificates):
            there = {self._certificate_at(place) for _, place in self.places()}
            self._note(
                self.register.settled([one.serial for one in self.register.certificates if one.pem in there])
            )
        self._write_for_broker()
        revoked = {one.pem for one in self.register.revoked()}
        for place in [place for role in ROLES for place in (self.path / f"{role}s").glob("*")]:
            if self._certificate_at(place) in revoked:
                # the certificate last: as long as it is there, the rest will be looked for
                files.remove(place, (settings.KEY, settings.SNIPPET, settings.CA, settings.CERT))

    def _place(self, name: str) -> Path:
        return self.broker_folder if name == BROKER else self.client_folder(name)

    def _certificate_at(self, place: Path) -> str:
        file = place / settings.CERT
        return file.read_text() if file.is_file() else ""

    def _write(self, name: str, certificate: Certificate, key: bytes | None) -> Path:
        """All that the client or the broker gets, whole; without a new key, the old one stays if it is there."""
        place = self._place(name)
        contents = {settings.CERT: Content(certificate.pem.encode())}
        if name == BROKER:
            contents |= self._for_broker()
        else:
            table = settings.mqtt_table(self.register, name, self.register.clients[name])
            contents |= {settings.CA: Content(self.signer.pem), settings.SNIPPET: Content(table.encode())}
        if key is None and (place / settings.KEY).is_file():
            key = (place / settings.KEY).read_bytes()
        if key is not None:
            contents[settings.KEY] = Content(key, SECRET)
        if not place.parent.is_dir():
            files.make_folder(place.parent)
        files.write_folder(place, contents)
        return place

    def _write_for_broker(self) -> None:
        """The broker's list of revoked certificates, its access list and its configuration, where they differ."""
        for name, content in self._for_broker().items():
            place = self.broker_folder / name
            if not place.is_file() or place.read_bytes() != content.bytes:
                files.write(place, content)

    def _for_broker(self) -> dict[str, Content]:
        """What the broker gets beside its certificate and its key."""
        register = self.register
        contents = {
            settings.CA: self.signer.pem,
            settings.CRL: self._revocations(),
            settings.ACL: access_list(register).encode(),
            settings.CONF: settings.mosquitto_conf(register.broker).encode(),
        }
        if register.broker.plain_port is not None:
            contents[settings.PLAIN_ACL] = plain_access_list(register).encode()
        return {name: Content(content) for name, content in contents.items()}

    def _revocations(self) -> bytes:
        """The list as it is, if it is the newest: each signature of the same differs."""
        place = self.broker_folder / settings.CRL
        there = place.read_bytes() if place.is_file() else b""
        if crl_number(there) == self.register.crl:
            return there
        return self.signer.revocations(self.register.revoked(), self.register.crl)


def _read(path: Path) -> tuple[Register, Signer]:
    where = path / REGISTER
    try:
        register = read_register(where.read_bytes(), str(where))
        authority = (path / "ca" / settings.CA).read_bytes(), (path / "ca" / settings.KEY).read_bytes()
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read: {error.strerror}") from None
    return register, Signer.load(*authority, str(path / "ca"))


def _all_hosts(broker: Broker) -> list[str]:
    return list(dict.fromkeys((*broker.hosts, *settings.LOOPBACK)))


def _check_clock(now: datetime, newest: datetime | None) -> None:
    """What is made with a clock that is behind ends too early."""
    earliest = max(OLDEST_CLOCK, newest) if newest is not None else OLDEST_CLOCK
    if now < earliest:
        raise ConfigError(
            f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, and it is later than {earliest:%Y-%m-%d %H:%M}: "
            f"set it first (timedatectl)"
        )
