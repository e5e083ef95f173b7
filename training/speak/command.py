"""`python -m training speak`: the command line of `training.speak`."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from indexer.console import failing_in_one_sentence, open_progress
from training.speak.clips import SpeechError
from training.speak.remake import remake
from training.speak.run import foresee, perform
from training.speak.work import prepare
from training.voices import voice_set

_FAILURES_SHOWN = 5
_WORTH_FORESEEING = 200  # fewer clips are made before the estimate would be


class AudioFormat(StrEnum):
    flac = "flac"
    wav = "wav"


class Runner(StrEnum):
    local = "local"
    ray = "ray"


def speak_command(
    source: Annotated[
        Path,
        typer.Argument(
            help="JSONL, TSV, captions.txt, COCO or Karpathy JSON, WebDataset shards, a folder with "
            "texts.jsonl or classes.tsv, or a Flickr8k folder."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the clips and what lists them.")],
    voices: Annotated[
        str,
        typer.Option(
            help="train, train-all, reserved, reserved-espeak, flite, wavenet, or a list such as "
            "flite:slt,espeak:en-us,mine.voices:Engine:anna."
        ),
    ] = "train",
    test_voices: Annotated[
        str | None, typer.Option(help="Voices for the captions of the split test instead, e.g. reserved.")
    ] = None,
    per_caption: Annotated[int, typer.Option(min=1, help="Clips a caption, each its own voice.")] = 1,
    shards: Annotated[
        int | None, typer.Option(min=1, help="Write WebDataset shards of so many clips, not a file a clip.")
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Put the source's pictures into the shards.")
    ] = True,
    engine: Annotated[
        Runner, typer.Option(help="local: this machine's cores. ray: Ray Data, on RAY_ADDRESS if set.")
    ] = Runner.local,
    format: Annotated[
        AudioFormat | None, typer.Option(help="flac, or wav (the default for files of a Flickr8k folder).")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only captions of this split: train, dev or test.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many captions.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed draws other voices, rates, pitches and gains.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; all cores unless given.")] = None,
    for_training: Annotated[
        bool,
        typer.Option("--for-training", help="Refuse voices reserved for evaluation, whatever the split."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would take: time, hours of speech, bytes.")
    ] = False,
    remake_id: Annotated[
        str | None,
        typer.Option(
            "--remake",
            help="SOURCE is a spoken corpus: make this clip of it again into --out, and compare. An engine "
            "that does not come with SaySee has to be named by --voices.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Speak captions by text to speech.

    Voice, rate, pitch and gain are drawn as in Conceptual Spoken Captions. An interrupted run goes on where
    it stopped when the same command is given again.
    """
    with failing_in_one_sentence(debug=debug):
        if remake_id is not None:
            remade = remake(source, remake_id, out, trusted={voice.engine for voice in voice_set(voices)})
            _show(remade, as_json)
            if not remade.identical:
                raise SpeechError(
                    "The clip made again differs: other versions of the engine or of the codec?"
                )
            return
        work = prepare(
            source,
            out,
            voices=voices,
            test_voices=test_voices,
            per_caption=per_caption,
            format=format.value if format is not None else None,
            workers=workers,
            seed=seed,
            limit=limit,
            split=split,
            for_training=for_training,
            clips_a_shard=shards,
            with_pictures=pictures,
        )
        if dry_run:
            _show(foresee(work), as_json)
            return
        if work.clips >= _WORTH_FORESEEING and (foreseen := foresee(work)).clips:
            typer.echo(str(foreseen), err=True)
        with open_progress() as shown:
            report = perform(work, runner=engine.value, progress=shown)
    for clip_id, reason in list(report.failures.items())[:_FAILURES_SHOWN]:
        typer.echo(f"failed: {clip_id}: {reason}", err=True)
    if len(report.failures) > _FAILURES_SHOWN:
        typer.echo(f"failed: and {len(report.failures) - _FAILURES_SHOWN} more", err=True)
    _show(report, as_json)


def _show(result: Any, as_json: bool) -> None:
    typer.echo(json.dumps(dataclasses.asdict(result), default=str) if as_json else str(result))
