"""Declared is what is imported, rival packages are owned once, the wheel carries the page and the presets."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from service.settings import unheeded

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
ROOMS = ("service", "training", "indexer")

# Declared, yet imported by no module of ours.
UNIMPORTED = {
    "fastapi-offline": "its copy of Swagger UI is what /docs serves",
    "httptools": "uvicorn parses HTTP with it, several times faster than without",
    "python-multipart": "starlette parses multipart bodies with it",
    "onnxscript": "torch.onnx.export(dynamo=True) writes graphs with it",
    "tensorboard": "torch.utils.tensorboard writes with it",
    "transformers": "the systems on HuBERT and CLIP need it, in one coherent set with torch",
    "torchvision": "timm imports it, and it must come from the same place as torch",
}

# Packages that several distributions share a top-level name of.
SHARED = {
    "google.api_core": "google-api-core",
    "google.auth": "google-auth",
    "google.cloud": "google-cloud-texttospeech",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "opentelemetry": "opentelemetry-api",
}


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def imported_packages(folder: Path) -> Iterator[tuple[str, Path]]:
    """Package (top-level, or in SHARED) -> file for every import below `folder`, lazy ones included."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield package_of(alias.name), path
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                yield package_of(node.module), path


def package_of(module: str) -> str:
    shared = next((name for name in SHARED if f"{module}.".startswith(f"{name}.")), None)
    return shared or module.partition(".")[0]


def foreign_distributions(folder: Path) -> dict[str, Path]:
    """Distribution -> a file that imports it, for all that is neither ours nor the standard library's."""
    owners = metadata.packages_distributions()
    found: dict[str, Path] = {}
    for package, path in imported_packages(folder):
        if package in sys.stdlib_module_names or package in (*ROOMS, "tests"):
            continue
        for owner in [SHARED[package]] if package in SHARED else owners.get(package, [package]):
            found.setdefault(canonicalize_name(owner), path)
    return found


def closure(*extras: str) -> set[str]:
    """Every distribution that `saysee[extras]` installs here, by the metadata of what is installed."""
    todo = list(PROJECT["dependencies"]) + [line for extra in extras for line in EXTRAS[extra]]
    seen: set[str] = set()
    while todo:
        requirement = Requirement(todo.pop())
        name = canonicalize_name(requirement.name)
        if name in seen:
            continue
        seen.add(name)
        try:
            further = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for line in further:
            marker, asked = Requirement(line).marker, requirement.extras | {""}
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in asked):
                todo.append(line)
    return seen


@pytest.mark.parametrize(
    ("room", "extras"),
    [
        ("service", ["cpu", "otel"]),
        ("indexer", ["cpu", "map", "milvus"]),
        ("training", ["cpu", "train", "google", "ray"]),
    ],
)
def test_every_import_is_declared(room: str, extras: list[str]) -> None:
    declared = names(PROJECT["dependencies"] + [line for extra in extras for line in EXTRAS[extra]])
    undeclared = {
        name: str(path.relative_to(ROOT))
        for name, path in foreign_distributions(ROOT / room).items()
        if name not in declared
    }
    assert not undeclared


def test_every_declared_dependency_is_imported() -> None:
    extras = (
        EXTRAS["cpu"]
        + EXTRAS["map"]
        + EXTRAS["milvus"]
        + EXTRAS["train"]
        + EXTRAS["google"]
        + EXTRAS["ray"]
        + EXTRAS["otel"]
    )
    declared = names(PROJECT["dependencies"] + extras)
    imported = {name for room in ROOMS for name in foreign_distributions(ROOT / room)}
    assert declared - imported - set(UNIMPORTED) == set()


def test_the_serving_set_does_not_bring_torch() -> None:
    assert closure("cpu", "map") & {"torch", "torchvision", "timm", "transformers"} == set()


@pytest.mark.parametrize("package", ["faiss", "onnxruntime"])
def test_exactly_one_distribution_owns(package: str) -> None:
    """faiss-cpu beside faiss-gpu, or onnxruntime beside onnxruntime-gpu, silently overwrite each other."""
    assert len(set(metadata.packages_distributions()[package])) == 1


def test_cpu_and_gpu_name_the_rivals_once_each() -> None:
    assert names(EXTRAS["cpu"]) == {"faiss-cpu", "onnxruntime"}
    assert names(EXTRAS["gpu"]) == {"faiss-gpu", "onnxruntime-gpu"}


def test_only_milvus_lite_brings_faiss_of_its_own() -> None:
    """It wants faiss-cpu, so it may stand beside neither `gpu` nor anything that `gpu` is installed with."""
    pytest.importorskip("milvus_lite", reason="the extra milvus-lite is not installed")
    assert closure("milvus-lite") >= {"milvus-lite", "faiss-cpu"}
    assert closure("map", "milvus", "otel", "dev") & {"milvus-lite", "faiss-cpu"} == set()


def test_constraints_are_versions_only_and_cover_what_is_installed() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line)] == []
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines}
    assert len(pinned) == len(lines)
    installed = {canonicalize_name(found.name) for found in metadata.distributions()}
    assert (closure("cpu", "map", "milvus", "milvus-lite", "train", "dev") & installed) - pinned == set()


@pytest.mark.slow
def test_the_wheel_carries_the_page_and_the_presets(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(source)], check=True, timeout=120)
    (wheel,) = tmp_path.glob("saysee-*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())
    files = [path for room in ROOMS for path in (source / room).rglob("*") if path.is_file()]
    assert {path.relative_to(source).as_posix() for path in files} - carried == set()
    assert {name.partition("/")[0] for name in carried if ".dist-info/" not in name} == set(ROOMS)


def test_every_variable_of_ours_is_known_to_the_service() -> None:
    """Or it would warn of one that another command, or the composition, wants."""
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py")]
    files += [ROOT / name for name in ("docker-compose.yml", "Dockerfile", "Makefile", "docs/operations.md")]
    named = {name for file in files for name in re.findall(r"\bSAYSEE_[A-Z_]*[A-Z]\b", file.read_text())}
    assert len(named) > 20
    assert unheeded(named) == []
