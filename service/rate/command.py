"""`python -m service rate`: opens tasks and ratings, takes the port, serves the rating page."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from service.cross_site import served_names
from service.keys import KeysUnusable, load_keys
from service.listener import CannotListen, end_with, ending_well, listen
from service.settings import Access, sentence_of


def rate_command(
    tasks: Annotated[Path, typer.Option(help="tasks.json of `python -m training rating-tasks`.")],
    ratings: Annotated[
        Path, typer.Option(help="JSONL file that ratings go into; one that is there goes on.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8001,
    keys_file: Annotated[
        Path | None,
        typer.Option(envvar="SAYSEE_KEYS_FILE", help="Digests of the keys that may rate; `key` makes them."),
    ] = None,
    no_auth: Annotated[
        bool | None,
        typer.Option(
            "--no-auth",
            envvar="SAYSEE_NO_AUTH",
            help="Let everybody rate, also from other machines; without it that takes keys.",
        ),
    ] = None,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            envvar="SAYSEE_ALLOWED_HOSTS",
            help="A name it is served under beside loopback, addresses and --host; repeatable.",
        ),
    ] = None,
) -> None:
    """Serve a page where people say whether captions fit pictures; every rating is on disk at once.

    Keys come from SAYSEE_KEYS as well, as they do for the service.
    """
    import uvicorn

    from service.connection import Connection
    from service.rate.app import create_app
    from service.rate.desk import Desk
    from service.rate.ledger import Ledger, RatingsUnusable
    from service.rate.tasks import TasksUnreadable, read_tasks

    given: dict[str, Any] = {"keys_file": keys_file, "no_auth": no_auth, "allowed_hosts": allowed_hosts}
    try:
        access = Access(host=host, **{name: value for name, value in given.items() if value is not None})
        keys = load_keys(access)
    except ValidationError as error:
        end_with(sentence_of(error, Access), 2)
    except KeysUnusable as error:
        end_with(str(error), 2)
    try:
        read = read_tasks(tasks)
        ledger = Ledger(ratings, read.id)
        listener, address = listen(host, port)
    except (TasksUnreadable, RatingsUnusable, CannotListen) as error:
        end_with(str(error), 1)
    there = sum(len(raters) for raters in ledger.given.values())
    print(
        f"Rate at {address}: {len(read.pairs):,} pairs, {read.raters} people each; "
        f"{there:,} ratings are there.",
        flush=True,
    )
    app = create_app(Desk(read, ledger), tasks.resolve().parent, keys, served_names(access, keys))
    config = uvicorn.Config(app, log_config=None, server_header=False, http=Connection, ws="none")
    with closing(ledger), ending_well():
        uvicorn.Server(config).run(sockets=[listener])
