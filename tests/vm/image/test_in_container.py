"""The card's user space in systemd-nspawn, through qemu-user, with the real Adafruit_BBIO on a stand-in ADC."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm.image.broker import Broker
from tests.vm.image.cards import Made
from tests.vm.image.container import HOST, CardContainer
from tests.vm.image.login import Shell
from tests.vm.image.running import GatewayContract, start

pytestmark = pytest.mark.timeout(2400)


@pytest.fixture(scope="module")
def container(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CardContainer]:
    """The card's system, booted by its systemd."""
    with CardContainer(tmp_path_factory.mktemp("container"), made) as container:
        yield container


class TestTheGateway(GatewayContract):
    """Over a cable to this computer."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(
        cls, container: CardContainer, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[tuple[Shell, Broker]]:
        with Broker(tmp_path_factory.mktemp("broker"), [HOST], bind=HOST) as broker:
            start(container, broker, HOST, broker.port)
            yield container, broker


def test_the_first_start_makes_what_differs_from_board_to_board(container: CardContainer) -> None:
    assert container.run("ls /etc/ssh/ssh_host_*_key").split() == ["/etc/ssh/ssh_host_ed25519_key"]
    assert len(container.run("cat /etc/machine-id").strip()) == 32
    assert container.run("systemctl is-active ssh mosquitto headwater-image-setup").split() == ["active"] * 3


def test_the_boards_own_broker_listens_to_the_board_and_to_who_has_a_certificate(container: CardContainer) -> None:
    container.run("systemctl start headwater-image-broker mosquitto")
    listening = container.run("ss -Hltn sport = :1883").split()
    assert {word for word in listening if word.endswith(":1883")} == {"127.0.0.1:1883"}
    # in TLS 1.3 the client is through before the server looks
    said = container.run("openssl s_client -tls1_2 -brief -connect localhost:8883 </dev/null 2>&1 || true")
    assert "alert handshake failure" in said
