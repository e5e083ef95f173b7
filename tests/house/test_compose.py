"""Dockerfile and docker-compose.yml agree with each other and with the Makefile; no engine is needed."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.keys import KeysUnusable, load_keys
from service.settings import Settings, unheeded

ROOT = Path(__file__).resolve().parents[2]
FINAL_STAGES = ("serve-cpu", "serve-gpu", "serve-milvus", "train")
SERVING = ("serve", "serve-gpu", "serve-milvus")


def instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, rest) with continuation lines joined and comments gone."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)]


def stages() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Stage name -> (the stage or image it starts from, its instructions), in the order of the file."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    current: list[tuple[str, str]] = []
    for word, rest in instructions():
        if word == "FROM":
            origin, name = rest.split(" AS ")
            current = []
            found[name] = (origin, current)
        else:
            current.append((word, rest))
    return found


def inherited(stage: str) -> list[tuple[str, str]]:
    """The instructions of a stage after those of all it starts from."""
    found = stages()
    origin, own = found[stage]
    return [*(inherited(origin) if origin in found else []), *own]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_the_default_image_serves_on_cpu() -> None:
    assert list(stages())[-1] == "serve-cpu"


@pytest.mark.parametrize("stage", FINAL_STAGES)
def test_no_image_runs_as_root(stage: str) -> None:
    users = [rest for word, rest in inherited(stage) if word == "USER"]
    assert users
    assert users[-1].partition(":")[0] not in {"0", "root"}


@pytest.mark.parametrize("stage", ["serve-cpu", "serve-gpu", "serve-milvus"])
def test_serving_images_ask_readyz_for_their_health(stage: str) -> None:
    (check,) = (rest for word, rest in inherited(stage) if word == "HEALTHCHECK")
    assert "/readyz" in check
    assert '"python"' in check


def variables(stage: str) -> dict[str, str]:
    """What an image sets of ours."""
    pairs = [pair for word, rest in inherited(stage) if word == "ENV" for pair in rest.split()]
    return dict(pair.split("=") for pair in pairs if pair.startswith("SAYSEE_"))


@pytest.mark.parametrize("stage", ["serve-cpu", "serve-gpu", "serve-milvus"])
def test_serving_images_set_what_the_service_reads(stage: str) -> None:
    assert unheeded(variables(stage)) == []
    given = {name.removeprefix("SAYSEE_").lower(): value for name, value in variables(stage).items()}
    settings = Settings.model_validate(given)
    advised = re.search(r"a GPU likes (\d+)", Settings.model_fields["max_batch"].description or "")
    assert advised is not None
    usual = Settings.model_fields["max_batch"].default
    assert settings.max_batch == (int(advised[1]) if settings.provider == "cuda" else usual)


@pytest.mark.parametrize(
    ("stage", "extras"),
    [
        ("build-cpu", "cpu,map,otel"),
        ("build-gpu", "gpu,map,otel"),
        ("build-milvus", "cpu,map,milvus,otel"),
        ("build-train", "cpu,train"),
    ],
)
def test_images_install_as_the_makefile_does(stage: str, extras: str) -> None:
    runs = [rest for word, rest in stages()[stage][1] if word == "RUN"]
    assert any("--constraint constraints.txt" in run and f"'.[{extras}]'" in run for run in runs)


def test_everything_copied_is_let_through_by_dockerignore() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copies = [rest.split() for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    sources = [source for words in copies for source in words[:-1]]
    refused = [
        source
        for source in sources
        if not any(fnmatch(source, pattern) or fnmatch(f"{source}/x", pattern) for pattern in allowed)
    ]
    assert not refused
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_compose_builds_stages_that_exist() -> None:
    services = compose()["services"]
    built = [service["build"]["target"] for service in services.values() if "build" in service]
    assert set(built) == set(FINAL_STAGES)
    assert "profiles" not in services["serve"]
    assert services["serve-gpu"]["profiles"] == ["gpu"]


def test_compose_serves_to_this_machine_only_and_keeps_the_index() -> None:
    for name in SERVING:
        service = compose()["services"][name]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        (volume,) = (one for one in service["volumes"] if one.endswith(":/index"))
        assert volume.partition(":")[0] in compose()["volumes"]
        assert service["read_only"] is True


def test_nothing_of_ours_has_more_rights_than_it_needs() -> None:
    ours = {name: service for name, service in compose()["services"].items() if "build" in service}
    for name, service in ours.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["tmpfs"] == ["/tmp"], name


def test_watching_is_pinned_and_kept_to_this_machine() -> None:
    watching = {name: one for name, one in compose()["services"].items() if one.get("profiles") == ["watch"]}
    assert set(watching) == {"prometheus", "grafana"}
    for service in watching.values():
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        mounted = [line.partition(":")[0] for line in service["volumes"] if line.startswith("./")]
        assert [path for path in mounted if not (ROOT / path).is_file()] == []
        assert all(line.endswith(":ro") for line in service["volumes"] if line.startswith("./"))


def test_milvus_is_pinned_kept_inside_and_waited_for() -> None:
    services = compose()["services"]
    milvus = services["milvus"]
    assert re.fullmatch(r"milvusdb/milvus:v\d+\.\d+\.\d+", milvus["image"])
    assert "ports" not in milvus
    assert "healthz" in milvus["healthcheck"]["test"][-1]
    (kept,) = milvus["volumes"]
    assert kept.partition(":")[0] in compose()["volumes"]
    (etcd,) = milvus["configs"]
    assert (etcd["source"] in compose()["configs"], etcd["target"]) == (
        True,
        milvus["environment"]["ETCD_CONFIG_PATH"],
    )
    for name in ("serve-milvus", "demo-milvus"):
        assert services[name]["depends_on"] == {"milvus": {"condition": "service_healthy"}}
        assert set(services[name]["profiles"]) <= set(milvus["profiles"])
        assert services[name]["volumes"] == ["index-milvus:/index"]


def test_prometheus_asks_services_that_exist() -> None:
    (job,) = yaml.safe_load((ROOT / "deploy" / "watch" / "prometheus.yml").read_text())["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    assert set(names["names"]) == set(SERVING) < set(compose()["services"])
    (key,) = compose()["services"]["prometheus"]["configs"]
    assert job["authorization"]["credentials_file"] == key["target"]


def test_compose_lets_everybody_read_by_saying_so() -> None:
    """The settings as the service reads them: the image listens everywhere, so something has to allow it."""
    image = variables("serve-cpu")
    for name in SERVING:
        given = compose()["services"][name]["environment"]
        meant = {key: re.sub(r"\$\{\w+:-(\w*)\}", r"\1", value) for key, value in given.items()}
        fields = {key.removeprefix("SAYSEE_").lower(): value for key, value in {**image, **meant}.items()}
        assert load_keys(Settings.model_validate(fields)).reading_is_open
        with pytest.raises(KeysUnusable):
            load_keys(Settings.model_validate({**fields, "no_auth": "false"}))


def test_the_demo_container_runs_the_commands_of_make_demo() -> None:
    def commands(text: str) -> list[list[str]]:
        joined = re.sub(r"\\\n\s*", "", text)
        found = re.findall(r"-m ((?:training|indexer) .*)", joined)
        return [[word for word in line.split() if re.fullmatch(r"--?[a-z-]+|[a-z]+", word)] for line in found]

    (script,) = compose()["services"]["demo"]["command"]
    (in_milvus,) = compose()["services"]["demo-milvus"]["command"]
    assert in_milvus.replace(" --vectors milvus://milvus:19530", "") == script != in_milvus
    demo = (ROOT / "Makefile").read_text().partition("# ---- the demo")[2]
    assert commands(script) == commands(demo.partition("# ---- the shipped model")[0])
    assert len(commands(script)) == 3
