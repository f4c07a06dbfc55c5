"""The subscriber's library."""

from gateway.client.subscribe import Received, subscribe

__all__ = ["Received", "subscribe"]
