"""What can go wrong on the way to a board."""

from __future__ import annotations

from deploy.board.headwater_update.errors import UpdateError


class DeployError(UpdateError):
    """Nothing was changed on the board: what was found, and what to do, in one line."""


class Unreachable(DeployError):
    """ssh does not get there."""


class RolledBack(DeployError):
    """The board tried the new version and is what it was before."""
