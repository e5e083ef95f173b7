"""Options that several commands of `python -m training` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Data = Annotated[
    Path, typer.Option(help="Corpus: pairs folder, Flickr8k, spoken digits, or images/ + speech/.")
]
Speech = Annotated[
    Path | None, typer.Option(help="Where the spoken captions are, if not in the corpus folder itself.")
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes CUDA where it works.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
