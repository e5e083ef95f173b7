"""What is known so far of the request under way: its id, whose it is, what answers it, how long that takes.

Whoever knows something says it to `current()`; the bookkeeper counts, logs and traces it at the end. Outside
of a request `current()` is an account that nobody reads.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass, field

from service.stages import Stage, Stages, Took

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}", re.ASCII)


def _new_id() -> str:
    return secrets.token_hex(16)


@dataclass
class Account:
    """One request. `key` is the name of the key it came with, `problem` the type of problem it ended in."""

    id: str = field(default_factory=_new_id)
    queries: list[Stages] = field(default_factory=list)  # one a file
    times: list[tuple[Stage, Took]] = field(default_factory=list)  # of all of them
    waited_seconds: float = 0.0  # before any of them began
    key: str | None = None
    generation: str | None = None
    modalities: set[str] = field(default_factory=set)
    problem: str | None = None
    trace_id: str | None = None

    def query(self) -> Stages:
        """The stages of one more query of this request."""
        stages = Stages(times=self.times)
        stages.wait(self.waited_seconds)
        self.queries.append(stages)
        return stages

    @property
    def modality(self) -> str | None:
        """What it was asked with: "speech", "image", "image+speech", or None where there was nothing."""
        return "+".join(sorted(self.modalities)) or None


_under_way: ContextVar[Account | None] = ContextVar("saysee_account", default=None)


def current() -> Account:
    """The account of the request under way."""
    return _under_way.get() or Account()


def under_way() -> Account | None:
    """The account of the request under way; None where there is none."""
    return _under_way.get()


def open_account(asked_id: str | None) -> Account:
    """An account for the request that begins now in this task, under the id it came with if that will do."""
    account = Account(request_id(asked_id))
    _under_way.set(account)
    return account


def request_id(asked: str | None) -> str:
    """What was asked for where that is a plain word of at most 128 characters, else a new one."""
    return asked if asked is not None and _ID.fullmatch(asked) else _new_id()
