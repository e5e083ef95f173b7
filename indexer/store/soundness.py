"""Is a generation what its manifest says? Its digests, its bundle, and whether the two belong together."""

from __future__ import annotations

from pathlib import Path

from indexer.bundle import Bundle, BundleError, open_bundle
from indexer.durable import sha256_file
from indexer.store.errors import FingerprintMismatch, GenerationDamaged
from indexer.store.layout import BUNDLE_FOLDER, ITEMS_FILE, MANIFEST, MAP_FILE, faiss_file
from indexer.store.manifest import GenerationManifest, read_generation_manifest


def check_generation(folder: Path, *, digests: bool = True) -> tuple[GenerationManifest, Bundle]:
    """The manifest and the bundle of the generation in `folder`, once they are known to be sound.

    FingerprintMismatch when another bundle lies beside the vectors, GenerationDamaged naming every file that
    is missing or altered. `digests=False` leaves the files unread, for a caller that has just checked them.
    """
    manifest = read_generation_manifest(folder)
    try:
        # Its files are among the generation's own, whose digests come next.
        bundle = open_bundle(folder / BUNDLE_FOLDER, verify=False)
    except BundleError as error:
        raise GenerationDamaged(f"The bundle of generation {manifest.id} is damaged: {error}") from error
    if bundle.fingerprint != manifest.fingerprint:
        raise FingerprintMismatch(
            f"Generation {manifest.id} was built with bundle {manifest.fingerprint[:12]} and holds bundle "
            f"{bundle.fingerprint[:12]}: put its own bundle back, or build a new generation with this one."
        )
    if digests and (problems := altered_files(folder, manifest)):
        raise GenerationDamaged(
            f"Generation {manifest.id} is damaged: {'; '.join(problems)}: build another one."
        )
    return manifest, bundle


def altered_files(folder: Path, manifest: GenerationManifest) -> list[str]:
    """One phrase for each file that is missing, altered, or carried without a digest."""
    problems = []
    for name, record in manifest.files.items():
        file = folder / name
        try:
            size = file.stat().st_size
            if size != record.bytes:
                problems.append(f"{name} has {size} bytes where {record.bytes} were written")
            elif sha256_file(file) != record.sha256:
                problems.append(f"{name} was altered after the build")
        except OSError as error:
            problems.append(f"{name} cannot be read ({error.strerror})")
    needed = {ITEMS_FILE, f"{BUNDLE_FOLDER}/{MANIFEST}"}
    if manifest.milvus is None:
        needed.update(map(faiss_file, manifest.collections))
    if manifest.map is not None:
        needed.add(MAP_FILE)
    problems.extend(f"{name} has no digest in the manifest" for name in sorted(needed - set(manifest.files)))
    return problems


def unlisted_files(folder: Path, manifest: GenerationManifest) -> list[str]:
    """One phrase for each file nobody built: harmless to what serves, and not part of it."""
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir()}
    return [f"{name} is not one of its files" for name in sorted(there - {MANIFEST, *manifest.files})]
