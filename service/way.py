"""From one query's bytes to its vector and neighbours: decoded aside, then through the model with others."""

from __future__ import annotations

from time import perf_counter

from indexer.media import MediaLimits, Pixels, Waveform, decode_image, decode_speech, sniff
from service.account import current
from service.batching import LANES, Batcher
from service.crew import Crew
from service.snapshot import Snapshot
from service.stages import Stages
from service.together import Encoded, Sought

LARGE_BYTES = 200_000
"""From here on decoding is work for libraries that let Python go on meanwhile: pictures of a camera, long
recordings. Below, Python itself is in it so often that a second decoder on two cores gains nothing (179 clips
a second and 182, 328 pictures and 323) and, with ten times too many queries, a refusal took 4.6 ms, not 1.4.
"""

_SPARE_CORES = 2
"""Of more than these one is left for a second run of the model. Where none is, that only keeps the decoder
and the event loop from theirs.
"""


class Way:
    """`cores` is how many large files are decoded at once, by `crew`, which others may use for work of their
    own, and which a query without company goes to; small ones have half as many hands, for themselves.
    """

    def __init__(self, limits: MediaLimits, cores: int, batcher: Batcher) -> None:
        self.crew = Crew(cores, "decoder")
        self._small = Crew(max(1, cores // 2), "small-decoder")
        self._limits = limits
        self._cores = cores
        self._batcher = batcher

    def close(self) -> None:
        """Let the threads go."""
        self.crew.close()
        self._small.close()
        self._batcher.close()

    async def decode(self, stages: Stages, data: bytes, snapshot: Snapshot) -> Waveform | Pixels:
        """Decode on a worker thread; the model may wait for it a little, to take it along."""
        with self._batcher.coming():
            return await stages.run("decode", lambda: self._decode(data, snapshot), self._hands(data))

    async def encode(
        self, stages: Stages, media: Waveform | Pixels, snapshot: Snapshot, sought: Sought | None = None
    ) -> Encoded:
        """The vector, and what is sought with it."""
        lanes = LANES if self._cores > _SPARE_CORES or snapshot.waits_elsewhere else 1
        encoded = await self._batcher.submit(snapshot.encoder, media, sought, lanes)
        _note(stages, encoded)
        return encoded

    async def decode_or_all(
        self, stages: Stages, data: bytes, snapshot: Snapshot, sought: Sought
    ) -> tuple[Waveform | Pixels, Encoded | None]:
        """Decode, and where there is nothing else to do, encode and search on the same thread.

        But not on the only one: what comes meanwhile would wait for it even to be refused.
        """
        if self._cores == 1:
            return await self.decode(stages, data, snapshot), None
        asked = perf_counter()
        with self._batcher.coming() as coming:

            def work() -> tuple[Waveform | Pixels, Encoded | None]:
                media = stages.time("decode", lambda: self._decode(data, snapshot), asked)
                return media, self._batcher.at_once(coming, snapshot.encoder, media, sought)

            hands = self.crew if self._batcher.is_alone(coming) else self._hands(data)
            media, found = await hands.run(work)
        if found is None:
            stages.go_on()
        else:
            _note(stages, found)
        return media, found

    def _hands(self, data: bytes) -> Crew:
        return self._small if len(data) < LARGE_BYTES else self.crew

    def _decode(self, data: bytes, snapshot: Snapshot) -> Waveform | Pixels:
        modality = sniff(data).modality
        current().modalities.add(modality)
        decode = decode_speech if modality == "speech" else decode_image
        return decode(data, snapshot.media, self._limits)


def _note(stages: Stages, encoded: Encoded) -> None:
    """On the event loop, as soon as it hears of it."""
    stages.add("encode", encoded.took)
    if encoded.searched is not None:
        stages.add("search", encoded.searched)
    stages.go_on()
