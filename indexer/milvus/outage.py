"""What is known of a collection whose Milvus is away: so that not every query waits for it, or is logged."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from indexer.ann import AnnError
from indexer.milvus.connection import MilvusSilent, MilvusUnavailable

REST_SECONDS = 1.0
"""How long nobody asks again after a failure; then one caller at a time tries."""

_AWAY = (
    "The vectors cannot be searched at this moment, since the Milvus that holds them does not answer: "
    "try again shortly."
)
_FAULTY = "The vectors cannot be searched, since the Milvus that holds them answers with an error."

_log = logging.getLogger(__name__)


class Outage:
    """Of a collection, from the first call without an answer to the next with one. For any thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = Lock()
        self._failed_at: float | None = None  # None: no outage
        self._answered_at = -1.0
        self._is_tried = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Around a call: in an outage MilvusSilent at once, but for the one who tries again.

        The sentence with the address in it goes to the log, once an outage; another to whoever asks, who may
        be the client of a service. An error is an answer: it ends an outage, and begins none.
        """
        began = time.monotonic()
        tries = self._enter()
        try:
            yield
            self._answered()
        except MilvusSilent as error:
            self._failed(error, began)
            raise MilvusSilent(_AWAY) from error
        except MilvusUnavailable as error:
            self._answered()
            _log.warning("%s cannot be searched: %s", self._name, error)
            raise MilvusUnavailable(_FAULTY) from error
        except AnnError:
            self._answered()
            raise
        finally:
            if tries:
                with self._lock:
                    self._is_tried = False

    def _enter(self) -> bool:
        """Whether the caller is the one who tries again."""
        with self._lock:
            if self._failed_at is None:
                return False
            if self._is_tried or time.monotonic() - self._failed_at < REST_SECONDS:
                raise MilvusSilent(_AWAY)
            self._is_tried = True
            return True

    def _failed(self, error: MilvusSilent, began: float) -> None:
        with self._lock:
            if began <= self._answered_at:
                return  # it answers again since
            begins = self._failed_at is None
            self._failed_at = time.monotonic()
        if begins:
            _log.warning("%s cannot be searched: %s", self._name, error)

    def _answered(self) -> None:
        with self._lock:
            ends = self._failed_at is not None
            self._failed_at = None
            self._answered_at = time.monotonic()
        if ends:
            _log.info("%s can be searched again.", self._name)
