"""From corpus items to embeddings in the corpus's order: read, hash, decode what is new, encode in batches.

Reading and decoding run ahead in threads while the encoder works; what is held at once is bounded. An item
that cannot be read, decoded or encoded is counted with its reason and never ends the build.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from indexer.corpus import Corpus, CorpusItem, Skips
from indexer.embeddings import Embedding, Embeddings
from indexer.encoder import Encoder, EncoderError
from indexer.media import (
    MediaError,
    MediaLimits,
    MediaSpec,
    Pixels,
    Waveform,
    decode_image,
    decode_speech,
    draw_waveform,
    encode_thumbnail,
    sniff,
)

WINDOW = 64
"""Items encoded and kept in one go: what a killed build computes again, at most."""


@dataclass(frozen=True, eq=False)
class Ingested:
    """An item with its embedding; `new` when it was computed now and not found."""

    item: CorpusItem
    sha256: str
    embedding: Embedding
    new: bool


@dataclass(frozen=True, eq=False)
class _Decoded:
    """All of an Embedding but the vector, and what the encoder makes that from."""

    media: Waveform | Pixels
    mime: str
    thumbnail: bytes

    def embedding(self, vector_D: NDArray[np.float32]) -> Embedding:
        if isinstance(self.media, Waveform):
            seconds = self.media.source_seconds
            return Embedding(vector_D, self.mime, seconds, None, None, self.thumbnail)
        size = (self.media.source_width, self.media.source_height)
        return Embedding(vector_D, self.mime, None, *size, self.thumbnail)


@dataclass(frozen=True, eq=False)
class _Prepared:
    item: CorpusItem
    sha256: str
    found: Embedding | _Decoded


@dataclass(frozen=True)
class _Refused:
    reason: str
    what: str


def any_usable(corpus: Corpus, spec: MediaSpec, limits: MediaLimits) -> bool:
    """Whether any item can be decoded; reads up to that one, and counts those before it in `corpus.skips`."""
    for item in corpus:
        found = _prepare(item, None, spec, limits)
        if isinstance(found, _Prepared):
            return True
        corpus.skips.add(found.reason, found.what)
    return False


def ingest(
    corpus: Corpus, embeddings: Embeddings, encoder: Encoder, *, threads: int, limits: MediaLimits
) -> Iterator[Ingested]:
    """Yield the usable items in order; the others are counted in `corpus.skips`.

    EncoderError when a whole window cannot be encoded, which no single input causes.
    """
    spec = encoder.bundle.manifest.media
    items = iter(corpus)
    ahead: deque[Future[_Prepared | _Refused]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:

        def read_ahead() -> None:
            for item in islice(items, 2 * WINDOW - len(ahead)):
                ahead.append(pool.submit(_prepare, item, embeddings, spec, limits))

        try:
            read_ahead()
            while ahead:
                window = [ahead.popleft().result() for _ in range(min(WINDOW, len(ahead)))]
                read_ahead()
                yield from _encode(window, embeddings, encoder, corpus.skips)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prepare(
    item: CorpusItem, embeddings: Embeddings | None, spec: MediaSpec, limits: MediaLimits
) -> _Prepared | _Refused:
    try:
        if item.location.size_bytes > limits.max_bytes:
            return _Refused("too large", f"{item.id}: {item.location.size_bytes} bytes")
        data = item.read()
        sha256 = hashlib.sha256(data).hexdigest()
        known = embeddings.get(sha256) if embeddings is not None else None
        return _Prepared(item, sha256, known or _decode(data, item, spec, limits))
    except MediaError as error:
        return _Refused(error.kind.replace("_", " "), f"{item.id}: {error}")
    except (OSError, EOFError) as error:
        return _Refused("unreadable file", f"{item.id}: {error}")


def _decode(data: bytes, item: CorpusItem, spec: MediaSpec, limits: MediaLimits) -> _Decoded:
    mime = sniff(data).mime
    if item.modality == "speech":
        waveform = decode_speech(data, spec, limits)
        return _Decoded(waveform, mime, draw_waveform(waveform))
    return _Decoded(decode_image(data, spec, limits), mime, encode_thumbnail(data, limits))


def _encode(
    window: Sequence[_Prepared | _Refused], embeddings: Embeddings, encoder: Encoder, skips: Skips
) -> Iterator[Ingested]:
    """Encode what is new in the window, keep it, and yield all of the window in order."""
    decoded: dict[str, _Decoded] = {}
    first_of: dict[str, str] = {}
    earlier: dict[str, Embedding] = {}
    for one in window:
        if isinstance(one, _Prepared) and isinstance(one.found, _Decoded):
            # The same bytes twice are encoded once, here or in the window before, kept after this was read.
            if one.sha256 not in decoded and (found := embeddings.get(one.sha256)) is not None:
                earlier[one.sha256] = found
            elif one.sha256 not in decoded:
                decoded[one.sha256] = one.found
                first_of[one.sha256] = one.item.id
    vectors, refused = _vectors(decoded, encoder)
    computed = {sha256: decoded[sha256].embedding(vector_D) for sha256, vector_D in vectors.items()}
    embeddings.add(computed.items())
    for one in window:
        if isinstance(one, _Refused):
            skips.add(one.reason, one.what)
        elif isinstance(one.found, Embedding):
            yield Ingested(one.item, one.sha256, one.found, new=False)
        elif one.sha256 in computed:
            new = first_of[one.sha256] == one.item.id
            yield Ingested(one.item, one.sha256, computed[one.sha256], new)
        elif one.sha256 in earlier:
            yield Ingested(one.item, one.sha256, earlier[one.sha256], new=False)
        else:
            skips.add("not encodable", f"{one.item.id}: {refused[one.sha256]}")


def _vectors(
    decoded: dict[str, _Decoded], encoder: Encoder
) -> tuple[dict[str, NDArray[np.float32]], dict[str, EncoderError]]:
    """The vector of each, or the error that it alone causes; EncoderError when none can be encoded."""
    if not decoded:
        return {}, {}
    try:
        vectors_ND = _run(encoder, [one.media for one in decoded.values()])
        return dict(zip(decoded, vectors_ND, strict=True)), {}
    except EncoderError as batch_error:
        # One bad input fails its whole batch: find it, and let the others through.
        vectors: dict[str, NDArray[np.float32]] = {}
        refused: dict[str, EncoderError] = {}
        for sha256, one in decoded.items():
            try:
                vectors[sha256] = _run(encoder, [one.media])[0]
            except EncoderError as error:
                refused[sha256] = error
        if not vectors and len(decoded) > 1:
            raise batch_error
        return vectors, refused


def _run(encoder: Encoder, media: Sequence[Waveform | Pixels]) -> NDArray[np.float32]:
    waveforms = [one for one in media if isinstance(one, Waveform)]
    if waveforms:
        return encoder.speech(waveforms)
    return encoder.image([one for one in media if isinstance(one, Pixels)])
