"""The doctor on a machine that is well, and on made-up ones that are not."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import onnxruntime
import pytest
from typer.testing import CliRunner

from indexer.__main__ import app
from indexer.build import build
from indexer.bundle import Bundle
from indexer.cores import available_cores
from indexer.doctor import Finding, examine, runtimes
from indexer.doctor.runtimes import provider_used
from indexer.store import promote
from tests.fixtures.pairs import make_pairs


def about(findings: list[Finding], subject: str) -> list[Finding]:
    return [one for one in findings if one.subject == subject]


def wrong(findings: list[Finding]) -> list[Finding]:
    return [one for one in findings if one.verdict == "wrong"]


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that these distributions write into the folders."""

    def pretend(**folders: list[str]) -> None:
        real = {**metadata.packages_distributions(), **folders}
        version = metadata.version
        made_up = {name for names in folders.values() for name in names}
        monkeypatch.setattr(metadata, "packages_distributions", lambda: real)
        monkeypatch.setattr(metadata, "version", lambda name: "1.2.3" if name in made_up else version(name))

    return pretend


def test_this_machine_is_well() -> None:
    findings = examine()
    assert wrong(findings) == []
    host, usable = os.cpu_count() or 1, available_cores()
    limited = " by affinity or cgroup quota" if usable < host else ""
    assert f"{usable} of {host} usable{limited}; " in about(findings, "cores")[0].found
    assert about(findings, "provider")[0].found.startswith("C")  # CPU... or CUDAExecutionProvider
    assert {
        "python",
        "memory",
        "onnxruntime",
        "faiss",
        "av",
        "pillow",
        "sqlite",
        "faiss gpus",
        "training",
    } <= {one.subject for one in findings}


@pytest.mark.parametrize(("version", "says"), [("2.15.0", "torch 2.15.0 is"), (None, "`make train-env`")])
def test_the_training_set_is_told_of_and_never_imported(
    monkeypatch: pytest.MonkeyPatch, version: str | None, says: str
) -> None:
    real = metadata.version

    def installed(name: str) -> str:
        if name == "torch" and version is None:
            raise metadata.PackageNotFoundError(name)
        return version if name == "torch" and version is not None else real(name)

    monkeypatch.setattr(metadata, "version", installed)
    monkeypatch.setitem(sys.modules, "torch", None)  # whoever imported it would fail
    findings = examine()
    (found,) = about(findings, "training")
    assert (found.verdict, wrong(findings)) == ("ok", [])
    assert says in found.found


def test_two_owners_of_one_folder(owners: Callable[..., None]) -> None:
    owners(faiss=["faiss-cpu", "faiss-gpu"])
    (found,) = wrong(examine())
    assert found.subject == "faiss"
    assert "2 distributions write into one folder: faiss-cpu 1.2.3, faiss-gpu 1.2.3" in found.found
    assert found.fix is not None
    assert found.fix.startswith("pip uninstall -y faiss-cpu faiss-gpu")


def test_nobody_owns_a_folder(owners: Callable[..., None]) -> None:
    owners(onnxruntime=[])
    (found,) = wrong(examine())
    assert (found.subject, found.found) == ("onnxruntime", "not installed")
    assert "saysee[cpu]" in (found.fix or "")


def test_one_for_the_gpu_and_one_not(owners: Callable[..., None]) -> None:
    owners(faiss=["faiss-cpu"], onnxruntime=["onnxruntime-gpu"])
    (found,) = about(examine(), "extras")
    assert found.verdict == "note"


@pytest.mark.parametrize("module", ["av", "PIL", "onnxruntime"])
def test_a_library_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (found,) = wrong(examine())
    assert "cannot be imported" in found.found
    assert "--force-reinstall" in (found.fix or "")


def test_a_folder_left_behind_by_an_uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(onnxruntime, "InferenceSession")
    (found,) = wrong(examine())
    assert found.found == "its folder is there and empty"


def test_cuda_that_is_offered_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    monkeypatch.setattr(runtimes, "provider_used", lambda asked: (asked[-1], "libcublas is missing"))
    (found,) = wrong(examine())
    assert found.subject == "provider"
    assert "CUDA is offered" in found.found
    assert "CPUExecutionProvider is used" in found.found
    assert found.fix


def test_a_provider_that_cannot_be_had_is_no_end(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Asked of the real library, which has no such provider on a CPU build."""
    used, reason = provider_used(["NoSuchExecutionProvider", "CPUExecutionProvider"])
    assert used == "CPUExecutionProvider"
    assert reason
    assert capfd.readouterr().out == ""


def test_too_many_threads_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    notes = [one for one in about(examine(), "cores") if one.verdict == "note"]
    assert [one.fix for one in notes] == [f"unset OMP_NUM_THREADS, or set it to {available_cores()}"]


def test_a_bundle_and_an_index(tmp_path: Path, tiny_bundle: Bundle) -> None:
    pairs, index = make_pairs(tmp_path / "corpus", 3), tmp_path / "index"
    first = build(tiny_bundle.path, index, images=pairs.images, captions=pairs.captions, promote_it=True)
    findings = examine(bundle=tiny_bundle.path, index=index)
    assert wrong(findings) == []
    assert "its golden pairs agree on CPUExecutionProvider" in about(findings, "bundle")[0].found
    assert about(findings, "index")[0].found == "serves 3 images, 3 captions"
    assert about(findings, "disk")[0].verdict == "ok"

    second = build(tiny_bundle.path, index, images=pairs.images, captions=pairs.captions).generation
    promote(index, second)
    damaged = index / "generations" / second / "items.sqlite"
    damaged.unlink()
    findings = wrong(examine(index=index))
    assert [one.subject for one in findings] == ["generation", "index"]
    assert f"{second} (current): items.sqlite cannot be read" in findings[0].found
    assert f"Generation {first.generation} serves in place of {second}" in findings[1].found
    assert {one.fix for one in findings} == {f"python -m indexer rollback --index {index}"}


def test_nothing_where_a_bundle_and_an_index_should_be(tmp_path: Path) -> None:
    found = wrong(examine(bundle=tmp_path / "b", index=tmp_path / "i"))
    assert [one.subject for one in found] == ["bundle", "index"]
    assert "is not a model bundle" in found[0].found
    assert "There is no index at" in found[1].found


def test_status_and_json(tmp_path: Path) -> None:
    well = CliRunner().invoke(app, ["doctor", "--json"])
    assert well.exit_code == 0
    assert {"subject", "verdict", "found", "fix"} == set(json.loads(well.stdout)[0])
    ill = CliRunner().invoke(app, ["doctor", "--index", str(tmp_path / "i")])
    assert ill.exit_code == 1
    assert "wrong  index: There is no index" in ill.stdout


class TestCores:
    """The quota of a container, as its kernel writes it."""

    @pytest.mark.parametrize(
        ("quota", "most"),
        [
            ("max 100000", None),
            ("50000 100000", 1),
            ("100000 100000", 1),
            ("150000 100000", 2),
            ("garbage", None),
        ],
    )
    def test_version_2(self, tmp_path: Path, quota: str, most: int | None) -> None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
        unlimited = available_cores(tmp_path / "nowhere")
        assert available_cores(tmp_path) == (unlimited if most is None else min(most, unlimited))

    @pytest.mark.parametrize(("quota", "most"), [("-1", None), ("50000", 1)])
    def test_version_1(self, tmp_path: Path, quota: str, most: int | None) -> None:
        (tmp_path / "cpu").mkdir()
        (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
        unlimited = available_cores(tmp_path / "nowhere")
        assert available_cores(tmp_path) == (unlimited if most is None else most)

    @pytest.mark.parametrize(
        ("told", "folder", "most"),
        [
            ("0::/system.slice/saysee.service\n", "system.slice/saysee.service", 1),
            ("0::/system.slice/saysee.service\n", "system.slice", 1),  # it holds for all below
            ("0::/other\n", "system.slice", None),
            ("0::/docker/3f6c\n", "", 1),  # a container is told the host's name of its group
            ("1:name=systemd:/a\n4:cpu,cpuacct:/jobs/7\n", "cpu/jobs/7", 1),
            ("1:name=systemd:/jobs/7\n4:cpuset:/jobs/7\n", "cpu/jobs/7", None),
        ],
    )
    def test_in_a_group_below_the_root(
        self, tmp_path: Path, told: str, folder: str, most: int | None
    ) -> None:
        membership, group = tmp_path / "told", tmp_path / "cgroup" / folder
        membership.write_text(told)
        group.mkdir(parents=True)
        if "cpu" in folder:
            (group / "cpu.cfs_quota_us").write_text("50000\n")
            (group / "cpu.cfs_period_us").write_text("100000\n")
        else:
            (group / "cpu.max").write_text("50000 100000\n")
        unlimited = available_cores(tmp_path / "nowhere", membership)
        assert available_cores(tmp_path / "cgroup", membership) == (unlimited if most is None else most)
