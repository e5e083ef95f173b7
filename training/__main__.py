"""`python -m training`: scenes, speak, fit, evaluate, export, report, rating-tasks, ratings.

Status: 0 done, 1 failed, 2 wrong usage. Results go to stdout, all else to stderr. Only wiring: torch comes
in when a command needs it.
"""

from __future__ import annotations

from indexer import interrupt

if __name__ == "__main__":
    interrupt.end_silently()

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from indexer.console import failing_in_one_sentence, open_progress
from training.device import torch_device
from training.fit_command import fit_command, tell
from training.options import Data, Debug, Device, Speech
from training.ratings.command import rating_tasks_command, ratings_command
from training.report.command import report_command
from training.speak import speak_command

# Plain help is readable at any width; in boxes of 80 columns long names were cut.
app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback()
def begin() -> None:
    """Make a corpus, speak its captions, fit a dual encoder, judge it, export it."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)


def scenes_command(
    out: Annotated[Path, typer.Option(help="Folder for images/, images.jsonl and texts.jsonl.")],
    count: Annotated[int, typer.Option(min=1, help="Pictures to render.")] = 1000,
    seed: Annotated[int, typer.Option(help="Another seed renders other scenes.")] = 0,
    dev: Annotated[int, typer.Option(min=0, help="How many of them are for dev.")] = 0,
    test: Annotated[int, typer.Option(min=0, help="How many of them are for test.")] = 0,
    close_ups: Annotated[
        float, typer.Option(min=0, max=1, help="Share of single objects on plain ground.")
    ] = 0.0,
    size: Annotated[int, typer.Option(min=32, max=2048, help="Width and height in pixels.")] = 256,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; all cores unless given.")] = None,
    debug: Debug = False,
) -> None:
    """Render the picture corpus: scenes with five captions each. Goes on where an interrupted run stopped."""
    from training.scenes import render_corpus

    with failing_in_one_sentence(debug=debug), open_progress() as shown:
        summary = render_corpus(
            out,
            count,
            seed,
            size=size,
            dev=dev,
            test=test,
            close_ups=close_ups,
            workers=workers,
            progress=shown,
        )
    typer.echo(
        f"{summary.images} pictures with {summary.texts} captions in {out}, {summary.drawn} drawn now."
    )


def evaluate_command(
    data: Data,
    run: Annotated[Path | None, typer.Option(help="Run folder of a fit.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Or an exported bundle, as it will be served.")] = None,
    speech: Speech = None,
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    voice: Annotated[
        list[str] | None, typer.Option(help="Only clips of this voice or speaker. Repeatable.")
    ] = None,
    by_voice: Annotated[bool, typer.Option("--by-voice", help="A row for each voice as well.")] = False,
    human: Annotated[
        bool, typer.Option("--human", help="Recall by Flickr8k's human judgements as well (test split).")
    ] = False,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Write the scores there as JSON, too.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Recall at 1, 5, 10, 50, 100 of a run or bundle, both ways.

    Every spoken caption against every picture, and back.
    """
    if (run is None) == (bundle is None):
        raise typer.BadParameter("give one of the two", param_hint="--run / --bundle")
    with failing_in_one_sentence(debug=debug):
        from indexer.bundle import open_bundle
        from indexer.encoder import Encoder
        from training.checkpoint import load_model
        from training.datasets import open_dataset
        from training.evaluate import Embedder, ModelEmbedder, by_voice_rows, embed, score
        from training.report.outcomes import outcomes
        from training.report.tables import interval_table, recall_table, to_dict

        embedder: Embedder
        if run is not None:
            chosen = torch_device(device)
            model, preset, _ = load_model(run)
            embedder, spec = ModelEmbedder(model.to(chosen), chosen), preset.media.spec()
        else:
            opened = open_bundle(bundle or "")
            embedder, spec = Encoder(opened, provider=device), opened.manifest.media
        judged = open_dataset(data, split, speech)
        if voice:
            judged = judged.of_voices(voice)
        total = len(judged.clips) + len(judged.pictures)
        with open_progress() as shown, shown.stage("embed", total) as stage:
            embedded = embed(embedder, spec, judged, lambda done, _: stage.reach(done))
        rows = {"+".join(sorted(voice)) if voice else split: score(embedded)}
        if by_voice:
            rows |= by_voice_rows(embedded)
        found = outcomes(embedded)
        result = {name: scores.to_dict() for name, scores in rows.items()}
        result[next(iter(rows))] |= to_dict(found)
        tables = [recall_table(rows), interval_table(found)]
        if human:
            from training.ratings.judged import judge
            from training.ratings.votes import read_judgements

            by_people = judge(embedded, read_judgements(data))
            result[next(iter(rows))]["human"] = by_people.to_dict()
            tables.append(by_people.table())
        if out:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        if embedded.failed:
            tell(f"{len(embedded.failed)} items did not decode, such as {embedded.failed[0]}")
    typer.echo(json.dumps(result, indent=1) if as_json else "\n\n".join(tables))


def export_command(
    run: Annotated[Path, typer.Option(help="Run folder of a fit.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the bundle; must not exist.")],
    speech: Speech = None,
    split: Annotated[str, typer.Option(help="Where the golden pair is taken from.")] = "dev",
    name: Annotated[str | None, typer.Option(help="The bundle's name; the preset's unless given.")] = None,
    licence: Annotated[
        str, typer.Option(help="Licence of the weights, as the manifest will state it.")
    ] = "unspecified",
    metrics: Annotated[
        Path | None, typer.Option(help="JSON of evaluate --out, to be kept in the manifest.")
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Store the weights as float16: half the size, computed as float32.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Write a run's best weights as a model bundle.

    ONNX graphs that agree with torch, and a golden pair.
    """
    with failing_in_one_sentence(debug=debug):
        from training.checkpoint import load_model, read_data, read_metrics
        from training.datasets import open_dataset
        from training.export import export

        model, preset, state = load_model(run)
        measured = {"dev": state["metrics"]} | (read_metrics(metrics) if metrics else {})
        bundle, worst = export(
            model,
            preset,
            open_dataset(data, split, speech),
            out,
            training={"data": read_data(run), "steps": state["step"]},
            metrics=measured,
            licence=licence,
            name=name,
            half=half,
        )
        size = sum(path.stat().st_size for path in bundle.path.rglob("*") if path.is_file())
    typer.echo(
        f"Wrote {out}: fingerprint {bundle.fingerprint[:12]}, {size / 1e6:.1f} MB, "
        f"ONNX Runtime within {worst:.0e} of torch."
    )
    typer.echo(
        f"Next: python -m indexer build --bundle {out} --images ... --captions ... --index INDEX --promote"
    )


app.command("scenes")(scenes_command)
app.command("speak")(speak_command)
app.command("fit")(fit_command)
app.command("evaluate")(evaluate_command)
app.command("export")(export_command)
app.command("report")(report_command)
app.command("rating-tasks")(rating_tasks_command)
app.command("ratings")(ratings_command)


def main() -> None:
    """Entry point. Worker processes import this module, so nothing happens at import."""
    app()


if __name__ == "__main__":
    interrupt.be_told()
    main()
