"""The HTTP server's log, less what strangers could fill it with: what is no HTTP is answered, and that is all."""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError


class _Sensible(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


def http_log() -> logging.Logger:
    """For aiohttp, which has a traceback for each request that it cannot read."""
    log = logging.getLogger(__name__)
    if not log.filters:
        log.addFilter(_Sensible())
    return log
