"""How many processor cores this process may really use: by affinity and cgroup quota, not by the host.

OpenMP and ONNX Runtime size their pools from the host, which inside a small container costs more than
it gives.
"""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath

CGROUP = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def available_cores(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> int:
    """Cores by affinity, lowered to the processor quota (cgroup v2 or v1) where one is set; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for group in _groups(cgroup, membership) if (quota := _quota_cores(group)) is not None]
    return max(1, min([affinity, *map(math.ceil, quotas)]))


def _groups(cgroup: Path, membership: Path) -> list[Path]:
    """The folders of this process's groups and of all above them, each of which may set a quota.

    A container sees its own group as the root, even where it is told the name that the host gave it.
    """
    try:
        told = membership.read_text().splitlines()
    except OSError:
        told = []
    groups = [cgroup, cgroup / "cpu"]
    for line in told:  # "0::/system.slice/saysee.service"; v1 "4:cpu,cpuacct:/docker/3f6c"
        _, _, named = line.partition(":")
        controllers, _, path = named.partition(":")
        below = PurePosixPath(path.lstrip("/"))
        if ".." in below.parts:  # of another namespace
            continue
        if not controllers:
            groups += [cgroup / part for part in (below, *below.parents)]
        elif "cpu" in controllers.split(","):
            groups += [cgroup / "cpu" / part for part in (below, *below.parents)]
    return groups


def _quota_cores(group: Path) -> float | None:
    """The quota in cores, None where none is set."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota == "max" or int(quota) <= 0 or int(period) <= 0:
        return None
    return int(quota) / int(period)
