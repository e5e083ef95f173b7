"""The life of generations: open, list, verify, promote, roll back.

CURRENT only ever names a generation that was sound at that moment, and what it names is never deleted here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from indexer import ann
from indexer.store.errors import (
    GenerationDamaged,
    NothingToRollBack,
    StoreError,
    UnknownGeneration,
    VectorsUnreachable,
)
from indexer.store.generation import Generation
from indexer.store.history import changing_current, current_generation, promoted_stack, set_current
from indexer.store.layout import generation_folder, generation_ids
from indexer.store.lookup import existing_index, known_generation, nothing_promoted
from indexer.store.manifest import GenerationManifest, read_generation_manifest
from indexer.store.soundness import altered_files, check_generation, unlisted_files
from indexer.store.vectors import altered_vectors, check_vectors

_UNFIT = (GenerationDamaged, UnknownGeneration, VectorsUnreachable)
"""What keeps a generation from serving, so that another has to."""

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
    Raises IndexNotFound, UnknownGeneration, GenerationDamaged (FingerprintMismatch among it),
    VectorsUnreachable, ann.NoGpu.
    """
    index = existing_index(path)
    if generation is not None:
        folder = known_generation(index, generation)
        return Generation(folder, device=device, threads=threads, verify=verify, mapped=mapped)
    candidates = promoted_stack(index)[::-1]
    if not candidates:
        raise nothing_promoted(index)
    first_error: StoreError | None = None
    for candidate in candidates:
        try:
            folder = known_generation(index, candidate)
            opened = Generation(folder, device=device, threads=threads, verify=verify, mapped=mapped)
        except _UNFIT as error:
            _log.warning("Generation %s cannot serve: %s", candidate, error)
            first_error = first_error or error
            continue
        if first_error is not None:
            opened.degraded = f"Generation {opened.id} serves in place of {candidates[0]}: {first_error}"
            _log.warning("%s", opened.degraded)
        return opened
    raise first_error or nothing_promoted(index)


def list_generations(path: Path | str) -> list[Listed]:
    """All generations, newest first. IndexNotFound where there is no index."""
    index = existing_index(path)
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
    folder = known_generation(existing_index(path), generation)
    try:
        manifest = read_generation_manifest(folder)
        if problems := altered_files(folder, manifest) + unlisted_files(folder, manifest):
            return problems
        opened = Generation(folder, verify=False)
    except (GenerationDamaged, VectorsUnreachable) as error:
        return [str(error)]
    try:
        for name, part in manifest.collections.items():
            if part.count:
                first = opened.items(name, 1)[0][0]
                opened.search(name, opened.vector(name, first.id)[None, :], 1)
        if manifest.map is not None:
            opened.map()
        return altered_vectors(manifest)
    except (StoreError, ann.AnnError) as error:
        return [str(error)]
    finally:
        opened.close()


def promote(path: Path | str, generation: str) -> Change:
    """Serve this generation from now on, once it is checked.

    UnknownGeneration, GenerationDamaged, VectorsUnreachable.
    """
    index = existing_index(path)
    _check(index, generation)
    with changing_current(index):
        previous = current_generation(index)
        if previous != generation:
            set_current(index, generation, "promote")
    return Change(generation, previous)


def rollback(path: Path | str) -> Change:
    """Serve again what was served before the current generation; one that cannot serve now is passed over.

    NothingToRollBack when no sound one is left.
    """
    index = existing_index(path)
    unfit: dict[str, StoreError] = {}
    with changing_current(index):
        previous = current_generation(index)
        for candidate in promoted_stack(index)[-2::-1]:
            try:
                _check(index, candidate)
            except _UNFIT as error:
                unfit[candidate] = error
                continue
            for passed, reason in unfit.items():
                _log.warning("Generation %s cannot be rolled back to: %s", passed, reason)
            set_current(index, candidate, "rollback")
            return Change(candidate, previous)
    passed_over = f" (damaged, gone or out of reach: {', '.join(unfit)})" if unfit else ""
    raise NothingToRollBack(
        f"No sound generation was promoted in {index} before {previous or 'now'}{passed_over}: "
        f"`python -m indexer list --index {index}` shows what is there to promote."
    )


def _check(index: Path, generation: str) -> None:
    """Of all that can keep a generation from serving, whatever can be told without loading it; raises it."""
    manifest, _ = check_generation(known_generation(index, generation))
    check_vectors(manifest)
