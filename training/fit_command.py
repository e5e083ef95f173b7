"""`python -m training fit`: its command line, what it shows, and how it is asked to stop.

Under torchrun every process runs it; rank 0 alone shows and tells.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from indexer.console import failing_in_one_sentence, open_progress
from indexer.progress import Silent, Stage
from training.device import torch_device
from training.options import Data, Debug, Device, Speech

if TYPE_CHECKING:
    from indexer.progress import Progress as Shown
    from training.evaluate import Scores
    from training.listener import Listener, Progress

LOSS_EVERY_SECONDS = 15.0


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
def asked_to_stop(*, telling: bool) -> Iterator[list[int]]:
    """A list that gets the first SIGINT or SIGTERM when it comes; the second ends the program as usual."""
    seen: list[int] = []
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if telling:
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
    warm_start: Annotated[
        Path | None, typer.Option(help="Run folder whose best weights the towers begin with.")
    ] = None,
    warm: Annotated[
        Literal["speech", "image", "both"] | None,
        typer.Option(help="Which towers do: both unless given; the other begins at random."),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write OUT/tensorboard: tensorboard --logdir OUT shows it.")
    ] = False,
    device: Device = "auto",
    cache: Annotated[
        Path | None, typer.Option(help="Folder for decoded data; the run folder unless given.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that decode; all cores unless given.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Fit a preset's two towers on a corpus.

    An interrupted run goes on when the command is given again.

    On several GPUs: torchrun --standalone --nproc-per-node 2 -m training fit ...
    """
    changes = _changes(set_)
    if warm and not warm_start:
        raise typer.BadParameter("says which towers of --warm-start; give that as well", param_hint="--warm")
    # As open_ranks will find; asked for here because torch is not there yet.
    first = "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["RANK"] == "0"
    # Signals are noted until the sentence of an error is out: torchrun ends whoever is left within moments.
    with asked_to_stop(telling=first) as asked, failing_in_one_sentence(debug=debug):
        from training.datasets import DatasetError, open_dataset
        from training.distributed import open_ranks
        from training.fit import fit
        from training.listener import Together
        from training.preset_file import load_preset
        from training.summary import evaluation_table
        from training.warm_start import WarmStart

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
        with ExitStack() as stack:
            ranks = stack.enter_context(open_ranks(chosen))
            if first:
                counts = f"{len(train.clips)} spoken captions, {len(train.pictures)} pictures"
                among = f", {ranks.count} processes" if ranks.count > 1 else ""
                tell(f"{composed.name}: {composed.steps} steps on {counts}, {chosen}{among}")
                for reason, count in train.skipped.items():
                    tell(f"left out: {count} x {reason}")
            screen = Screen(stack.enter_context(open_progress()) if first else Silent())
            stack.callback(screen.close)
            listeners: list[Listener] = [screen]
            if tensorboard and first:
                from training.events import Events

                listeners.append(stack.enter_context(Events(out / "tensorboard")))
            scores = fit(
                composed, train, dev, out, Together(listeners),
                device=chosen, cache=cache, workers=workers, stop=lambda: bool(asked),
                warm=WarmStart(warm_start, warm or "both") if warm_start else None, ranks=ranks,
            )  # fmt: skip
        table = evaluation_table(out) if first else None
    if not first:
        return
    if asked and screen.step < composed.steps:
        tell(f"Stopped after step {screen.step} of {composed.steps}; the same command goes on from there.")
        raise typer.Exit(1)
    if table:
        Console(stderr=True).print(table)
    if scores is not None:
        there, back = scores.speech_to_image[10], scores.image_to_speech[10]
        typer.echo(f"Fitted {out}: dev R@10 {there:.3f} S->I, {back:.3f} I->S.")
    else:
        typer.echo(f"Fitted {out}: all {composed.steps} steps are done.")
    typer.echo(f"Next: python -m training export --run {out} --data {data} --out BUNDLE")


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
