"""Where the vectors of a generation live, files or Milvus; which collections of it are this index's own.

A collection is called saysee_OWNER_GENERATION_images (or _captions). The owner is this index: a random name
that is its own until it is copied, so that several indices, and copies of one, share a Milvus without harm.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path

from indexer import ann
from indexer.collection import COLLECTIONS, CollectionName
from indexer.durable import fsync_folder
from indexer.milvus import Milvus, MilvusIndex, MilvusUnavailable
from indexer.store.errors import GenerationDamaged, VectorsUnreachable
from indexer.store.history import current_generation
from indexer.store.layout import MILVUS_CLAIMS, MILVUS_OWNER, faiss_file, generation_ids
from indexer.store.manifest import GenerationManifest

_log = logging.getLogger(__name__)


def open_vectors(
    folder: Path,
    manifest: GenerationManifest,
    name: CollectionName,
    *,
    device: ann.Device,
    threads: int | None,
    mapped: bool,
) -> ann.VectorIndex:
    """The index of a collection; device, threads and mapping are for files. AnnError, VectorsUnreachable."""
    if manifest.milvus is None:
        return ann.read(folder / faiss_file(name), device=device, threads=threads, mapped=mapped)
    try:
        return MilvusIndex(manifest.milvus.uri, manifest.milvus.collections[name].name)
    except MilvusUnavailable as error:
        raise _unreachable(manifest, error) from error


def check_vectors(manifest: GenerationManifest) -> None:
    """Nothing where the vectors are files; else that Milvus has the collections, of the right size.

    GenerationDamaged, VectorsUnreachable.
    """
    if manifest.milvus is None:
        return
    try:
        milvus = Milvus(manifest.milvus.uri)
        try:
            for name, part in manifest.collections.items():
                shape = milvus.shape(manifest.milvus.collections[name].name)
                if shape != (part.count, part.dim):
                    raise GenerationDamaged(
                        f"Generation {manifest.id} is damaged: its {name} in Milvus are {shape[0]} vectors "
                        f"of {shape[1]} dimensions, and were {part.count} of {part.dim}: build another one."
                    )
        finally:
            milvus.close()
    except MilvusUnavailable as error:
        raise _unreachable(manifest, error) from error
    except ann.AnnError as error:
        raise GenerationDamaged(f"Generation {manifest.id} is damaged: {error}") from error


def altered_vectors(manifest: GenerationManifest) -> list[str]:
    """One phrase for each collection in Milvus that holds other vectors than were put there. AnnError."""
    problems = []
    if manifest.milvus is None:
        return []
    for name, one in manifest.milvus.collections.items():
        index = MilvusIndex(manifest.milvus.uri, one.name)
        try:
            if index.digest() != one.sha256:
                problems.append(f"the vectors of its {name} in Milvus were altered after the build")
        finally:
            index.close()
    return problems


def collection_name(owner: str, generation: str, collection: CollectionName) -> str:
    """What a collection of a generation is called in Milvus, which takes letters, digits and underscores."""
    return f"saysee_{owner}_{generation.replace('-', '_')}_{collection}"


def owner_of(index: Path) -> str:
    """The name of this index in a Milvus, 12 hexadecimal digits; made when there is none. Under the lock.

    Its file holds its own inode, which a copy of the index has not, or has under two names when it was made
    of hard links: a copy gets another name, and never drops what belongs to the first.
    """
    path = index / MILVUS_OWNER
    try:
        owner, inode = path.read_text(encoding="ascii").split()
        status = path.stat()
        if status.st_nlink == 1 and inode == str(status.st_ino) and re.fullmatch(r"[0-9a-f]{12}", owner):
            return owner
    except (OSError, ValueError):
        pass
    owner = secrets.token_hex(6)
    aside = path.with_name(f".{MILVUS_OWNER}.{os.getpid()}.tmp")
    with aside.open("w", encoding="ascii") as file:
        file.write(f"{owner} {os.fstat(file.fileno()).st_ino}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
    fsync_folder(index)
    return owner


def claim(index: Path, name: str) -> None:
    """Write down that this index is about to make a collection: what is not written down is never dropped, so
    that a snapshot of an index knows nothing of what the first one makes later. Under the lock.
    """
    with (index / MILVUS_CLAIMS).open("a", encoding="ascii") as file:
        file.write(f"{name}\n")
        file.flush()
        os.fsync(file.fileno())
    fsync_folder(index)


def drop_orphans(index: Path, milvus: Milvus) -> None:
    """Delete those collections of this index that belong to no generation there is. Only under the lock."""
    there, current = generation_ids(index), current_generation(index)
    if current is not None and current not in there:
        return  # not all of the generations can be seen at this moment
    kept = {one.replace("-", "_") for one in there}
    own = _own(index)
    for name in milvus.names():
        if name in own and own[name] not in kept:
            milvus.drop(name)


def drop_orphans_of(
    index: Path, manifests: Iterable[GenerationManifest], deleted: Collection[str]
) -> dict[str, list[str]]:
    """The same in every Milvus that these generations name, after some were deleted; a warning where one is
    out of reach.

    By the address of the Milvus, the collections of deleted generations that stay there, since another index
    made them, or this one under another name; where it is out of reach, those that may be there.
    """
    stay: dict[str, set[str]] = {}
    for one in manifests:
        if one.milvus is not None:
            names = {collection.name for collection in one.milvus.collections.values()}
            stay.setdefault(one.milvus.uri, set()).update(names if one.id in deleted else ())
    for uri, names in stay.items():
        names.difference_update(_own(index))
        try:
            with closing(Milvus(uri)) as milvus:
                drop_orphans(index, milvus)
                names.intersection_update(milvus.names())
        except ann.AnnError as error:
            _log.warning(
                "Own collections of deleted generations stay until a later build with that Milvus: %s", error
            )
    return {uri: sorted(names) for uri, names in sorted(stay.items()) if names}


def _own(index: Path) -> dict[str, str]:
    """The collections that this index made and may drop, each with its generation as collections spell it."""
    ours = re.compile(rf"saysee_{owner_of(index)}_(\d{{8}}T\d{{6}}_[0-9a-f]{{6}})_({'|'.join(COLLECTIONS)})")
    claims = index / MILVUS_CLAIMS
    claimed = claims.read_text(encoding="ascii").split() if claims.exists() else []
    return {found.group(0): found.group(1) for found in map(ours.fullmatch, claimed) if found}


def _unreachable(manifest: GenerationManifest, error: MilvusUnavailable) -> VectorsUnreachable:
    return VectorsUnreachable(f"Generation {manifest.id} has its vectors in Milvus. {error}")
