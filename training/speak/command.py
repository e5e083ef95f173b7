"""`python -m training speak`: the command line of `training.speak.speak`."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from indexer.console import failing_in_one_sentence, open_progress
from training.speak.run import speak

_FAILURES_SHOWN = 5


class AudioFormat(StrEnum):
    flac = "flac"
    wav = "wav"


def speak_command(
    source: Annotated[
        Path,
        typer.Argument(help="JSONL, TSV, captions.txt, a folder with texts.jsonl, or a Flickr8k folder."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the clips and captions.jsonl.")],
    voices: Annotated[
        str,
        typer.Option(
            help="train, train-all, reserved, reserved-espeak, flite, or a list: espeak:en-us,flite:slt."
        ),
    ] = "train",
    test_voices: Annotated[
        str | None, typer.Option(help="Voices for the captions of the split test instead, e.g. reserved.")
    ] = None,
    per_caption: Annotated[int, typer.Option(min=1, help="Clips a caption, each its own voice.")] = 1,
    format: Annotated[
        AudioFormat | None, typer.Option(help="flac, or wav (the default for a Flickr8k folder).")
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Speak captions by text to speech: voice, rate, pitch and gain drawn as in Conceptual Spoken Captions.

    An interrupted run goes on where it stopped when the same command is given again.
    """
    with failing_in_one_sentence(debug=debug), open_progress() as shown:
        report = speak(
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
            progress=shown,
        )
    for clip_id, reason in list(report.failures.items())[:_FAILURES_SHOWN]:
        typer.echo(f"failed: {clip_id}: {reason}", err=True)
    if len(report.failures) > _FAILURES_SHOWN:
        typer.echo(f"failed: and {len(report.failures) - _FAILURES_SHOWN} more", err=True)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(report) | {"manifest": str(report.manifest)}))
    else:
        typer.echo(str(report))
