#!/usr/bin/python3
"""Opens a board that publishes to the broker on it to the network, for who has a certificate or a token.

own_broker.py CARD: makes an authority of the board's own, and has the broker listen to the network too, for who
has a certificate of it; the programs on the board reach it as before. Starts the relay, for who has a token, and
puts `CARD/headwater.html` there, with a link that brings one: whoever holds the card holds the board. Once; a
board whose broker is elsewhere is left as it is, and has no use for a relay.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from files import ETC, Wrong, writable, write

FIRST_BROKER = "mqtt://127.0.0.1:1883"
"""What a configuration means that names none."""
HERE = ("127.0.0.1", "::1", "localhost")
USB_CABLE = "192.168.7.2"
RELAY_UNIT = "headwater-relay.service"
PORT = 8080
LINK_LIFETIME = "3650d"
COMMAND_S = 300

LISTENER = """\
# For the programs on this board. Read before headwater.conf, whose settings are for the network alone.
per_listener_settings true
listener 1883 127.0.0.1
allow_anonymous true
"""

PAGE = """\
<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{board}</title>
<body style="font: 18px/1.5 sans-serif; max-width: 40em; margin: 2em auto; padding: 0 1em">
<h1>{board}</h1>
<p><a href="{link}">See what it samples</a></p>
<p>By its USB cable: <a href="{usb_link}">the same</a></p>
<p>Log in: <code>ssh debian@{board}.local</code></p>
<p>Whoever has this file may see all that the board samples.
You may make a bookmark of the link and delete the file: it does not come back.</p>
"""


@dataclass(frozen=True, slots=True)
class Board:
    """Where things are on it."""

    card: Path
    etc: Path = ETC
    mosquitto: Path = Path("/etc/mosquitto")
    mosquitto_user: str = "mosquitto"
    opened: Path = Path("/var/lib/headwater-image/own-broker")
    """Is there when all was done."""
    command: tuple[str, ...] = ("headwater",)
    systemctl: tuple[str, ...] = ("systemctl", "--no-block")
    name: str = os.uname().nodename

    @property
    def pki(self) -> Path:
        """The authority: for root alone."""
        return self.etc / "pki"

    @property
    def relay(self) -> Path:
        """The relay's configuration."""
        return self.etc / "relay.toml"

    @property
    def tokens(self) -> Path:
        """The secret that tokens are made with."""
        return self.etc / "secrets" / "tokens"

    def headwater(self, *words: str) -> str:
        """What a command of Headwater's says. Raises Wrong if it fails."""
        done = subprocess.run(
            [*self.command, *words], capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise Wrong(f"headwater {' '.join(words[:2])}: {said[-1] if said else f'exit code {done.returncode}'}")
        return done.stdout.strip()

    def service(self, *words: str) -> None:
        """Tell systemd."""
        subprocess.run([*self.systemctl, *words], timeout=COMMAND_S, check=True)


def open_up(board: Board) -> bool:
    """Do what is not done yet; whether something was. Raises Wrong."""
    if not is_here(board.etc / "device.toml"):
        if board.opened.exists():
            leave(board)
        return False
    if board.opened.exists():
        return False
    open_broker(board)
    open_relay(board)
    write_page(board)
    write(board.opened, b"")
    return True


def is_here(config: Path) -> bool:
    """Whether the broker that a configuration names is on this board."""
    url = tomllib.loads(config.read_text()).get("mqtt", {}).get("url", FIRST_BROKER)
    return urlsplit(url).hostname in HERE


def leave(board: Board) -> None:
    """The board has another broker now. A relay that somebody has given something else to do goes on."""
    if is_here(board.relay):
        board.service("disable", "--now", RELAY_UNIT)
    board.opened.unlink()


def open_broker(board: Board) -> None:
    """For who has a certificate."""
    if not (board.pki / "provision.json").exists():
        names = (f"{board.name}.local", board.name, USB_CABLE)
        hosts = [word for name in names for word in ("--broker", name)]
        board.headwater("provision", "init", str(board.pki), *hosts, "--at", str(board.mosquitto / "headwater"))
    write(board.mosquitto / "conf.d" / "board.conf", LISTENER.encode())
    conf = board.mosquitto / "conf.d" / "headwater.conf"
    owner = ("--owner", board.mosquitto_user)
    board.headwater("provision", "install", "--dir", str(board.pki), "--conf", str(conf), *owner)


def open_relay(board: Board) -> None:
    """For who has a token. Where it listens somebody may have decided already."""
    if not board.tokens.exists():
        write(board.tokens, secrets.token_urlsafe(48).encode(), 0o600)
    text = board.relay.read_text()
    if "auth" not in tomllib.loads(text):
        text = re.sub(r'^listen = "127\.0\.0\.1:\d+".*$', f'listen = "0.0.0.0:{PORT}"', text, flags=re.MULTILINE)
        write(board.relay, f'{text}\n[auth]\nsecret_file = "{board.tokens}"\n'.encode())
    board.service("enable", "--now", RELAY_UNIT)


def write_page(board: Board) -> None:
    """The links, each with a token."""
    options = ("--secret-file", str(board.tokens), "--for", LINK_LIFETIME, "--subject", "card", "--admin")
    links = [
        board.headwater("token", *options, "--link", f"http://{host}:{PORT}", "*/*")
        for host in (f"{board.name}.local", USB_CABLE)
    ]
    text = PAGE.format(board=board.name, link=links[0], usb_link=links[1])
    with writable(board.card):
        write(board.card / "headwater.html", text.encode())


def main(board: Board) -> int:
    """Open the board's broker; the exit code."""
    try:
        if open_up(board):
            print("the broker here takes certificates of this board; headwater.html on the card has a link")
    except (Wrong, OSError, tomllib.TOMLDecodeError, subprocess.SubprocessError) as error:
        print(f"the broker stays closed to the network: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Board(Path(sys.argv[1]))))
