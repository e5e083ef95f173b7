"""What is known of a collection whose Milvus is away: so that not every query waits for it, or is logged."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from indexer.milvus.connection import MilvusUnavailable

REST_SECONDS = 1.0
"""How long nobody asks again after a failure; then one caller at a time tries."""

_AWAY = (
    "The vectors cannot be searched at this moment, since the Milvus that holds them does not answer: "
    "try again shortly."
)

_log = logging.getLogger(__name__)


class Outage:
    """Of the collection `name`, from the first call that fails to the first that succeeds. For any thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = Lock()
        self._failed_at: float | None = None  # None: no outage
        self._is_tried = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Around a call: in an outage MilvusUnavailable at once, but for the one who tries again.

        The sentence with the address in it goes to the log, once an outage; another to whoever asks, who may
        be the client of a service.
        """
        tries = self._enter()
        try:
            yield
            self._answered()
        except MilvusUnavailable as error:
            self._failed(error)
            raise MilvusUnavailable(_AWAY) from error
        finally:
            if tries:
                self._is_tried = False

    def _enter(self) -> bool:
        """Whether the caller is the one who tries again."""
        with self._lock:
            if self._failed_at is None:
                return False
            if self._is_tried or time.monotonic() - self._failed_at < REST_SECONDS:
                raise MilvusUnavailable(_AWAY)
            self._is_tried = True
            return True

    def _failed(self, error: MilvusUnavailable) -> None:
        with self._lock:
            begins = self._failed_at is None
            self._failed_at = time.monotonic()
        if begins:
            _log.warning("%s cannot be searched: %s", self._name, error)

    def _answered(self) -> None:
        with self._lock:
            ends = self._failed_at is not None
            self._failed_at = None
        if ends:
            _log.info("%s can be searched again.", self._name)
