"""The answers of `python -m indexer`: each command as a plain function that gives a result and its text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexer.build import BuildReport, build
from indexer.encoder import Provider
from indexer.progress import Progress
from indexer.store import (
    GenerationManifest,
    MapManifest,
    Pruned,
    Skipped,
    current_generation,
    find_generation,
    list_generations,
    promote,
    prune,
    rollback,
    verify,
)
from indexer.store.layout import generation_folder
from indexer.store.manifest import read_generation_manifest


@dataclass(frozen=True)
class Answer:
    """`result` for a program (JSON can hold it), `text` for a person; `failed` makes the status 1."""

    result: Any
    text: str
    failed: bool = False


def build_index(
    bundle: Path,
    index: Path,
    *,
    images: Path | None,
    captions: Path | None,
    only: Mapping[str, Collection[str]],
    kind: str,
    vectors: str,
    engine: str,
    provider: Provider,
    threads: int | None,
    promote_it: bool,
    map_it: bool | None,
    progress: Progress,
) -> Answer:
    report = build(
        bundle,
        index,
        images=images,
        captions=captions,
        only=only,
        kind=kind,
        vectors=vectors,
        engine=engine,
        provider=provider,
        threads=threads,
        promote_it=promote_it,
        map_it=map_it,
        progress=progress,
    )
    return Answer(report.to_dict(), _told_build(report, index, map_wanted=map_it is not False))


def list_index(index: Path) -> Answer:
    listed = list_generations(index)
    lines = []
    for one in listed:
        told = one.problem if one.manifest is None else _told_counts(one.manifest)
        lines.append(f"{'*' if one.current else ' '} {one.id}  {told}")
    return Answer([asdict(one) for one in listed], "\n".join(lines) or "No generation yet.")


def show(index: Path, generation: str | None) -> Answer:
    """Of `generation`, by its id or as newest or current; without it the current one, else the newest."""
    name = generation or ("current" if current_generation(index) else "newest")
    manifest = read_generation_manifest(generation_folder(index, find_generation(index, name)))
    return Answer(asdict(manifest), _told_manifest(manifest))


def verify_index(index: Path, generation: str | None) -> Answer:
    """Of all generations where none is named."""
    all_of_them = [one.id for one in list_generations(index)]
    names = all_of_them if generation is None else [find_generation(index, generation)]
    problems = {name: verify(index, name) for name in names}
    lines = [f"{name}: {'; '.join(found) or 'sound'}" for name, found in problems.items()]
    return Answer(problems, "\n".join(lines) or "No generation yet.", failed=any(problems.values()))


def promote_index(index: Path, generation: str) -> Answer:
    change = promote(index, find_generation(index, generation))
    was = f" in place of {change.previous}" if change.previous not in (None, change.generation) else ""
    return Answer(asdict(change), f"{change.generation} serves now{was}.")


def roll_back(index: Path) -> Answer:
    change = rollback(index)
    return Answer(asdict(change), f"{change.generation} serves again in place of {change.previous}.")


def prune_index(index: Path, keep: int, *, drop_rollback: bool, embeddings: bool) -> Answer:
    pruned = prune(index, keep, drop_rollback=drop_rollback, embeddings=embeddings)
    return Answer(asdict(pruned), _told_pruned(pruned))


def _told_build(report: BuildReport, index: Path, *, map_wanted: bool) -> str:
    lines = [f"Generation {report.generation}, by {report.fingerprint[:12]} on {report.provider}:"]
    for name, part in report.collections.items():
        lines.append(
            f"  {name}: {part.count:,} ({part.new:,} embedded now, {part.reused:,} reused), "
            f"recall@10 {part.recall_at_10:.3f}, {part.seconds:.1f} s"
        )
        lines.extend(_told_skips(part.skipped))
    if report.map is not None:
        lines.append(f"  map: {_told_map(report.map)}")
    elif map_wanted:
        lines.append("  no map: scikit-learn is not installed (`pip install 'saysee[map]'` brings it)")
    if not report.promoted:
        lines.append(f"Next, to serve it: python -m indexer promote {report.generation} --index {index}")
    elif report.previous:
        back = f"python -m indexer rollback --index {index}"
        lines.append(f"It serves now in place of {report.previous}; to go back: {back}")
    else:
        lines.append(f"It is promoted. Next: python -m service --index {index}")
    return "\n".join(lines)


def _told_pruned(pruned: Pruned) -> str:
    roles = {pruned.current: " (current)", pruned.rollback: " (a rollback returns to it)"}
    lines = [f"Deleted: {', '.join(pruned.deleted) or 'nothing'}."]
    if pruned.embeddings:
        models = ", ".join(name[:12] for name in pruned.embeddings)
        lines.append(f"Deleted the vectors that no kept generation uses: of {models}.")
    lines.append(f"Kept: {', '.join(one + roles.get(one, '') for one in pruned.kept) or 'nothing'}.")
    if pruned.rollback is None:
        lines.append("There is nothing to roll back to.")
    for uri, names in pruned.left_in_milvus.items():
        lines.append(
            f"Left in {uri}, since they are not this index's own (it was copied, restored or moved): "
            f"{', '.join(names)}; drop them there once no other index uses them."
        )
    return "\n".join(lines)


def _told_skips(skipped: Mapping[str, Skipped]) -> list[str]:
    return [
        f"    left out, {reason}: {one.count:,}, e.g. {one.examples[0]}" for reason, one in skipped.items()
    ]


def _told_counts(manifest: GenerationManifest) -> str:
    counts = ", ".join(f"{part.count:,} {name}" for name, part in manifest.collections.items())
    return f"{counts}, by {manifest.bundle_name} {manifest.fingerprint[:12]}"


def _told_map(made: MapManifest) -> str:
    points = " and ".join(f"{count:,} {name}" for name, count in made.points.items())
    return f"{points}, {made.method}, seed {made.seed}"


def _told_manifest(manifest: GenerationManifest) -> str:
    lines = [
        f"Generation {manifest.id}, created {manifest.created}, after {manifest.parent or 'none'}",
        f"  bundle {manifest.bundle_name}, fingerprint {manifest.fingerprint}",
    ]
    for name, part in manifest.collections.items():
        lines.append(
            f"  {name}: {part.count:,} of {part.source}, {part.dim} dimensions, {part.kind}, "
            f"recall@10 {part.recall_at_10:.3f} over {part.recall_sample} queries, {part.bytes:,} bytes"
        )
        lines.extend(_told_skips(part.skipped))
    if manifest.milvus is not None:
        names = " and ".join(one.name for one in manifest.milvus.collections.values())
        lines.append(f"  vectors in {manifest.milvus.uri}: {names}")
    if manifest.map is not None:
        lines.append(f"  map: {_told_map(manifest.map)}")
    total = sum(record.bytes for record in manifest.files.values())
    lines.append(f"  {len(manifest.files)} files, {total:,} bytes")
    return "\n".join(lines)
