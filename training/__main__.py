"""`python -m training`: scenes, speak, fit, evaluate, export, report, rating-tasks, ratings.

Status: 0 done, 1 failed, 2 wrong usage. Results go to stdout, all else to stderr. Only wiring: torch comes
in when a command needs it.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from indexer.console import failing_in_one_sentence, open_progress
from indexer.progress import Stage
from training.device import torch_device
from training.ratings.command import rating_tasks_command, ratings_command
from training.report.command import report_command
from training.speak import speak_command

if TYPE_CHECKING:
    from indexer.progress import Progress as Shown
    from training.evaluate import Scores
    from training.listener import Progress

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
LOSS_EVERY_SECONDS = 15.0

Data = Annotated[
    Path, typer.Option(help="Corpus: pairs folder, Flickr8k, spoken digits, or images/ + speech/.")
]
Speech = Annotated[
    Path | None, typer.Option(help="Where the spoken captions are, if not in the corpus folder itself.")
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes CUDA where it works.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback()
def begin() -> None:
    """Make a corpus, speak its captions, fit a dual encoder, judge it, export it."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)


class Screen:
    """A fit's Listener: shows a stage for decoding, one for stepping, a line for every evaluation."""

    def __init__(self, shown: Shown) -> None:
        self._shown, self._open = shown, ExitStack()
        self._stage: Stage | None = None
        self._first, self._told = 0, time.monotonic()
        self.step = 0

    def decoding(self, done: int, total: int) -> None:
        self._reach("decode", done, total)
        if done == total:
            self.close()

    def stepped(self, progress: Progress) -> None:
        self.step = progress.step
        if self._stage is None:
            self._first = progress.step - 1
        title = "fit" if not self._first else f"fit, from step {self._first} on"
        self._reach(title, progress.step - self._first, progress.steps - self._first)
        if time.monotonic() - self._told > LOSS_EVERY_SECONDS:
            self._told = time.monotonic()
            speed = f"{progress.pairs_per_second:.0f} pairs/s"
            tell(f"step {progress.step}: loss {progress.loss:.3f}, lr {progress.learning_rate:.1e}, {speed}")

    def evaluated(self, step: int, scores: Scores, best: bool) -> None:
        there, back = scores.speech_to_image, scores.image_to_speech
        tell(
            f"step {step}: dev R@1 {there[1]:.3f} / {back[1]:.3f}, R@10 {there[10]:.3f} / {back[10]:.3f} "
            f"(S->I / I->S){', best so far' if best else ''}"
        )

    def close(self) -> None:
        """End the stage that is shown, if any."""
        self._open.close()
        self._stage = None

    def _reach(self, title: str, done: int, total: int) -> None:
        if self._stage is None:
            self._stage = self._open.enter_context(self._shown.stage(title, total))
        self._stage.reach(done)


def tell(sentence: str) -> None:
    """A line on stderr, above whatever bar is there."""
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """A list that gets the first SIGINT or SIGTERM when it comes; the second ends the program as usual."""
    seen: list[int] = []
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        tell("Stopping after this step; interrupt again to stop at once.")
        for each, handler in usual.items():
            signal.signal(each, handler)

    for number in usual:
        signal.signal(number, note)
    try:
        yield seen
    finally:
        for each, handler in usual.items():
            signal.signal(each, handler)


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


def _changes(settings: list[str] | None) -> dict[str, str]:
    changes = {}
    for setting in settings or ():
        key, equals, value = setting.partition("=")
        if not equals:
            raise typer.BadParameter(
                f"wants key=value, such as optimiser.lr=0.001, not {setting!r}", param_hint="--set"
            )
        changes[key.strip()] = value.strip()
    return changes


def fit_command(
    preset: Annotated[str, typer.Option(help="A shipped preset's name, or a TOML file.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Run folder; a run that is there goes on by itself.")],
    speech: Speech = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value: --set optimiser.lr=0.0005. Repeatable."),
    ] = None,
    without_voice: Annotated[
        list[str] | None, typer.Option(help="Leave this voice or speaker out of training. Repeatable.")
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.0001, max=1, help="Fit on that share of the pictures, with their clips.")
    ] = 1.0,
    share_seed: Annotated[int, typer.Option(help="Another seed draws another share.")] = 0,
    dev_split: Annotated[
        str, typer.Option(help="Split that chooses the best weights; 'none' keeps the newest.")
    ] = "dev",
    device: Device = "auto",
    cache: Annotated[
        Path | None, typer.Option(help="Folder for decoded data; the run folder unless given.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that decode; all cores unless given.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Fit a preset's two towers on a corpus. An interrupted run goes on when the command is given again."""
    changes = _changes(set_)
    with failing_in_one_sentence(debug=debug):
        from training.datasets import DatasetError, open_dataset
        from training.fit import fit
        from training.preset import load_preset

        chosen = torch_device(device)
        composed = load_preset(preset, changes)
        train = open_dataset(data, "train", speech).without_voices(without_voice or ())
        train = train.share_of_pictures(share, share_seed) if share < 1 else train
        dev = None
        if dev_split != "none":
            try:
                dev = open_dataset(data, dev_split, speech)
            except DatasetError as error:
                raise DatasetError(f"{error}; --dev-split none keeps the newest weights instead") from error
        counts = f"{len(train.clips)} spoken captions, {len(train.pictures)} pictures"
        tell(f"{composed.name}: {composed.steps} steps on {counts}, {chosen}")
        for reason, count in train.skipped.items():
            tell(f"left out: {count} x {reason}")
        with open_progress() as shown, asked_to_stop() as asked:
            screen = Screen(shown)
            scores = fit(
                composed, train, dev, out, screen,
                device=chosen, cache=cache, workers=workers, stop=lambda: bool(asked),
            )  # fmt: skip
            screen.close()
    if asked and screen.step < composed.steps:
        tell(f"Stopped after step {screen.step} of {composed.steps}; the same command goes on from there.")
        raise typer.Exit(1)
    if scores is not None:
        there, back = scores.speech_to_image[10], scores.image_to_speech[10]
        typer.echo(f"Fitted {out}: dev R@10 {there:.3f} S->I, {back:.3f} I->S.")
    else:
        typer.echo(f"Fitted {out}: all {composed.steps} steps are done.")
    typer.echo(f"Next: python -m training export --run {out} --data {data} --out BUNDLE")


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
    """Recall at 1, 5, 10, 50, 100 both ways: every spoken caption against every picture, and back."""
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
        if out:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        if embedded.failed:
            tell(f"{len(embedded.failed)} items did not decode, such as {embedded.failed[0]}")
        tables = [recall_table(rows), interval_table(found)]
        if human:
            from training.ratings.judged import judged_table
            from training.ratings.votes import read_judgements

            tables.append(judged_table(embedded, read_judgements(data)))
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
    """Write a run's best weights as a model bundle: ONNX graphs that agree with torch, and a golden pair."""
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
    main()
