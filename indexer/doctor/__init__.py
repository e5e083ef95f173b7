"""What is installed, what is really used, what is wrong, and the fix for each. Looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from indexer.doctor.finding import Finding
from indexer.doctor.holdings import bundle_findings, index_findings
from indexer.doctor.machine import libraries, machine, owners
from indexer.doctor.runtimes import faiss_gpus, onnx_runtime

__all__ = ["Finding", "examine", "told"]


def examine(*, bundle: Path | None = None, index: Path | None = None) -> list[Finding]:
    """Everything that can be found out here; with a bundle or an index, those too."""
    findings = [*machine(), *owners(), *libraries()]
    broken = any(one.verdict == "wrong" for one in findings)
    if not broken:  # what follows imports the libraries that were just found sound
        findings += [*onnx_runtime(), *faiss_gpus()]
        if bundle is not None:
            findings += _guarded("bundle", lambda: bundle_findings(bundle))
        if index is not None:
            findings += _guarded("index", lambda: index_findings(index))
    return findings


def told(findings: list[Finding]) -> str:
    """The findings as lines for a person."""
    lines = []
    for one in findings:
        lines.append(f"{one.verdict:5}  {one.subject}: {one.found}")
        if one.fix:
            lines.append(f"       fix: {one.fix}")
    return "\n".join(lines)


def _guarded(subject: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What `look` finds; its own error, which names the fix, as a finding."""
    findings: list[Finding] = []
    try:
        findings.extend(look())
    except Exception as error:  # noqa: BLE001  whatever is wrong is what was asked for
        findings.append(Finding(subject, "wrong", str(error), None))
    return findings
