"""Lines of log: for people and for programs, and not too many."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.logs import LogSettings, Ration


def record(message: str, *arguments: object, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("gateway.x", logging.WARNING, __file__, 1, message, arguments, None)
    made.__dict__.update(fields)
    return made


def test_text_has_time_level_logger_and_message_and_of_a_worker_its_number() -> None:
    line = LogSettings().formatter().format(record("%d lost", 5, event="x"))
    assert line.endswith(" WARNING gateway.x: 5 lost")
    assert LogSettings().formatter(3).format(record("5 lost")).endswith(" WARNING worker 3 gateway.x: 5 lost")


def test_json_has_the_same_and_the_fields() -> None:
    line = LogSettings(format="json").formatter(3).format(record("%d lost", 5, event="client_gone", seconds=1.5))
    content = json.loads(line)
    ts = datetime.fromisoformat(content.pop("ts"))
    assert ts.utcoffset() == timedelta(0)
    assert content == {
        "level": "WARNING",
        "logger": "gateway.x",
        "message": "5 lost",
        "event": "client_gone",
        "seconds": 1.5,
        "worker": 3,
    }


@given(st.text(), st.text())
def test_json_is_one_line_whatever_is_in_it(message: str, field: str) -> None:
    line = LogSettings(format="json").formatter().format(record("%s", message, address=field))
    assert len(line.splitlines()) == 1
    assert (json.loads(line)["message"], json.loads(line)["address"]) == (message, field)


def test_json_of_an_exception_is_one_line_too() -> None:
    made = record("went wrong")
    try:
        raise ValueError("a\nb")
    except ValueError:
        made.exc_info = sys.exc_info()
    line = LogSettings(format="json").formatter().format(made)
    assert "\n" not in line
    assert "ValueError: a\nb" in json.loads(line)["exc_info"]


def test_a_ration_lets_so_many_through_each_second_and_counts_the_others() -> None:
    ration = Ration(2)
    assert [ration.take(10.0 + number / 10) for number in range(5)] == [0, 0, None, None, None]
    assert [ration.take(11.0), ration.take(11.1), ration.take(11.2)] == [3, 0, None]
    assert ration.take(20.0) == 1
