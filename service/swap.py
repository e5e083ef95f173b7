"""A generation in place of another, on somebody's word: what was done, and why it may not be."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.account import current
from service.logs import event

log = logging.getLogger(__name__)


class GenerationRefused(Exception):
    """A generation was loaded aside and cannot be served; what was served is served still."""

    def __init__(self, generation: str, why: Exception) -> None:
        super().__init__(
            f"Generation {generation} is not taken up, and what was served is served still: {why}"
        )


class IndexUnwritable(Exception):
    """The index can be read from here and not be changed."""

    def __init__(self, why: OSError) -> None:
        super().__init__(
            f"The index cannot be changed by this server ({why.strerror or type(why).__name__}): use "
            "'python -m indexer promote' or 'rollback' where it can be written; the server takes it up."
        )


@contextmanager
def writing() -> Iterator[None]:
    """Raises IndexUnwritable where the block cannot write."""
    try:
        yield
    except OSError as error:
        raise IndexUnwritable(error) from error


@dataclass(frozen=True)
class Swap:
    """What a promote or rollback did: the generations after and before, and the model of the one after."""

    generation: str
    previous: str
    model: str

    def told(self, what: str) -> Swap:
        """Itself, once it is in the log with the key that asked for it; the request's id comes by itself."""
        told = event(what, generation=self.generation, previous=self.previous, key=current().key)
        done = what.replace("-", " ").capitalize()
        log.info("%s: generation %s in place of %s.", done, self.generation, self.previous, extra=told)
        return self
