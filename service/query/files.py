"""What the command line names: files, folders, patterns and standard input, as media to send."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from service.client import WrongUse


def named_media(arguments: Sequence[str]) -> list[str | BinaryIO]:
    """Paths in the order given, those of a folder and of a pattern by name. Raises WrongUse.

    Of a folder everything below it counts, as in a build: what it is the server finds out. Names that begin
    with a dot are left out.
    """
    if arguments.count("-") > 1:
        raise WrongUse("- stands for standard input, which can be read once.")
    found: list[str | BinaryIO] = []
    for argument in arguments:
        if argument == "-":
            found.append(_standard_input())
        else:
            found.extend(_paths(argument))
    return found


def _standard_input() -> BinaryIO:
    if sys.stdin.isatty():
        raise WrongUse("- reads standard input, and nothing is piped into it.")
    return sys.stdin.buffer


def _paths(argument: str) -> list[str]:
    if os.path.isdir(argument):
        below = list(_below(Path(argument), set()))
        if not below:
            raise WrongUse(f"There is no file in {argument}.")
        return below
    if os.path.exists(argument):
        return [argument]
    matching = sorted(path for path in glob.glob(argument, recursive=True) if os.path.isfile(path))
    if not matching:
        raise WrongUse(f"There is no file {argument}, and no file matches it as a pattern.")
    return matching


def _below(folder: Path, entered: set[tuple[int, int]]) -> Iterator[str]:
    """Links are followed, each real folder once."""
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise WrongUse(f"The folder {folder} cannot be read: {error.strerror}.") from error
    if (status.st_dev, status.st_ino) in entered:
        return
    entered.add((status.st_dev, status.st_ino))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _below(folder / entry.name, entered)
        else:
            yield str(folder / entry.name)
