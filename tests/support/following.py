"""A follower of a stream that runs beside the test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from boards.options import parse_options
from gateway.audit import Audit
from gateway.client.follow import Follower
from gateway.mqtt_settings import MqttSettings
from tests.support.waiting import wait_until


class Following:
    """A follower in a thread of its own."""

    def __init__(self, url: str) -> None:
        self.follower = Follower(parse_options(MqttSettings, {"url": url}, "test"), "bbb1/ecg")
        self.audit: Audit = self.follower.audit
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for _ in self.follower.follow():
            if self._enough.is_set():
                return

    def wait_for(self, condition: Callable[[Audit], bool], what: str) -> None:
        def holds() -> bool:
            try:
                return condition(self.audit)
            except (KeyError, RuntimeError):  # it is being written to
                return False

        wait_until(holds, what)

    def stop(self) -> None:
        self._enough.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
