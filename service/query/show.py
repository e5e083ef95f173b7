"""Outcomes as people read them, a block each, and as programs do, a line of JSON each."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.client import ClientError, Outcome, Refused
from service.schemas import ClipQuery, PictureQuery, SearchAnswer

_PIPED_COLUMNS = 10_000  # where nobody looks nothing is folded


class Lines:
    """One JSON object a line: `file`, then `answer` or `error`, then `saved` where something was."""

    def __init__(self) -> None:
        self._console = _open_console()

    def take(self, outcome: Outcome, saved: Sequence[Path]) -> None:
        """Show what became of one file, and what was saved of it."""
        line: dict[str, Any] = {"file": outcome.name}
        if outcome.answer is not None:
            line["answer"] = asdict(outcome.answer)
        if outcome.error is not None:
            line["error"] = _told(outcome.error)
        if saved:
            line["saved"] = [str(path) for path in saved]
        self._console.out(json.dumps(line), highlight=False)


class Blocks:
    """A heading and a table for each file that was answered; errors go to standard error."""

    def __init__(self) -> None:
        self._console = _open_console()

    def take(self, outcome: Outcome, saved: Sequence[Path]) -> None:
        """Show what became of one file, and where its hits were saved."""
        if outcome.error is not None:
            tell_error(outcome.name, outcome.error)
        if outcome.answer is None:
            return
        heading = Text(clean(outcome.name), "bold")
        heading.append(f"  {_described(outcome.answer)}", "not bold")
        self._console.print(heading, soft_wrap=True)
        self._console.print(_table(outcome.answer))
        if saved:
            self._console.print(Text(f"Saved {len(saved)} in {clean(str(saved[0].parent))}"), soft_wrap=True)
        self._console.print()


def _open_console() -> Console:
    """On a terminal it writes to whatever sys.stdout is then, so that a bar below can make room."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an id may hold what the terminal cannot show
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(file=sys.stdout, width=_PIPED_COLUMNS, highlight=False)


def tell_error(name: str, error: ClientError) -> None:
    """One sentence on standard error that names the file."""
    sentence = clean(str(error))
    shown = clean(name)
    print(f"error: {sentence if sentence.startswith(shown) else f'{shown}: {sentence}'}", file=sys.stderr)


def clean(text: str) -> str:
    """What a server or a file name says, without what would steer a terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _described(answer: SearchAnswer) -> str:
    query = answer.query
    if isinstance(query, ClipQuery):
        cut = ", of which the model heard the beginning" if query.truncated else ""
        return f"{query.seconds:.1f} s of speech{cut}; nearest {answer.target}:"
    size = f"{query.width} × {query.height}" if isinstance(query, PictureQuery) else ""
    return f"a picture, {size}; nearest {answer.target}:"


def _table(answer: SearchAnswer) -> Table:
    texts = [hit.metadata.get("text") for hit in answer.hits]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("rank", justify="right")
    table.add_column("id", overflow="fold", style="cyan")
    table.add_column("score", justify="right")
    if any(texts):
        table.add_column("text", overflow="fold")
    for hit, text in zip(answer.hits, texts, strict=True):
        cells = [str(hit.rank), clean(hit.id), f"{hit.score:.3f}"]
        if any(texts):
            cells.append(clean(str(text or "")))
        table.add_row(*map(Text, cells))
    return table


def _told(error: ClientError) -> dict[str, str | int]:
    if not isinstance(error, Refused):
        return {"detail": str(error)}
    return {
        "status": error.status,
        "type": error.type,
        "title": error.title,
        "detail": error.detail,
        "request_id": error.request_id,
    }
