"""`python -m service rate`: opens tasks and ratings, takes the port, serves the rating page."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer


def rate_command(
    tasks: Annotated[Path, typer.Option(help="tasks.json of `python -m training rating-tasks`.")],
    ratings: Annotated[
        Path, typer.Option(help="JSONL file that ratings go into; one that is there goes on.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8001,
) -> None:
    """Serve a page where people say whether captions fit pictures; every rating is on disk at once."""
    import uvicorn

    from service.listener import CannotListen, ending_well, listen
    from service.rate.app import create_app
    from service.rate.desk import Desk
    from service.rate.ledger import Ledger, RatingsUnusable
    from service.rate.tasks import TasksUnreadable, read_tasks

    try:
        read = read_tasks(tasks)
        ledger = Ledger(ratings, read.id)
        listener, address = listen(host, port)
    except (TasksUnreadable, RatingsUnusable, CannotListen) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
    given = sum(len(raters) for raters in ledger.given.values())
    print(
        f"Rate at {address}: {len(read.pairs):,} pairs, {read.raters} people each; "
        f"{given:,} ratings are there.",
        flush=True,
    )
    config = uvicorn.Config(
        create_app(Desk(read, ledger), tasks.resolve().parent), log_config=None, server_header=False
    )
    with closing(ledger), ending_well():
        uvicorn.Server(config).run(sockets=[listener])
