"""What the relay says of itself: `/healthz`, `/readyz`, `/metrics`, `/api/v1/subscribers`."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway import __version__
from gateway.relay.answers import Health, Readiness, SubscriberList
from gateway.relay.core import Core
from gateway.relay.guard import need_admin


class FiguresOutlet:
    """Health, metrics and the list of subscribers."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._registry = CollectorRegistry()
        for collector in (RelayCollector(core), ProcessCollector(registry=None)):
            self._registry.register(OfWorker(collector, core.worker))

    def routes(self) -> list[web.RouteDef]:
        """Where it is."""
        return [
            web.get("/healthz", self._health),
            web.get("/readyz", self._ready),
            web.get("/metrics", self._metrics),
            web.get("/api/v1/subscribers", self._subscribers),
        ]

    async def _health(self, _: web.Request) -> web.Response:
        health: Health = {
            "status": "ok",
            "version": __version__,
            "worker": self._core.worker,
            "broker": self._core.broker["connected"],
            "undecodable": self._core.undecodable(),
        }
        return web.json_response(health)

    async def _ready(self, _: web.Request) -> web.Response:
        answer: Readiness = {"ready": self._core.broker["connected"]}
        return web.json_response(answer, status=200 if answer["ready"] else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        need_admin(request)
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _subscribers(self, request: web.Request) -> web.Response:
        need_admin(request)
        listing: SubscriberList = {
            "worker": self._core.worker,
            "subscribers": [client.as_dict() for client in self._core.clients],
            "connections": self._core.gate.connections,
        }
        return web.json_response(listing)


class OfWorker(Collector):
    """Another collector's figures, with the worker that they are of: each worker counts for itself."""

    def __init__(self, collector: Collector, worker: int) -> None:
        self._collector = collector
        self._labels = {"worker": str(worker)}

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        for metric in self._collector.collect():
            metric.samples = [s._replace(labels={**s.labels, **self._labels}) for s in metric.samples]
            yield metric


class RelayCollector(Collector):
    """The relay's figures, read when they are asked for: counting costs the fan-out nothing."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        core = self._core
        yield GaugeMetricFamily("headwater_broker_connected", "All brokers.", int(core.broker["connected"]))
        yield GaugeMetricFamily("headwater_connections", "Of any kind.", core.gate.connections)
        yield CounterMetricFamily("headwater_connections_refused", "Over a limit.", core.gate.refused)
        yield CounterMetricFamily("headwater_undecodable", "Payloads.", core.undecodable())
        yield from self._streams()
        yield from self._clients()

    def _streams(self) -> Iterator[Metric]:
        delivered = CounterMetricFamily("headwater_frames_delivered", "Frames that came.", labels=["stream"])
        lost = CounterMetricFamily("headwater_frames_lost", "Declared lost.", labels=["stream", "reason"])
        again = CounterMetricFamily("headwater_frames_duplicate", "Frames that came again.", labels=["stream"])
        for key, state in self._core.catalogue.streams.items():
            delivered.add_metric([key], state.intake.delivered)
            again.add_metric([key], state.intake.duplicates)
            for reason, count in state.intake.lost.items():
                lost.add_metric([key, reason], count)
        yield from (delivered, lost, again)

    def _clients(self) -> Iterator[Metric]:
        outlets: dict[str, list[int]] = {}
        for client in self._core.clients:
            figures = outlets.setdefault(client.outlet, [0, 0, 0])
            figures[0] += 1
            figures[1] += client.subscriber.queued_bytes
            figures[2] += client.subscriber.lost_frames
        count = GaugeMetricFamily("headwater_subscribers", "Clients now.", labels=["outlet"])
        queued = GaugeMetricFamily("headwater_queued_bytes", "Waiting for clients.", labels=["outlet"])
        lost = GaugeMetricFamily("headwater_slow_frames", "Lost to clients now connected.", labels=["outlet"])
        for outlet, figures in outlets.items():
            for metric, figure in zip((count, queued, lost), figures, strict=True):
                metric.add_metric([outlet], figure)
        yield from (count, queued, lost)
