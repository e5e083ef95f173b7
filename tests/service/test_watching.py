"""deploy/watch asks for nothing that a running service does not say, and its alerts fire when they should."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from tests.fixtures.media_bytes import make_wav

ROOT = Path(__file__).parents[2]
WATCH = ROOT / "deploy" / "watch"
OF_PROMETHEUS = {"job", "instance", "le"}  # labels that are on every sample, or part of a histogram
RULES = [
    rule for group in yaml.safe_load((WATCH / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((WATCH / "grafana" / "saysee.json").read_text())


def expressions() -> dict[str, str]:
    """Where it stands -> a PromQL expression, for every one in the rules and the dashboard."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in RULES}
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"]
    return found


def asked_for(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Name of a series -> the labels it is chosen by."""
    for name, matchers in re.findall(r"\b(saysee_\w+)(\{[^}]*\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*[=!]~?", re.sub(r'"[^"]*"', '""', matchers)))


@pytest.fixture(scope="module")
def shown(client: TestClient) -> dict[str, set[str]]:
    """Name of a series -> its labels, of all that a service shows once it was asked something."""
    client.post("/v1/search/images", content=make_wav())
    client.post("/v1/search/images", content=b"nothing known")
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


@pytest.mark.parametrize("where", expressions())
def test_every_series_and_label_asked_for_is_there(where: str, shown: dict[str, set[str]]) -> None:
    expression = expressions()[where]
    # A reason to be degraded and a refusal cannot be had here at will; the docs' table has their labels.
    known = shown | {"saysee_degraded": {"reason"}}
    labels = {label for name, _ in asked_for(expression) for label in known.get(name, set())}
    for name, chosen_by in asked_for(expression):
        assert name in known
        assert chosen_by - OF_PROMETHEUS <= known[name]
    grouped = {
        word for words in re.findall(r"\bby \(([^)]*)\)", expression) for word in re.findall(r"\w+", words)
    }
    assert grouped - OF_PROMETHEUS - {"alertname"} <= labels


def test_all_that_matters_is_watched() -> None:
    asked = {name for expression in expressions().values() for name, _ in asked_for(expression)}
    page = (ROOT / "docs" / "operations.md").read_text()
    assert [rule["alert"] for rule in RULES] == re.findall(r"^\| `(SaySee\w+)` \|", page, re.MULTILINE)
    assert {
        "saysee_ready",
        "saysee_stage_seconds_bucket",
        "saysee_problems_total",
        "saysee_batch_size_sum",
    } < asked
    assert [panel["id"] for panel in DASHBOARD["panels"]] == list(range(1, len(DASHBOARD["panels"]) + 1))


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def promtool(*words: str) -> None:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.promtool
def test_prometheus_takes_the_configuration(tmp_path: Path) -> None:
    promtool("check", "config", "--syntax-only", str(WATCH / "prometheus.yml"))
    promtool("check", "rules", str(WATCH / "alerts.yml"))


@pytest.mark.promtool
def test_the_alerts_fire_when_they_should() -> None:
    promtool("test", "rules", str(ROOT / "tests" / "service" / "alerts.yml"))


@pytest.mark.promtool
def test_prometheus_reads_every_expression(tmp_path: Path) -> None:
    rules = [
        {"record": f"expression_{n}", "expr": expression.replace("$__rate_interval", "1m")}
        for n, expression in enumerate(expressions().values())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    promtool("check", "rules", str(file))
