"""What can be wrong with an update."""

from __future__ import annotations


class UpdateError(Exception):
    """What was found, what is allowed, and what to do, in one line."""


class Refused(UpdateError):
    """The update is not for this board, or nobody may install it. Nothing was changed."""
