"""Fan-out: which subscribers read which feed. Pure.

Those who keep up are grouped by form: a message's bytes are made once for each group and handed to one sink after
the other. Whoever does not take them is moved aside, has a queue from then on, and costs the others nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from gateway.relay.delivery import Delivery, Form
from gateway.relay.subscriber import Subscriber

Send = Callable[[bytes], bool]


class Feed:
    """The readers of one feed."""

    def __init__(self) -> None:
        self._ready: dict[Form, dict[Send, Subscriber]] = {}
        self._behind: dict[Subscriber, None] = {}

    def add(self, subscriber: Subscriber) -> None:
        """Deliver to the subscriber from the next message on."""
        subscriber.on_change = self._place
        self._place(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Deliver no more."""
        subscriber.on_change = None
        self._take_out(subscriber)

    def publish(self, delivery: Delivery) -> None:
        """Write to those who are ready, queue for those who are not."""
        for subscriber in list(self._behind):
            subscriber.offer(delivery)
        fallen: list[Subscriber] = []
        for form, group in self._ready.items():
            wire = delivery.wire(form)
            if wire:
                fallen += [subscriber for send, subscriber in group.items() if not send(wire)]
        for subscriber in fallen:
            subscriber.stall()

    def __len__(self) -> int:
        return len(self._behind) + sum(map(len, self._ready.values()))

    def __iter__(self) -> Iterator[Subscriber]:
        for group in self._ready.values():
            yield from group.values()
        yield from self._behind

    def _place(self, subscriber: Subscriber) -> None:
        self._take_out(subscriber)
        if subscriber.ready:
            self._ready.setdefault(subscriber.form, {})[subscriber.send] = subscriber
        else:
            self._behind[subscriber] = None

    def _take_out(self, subscriber: Subscriber) -> None:
        self._behind.pop(subscriber, None)
        group = self._ready.get(subscriber.form)
        if group is not None and group.pop(subscriber.send, None) is not None and not group:
            del self._ready[subscriber.form]


class Hub:
    """All feeds, by key: `device/stream` for a stream as it comes."""

    def __init__(self) -> None:
        self._feeds: dict[Hashable, Feed] = {}

    def subscribe(self, key: Hashable, subscriber: Subscriber) -> None:
        """Deliver the feed to the subscriber from the next message on."""
        self._feeds.setdefault(key, Feed()).add(subscriber)

    def unsubscribe(self, key: Hashable, subscriber: Subscriber) -> None:
        """Deliver no more; what waits is forgotten."""
        feed = self._feeds.get(key)
        if feed is None:
            return
        feed.remove(subscriber)
        subscriber.forget()
        if not len(feed):
            del self._feeds[key]

    def publish(self, key: Hashable, delivery: Delivery) -> None:
        """Deliver a message to every reader of the feed."""
        feed = self._feeds.get(key)
        if feed is not None:
            feed.publish(delivery)

    def watched(self, key: Hashable) -> bool:
        """Whether anybody reads the feed."""
        return key in self._feeds

    def subscribers(self, key: Hashable) -> list[Subscriber]:
        """Who reads the feed."""
        return list(self._feeds.get(key, ()))
