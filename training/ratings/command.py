"""`python -m training rating-tasks` and `ratings`: tasks from a run, and tables from what people said."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from indexer.console import failing_in_one_sentence, open_progress
from training.device import torch_device


class View(StrEnum):
    whole = "whole"
    model = "model"


def rating_tasks_command(
    run: Annotated[Path, typer.Option(help="Run folder of a fit.")],
    data: Annotated[Path, typer.Option(help="Corpus whose pairs people are to judge.")],
    out: Annotated[Path, typer.Option(help="Folder for tasks.json and the media shown.")],
    speech: Annotated[
        Path | None, typer.Option(help="Where the spoken captions are, if not in the corpus folder.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    queries: Annotated[int, typer.Option(min=1, help="Queries a direction, drawn at random.")] = 100,
    own: Annotated[int, typer.Option(min=0, help="Pairs that belong together, for table 3.")] = 100,
    view: Annotated[
        View, typer.Option(help="whole: pictures as they are; model: the square the model is given.")
    ] = View.whole,
    audio: Annotated[
        bool, typer.Option("--audio", help="People hear the caption instead of reading it.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Another seed draws other queries.")] = 0,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes CUDA where it works.")
    ] = "auto",
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Make rating tasks of what a run finds.

    The five nearest of drawn queries both ways, to be judged by five people each.
    """
    with failing_in_one_sentence(debug=debug), open_progress() as shown:
        from training.checkpoint import read_preset
        from training.datasets import open_dataset
        from training.ratings.make import Wanted, make_tasks
        from training.report.embedding import embed_run

        embedded, _ = embed_run(run, open_dataset(data, split, speech), torch_device(device), shown)
        wanted = Wanted(queries, own, seed, view.value, audio)
        with shown.stage("copy what is shown") as stage:
            tasks = make_tasks(
                embedded, read_preset(run).media.spec(), wanted, out,
                run=run.resolve().name, data=data.resolve().name, split=split,
                on_progress=lambda done, _: stage.reach(done),
            )  # fmt: skip
    typer.echo(f"Wrote {out / 'tasks.json'}: {len(tasks.pairs)} pairs for {tasks.raters} people each.")
    typer.echo(f"Next: python -m service rate --tasks {out / 'tasks.json'} --ratings {out / 'ratings.jsonl'}")


def ratings_command(
    tasks: Annotated[Path, typer.Option(help="tasks.json of rating-tasks.")],
    ratings: Annotated[Path, typer.Option(help="The ratings file that the page wrote.")],
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Tables 3 and 4 of the paper from human ratings.

    Below them it says how far the raters agree.
    """
    with failing_in_one_sentence(debug=debug):
        from training.ratings.tables import agreement, table_3, table_4
        from training.ratings.tasks import read_tasks
        from training.ratings.votes import read_ratings

        read = read_tasks(tasks)
        rated = read_ratings(ratings, read)
        parts = ["Right pairs by good ratings (table 3)", table_3(read, rated)]
        parts += ["Human and automatic recall (table 4)", table_4(read, rated), agreement(rated)]
    typer.echo("\n\n".join(parts))
