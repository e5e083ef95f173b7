"""The golden clip and picture sent through the whole path: decode, encode, search, metadata.

What a load balancer believes is what this says; a port that answers proves nothing about the model behind it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer.media import MediaLimits, decode_image, decode_speech
from service.admission import cost_of, extent_of
from service.snapshot import Snapshot


class CanaryFailed(Exception):
    """A golden pair did not come through; the message says at which stage."""


def send_canary(snapshot: Snapshot, limits: MediaLimits) -> float:
    """What it cost, as queries do, or CanaryFailed, MediaError, EncoderError or StoreError by stage."""
    manifest, golden = snapshot.generation.bundle.manifest, snapshot.golden
    waveform = decode_speech(golden.speech_wav, manifest.media, limits)
    pixels = decode_image(golden.image_png, manifest.media, limits)
    tolerance = manifest.golden_tolerance
    for name, got_1D, wanted_D in (
        ("clip", snapshot.encoder.speech([waveform]), golden.speech_vector),
        ("picture", snapshot.encoder.image([pixels]), golden.image_vector),
    ):
        _check_vector(name, got_1D[0], wanted_D, tolerance)
        for collection, part in snapshot.generation.manifest.collections.items():
            hits = snapshot.generation.search(collection, got_1D, 1)[0]
            if part.count and not (hits and np.isfinite(hits[0].score)):
                raise CanaryFailed(f"A search for the golden {name} among the {collection} found nothing.")
            for hit in hits:
                snapshot.generation.item(collection, hit.id)
    return sum(cost_of(extent_of(media), manifest.media, 1) for media in (waveform, pixels))


def _check_vector(
    name: str, got_D: NDArray[np.float32], wanted_D: NDArray[np.float32], tolerance: float
) -> None:
    difference = float(np.max(np.abs(got_D - wanted_D)))
    if not difference <= tolerance:  # so that NaN fails
        raise CanaryFailed(
            f"The golden {name} gives a vector that differs by {difference:.2g} from the bundle's; "
            f"{tolerance:.2g} is allowed."
        )
