"""The feeds in order, one for each stream that somebody reads so. Pure."""

from __future__ import annotations

from gateway.relay.catalogue import Catalogue
from gateway.relay.delivery import Delivery
from gateway.relay.history import Key
from gateway.relay.hub import Hub
from gateway.relay.order import NOWHERE, Order


class OrderedFeeds:
    """Takes what comes of every stream, and publishes to the feeds in order what may be passed on."""

    def __init__(self, hub: Hub, catalogue: Catalogue, hold_s: float, bound: int) -> None:
        self._hub = hub
        self._catalogue = catalogue
        self._hold_s = hold_s
        self._bound = bound
        self._orders: dict[str, Order] = {}

    def position(self, stream: str) -> Key:
        """How far a stream's feed in order has come; there is one from now on."""
        if stream not in self._orders:
            state = self._catalogue.streams.get(stream)
            place = NOWHERE if state is None else state.intake.newest
            self._orders[stream] = Order(place, self._hold_s, self._bound)
        return self._orders[stream].position

    def take(self, stream: str, delivery: Delivery, now_s: float) -> None:
        """Something that is new has come."""
        order = self._orders.get(stream)
        if order is not None:
            self._publish(stream, order.take(delivery, now_s))

    def tick(self, now_s: float) -> None:
        """Give up what has been waited for long enough; forget feeds that nobody reads."""
        for stream, order in list(self._orders.items()):
            self._publish(stream, order.due(now_s))
            if not self._hub.watched(feed_in_order(stream)):
                del self._orders[stream]

    def _publish(self, stream: str, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self._hub.publish(feed_in_order(stream), delivery)


def feed_in_order(stream: str) -> tuple[str, str]:
    """The hub's key of the feed."""
    return stream, "complete"
