"""`python -m training report`: the command line of the report."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from indexer.console import failing_in_one_sentence, open_progress
from indexer.durable import replace_text
from training.device import torch_device

if TYPE_CHECKING:
    from training.report.page import JudgedRun

SEED = 0


def report_command(
    run: Annotated[
        list[str],
        typer.Option(help="Run folder, or LABEL=FOLDER; runs of one label are one line. Repeatable."),
    ],
    data: Annotated[Path, typer.Option(help="Corpus that all runs are judged on.")],
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    speech: Annotated[
        Path | None, typer.Option(help="Where the spoken captions are, if not in the corpus folder.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    nearest: Annotated[
        int, typer.Option(min=0, help="Queries a direction in the sheet of nearest neighbours.")
    ] = 6,
    published: Annotated[
        bool, typer.Option("--published", help="Rows of Ilharco et al. 2019 beside, with what differs.")
    ] = False,
    remark: Annotated[str, typer.Option(help="A sentence to stand at the head of the page.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of resampling and of the queries shown.")] = SEED,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes CUDA where it works.")
    ] = "auto",
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Compare runs in one HTML file.

    Recall with intervals, differences, curves, nearest neighbours.
    """
    with failing_in_one_sentence(debug=debug):
        from training.datasets import open_dataset
        from training.evaluate import score
        from training.report import published as paper
        from training.report.embedding import embed_run
        from training.report.facts import facts
        from training.report.history import read_history
        from training.report.nearest import nearest as nearest_of
        from training.report.outcomes import outcomes
        from training.report.page import JudgedRun, Report, render
        from training.report.tables import difference_table, interval_table, recall_table

        chosen = torch_device(device)
        judged = open_dataset(data, split, speech)
        runs: list[JudgedRun] = []
        rows, shown_neighbours = {}, None
        with open_progress() as shown:
            for name, (label, folder) in named_runs(run).items():
                embedded, step = embed_run(folder, judged, chosen, shown)
                rows[name] = score(embedded)
                runs.append(JudgedRun(name, label, step, read_history(folder), outcomes(embedded)))
                if shown_neighbours is None:
                    shown_neighbours = nearest_of(embedded, nearest, 5, seed)
        told = facts(judged, data, speech)
        title = " and ".join(rows) if len(rows) <= 2 else f"{len(rows)} runs compared"
        report = Report(title, told, tuple(runs), shown_neighbours or ((), ()), published, remark, seed)
        out.parent.mkdir(parents=True, exist_ok=True)
        replace_text(out, render(report))
        typer.echo(recall_table(rows) + "\n")
        if len(runs) == 1:
            typer.echo(interval_table(runs[0].found, seed) + "\n")
        else:
            typer.echo(difference_table({one.name: one.found for one in runs}, seed) + "\n")
        if published:
            typer.echo(paper.remark(told) + "\n")
    typer.echo(f"Wrote {out}: {out.stat().st_size / 1e6:.1f} MB, one file that needs nothing else.")


def named_runs(given: list[str]) -> dict[str, tuple[str, Path]]:
    """Name -> (label, folder) of every run; a label that several runs share is told apart by the folder."""
    pairs = []
    for one in given:
        label, equals, folder = one.partition("=")
        pairs.append(
            (label, Path(folder))
            if equals and not Path(one).exists()
            else (Path(one).resolve().name, Path(one))
        )
    shared = Counter(label for label, _ in pairs)
    return {
        label if shared[label] == 1 else f"{label} ({folder.resolve().name})": (label, folder)
        for label, folder in pairs
    }
