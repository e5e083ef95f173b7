"""Whether a build can be done, before anything of it is written: all that is wrong, not the first fault."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from indexer.bundle import Bundle, BundleError, open_bundle
from indexer.corpus import Corpus, CorpusError, open_corpus
from indexer.ingest import any_usable
from indexer.media import MediaLimits
from indexer.media.sniff import Modality
from indexer.store import COLLECTIONS, CollectionName

MODALITIES: dict[CollectionName, Modality] = {"images": "image", "captions": "speech"}


class BuildError(Exception):
    """What was asked cannot be built; the message says why and what to do."""


def check(
    bundle: Path | str,
    sources: Mapping[CollectionName, Path | str],
    only: Mapping[str, Collection[str]],
    limits: MediaLimits,
) -> tuple[Bundle, dict[CollectionName, Corpus]]:
    """The bundle and the corpora, each of which has an item that can be decoded.

    BundleError, CorpusError, BuildError or OSError; where several are wrong, an ExceptionGroup of them.
    """
    opened: Bundle | None = None
    corpora: dict[CollectionName, Corpus] = {}
    faults: list[Exception] = []
    try:
        opened = open_bundle(bundle)
    except (BundleError, OSError) as error:
        faults.append(error)
    for name in COLLECTIONS:
        if name not in sources:
            continue
        try:
            looked_at = open_corpus(sources[name], MODALITIES[name], only)
            if opened is not None and not any_usable(looked_at, opened.manifest.media, limits):
                raise BuildError(nothing_usable(name, looked_at))
            # Opened anew, since looking has counted what is left out.
            corpora[name] = open_corpus(sources[name], MODALITIES[name], only)
        except (CorpusError, BuildError, OSError) as error:
            faults.append(error)
    if opened is None or faults:
        raise faults[0] if len(faults) == 1 else ExceptionGroup("The build cannot begin", faults)
    return opened, corpora


def nothing_usable(name: CollectionName, corpus: Corpus) -> str:
    """The sentence about a corpus that was read to its end and gave no item."""
    if not corpus.skips.total:
        return f"{corpus.source} holds nothing to index as {name}: name another source."
    reasons = ", ".join(f"{count} {reason}" for reason, count in corpus.skips.counts.most_common())
    first = next(iter(corpus.skips.examples.values()))[0]
    return (
        f"Nothing in {corpus.source} can be indexed as {name} ({reasons}; for example {first}): "
        "mend the source or name another."
    )
