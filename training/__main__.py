"""`python -m training`: scenes, speak, fit, evaluate, export. torch is imported only by the commands that need it."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from training.speak import speak_command

if TYPE_CHECKING:
    from training.evaluate import Scores
    from training.fit import Progress

app = typer.Typer(
    help="Make a corpus, speak its captions, fit a dual encoder, judge it, export it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
LOG_EVERY_SECONDS = 15.0

Data = Annotated[
    Path, typer.Option(help="Corpus: pairs folder, Flickr8k, spoken digits, or images/ + speech/.")
]
Speech = Annotated[
    Path | None, typer.Option(help="Where the spoken captions are, if not in the corpus folder itself.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def one_sentence(command: Callable[..., None]) -> Callable[..., None]:
    """Turn the errors that name a fault of the input into one line on stderr and exit status 1."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        from indexer.bundle import BundleError
        from indexer.encoder import EncoderError
        from training.checkpoint import RunError
        from training.datasets import DatasetError
        from training.export import ExportError
        from training.fit import FitError
        from training.preset import PresetError

        try:
            command(*args, **options)
        except (
            BundleError,
            EncoderError,
            RunError,
            DatasetError,
            ExportError,
            FitError,
            PresetError,
            OSError,
        ) as error:
            if options.get("debug"):
                raise
            typer.echo(f"{command.__name__.split('_')[0]}: {error}", err=True)
            raise typer.Exit(1) from error
        except ModuleNotFoundError as error:
            if options.get("debug") or error.name not in ("torch", "timm", "onnx"):
                raise
            typer.echo(f"training needs {error.name}: pip install 'saysee[train,cpu]'", err=True)
            raise typer.Exit(1) from error

    return run


class Screen:
    """Shows a fit: bars on a terminal, a line every fifteen seconds elsewhere. A fit's Listener."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not sys.stderr.isatty(),
        )
        self.tasks: dict[str, Any] = {}
        self.told = 0.0

    def _show(self, title: str, done: int, total: int, note: str) -> None:
        if title not in self.tasks:
            self.tasks[title] = self.bar.add_task(title, total=total, note="")
        self.bar.update(self.tasks[title], completed=done, note=note)
        if self.bar.disable and (time.monotonic() - self.told > LOG_EVERY_SECONDS or done == total):
            self.told = time.monotonic()
            print(f"{title}: {done} of {total}  {note}", file=sys.stderr, flush=True)

    def decoding(self, done: int, total: int) -> None:
        self._show("decode", done, total, "")

    def stepped(self, progress: Progress) -> None:
        note = f"loss {progress.loss:.3f}, lr {progress.learning_rate:.1e}, {progress.pairs_per_second:.0f} pairs/s"
        self._show("fit", progress.step, progress.steps, note)

    def evaluated(self, step: int, scores: Scores, best: bool) -> None:
        self.console.print(
            f"step {step}: dev R@1 {scores.speech_to_image[1]:.3f} / {scores.image_to_speech[1]:.3f}, "
            f"R@10 {scores.speech_to_image[10]:.3f} / {scores.image_to_speech[10]:.3f} (S->I / I->S)"
            + (", best so far" if best else ""),
            highlight=False,
        )

    def embedding(self, done: int, total: int) -> None:
        self._show("embed", done, total, "")


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

    try:
        summary = render_corpus(
            out, count, seed, size=size, dev=dev, test=test, close_ups=close_ups, workers=workers
        )
    except (ValueError, OSError) as error:
        if debug:
            raise
        typer.echo(f"scenes: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(
        f"{summary.images} pictures with {summary.texts} captions in {out}, {summary.drawn} of them drawn now."
    )


def _changes(settings: list[str] | None) -> dict[str, str]:
    from training.preset import PresetError

    changes = {}
    for setting in settings or ():
        key, equals, value = setting.partition("=")
        if not equals:
            raise PresetError(f"--set wants key=value, such as optimiser.lr=0.001, not {setting!r}")
        changes[key.strip()] = value.strip()
    return changes


@one_sentence
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
    dev_split: Annotated[
        str, typer.Option(help="Split that chooses the best weights; 'none' keeps the newest.")
    ] = "dev",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    cache: Annotated[
        Path | None, typer.Option(help="Folder for decoded data; the run folder unless given.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that decode; all cores unless given.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Fit a preset's two towers on a corpus. An interrupted run goes on when the same command is given again."""
    import torch

    from indexer.cores import available_cores
    from training.datasets import open_dataset
    from training.fit import fit
    from training.preset import load_preset

    torch.set_num_threads(available_cores())
    composed = load_preset(preset, _changes(set_))
    silenced = set(without_voice or ())
    train = open_dataset(data, "train", speech).only_clips(lambda clip: clip.voice not in silenced)
    dev = open_dataset(data, dev_split, speech) if dev_split != "none" else None
    chosen = torch.device(device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    screen = Screen()
    counts = f"{len(train.clips)} spoken captions, {len(train.pictures)} pictures"
    screen.console.print(f"{composed.name}: {composed.steps} steps on {counts}, {chosen}", highlight=False)
    for reason, count in train.skipped.items():
        screen.console.print(f"left out: {count} x {reason}", highlight=False)
    with screen.bar:
        scores = fit(composed, train, dev, out, screen, device=chosen, cache=cache, workers=workers)
    if scores is not None:
        typer.echo(
            f"Fitted {out}: dev R@10 {scores.speech_to_image[10]:.3f} S->I, {scores.image_to_speech[10]:.3f} I->S."
        )
    typer.echo(f"Next: python -m training export --run {out} --data {data} --out BUNDLE")


@one_sentence
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
    out: Annotated[Path | None, typer.Option(help="Write the scores there as JSON, too.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Recall at 1, 5, 10, 50, 100 both ways: every spoken caption against every picture, and back."""
    import torch

    from indexer.bundle import open_bundle
    from indexer.cores import available_cores
    from indexer.encoder import Encoder
    from training.checkpoint import load_model
    from training.datasets import open_dataset
    from training.evaluate import Embedder, ModelEmbedder, embed, only, score, table

    if (run is None) == (bundle is None):
        raise typer.BadParameter("give either --run or --bundle")
    torch.set_num_threads(available_cores())
    embedder: Embedder
    if run is not None:
        model, preset, _ = load_model(run)
        embedder, spec = ModelEmbedder(model), preset.media.spec()
    else:
        opened = open_bundle(bundle or "")
        embedder, spec = Encoder(opened), opened.manifest.media
    wanted = set(voice or ())
    judged = open_dataset(data, split, speech).only_clips(lambda clip: not wanted or clip.voice in wanted)
    screen = Screen()
    with screen.bar:
        embedded = embed(embedder, spec, judged, screen.embedding)
    rows = {split if not wanted else "+".join(sorted(wanted)): score(embedded)}
    if by_voice:
        for name in sorted({clip.voice for clip in embedded.clips}):
            rows[name or "?"] = score(only(embedded, lambda clip, name=name: clip.voice == name))  # type: ignore[misc]
    result = {name: scores.to_dict() for name, scores in rows.items()}
    if out:
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    typer.echo(json.dumps(result, indent=1) if as_json else table(rows))
    if embedded.failed:
        typer.echo(f"{len(embedded.failed)} items did not decode, such as: {embedded.failed[0]}", err=True)


@one_sentence
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
    from training.checkpoint import load_model
    from training.datasets import open_dataset
    from training.export import export

    model, preset, state = load_model(run)
    described = json.loads((run / "data.json").read_text(encoding="utf-8"))
    measured = {"dev": state["metrics"]}
    if metrics:
        measured |= json.loads(metrics.read_text(encoding="utf-8"))
    bundle, worst = export(
        model,
        preset,
        open_dataset(data, split, speech),
        out,
        training={"data": described, "steps": state["step"]},
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


def main() -> None:
    """Entry point. Worker processes import this module, so nothing happens at import."""
    app()


if __name__ == "__main__":
    main()
