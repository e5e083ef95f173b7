"""The answers of `python -m indexer`: each command as a plain function that gives a result and its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexer.build import BuildReport, build
from indexer.encoder import Provider
from indexer.progress import Progress
from indexer.store import (
    GenerationDamaged,
    GenerationManifest,
    Skipped,
    UnknownGeneration,
    current_generation,
    list_generations,
    promote,
    prune,
    rollback,
    verify,
)


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
    kind: str,
    engine: str,
    provider: Provider,
    threads: int | None,
    promote_it: bool,
    progress: Progress,
) -> Answer:
    report = build(
        bundle,
        index,
        images=images,
        captions=captions,
        kind=kind,
        engine=engine,
        provider=provider,
        threads=threads,
        promote_it=promote_it,
        progress=progress,
    )
    return Answer(report.to_dict(), _told_build(report, index))


def list_index(index: Path) -> Answer:
    listed = list_generations(index)
    lines = []
    for one in listed:
        told = one.problem if one.manifest is None else _told_counts(one.manifest)
        lines.append(f"{'*' if one.current else ' '} {one.id}  {told}")
    return Answer([asdict(one) for one in listed], "\n".join(lines) or "No generation yet.")


def show(index: Path, generation: str | None) -> Answer:
    manifest = _manifest(index, generation)
    return Answer(asdict(manifest), _told_manifest(manifest))


def verify_index(index: Path, generation: str | None) -> Answer:
    names = [one.id for one in list_generations(index)] if generation is None else [generation]
    problems = {name: verify(index, name) for name in names}
    lines = [f"{name}: {'; '.join(found) or 'sound'}" for name, found in problems.items()]
    return Answer(problems, "\n".join(lines) or "No generation yet.", failed=any(problems.values()))


def promote_index(index: Path, generation: str) -> Answer:
    """`generation` may be the word newest."""
    if generation == "newest":
        generation = next((one.id for one in list_generations(index)), generation)
    change = promote(index, generation)
    was = f"; {change.previous} did before" if change.previous else ""
    return Answer(asdict(change), f"{change.generation} serves now{was}.")


def roll_back(index: Path) -> Answer:
    change = rollback(index)
    return Answer(asdict(change), f"{change.generation} serves again instead of {change.previous}.")


def prune_index(index: Path, keep: int, *, embeddings: bool) -> Answer:
    deleted = prune(index, keep, embeddings=embeddings)
    return Answer({"deleted": deleted}, f"Deleted {', '.join(deleted)}." if deleted else "Nothing to delete.")


def _manifest(index: Path, generation: str | None) -> GenerationManifest:
    listed = {one.id: one for one in list_generations(index)}
    wanted = generation or current_generation(index) or next(iter(listed), "")
    if wanted not in listed:
        raise UnknownGeneration(
            f"The index at {index} has no generation {wanted!a}: it has {', '.join(listed) or 'none'}."
        )
    manifest = listed[wanted].manifest
    if manifest is None:
        raise GenerationDamaged(listed[wanted].problem or "")
    return manifest


def _told_build(report: BuildReport, index: Path) -> str:
    lines = [f"Generation {report.generation}, by {report.fingerprint[:12]} on {report.provider}:"]
    for name, part in report.collections.items():
        lines.append(
            f"  {name}: {part.count:,} ({part.new:,} embedded now, {part.reused:,} known), "
            f"recall@10 {part.recall_at_10:.3f}, {part.seconds:.1f} s"
        )
        lines.extend(_told_skips(part.skipped))
    if report.promoted:
        lines.append(f"It serves now{f', in place of {report.previous}' if report.previous else ''}.")
    else:
        lines.append(f"To serve it: python -m indexer promote {report.generation} --index {index}")
    return "\n".join(lines)


def _told_skips(skipped: Mapping[str, Skipped]) -> list[str]:
    return [
        f"    left out, {reason}: {one.count:,}, e.g. {one.examples[0]}" for reason, one in skipped.items()
    ]


def _told_counts(manifest: GenerationManifest) -> str:
    counts = ", ".join(f"{part.count:,} {name}" for name, part in manifest.collections.items())
    return f"{counts}, by {manifest.bundle_name} {manifest.fingerprint[:12]}"


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
    total = sum(record.bytes for record in manifest.files.values())
    lines.append(f"  {len(manifest.files)} files, {total:,} bytes")
    return "\n".join(lines)
