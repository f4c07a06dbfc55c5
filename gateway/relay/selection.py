"""What part of a stream's history somebody asks for, in the words of an address. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.quantities import Duration
from gateway.relay.history import Excerpt, StreamHistory
from gateway.relay.wish import LARGEST, Number
from gateway.relay.words import Words

MOST_POINTS = 8192
LATEST_NS = (1 << 63) - 1


def parse_moment(value: Any) -> int:
    """UTC ns of `2026-11-25T12:00:00Z`, or of a whole number of ns; raises ValueError."""
    allowed = "a time such as '2026-11-25T12:00:00Z', or ns since 1970"
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"must be {allowed}")
    if re.fullmatch(r"-?[0-9]{1,19}", value) and -LATEST_NS <= int(value) <= LATEST_NS:
        return int(value)
    try:
        moment = datetime.fromisoformat(value.upper().replace(" ", "+"))  # an address turns + into a space
    except ValueError:
        raise ValueError(f"must be {allowed}") from None
    if moment.tzinfo is None:
        raise ValueError(f"must be {allowed}: with its zone, Z for UTC")
    epoch = datetime.fromisoformat("1970-01-01T00:00:00Z")
    utc_ns = (moment - epoch) // timedelta(microseconds=1) * 1000
    return max(-LATEST_NS, min(utc_ns, LATEST_NS))  # nothing is kept of what is further away


Moment = Annotated[
    int,
    BeforeValidator(parse_moment),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "integer", "minimum": -LATEST_NS, "maximum": LATEST_NS},
            ],
            "examples": ["2026-11-25T12:00:00Z", 1_795_608_000_000_000_000],
        }
    ),
]
Count = Annotated[int, Field(ge=0, le=LARGEST)]


class Selection(Words):
    """One query. Without anything, all there is."""

    format: Literal["json", "ndjson", "csv", "cbor", "npy"] = "json"
    """Of the body."""
    points: int | None = Field(default=None, ge=2, le=MOST_POINTS)
    """Not the samples but the least and the greatest of so many stretches of equal length."""
    start: Moment | None = Field(default=None, alias="from")
    """From this moment on."""
    end: Moment | None = Field(default=None, alias="to")
    """Up to this moment, but not it itself."""
    epoch: Number | None = None
    """With `index`: from this frame on."""
    index: Number | None = None
    """With `epoch`: from this frame on."""
    count: Count | None = None
    """With `epoch` and `index`: so many delivered frames."""
    at: Moment | None = None
    """With `before` and `after`: around this moment."""
    before: Count = 0
    """So many delivered frames before `at`."""
    after: Count = 0
    """So many delivered frames from `at` on."""
    last: Duration | None = None
    """The last so many seconds, up to the newest frame."""
    last_frames: Count | None = None
    """The last so many delivered frames."""

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if (self.epoch is None) != (self.index is None):
            raise ValueError("epoch and index belong together")
        if self.count is not None and self.epoch is None:
            raise ValueError("count belongs to epoch and index")
        if (self.before or self.after) and self.at is None:
            raise ValueError("before and after belong to at")
        span = self.start if self.start is not None else self.end
        asked = [value for value in (span, self.epoch, self.at, self.last, self.last_frames) if value is not None]
        if len(asked) > 1:
            raise ValueError("only one of from and to, epoch and index, at, last, last_frames")
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError("from must not be later than to")
        if self.points is not None and self.format == "ndjson":
            raise ValueError("points comes as json, csv, cbor or npy")
        return self

    def find(self, history: StreamHistory) -> Iterator[Excerpt]:
        """What was asked for, in order."""
        if self.epoch is not None and self.index is not None:
            if self.count is not None:
                return history.first(self.count, self.epoch, self.index)
            return history.from_index(self.epoch, self.index)
        if self.at is not None:
            return history.around(self.at, before=self.before, after=self.after)
        if self.last_frames is not None:
            return history.last(self.last_frames)
        if self.last is not None:
            newest = history.newest_ns()
            return iter(()) if newest is None else history.since_time(newest - round(self.last * 1e9) + 1)
        if self.start is None and self.end is None:
            return history.from_index(0, 0)
        end = self.end if self.end is not None else LATEST_NS
        return history.between(self.start if self.start is not None else -LATEST_NS, end)
