"""The manifests fit together, and keep what the images and the service promise; no cluster is needed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

import indexer.__main__
from service.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
OPERATIONS = " ".join((ROOT / "docs" / "operations.md").read_text().split())


def manifests() -> Iterator[dict[str, Any]]:
    for name in ("index", "service", "build"):
        yield from yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text())


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = (manifest for manifest in manifests() if manifest["kind"] == kind)
    return found


def pod(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = of_kind(kind)["spec"]["template"]["spec"]
    return found


def test_kustomize_takes_what_is_there_but_the_job() -> None:
    settings = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert {f"{name}.yaml" for name in ("index", "service")} == set(settings["resources"])
    (image,) = settings["images"]
    assert pod("Deployment")["containers"][0]["image"] == image["name"]
    assert pod("Job")["containers"][0]["image"] == f"{image['newName']}:{image['newTag']}"


def test_a_service_of_our_name_sets_no_variables_of_ours() -> None:
    """By default a pod is told SAYSEE_PORT=tcp://10.0.0.1:80 of a Service named saysee."""
    assert of_kind("Service")["metadata"]["name"].upper() + "_" == PREFIX
    assert pod("Deployment")["enableServiceLinks"] is False


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_pods_have_no_rights_and_no_place_to_write_but_those_they_need(kind: str) -> None:
    (container,) = pod(kind)["containers"]
    assert pod(kind)["securityContext"]["runAsNonRoot"] is True
    assert pod(kind)["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == ({"/tmp"} if kind == "Deployment" else {"/tmp", "/index"})
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod(kind)["volumes"]}
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    if kind == "Deployment":  # without a limit it would count the cores of the node
        told = {one["name"]: one["value"] for one in container["env"]}
        assert told["SAYSEE_THREADS"] == container["resources"]["requests"]["cpu"]


def test_an_update_never_takes_a_pod_away_before_another_is_ready() -> None:
    deployment, (container,) = of_kind("Deployment")["spec"], pod("Deployment")["containers"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/livez"}
    labels = deployment["template"]["metadata"]["labels"].items()
    assert deployment["selector"]["matchLabels"].items() <= labels
    assert of_kind("Service")["spec"]["selector"].items() <= labels
    assert of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels
    assert of_kind("PodDisruptionBudget")["spec"]["minAvailable"] < deployment["replicas"]


def test_a_pod_has_time_to_answer_what_it_took_on() -> None:
    given = {one["name"]: one["value"] for one in pod("Deployment")["containers"][0]["env"]}
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}
    settings = Settings.model_validate({"index": "/index", **fields})
    probe = pod("Deployment")["containers"][0]["readinessProbe"]
    assert settings.drain_seconds > probe["periodSeconds"] * probe["failureThreshold"]
    needed = settings.drain_seconds + settings.deadline_seconds + 5
    assert pod("Deployment")["terminationGracePeriodSeconds"] >= needed


def test_replicas_are_spread_over_nodes_where_there_are_several() -> None:
    (spread,) = pod("Deployment")["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"  # or with one node there is one replica
    assert spread["labelSelector"] == of_kind("Deployment")["spec"]["selector"]


def test_a_pod_may_take_the_memory_that_the_docs_add_up_for_the_demo() -> None:
    at_rest = re.search(r"at rest: (\d+) MiB with the demo", OPERATIONS)
    under_load = re.search(r"Under load (\d+) MiB come to it", OPERATIONS)
    assert at_rest is not None
    assert under_load is not None
    settings = Settings.model_validate({"index": "/index"})
    bodies = 2 * settings.max_waiting_bytes + settings.max_unpacked_bytes
    needed = bodies + (int(at_rest[1]) + int(under_load[1]) << 20)
    limit = pod("Deployment")["containers"][0]["resources"]["limits"]["memory"]
    assert int(limit.removesuffix("Gi")) << 30 > needed
    (told,) = re.findall(r"`deploy/kubernetes` sets to (\w+), covers [^:]*: ([\d.]+) GiB", OPERATIONS)
    assert told == (limit, f"{needed / (1 << 30):.1f}")


def test_the_job_runs_a_command_that_exists() -> None:
    program, name, *words = pod("Job")["containers"][0]["args"]
    assert program == "indexer"
    group = typer.main.get_command(indexer.__main__.app)
    assert isinstance(group, TyperGroup)
    options = {option for parameter in group.commands[name].params for option in parameter.opts}
    assert {word for word in shlex.split(" ".join(words)) if word.startswith("--")} <= options
    claim = of_kind("PersistentVolumeClaim")["metadata"]["name"]
    for kind in ("Deployment", "Job"):
        claims = [v["persistentVolumeClaim"] for v in pod(kind)["volumes"] if "persistentVolumeClaim" in v]
        assert [one["claimName"] for one in claims] == [claim]
