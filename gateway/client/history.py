"""The history of a stream, as a relay keeps it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from gateway.codec.cbor import CborCodec
from gateway.errors import RelayError
from gateway.model import Message
from gateway.topics import split_stream_key

PATIENCE_S = 60.0
"""How long a relay may take to say something."""


def read_history(url: str, stream: str, token: str | None = None) -> Iterator[Message]:
    """Everything that the relay at `http://host:port` holds of `device/stream`, in order. Raises RelayError."""
    device, name = split_stream_key(stream)
    path = f"/api/v1/streams/{quote(device)}/{quote(name)}/samples?format=cbor"
    try:
        request = Request(url.rstrip("/") + path, headers={"Authorization": f"Bearer {token}"} if token else {})
        with urlopen(request, timeout=PATIENCE_S) as answer:
            yield from CborCodec().decode_sequence(answer)
    except HTTPError as error:
        raise RelayError(f"{url}: {error.read(1000).decode(errors='replace').strip() or error.reason}") from None
    except URLError as error:
        raise RelayError(f"{url}: cannot be reached: {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise RelayError(f"{url}: {error}") from None
