"""What may stand in certificates, topics and access lists, and what would reach beyond its place in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError, TopicError
from gateway.provision.acl import access_list
from gateway.provision.names import check_client, check_host, check_reading, check_root, url_of
from gateway.provision.register import Broker, Client, Register

BAD_NAMES = [
    "",
    "+",
    "#",
    "a/b",
    "a+",
    "bbb1\n",
    "bb b",
    "a\x00",
    "ä",
    "²",
    "-a",
    ".a",
    "..",
    "%u",
    "x" * 65,
    "\u202ea",
]


@pytest.mark.parametrize("name", ["bbb1", "BBB-1", "a", "ward3.bed_2", "0", "x" * 64])
def test_names_of_clients(name: str) -> None:
    assert check_client(name) == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_what_is_no_name_of_a_client(name: str) -> None:
    with pytest.raises(TopicError, match="is not allowed: it must be 1 to 64 letters") as refused:
        check_client(name)
    assert str(refused.value).isprintable()


def test_a_refusal_does_not_repeat_a_name_of_any_length() -> None:
    with pytest.raises(TopicError) as refused:
        check_client("x" * 10_000)
    assert len(str(refused.value)) < 250


@given(st.text(max_size=70), st.sampled_from(["device", "relay", "reader"]))
def test_whatever_a_name_is_it_adds_no_rule_of_its_own(name: str, role: str) -> None:
    try:
        client = Client(role=role, host="b", at="/a", streams=("*/*",))  # type: ignore[arg-type]
        register = Register(root="headwater", broker=Broker(hosts=("b",), folder="/b"))
        text = access_list(register.with_client(check_client(name), client))
    except TopicError:
        return
    rules = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert rules[0] == f"user {name}"
    assert all(rule.startswith(("topic read headwater/", "topic write headwater/")) for rule in rules[1:])
    if role == "device":
        assert all(rule.split(" ", 2)[2].startswith(f"headwater/{name}/") for rule in rules[1:])


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("broker.lan", "broker.lan"),
        ("Broker.LAN", "broker.lan"),
        ("beaglebone", "beaglebone"),
        ("a-1.b-2", "a-1.b-2"),
        ("192.168.7.1", "192.168.7.1"),
        ("FD00::1", "fd00::1"),
        ("xn--brse-6qa.example", "xn--brse-6qa.example"),
    ],
)
def test_names_and_addresses_of_brokers(host: str, kept: str) -> None:
    assert check_host(host) == kept


@pytest.mark.parametrize(
    "host",
    ["", "a b", "broker.lan.", "*.lan", "-a", "a..b", "192.168.7", "1.2.3.256", "fe80::1%usb0", "bröker", "a\n",
     "mqtts://a", "a:8883", "x" * 64, ".".join(["x" * 60] * 5)],
)  # fmt: skip
def test_what_is_no_name_of_a_broker(host: str) -> None:
    with pytest.raises(ConfigError, match="is not allowed: it must be a host's name such as"):
        check_host(host)


def test_urls_have_brackets_around_addresses_of_version_6() -> None:
    assert url_of("fd00::1", 8883) == "mqtts://[fd00::1]:8883"
    assert url_of("broker.lan", 1) == "mqtts://broker.lan:1"


@pytest.mark.parametrize("pattern", ["bbb1/ecg", "*/ecg", "bbb1/*", "*/*"])
def test_what_a_reader_may_read(pattern: str) -> None:
    assert check_reading(pattern) == pattern


@pytest.mark.parametrize("pattern", ["", "*", "bbb1", "bbb*/ecg", "+/ecg", "bbb1/#", "a/b/c", "/", "a/", "a/b\n"])
def test_what_no_broker_could_grant(pattern: str) -> None:
    with pytest.raises(ConfigError, match="must be 'device/stream'"):
        check_reading(pattern)


@pytest.mark.parametrize("root", ["headwater", "ward/3"])
def test_roots(root: str) -> None:
    assert check_root(root) == root


@pytest.mark.parametrize("root", ["", "/a", "a/", "a//b", "+", "#", "$SYS", "a b", "a\nuser x"])
def test_what_is_no_root(root: str) -> None:
    with pytest.raises(ConfigError, match="each of its levels must be"):
        check_root(root)
