"""Shards made by Ray Data, on one machine or on many that share the folder. Needs the extra `ray`."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from itertools import islice
from typing import Any

from training.speak.clips import SpeechError
from training.speak.shard import ShardJob, ShardResult, make_shard

_SHARDS_A_CORE = (
    8  # a wave is handed to Ray at once: long enough that its end costs little, small enough to hold
)


def make_shards_on_ray(jobs: Iterator[ShardJob]) -> Iterator[ShardResult]:
    """Results as they come. RAY_ADDRESS names a cluster; without it Ray starts on this machine's cores.

    SpeechError where Ray is not installed; what `make_shard` raises comes back as it was.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SpeechError(
            "--engine ray needs Ray, which is not installed; run `pip install 'saysee[ray]'`."
        ) from error
    ours = not ray.is_initialized()
    if ours:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        wave_shards = _SHARDS_A_CORE * max(1, int(ray.cluster_resources().get("CPU", 1)))
        while wave := [{"job": pickle.dumps(job)} for job in islice(jobs, wave_shards)]:
            made = ray.data.from_items(wave, override_num_blocks=len(wave)).map(_make)
            for row in made.iter_rows():
                outcome = pickle.loads(row["outcome"])
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome
    finally:
        if ours:
            ray.shutdown()


def _make(row: dict[str, Any]) -> dict[str, Any]:
    """Errors travel as values: Ray would wrap them, and try again what cannot succeed."""
    try:
        outcome: object = make_shard(pickle.loads(row["job"]))
    except Exception as error:  # noqa: BLE001  raised again by the driver, whatever it is
        outcome = error
    return {"outcome": pickle.dumps(outcome)}
