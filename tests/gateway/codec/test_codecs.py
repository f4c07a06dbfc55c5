"""Codecs by name."""

from __future__ import annotations

import pytest

from gateway.codec import CODECS, find_codec
from gateway.errors import CodecError


def test_each_codec_is_found_by_its_own_name_and_has_a_media_type() -> None:
    for name in ("cbor", "json"):
        assert find_codec(name).name == name
        assert find_codec(name).content_type == f"application/{name}"
    assert set(CODECS) == {"cbor", "json"}


def test_an_unknown_name_is_answered_with_those_there_are_and_the_nearest() -> None:
    with pytest.raises(
        CodecError, match=r"there is no codec 'cborr'; there are cbor, json; did you mean 'cbor'\?"
    ):
        find_codec("cborr")
