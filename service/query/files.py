"""What the command line names: files, folders, patterns and standard input, as media to send."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NoReturn

from service.client import WrongUse

_ANY_FOLDERS = re.compile(r"(?:^|(?<=/))\*\*(?:/+|$)")


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
        below = sorted(os.path.join(folder, name) for folder, names in _folders(argument) for name in names)
        if not below:
            raise WrongUse(f"There is no file in {argument}.")
        return below
    if os.path.exists(argument):
        return [argument]
    matching = sorted({path.removeprefix("./") for path in _matching(argument) if os.path.isfile(path)})
    if not matching:
        raise WrongUse(f"There is no file {argument}, and no file matches it as a pattern.")
    return matching


def _matching(pattern: str) -> Iterator[str]:
    """As glob has it, but ** stands for `_folders`: glob goes round and round where links lead back."""
    start, *rest = _ANY_FOLDERS.split(pattern, maxsplit=1)
    if not rest:
        yield from glob.iglob(pattern)
        return
    for top in glob.iglob(start) if start else ["."]:
        for folder, _ in _folders(top, must_be_read=False):
            yield from _matching(os.path.join(glob.escape(folder), rest[0] or "*"))


def _folders(top: str, *, must_be_read: bool = True) -> Iterator[tuple[str, list[str]]]:
    """A folder and all below it, with the names of their files. Links are followed, each real folder once.

    Raises WrongUse for one that cannot be read; where they need not be, such folders are left out.
    """
    entered: set[tuple[int, int]] = set()
    for folder, below, names in os.walk(top, onerror=_refuse if must_be_read else None, followlinks=True):
        try:
            status = os.stat(folder)
        except OSError:
            continue  # gone meanwhile
        if (status.st_dev, status.st_ino) in entered:
            below.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield folder, [name for name in names if not name.startswith(".")]


def _refuse(error: OSError) -> NoReturn:
    raise WrongUse(f"The folder {error.filename} cannot be read: {error.strerror}.") from error
