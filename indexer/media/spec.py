"""What media are turned into (MediaSpec, part of a bundle), what is accepted (MediaLimits), and what comes
out (Waveform, Pixels). Everything else in this package reads them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class MediaSpec:
    """The form in which a bundle's graphs take speech and images. It is hashed into the fingerprint.

    `resize` "squash" scales straight to a square and ignores the aspect ratio; "shortest" scales the shortest
    side to `round(image_size / crop_fraction)` and needs the centre crop. `crop` "none" keeps everything.
    Values out of range raise ValueError.
    """

    sample_rate_hz: int = 16000
    max_seconds: float = 8.0
    image_size: int = 96
    resize: Literal["squash", "shortest"] = "squash"
    crop: Literal["none", "center"] = "none"
    crop_fraction: float = 1.0

    def __post_init__(self) -> None:
        if not 1000 <= self.sample_rate_hz <= 192_000:
            raise ValueError(f"sample_rate_hz is {self.sample_rate_hz}; it must lie between 1000 and 192000.")
        if not 0 < self.max_seconds <= 600:
            raise ValueError(f"max_seconds is {self.max_seconds}; it must lie between 0 and 600.")
        if not 1 <= self.image_size <= 4096:
            raise ValueError(f"image_size is {self.image_size}; it must lie between 1 and 4096.")
        if self.resize not in ("squash", "shortest"):
            raise ValueError(f"resize is {self.resize!r}; it must be 'squash' or 'shortest'.")
        if self.crop not in ("none", "center"):
            raise ValueError(f"crop is {self.crop!r}; it must be 'none' or 'center'.")
        if not 0 < self.crop_fraction <= 1:
            raise ValueError(f"crop_fraction is {self.crop_fraction}; it must be above 0 and at most 1.")
        if self.resize == "shortest" and self.crop == "none":
            raise ValueError("resize 'shortest' leaves a picture that is not square; it needs crop 'center'.")
        if self.crop == "none" and self.crop_fraction != 1:
            raise ValueError(
                f"crop_fraction is {self.crop_fraction} but crop is 'none'; set crop to 'center'."
            )

    @property
    def max_samples(self) -> int:
        """The longest waveform, in samples at `sample_rate_hz`."""
        return round(self.max_seconds * self.sample_rate_hz)

    def to_dict(self) -> dict[str, Any]:
        """The media block of a manifest: plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, block: Mapping[str, Any]) -> "MediaSpec":
        """The reverse of `to_dict`; ValueError names keys that are unknown or missing.

        None may be missing: a default that changed later would silently change what old bundles are fed.
        """
        names = {field.name for field in fields(cls)}
        if unknown := sorted(set(block) - names):
            raise ValueError(f"The media block holds unknown keys: {', '.join(unknown)}.")
        if missing := sorted(names - set(block)):
            raise ValueError(f"The media block lacks these keys: {', '.join(missing)}.")
        return cls(
            sample_rate_hz=int(block["sample_rate_hz"]),
            max_seconds=float(block["max_seconds"]),
            image_size=int(block["image_size"]),
            resize=block["resize"],
            crop=block["crop"],
            crop_fraction=float(block["crop_fraction"]),
        )


@dataclass(frozen=True)
class MediaLimits:
    """What is accepted, checked before memory is taken. The operator's choice, and no part of a bundle."""

    max_bytes: int = 25_000_000
    max_pixels: int = 50_000_000
    max_unpacked_bytes: int = 320_000_000  # of memory, for a picture while it is decoded, and for all at once
    max_source_seconds: float = 120.0
    min_seconds: float = 0.1
    silence_dbfs: float = (
        -60.0
    )  # of half the span from the lowest to the highest sample: an offset is no sound
    max_channels: int = 32
    min_rate_hz: int = 1_000
    max_rate_hz: int = 768_000


@dataclass(frozen=True, eq=False)
class Waveform:
    """Mono speech at the bundle's rate.

    samples: float32 [S], 1 <= S <= spec.max_samples, finite; full scale is ±1, which a floating-point
    recording may exceed by 24 dB. source_seconds: how long the clip was before it was cut (`truncated`) to
    max_seconds.
    """

    samples: npt.NDArray[np.float32]
    sample_rate_hz: int
    source_seconds: float
    truncated: bool


@dataclass(frozen=True, eq=False)
class Pixels:
    """An upright picture: uint8 [H, W, 3], RGB, H = W = spec.image_size; and the source's displayed size."""

    array: npt.NDArray[np.uint8]
    source_width: int
    source_height: int
