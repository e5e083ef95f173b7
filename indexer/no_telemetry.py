"""ONNX Runtime reports to its maker from the moment it is imported, unless it is told not to by then.

From 1.29 on, the wheels for Linux send names of models and graphs, the processor and how long runs take,
under an id that they leave in the home folder. What is indexed and served here is nobody else's business.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLE = "ORT_DISABLE_TELEMETRY"


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Import ONNX Runtime within this block. Where the variable is set already, it stays as it is."""
    if _VARIABLE in os.environ:
        yield
        return
    os.environ[_VARIABLE] = "1"  # read once, by the import
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)
