"""What ssh complains about, and what that means."""

from __future__ import annotations

import pytest

from deploy.rollout.errors import DeployError, Unreachable
from deploy.rollout.ssh import Connection, explain
from tests.support.ports import free_port

COMPLAINTS = {
    "No ED25519 host key is known for bbb1 and you requested strict checking.\r\nHost key verification failed.":
        "its host key is not known here",
    "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.":
        "its host key is another one than before",
    "debian@bbb1: Permission denied (publickey,password).": "ssh-copy-id debian@bbb1",
    "ssh: Could not resolve hostname bbb1: Name or service not known": "there is no such name",
    "ssh: connect to host bbb1 port 22: Connection timed out": "is it on, and in this network?",
    "ssh: connect to host bbb1 port 22: No route to host": "there is no way there",
    "ssh: connect to host bbb1 port 22: Connection refused": "is its ssh server on?",
    "Unable to negotiate with bbb1: no matching key exchange method\n": "ssh says: Unable to negotiate",
    "": "the connection was lost",
}  # fmt: skip


@pytest.mark.parametrize("complaint", COMPLAINTS)
def test_each_complaint_has_a_meaning(complaint: str) -> None:
    assert COMPLAINTS[complaint] in explain("debian@bbb1", complaint)


@pytest.mark.parametrize("host", ["-oProxyCommand=reboot", "", "a b", "bbb1;reboot", "$(reboot)"])
def test_a_host_is_a_host_and_nothing_for_a_shell_or_an_option(host: str) -> None:
    with pytest.raises(DeployError, match="is no host"):
        Connection(host)


def test_a_port_where_nobody_listens_is_said_to_be_so() -> None:
    with (
        pytest.raises(Unreachable, match="takes no ssh connections"),
        Connection(f"ssh://127.0.0.1:{free_port()}"),
    ):
        pass
