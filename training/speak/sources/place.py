"""Where a list has a picture: below the list's folder, or nowhere. Lists may come from strangers."""

from __future__ import annotations

from pathlib import Path

from training.datasets.pairs import File


def picture_below(folder: Path, name: Path) -> File | None:
    """The file `name` of `folder`; None where there is none, and for a name that leads out of the folder."""
    if name.is_absolute() or ".." in name.parts or not (folder / name).is_file():
        return None
    return File(folder / name)
