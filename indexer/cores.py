"""How many processor cores this process may really use: by affinity and cgroup quota, not by the host.

OpenMP and ONNX Runtime size their pools from the host, which inside a small container costs more than
it gives.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def available_cores(cgroup: Path = CGROUP) -> int:
    """Cores by affinity, lowered to the cgroup's processor quota (v2 or v1) where one is set; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota_cores(cgroup)
    return max(1, affinity if quota is None else min(affinity, math.ceil(quota)))


def _quota_cores(cgroup: Path) -> float | None:
    """The quota in cores, None where none is set; a container sees its own group as the root."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota == "max" or int(quota) <= 0 or int(period) <= 0:
        return None
    return int(quota) / int(period)
