"""Deletes generations: never the one that serves, nor, unless told to, the one a rollback returns to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.store.errors import GenerationDamaged, RollbackLost
from indexer.store.history import changing_current, promoted_stack
from indexer.store.layout import EMBEDDINGS, GENERATIONS, TRASH_PREFIX, generation_folder, generation_ids
from indexer.store.lookup import existing_index
from indexer.store.manifest import GenerationManifest, read_generation_manifest
from indexer.store.vectors import drop_orphans_of
from indexer.store.writer import sole_builder


@dataclass(frozen=True)
class Pruned:
    """What was deleted and what stays, each by id; `embeddings` by the fingerprints of their models.

    `left_in_milvus`: by the address of a Milvus, the collections of deleted generations that were not dropped
    there, since another index made them, or this one under another name; those that may be there, where it
    is out of reach.
    """

    deleted: tuple[str, ...]
    kept: tuple[str, ...]
    current: str | None
    rollback: str | None  # what a rollback returns to; None where it has nothing to return to
    embeddings: tuple[str, ...]
    left_in_milvus: dict[str, list[str]]


def prune(
    path: Path | str, keep: int = 3, *, drop_rollback: bool = False, embeddings: bool = False
) -> Pruned:
    """Delete all generations but `keep`: the current one, the one a rollback returns to, then the newest, and
    what cannot be served before what can.

    Whether one can is seen by its manifest, and its files and their sizes; what is in them is not read. What
    they have in a Milvus goes with them, or at the next build with it where it is out of reach now; what is
    not this index's own stays there, and is named. With `embeddings`, vectors of bundles that no kept
    generation holds are deleted too. RollbackLost, and nothing is deleted, when only `drop_rollback` would
    make room; IndexNotFound; BuildConflict while a build is at work.
    """
    index = existing_index(path)
    if keep < 1:
        raise ValueError(f"keep is {keep}; the current generation stays, so it cannot be less than 1.")
    with sole_builder(index), changing_current(index):
        there = generation_ids(index)
        promoted = [one for one in reversed(promoted_stack(index)) if one in there]
        current, rollback = (*promoted[:2], None, None)[:2]
        sound_first = sorted(there, key=lambda one: _is_broken(generation_folder(index, one)))
        ranked = list(dict.fromkeys((*promoted[:2], *sound_first)))
        kept, doomed = ranked[:keep], ranked[keep:]
        if rollback in doomed and not drop_rollback:
            raise RollbackLost(
                f"Keeping {keep} would delete {rollback}, which a rollback returns to: "
                "keep at least 2, or say --drop-rollback."
            )
        manifests = [one for one in (_manifest(index, name) for name in ranked) if one is not None]
        for generation in doomed:
            # Out of sight first: nobody can begin to open a generation that is half deleted.
            trash = index / GENERATIONS / f"{TRASH_PREFIX}{generation}"
            os.rename(generation_folder(index, generation), trash)
            shutil.rmtree(trash)
        left = drop_orphans_of(index, manifests, doomed)
        vectors = _prune_embeddings(index, kept) if embeddings else []
    back = rollback if rollback in kept else None
    return Pruned(tuple(doomed), tuple(kept), current, back, tuple(vectors), left)


def _is_broken(folder: Path) -> bool:
    try:
        files = read_generation_manifest(folder).files
        return any((folder / name).stat().st_size != file.bytes for name, file in files.items())
    except (GenerationDamaged, OSError):
        return True


def _prune_embeddings(index: Path, kept: Sequence[str]) -> list[str]:
    # Of a damaged one it cannot be known which model it was, and vectors only cost time.
    used = {one.fingerprint for one in (_manifest(index, name) for name in kept) if one is not None}
    folders = (index / EMBEDDINGS).iterdir() if (index / EMBEDDINGS).is_dir() else ()
    unused = sorted(folder for folder in folders if folder.name not in used)
    for folder in unused:
        shutil.rmtree(folder)
    return [folder.name for folder in unused]


def _manifest(index: Path, generation: str) -> GenerationManifest | None:
    """None where it is damaged."""
    try:
        return read_generation_manifest(generation_folder(index, generation))
    except GenerationDamaged:
        return None
