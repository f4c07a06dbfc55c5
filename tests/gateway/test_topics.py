"""The topic tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import TopicError
from gateway.topics import DeviceTopic, StreamTopic, Topics, check_name, split_stream_key

topics = Topics()

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)
ROOTS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def test_the_tree_is_the_documented_one() -> None:
    assert topics.status("bbb1") == "headwater/bbb1/status"
    assert topics.health("bbb1") == "headwater/bbb1/health"
    assert topics.meta("bbb1", "ecg") == "headwater/bbb1/stream/ecg/meta"
    assert topics.batch("bbb1", "ecg") == "headwater/bbb1/stream/ecg/batch"
    assert topics.latest("bbb1", "ecg") == "headwater/bbb1/stream/ecg/latest"
    assert topics.event("bbb1", "alarm", "raised") == "headwater/bbb1/event/alarm/raised"
    assert topics.request("bbb1", "ping") == "headwater/bbb1/request/ping"


@given(ROOTS, NAMES, NAMES)
def test_what_is_built_is_taken_apart_again(root: str, device: str, stream: str) -> None:
    tree = Topics(root)
    for leaf, build in {"meta": tree.meta, "batch": tree.batch, "latest": tree.latest}.items():
        parsed = tree.parse(build(device, stream))
        assert parsed == StreamTopic(device, stream, leaf)
        assert parsed.key == f"{device}/{stream}"
    assert tree.parse(tree.status(device)) == DeviceTopic(device, "status")
    assert tree.parse(tree.health(device)) == DeviceTopic(device, "health")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "headwater",
        "headwater/",
        "headwater//status",
        "headwater/bbb1",
        "headwater/bbb1/state",
        "headwater/bbb1/status/now",
        "headwater/bbb1/stream/ecg",
        "headwater/bbb1/stream//batch",
        "headwater/bbb1/stream/ecg/batch/more",
        "headwater/bbb1/event/alarm",
        "headwater/bbb1/event/.alarm/raised",
        "headwaters/bbb1/status",
        "other/bbb1/status",
        "headwater/.hidden/status",
        "headwater/b b/status",
        "headwater/bbb1\n/status",
    ],
)
def test_a_topic_of_nothing_we_know_is_refused(topic: str) -> None:
    with pytest.raises(TopicError):
        topics.parse(topic)


@given(st.text(max_size=40) | st.text("headwter/bcm1su", max_size=40).map(lambda rest: f"headwater/{rest}"))
def test_any_text_is_a_topic_or_refused(text: str) -> None:
    try:
        parsed = topics.parse(text)
    except TopicError:
        return
    assert text.startswith(f"headwater/{parsed.device}/")


def matches(pattern: str, topic: str) -> bool:
    """MQTT 5, section 4.7.1, for filters with '+' alone."""
    levels = zip(pattern.split("/"), topic.split("/"), strict=False)
    return len(pattern.split("/")) == len(topic.split("/")) and all(p in ("+", level) for p, level in levels)


def test_a_relay_is_sent_what_it_needs_and_not_what_it_sends_itself() -> None:
    filters = topics.everything_for_relay()
    needed = [topics.status("d"), topics.health("d"), topics.meta("d", "s"), topics.batch("d", "s")]
    for topic in [*needed, topics.event("d", "s", "e")]:
        assert sum(matches(pattern, topic) for pattern in filters) == 1, topic
    for topic in [topics.latest("d", "s"), topics.request("d", "m"), "other/d/status"]:
        assert not any(matches(pattern, topic) for pattern in filters), topic


@pytest.mark.parametrize("name", ["a", "9", "ecg", "lead_i", "A.b-c", "x" * 64])
def test_a_name_may_have_letters_digits_and_a_few_marks(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "_a", ".a", "a b", "a/b", "a+", "a#", "ä", "a\n", "x" * 65])
def test_a_name_that_would_not_fit_in_a_topic_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(TopicError, match=r"1 to 64 letters, digits, '_', '-' or '\.', beginning with"):
        check_name(name)


def test_a_stream_key_is_split_into_device_and_stream() -> None:
    assert split_stream_key("bbb1/ecg") == ("bbb1", "ecg")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("ecg", "'ecg' is not a stream: it must be 'device/stream'"),
        ("", "'' is not a stream"),
        ("/ecg", "device '' is not allowed"),
        ("bbb1/", "stream '' is not allowed"),
        ("bbb1/ecg/batch", "stream 'ecg/batch' is not allowed"),
        ("bbb1/#", "stream '#' is not allowed"),
    ],
)
def test_what_is_no_stream_key_is_refused(key: str, reason: str) -> None:
    with pytest.raises(TopicError, match=reason):
        split_stream_key(key)
