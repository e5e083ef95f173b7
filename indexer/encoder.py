"""Bundle and ONNX Runtime -> vectors: the one function that embeds the corpus and the query alike.

Promise: a vector depends on its input alone, not on the batch it came in; none is NaN or infinite; an Encoder
that was made gives the golden vectors on this machine. Shapes: N inputs, B in one batch, S samples, D dim.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.bundle import IMAGE_GRAPH, SPEECH_GRAPH, Bundle, read_golden
from indexer.media import MediaError, Pixels, Waveform, decode_image, decode_speech
from indexer.session import CUDA, EncoderError, GraphSession, Port, Provider

__all__ = ["Encoder", "EncoderError", "Provider"]

_BUCKET_SECONDS = 0.5  # lengths are rounded up to these, so that few distinct shapes reach the runtime
_BATCH_ON_CPU, _BATCH_ON_CUDA = 16, 64
_BATCH_SECONDS_EACH = 8.0  # a batch holds as much speech as max_batch clips of this length, padding included


class Encoder:
    """The two towers of a bundle. Any number of threads may call it at once."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        provider: Provider = "auto",
        threads: int | None = None,
        check_golden: bool = True,
        max_batch: int | None = None,
    ) -> None:
        """Opens both graphs and compares the golden pairs, so that what is wrong shows now.

        `provider`: "cuda" refuses to run on anything else, "auto" takes CUDA where it works. `threads`: of
        each graph, by default the cores this process may use. `max_batch`: the most inputs one run takes,
        by default 16 on CPU and 64 on CUDA. Raises EncoderError, or BundleError for unreadable golden pairs.
        """
        media, dim = bundle.manifest.media, bundle.manifest.dim
        if max_batch is not None and max_batch < 1:
            raise EncoderError(f"max_batch should be at least 1, not {max_batch}")
        self._speech = GraphSession(
            bundle.file(SPEECH_GRAPH),
            (
                Port("waveform", "tensor(float)", (None, None)),
                Port("samples_valid", "tensor(int64)", (None,)),
            ),
            dim,
            provider=provider,
            threads=threads,
        )
        self._image = GraphSession(
            bundle.file(IMAGE_GRAPH),
            (Port("pixels", "tensor(uint8)", (None, media.image_size, media.image_size, 3)),),
            dim,
            provider=provider,
            threads=threads,
        )
        self._bundle, self._media = bundle, media
        self._max_batch = max_batch or (_BATCH_ON_CUDA if self.provider == CUDA else _BATCH_ON_CPU)
        if check_golden:
            self._check_golden()

    @property
    def bundle(self) -> Bundle:
        return self._bundle

    @property
    def dim(self) -> int:
        return self._bundle.manifest.dim

    @property
    def provider(self) -> str:
        """The execution provider really in use, in ONNX Runtime's words; CPU if either graph is on it."""
        return self._speech.provider if self._speech.provider != CUDA else self._image.provider

    @property
    def max_batch(self) -> int:
        return self._max_batch

    def bucket(self, media: Waveform | Pixels) -> int:
        """Inputs of one bucket run together without padding one another: samples, or 0 for every picture."""
        return self._padded(len(media.samples)) if isinstance(media, Waveform) else 0

    def fits(self, media: Waveform | Pixels) -> int:
        """How many inputs like this one run takes: a batch is bounded in number and in seconds of speech."""
        return self._fitting(self.bucket(media))

    def warming(self) -> Iterator[tuple[int, ...]]:
        """Runs the fullest batches, then one input of every bucket, the longest first; gives each shape.

        What the runtime keeps of a shape it then has, and need not grow for a shorter one.
        """
        edge, longest = self._media.image_size, self._media.max_samples
        for size in (self._max_batch, 1):
            pixels_BHWC = np.zeros((size, edge, edge, 3), dtype=np.uint8)
            self._image.run({"pixels": pixels_BHWC})
            yield pixels_BHWC.shape
        step = round(_BUCKET_SECONDS * self._media.sample_rate_hz)
        buckets = sorted({self._padded(length) for length in range(1, longest + 1, step)})[::-1]
        for size, padded in ((self._fitting(longest), longest), *((1, bucket) for bucket in buckets)):
            waveform_BS = np.zeros((size, padded), dtype=np.float32)
            self._speech.run({"waveform": waveform_BS, "samples_valid": np.full(size, padded, np.int64)})
            yield waveform_BS.shape

    def speech(self, waveforms: Sequence[Waveform]) -> NDArray[np.float32]:
        """Embeddings float32 [N, dim] in the order of `waveforms`.

        Raises EncoderError naming the input that has another sample rate, is empty or longer than the bundle
        takes, holds a sample that is not finite, or gives a vector that is not.
        """
        for i, waveform in enumerate(waveforms):
            self._check_waveform(i, waveform)
        embeddings_ND = np.empty((len(waveforms), self.dim), dtype=np.float32)
        for members, padded in self._speech_batches([len(waveform.samples) for waveform in waveforms]):
            waveform_BS = np.zeros((len(members), padded), dtype=np.float32)
            for row, i in enumerate(members):
                waveform_BS[row, : len(waveforms[i].samples)] = waveforms[i].samples
            valid_B = np.array([len(waveforms[i].samples) for i in members], dtype=np.int64)
            embeddings_ND[members] = self._speech.run({"waveform": waveform_BS, "samples_valid": valid_B})
        return _finite(embeddings_ND, "clip")

    def image(self, pictures: Sequence[Pixels]) -> NDArray[np.float32]:
        """Embeddings float32 [N, dim] in the order of `pictures`.

        Raises EncoderError naming the input that has another size or gives a vector that is not finite.
        """
        wanted = (self._media.image_size, self._media.image_size, 3)
        for i, pixels in enumerate(pictures):
            if pixels.array.shape != wanted or pixels.array.dtype != np.uint8:
                raise EncoderError(
                    f"picture {i} is {pixels.array.dtype} {list(pixels.array.shape)} and the bundle takes "
                    f"uint8 {list(wanted)}: decode it with the bundle's media block"
                )
        embeddings_ND = np.empty((len(pictures), self.dim), dtype=np.float32)
        for start in range(0, len(pictures), self._max_batch):
            rows = slice(start, start + self._max_batch)
            embeddings_ND[rows] = self._image.run({"pixels": np.stack([p.array for p in pictures[rows]])})
        return _finite(embeddings_ND, "picture")

    def _speech_batches(self, lengths: Sequence[int]) -> Iterator[tuple[list[int], int]]:
        """Which inputs go together, like lengths with like, and the length in samples they are padded to."""
        members: list[int] = []
        for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
            if members and len(members) >= self._fitting(self._padded(lengths[i])):
                yield members, self._padded(lengths[members[-1]])
                members = []
            members.append(i)
        if members:
            yield members, self._padded(lengths[members[-1]])

    def _fitting(self, padded: int) -> int:
        """How many inputs of this padded length one run takes; 0 stands for pictures."""
        budget = self._max_batch * _BATCH_SECONDS_EACH * self._media.sample_rate_hz
        return max(1, min(self._max_batch, int(budget // max(1, padded))))

    def _padded(self, length: int) -> int:
        bucket = round(_BUCKET_SECONDS * self._media.sample_rate_hz)
        return max(length, min(-(-length // bucket) * bucket, self._media.max_samples))

    def _check_waveform(self, i: int, waveform: Waveform) -> None:
        rate, samples = self._media.sample_rate_hz, waveform.samples
        if waveform.sample_rate_hz != rate:
            raise EncoderError(
                f"clip {i} has {waveform.sample_rate_hz} Hz and the bundle takes {rate} Hz: "
                f"decode it with the bundle's media block"
            )
        if samples.ndim != 1 or not 0 < len(samples) <= self._media.max_samples:
            raise EncoderError(
                f"clip {i} has {list(samples.shape)} samples and the bundle takes 1 to "
                f"{self._media.max_samples} of one channel: decode it with the bundle's media block"
            )
        if not np.isfinite(samples).all():
            raise EncoderError(f"clip {i} holds a sample that is not finite")

    def _check_golden(self) -> None:
        bundle, media = self._bundle, self._media
        golden = read_golden(bundle)
        try:
            waveform = decode_speech(golden.speech_wav, media)
            pixels = decode_image(golden.image_png, media)
        except MediaError as error:
            raise EncoderError(f"a golden file of {bundle.path} cannot be decoded: {error}") from error
        for side, expected_D, found_D in (
            ("speech", golden.speech_vector, self.speech([waveform])[0]),
            ("image", golden.image_vector, self.image([pixels])[0]),
        ):
            worst = int(np.argmax(np.abs(expected_D - found_D)))
            difference = float(abs(expected_D[worst] - found_D[worst]))
            if difference > bundle.manifest.golden_tolerance:
                raise EncoderError(
                    f"{bundle.path} does not reproduce its golden {side} vector: component {worst} should be "
                    f"{expected_D[worst]:.6f} and is {found_D[worst]:.6f} on {self.provider}, and only "
                    f"{bundle.manifest.golden_tolerance:g} is allowed: update onnxruntime or export it again"
                )


def _finite(embeddings_ND: NDArray[np.float32], what: str) -> NDArray[np.float32]:
    bad_N = ~np.isfinite(embeddings_ND).all(axis=1)
    if bad_N.any():
        raise EncoderError(f"{what} {int(np.argmax(bad_N))} gave a vector that is not finite")
    return embeddings_ND
