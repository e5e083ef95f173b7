"""Damaged files that coverage leads to, for decoders whose Python is worth it: ours and Pillow's.

    pip install atheris
    python -m tests.bench.guided_uploads found --seconds 600
    python -m tests.bench.mutated_uploads --index .demo/index --found found

libFuzzer, through atheris, changes a sample of every format that is read, and keeps in the folder whatever
reached a line that nothing before it reached. Another call goes on from there. Must hold: everything ends in
arrays or in a MediaError, within 20 s and 2 GiB. What does not ends the run with status 1 or more, and lies
in FOLDER-faults.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["indexer.media", "PIL"]):
    from indexer.media import MediaError, MediaLimits, MediaSpec, decode_image, decode_speech, extent, sniff

from tests.fixtures.mutated import samples

_SPEC, _LIMITS = MediaSpec(), MediaLimits()
_MOST_BYTES = 65_536
_MOST_SECONDS = 20
_MOST_MIB = 2_048


def decode(data: bytes) -> None:
    """As the service does."""
    try:
        modality = sniff(data).modality
        extent(data)
        if modality == "speech":
            decode_speech(data, _SPEC, _LIMITS)
        else:
            decode_image(data, _SPEC, _LIMITS)
    except MediaError:
        return


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    faults = options.folder.with_name(f"{options.folder.name}-faults")
    for folder in (options.folder, faults):
        folder.mkdir(parents=True, exist_ok=True)
    for name, data in samples().items():
        (options.folder / f"sample-{name}").write_bytes(data)
    told = {
        "max_total_time": options.seconds,
        "seed": options.seed,
        "max_len": _MOST_BYTES,
        "timeout": _MOST_SECONDS,
        "rss_limit_mb": _MOST_MIB,
        "artifact_prefix": f"{faults}/",
        "print_final_stats": 1,
    }
    flags = [f"-{name}={value}" for name, value in told.items()]
    atheris.Setup([sys.argv[0], *flags, str(options.folder)], decode)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
