"""Sample rate conversion, the same for every clip: FFmpeg's aresample as it comes, on one thread."""

from collections.abc import Iterator

import av.error
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.filter import Graph


def resample(mono: npt.NDArray[np.float32], from_hz: int, to_hz: int) -> npt.NDArray[np.float32]:
    """float32 [n] -> float32 [round(n * to_hz / from_hz)], band-limited, flushed to the end.

    This is FFmpeg's aresample in a graph of its own, because the one inside av.AudioResampler starts a thread
    for every core for every clip, and that takes longer than the resampling.
    """
    if from_hz == to_hz or not len(mono):
        return mono
    graph = Graph()
    graph.threads = 1
    entry = graph.add(
        "abuffer",
        sample_rate=str(from_hz),
        sample_fmt="fltp",
        channel_layout="mono",
        time_base=f"1/{from_hz}",
    )
    resampler = graph.add("aresample", str(to_hz))
    leave = graph.add("abuffersink")
    entry.link_to(resampler)
    resampler.link_to(leave)
    graph.configure()
    frame = AudioFrame.from_ndarray(mono[None], format="fltp", layout="mono")
    frame.sample_rate = from_hz
    frame.pts = 0
    graph.push(frame)
    graph.push(None)
    resampled = np.zeros(round(len(mono) * to_hz / from_hz), np.float32)
    filled = 0
    for part in _pull(graph):
        samples = part.to_ndarray()[0][: len(resampled) - filled]
        resampled[filled : filled + len(samples)] = samples
        filled += len(samples)
    return (
        resampled  # FFmpeg may leave out the last sample, and gives none for a signal shorter than its filter
    )


def _pull(graph: Graph) -> Iterator[AudioFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.error.EOFError, av.error.BlockingIOError):
            return
        if isinstance(frame, AudioFrame):
            yield frame
