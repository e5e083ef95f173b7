"""The options of `python -m service query`, and its flow: name the files, ask, show, save."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import typer

from indexer.collection import CollectionName as Collection
from indexer.console import failing_in_one_sentence, open_progress
from indexer.progress import Progress, Silent

_FEW = 16


def query_command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE", help="Clips and pictures: files, folders, patterns, or - for standard input."
        ),
    ],
    server: Annotated[
        str, typer.Option(envvar="SAYSEE_SERVER", help="Address of the service.")
    ] = "http://127.0.0.1:8000",
    target: Annotated[Collection, typer.Option(help="What to find.")] = "images",
    k: Annotated[
        int | None, typer.Option(min=1, help="How many neighbours; the server's default_k if not given.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, help="Download what was found into this folder, a folder for each file."
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            envvar="SAYSEE_KEY",
            help="A key of the server; better in the variable, for others see a command line.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each file: file, answer or error, saved.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Ask a running service what clips and pictures are nearest to, and show it in tables.

    Status 1 when any file could not be answered; the others are. Status 2, and nothing is asked, when one is
    named that is not there.
    """
    from service.client import Client, ClientError, WrongUse
    from service.query.files import named_media
    from service.query.saving import Saving
    from service.query.show import Blocks, Lines, tell_error

    try:
        every = named_media(files)
        client = Client(server, key)
    except WrongUse as error:
        raise typer.BadParameter(str(error)) from error
    shown = Lines() if as_json else Blocks()
    failed = False
    watching: AbstractContextManager[Progress] = nullcontext(Silent())
    if len(every) > _FEW:  # fewer are answered before a bar would be seen
        watching = open_progress()
    with failing_in_one_sentence(debug=debug), _naming_the_key(), client, watching as progress:
        _meet(server, key)
        saving = Saving(client, save) if save is not None else None
        for outcome in client.search_many(every, target, k, progress=progress):
            saved: list[Path] = []
            faults: list[ClientError] = []
            if saving is not None and outcome.answer is not None:
                saved, faults = saving.save(outcome.name, outcome.answer)
            shown.take(outcome, saved)
            for fault in faults:
                tell_error(outcome.name, fault)
            failed |= outcome.error is not None or bool(faults)
    raise typer.Exit(int(failed))


def _meet(server: str, key: str | None) -> None:
    """Raises at once where nobody answers, which whoever sits there can mend. From then on tries are
    repeated, as for a server that restarts; so is what a busy one refuses.
    """
    from service.client import Client, Refused, Retries

    with Client(server, key, retries=Retries(most=0)) as first, suppress(Refused):
        first.limits()


@contextmanager
def _naming_the_key() -> Iterator[None]:
    """Where a key is missing or unknown, say where it comes from here."""
    from service.client import ClientError, Refused

    try:
        yield
    except Refused as refused:
        if refused.status == HTTPStatus.UNAUTHORIZED:
            raise ClientError("The server takes a key: give it in SAYSEE_KEY, or with --key.") from refused
        if refused.type == "/problems/key-refused":
            raise ClientError(f"{refused.detail} It came from --key or SAYSEE_KEY.") from refused
        raise
