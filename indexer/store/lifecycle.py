"""The life of generations: open, list, verify, promote, roll back, prune.

CURRENT only ever names a generation that was sound at that moment, and what it names is never deleted here.
"""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from indexer import ann
from indexer.store.errors import (
    GenerationDamaged,
    IndexNotFound,
    NothingToRollBack,
    StoreError,
    UnknownGeneration,
)
from indexer.store.generation import Generation
from indexer.store.history import changing_current, current_generation, promoted_stack, set_current
from indexer.store.layout import (
    EMBEDDINGS,
    GENERATIONS,
    TRASH_PREFIX,
    generation_folder,
    generation_ids,
)
from indexer.store.manifest import GenerationManifest, read_generation_manifest
from indexer.store.soundness import altered_files, check_generation, unlisted_files
from indexer.store.writer import sole_builder

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listed:
    """One line of a listing: a damaged manifest is told in `problem` and leaves `manifest` None."""

    id: str
    current: bool
    manifest: GenerationManifest | None
    problem: str | None


@dataclass(frozen=True)
class Change:
    """What a promotion or rollback did: `previous` was served before it, None where nothing was."""

    generation: str
    previous: str | None


def open_index(
    path: Path | str,
    generation: str | None = None,
    *,
    device: ann.Device = "cpu",
    threads: int | None = None,
    verify: bool = True,
    mapped: bool = False,
) -> Generation:
    """Open the generation named, or the one CURRENT names.

    Without a name a damaged current generation does not stop a start: the last one promoted before it that is
    sound opens instead, a warning is logged, and its `degraded` says why. With a name there is no such step.
    Raises IndexNotFound, UnknownGeneration, GenerationDamaged (FingerprintMismatch among it), ann.NoGpu.
    """
    index = _existing(path)
    if generation is not None:
        folder = _known(index, generation)
        return Generation(folder, device=device, threads=threads, verify=verify, mapped=mapped)
    candidates = promoted_stack(index)[::-1]
    if not candidates:
        raise _nothing_promoted(index)
    first_error: StoreError | None = None
    for candidate in candidates:
        try:
            folder = _known(index, candidate)
            opened = Generation(folder, device=device, threads=threads, verify=verify)
        except (GenerationDamaged, UnknownGeneration) as error:
            _log.warning("Generation %s cannot serve: %s", candidate, error)
            first_error = first_error or error
            continue
        if first_error is not None:
            opened.degraded = f"Generation {opened.id} serves in place of {candidates[0]}: {first_error}"
            _log.warning("%s", opened.degraded)
        return opened
    raise first_error or _nothing_promoted(index)


def list_generations(path: Path | str) -> list[Listed]:
    """All generations, newest first. IndexNotFound where there is no index."""
    index = _existing(path)
    current = current_generation(index)
    listed = []
    for generation in generation_ids(index):
        manifest, problem = None, None
        try:
            manifest = read_generation_manifest(generation_folder(index, generation))
        except GenerationDamaged as error:
            problem = str(error)
        listed.append(Listed(generation, generation == current, manifest, problem))
    return listed


def verify(path: Path | str, generation: str) -> list[str]:
    """Everything wrong with a generation, one sentence or phrase each; empty when it is sound.

    Reads every byte of it, opens it, and asks it for one neighbour. UnknownGeneration.
    """
    folder = _known(_existing(path), generation)
    try:
        manifest = read_generation_manifest(folder)
        if problems := altered_files(folder, manifest) + unlisted_files(folder, manifest):
            return problems
        opened = Generation(folder, verify=False)
    except GenerationDamaged as error:
        return [str(error)]
    try:
        for name, part in manifest.collections.items():
            if part.count:
                first = opened.items(name, 1)[0][0]
                opened.search(name, opened.vector(name, first.id)[None, :], 1)
    except (StoreError, ann.AnnError) as error:
        return [str(error)]
    finally:
        opened.close()
    return []


def promote(path: Path | str, generation: str) -> Change:
    """Serve this generation from now on, once it is checked. UnknownGeneration, GenerationDamaged."""
    index = _existing(path)
    folder = _known(index, generation)
    check_generation(folder)
    with changing_current(index):
        previous = current_generation(index)
        if previous != generation:
            set_current(index, generation, "promote")
    return Change(generation, previous)


def rollback(path: Path | str) -> Change:
    """Serve again what was served before the current generation; one that is damaged or gone is passed over.

    NothingToRollBack when no sound one is left.
    """
    index = _existing(path)
    with changing_current(index):
        previous = current_generation(index)
        for candidate in promoted_stack(index)[-2::-1]:
            try:
                check_generation(_known(index, candidate))
            except (GenerationDamaged, UnknownGeneration) as error:
                _log.warning("Generation %s cannot be rolled back to: %s", candidate, error)
                continue
            set_current(index, candidate, "rollback")
            return Change(candidate, previous)
    raise NothingToRollBack(
        f"No sound generation was promoted in {index} before {previous or 'now'}: "
        f"`python -m indexer list --index {index}` shows what is there to promote."
    )


def prune(path: Path | str, keep: int = 2, *, embeddings: bool = False) -> list[str]:
    """Delete generations but the current one and `keep` others; what was deleted, by id.

    Kept first is the one a rollback would return to, then the newest. With `embeddings`, vectors of bundles
    that no kept generation holds are deleted too. BuildConflict while a build is at work.
    """
    index = _existing(path)
    if keep < 0:
        raise ValueError(f"keep is {keep}; it cannot be less than 0.")
    with sole_builder(index), changing_current(index):
        current = current_generation(index)
        there = generation_ids(index)
        others = [one for one in promoted_stack(index)[-2::-1] if one in there][:1]
        others += [one for one in there if one not in (current, *others)]
        doomed = others[keep:]
        for generation in doomed:
            # Out of sight first: nobody can begin to open a generation that is half deleted.
            trash = index / GENERATIONS / f"{TRASH_PREFIX}{generation}"
            os.rename(generation_folder(index, generation), trash)
            shutil.rmtree(trash)
        if embeddings:
            _prune_embeddings(index)
    return doomed


def _prune_embeddings(index: Path) -> None:
    used = {one.manifest.fingerprint for one in list_generations(index) if one.manifest is not None}
    if (index / EMBEDDINGS).is_dir():
        for folder in (index / EMBEDDINGS).iterdir():
            if folder.name not in used:
                shutil.rmtree(folder)


def _existing(path: Path | str) -> Path:
    index = Path(path)
    if not (index / GENERATIONS).is_dir():
        raise IndexNotFound(
            f"There is no index at {index}: build one with `python -m indexer build --bundle BUNDLE "
            f"--images SOURCE --captions SOURCE --index {index} --promote`."
        )
    return index


def _nothing_promoted(index: Path) -> IndexNotFound:
    there = generation_ids(index)
    if there:
        return IndexNotFound(
            f"No generation of {index} is promoted: `python -m indexer promote {there[0]} --index {index}` "
            "makes the newest one serve."
        )
    return IndexNotFound(
        f"The index at {index} has no generation: build one with `python -m indexer build --bundle BUNDLE "
        f"--images SOURCE --captions SOURCE --index {index} --promote`."
    )


def _known(index: Path, generation: str) -> Path:
    there = generation_ids(index)
    if generation not in there:
        known = f"it has {', '.join(there[:5])}{' and more' * (len(there) > 5)}" if there else "it has none"
        raise UnknownGeneration(f"The index has no generation {generation[:80]!a}: {known}.")
    return generation_folder(index, generation)
