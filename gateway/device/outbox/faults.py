"""What can be wrong with the outbox's file, in two kinds: its contents, or what is around it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from gateway.errors import HeadwaterError

AROUND = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_AUTH,
}
"""Primary result codes (https://www.sqlite.org/rescode.html) that do not speak of the contents."""


class DiskDamaged(HeadwaterError):
    """The file's contents cannot be trusted."""


class DiskUnusable(HeadwaterError):
    """Nothing can be read or written now: full, read-only, locked, or an I/O error."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full
        """There is no space for more, but the file is sound and can be read."""


@contextlib.contextmanager
def translated(where: object) -> Iterator[None]:
    """Turn every error of SQLite and the file system into one of the two; `where` begins the message."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code not in AROUND:
            raise DiskDamaged(f"{where}: {error}") from error
        raise DiskUnusable(f"{where}: {error}", full=code == sqlite3.SQLITE_FULL) from error
    except (UnicodeDecodeError, OverflowError) as error:
        raise DiskDamaged(f"{where}: {error}") from error
    except OSError as error:
        raise DiskUnusable(f"{where}: {error.strerror}") from error
