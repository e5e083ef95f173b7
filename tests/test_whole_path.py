"""From nothing to an answer by the commands alone: render, speak, fit, export, index, serve, ask.

Four steps of the compact preset: what is tested is that every part hands the next what it needs, and that the
vector is the same in training, in the index and over HTTP.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient
from typer import Typer
from typer.testing import CliRunner

from indexer.__main__ import app as indexer_commands
from indexer.bundle import open_bundle
from indexer.encoder import Encoder
from indexer.media import decode_image, decode_speech
from service.app import create_app
from service.settings import Settings
from tests.fixtures.local_client import LocalClient
from training.__main__ import app as training_commands
from training.checkpoint import load_model
from training.evaluate import ModelEmbedder

pytestmark = pytest.mark.slow

PICTURES, TEST = 60, 20


def run(commands: Typer, *words: str | Path | int) -> str:
    result = CliRunner().invoke(commands, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


class Walk:
    """Every artefact of the walk."""

    def __init__(self, folder: Path) -> None:
        self.corpus, self.fit, self.bundle = folder / "corpus", folder / "run", folder / "bundle"
        self.index = folder / "index"
        c = self.corpus
        run(
            training_commands,
            "scenes",
            "--out",
            c,
            "--count",
            PICTURES,
            "--dev",
            8,
            "--test",
            TEST,
            "--size",
            96,
            "--workers",
            1,
        )
        run(
            training_commands,
            "speak",
            c / "texts.jsonl",
            "--out",
            c,
            "--voices",
            "train",
            "--test-voices",
            "reserved-espeak",
            "--workers",
            1,
        )
        run(
            training_commands,
            "fit",
            "--preset",
            "compact",
            "--data",
            c,
            "--out",
            self.fit,
            "--device",
            "cpu",
            "--workers",
            1,
            "--set",
            "stages.0.steps=4",
            "--set",
            "stages.0.batch=8",
        )
        self.table = run(
            training_commands,
            "evaluate",
            "--run",
            self.fit,
            "--data",
            c,
            "--device",
            "cpu",
            "--out",
            folder / "test.json",
        )
        run(
            training_commands,
            "export",
            "--run",
            self.fit,
            "--data",
            c,
            "--out",
            self.bundle,
            "--metrics",
            folder / "test.json",
        )
        run(
            indexer_commands,
            "build",
            "--bundle",
            self.bundle,
            "--images",
            c / "images.jsonl",
            "--captions",
            c / "captions.jsonl",
            "--index",
            self.index,
            "--promote",
        )

    def items(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.corpus / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    return Walk(tmp_path_factory.mktemp("whole-path"))


@pytest.fixture(scope="module")
def client(walk: Walk) -> Any:
    with LocalClient(
        create_app(Settings(index=walk.index, threads=2)), raise_server_exceptions=False
    ) as client:
        yield client


@pytest.fixture(scope="module")
def encoder(walk: Walk) -> Encoder:
    return Encoder(open_bundle(walk.bundle), provider="cpu")


@pytest.fixture(scope="module")
def gallery(walk: Walk, encoder: Encoder) -> dict[str, tuple[list[str], NDArray[np.float32]]]:
    """Ids and vectors of both collections, embedded from the files without an index."""
    media = encoder.bundle.manifest.media
    images, captions = walk.items("images.jsonl"), walk.items("captions.jsonl")
    pixels = [decode_image((walk.corpus / item["path"]).read_bytes(), media) for item in images]
    waves = [decode_speech((walk.corpus / item["path"]).read_bytes(), media) for item in captions]
    return {
        "images": ([item["id"] for item in images], encoder.image(pixels)),
        "captions": ([item["id"] for item in captions], encoder.speech(waves)),
    }


def asked(client: TestClient, target: str, data: bytes, k: int) -> dict[str, Any]:
    answer = client.post(f"/v1/search/{target}?k={k}", files={"file": ("query", data)})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def vector_over_http(client: TestClient, data: bytes) -> NDArray[np.float32]:
    answer = client.post("/v1/embeddings", content=data)
    assert answer.status_code == 200, answer.text
    return np.asarray(answer.json()["data"][0]["embedding"], dtype=np.float32)


def test_a_clip_finds_pictures_and_a_picture_finds_captions(
    walk: Walk, client: TestClient, gallery: dict[str, tuple[list[str], NDArray[np.float32]]]
) -> None:
    """In the order that comparing with every vector gives, ties aside."""
    captions = {item["id"]: item for item in walk.items("captions.jsonl")}
    images = {item["id"]: item for item in walk.items("images.jsonl")}
    clip = (walk.corpus / captions["scene-000003_2"]["path"]).read_bytes()
    picture = (walk.corpus / images["scene-000003"]["path"]).read_bytes()
    for target, data, k in (("images", clip, PICTURES), ("captions", picture, 100)):
        body = asked(client, target, data, k)
        ids, vectors_ND = gallery[target]
        scores = dict(zip(ids, (vectors_ND @ vector_over_http(client, data)).tolist(), strict=True))
        assert len(body["hits"]) == k
        assert [hit["rank"] for hit in body["hits"]] == list(range(1, k + 1))
        for hit in body["hits"]:
            assert hit["score"] == pytest.approx(scores[hit["id"]], abs=1e-5)
        best = sorted(scores.values(), reverse=True)[:k]
        assert [hit["score"] for hit in body["hits"]] == pytest.approx(best, abs=1e-5)
    body = asked(client, "captions", picture, 5)
    assert body["query"]["modality"] == "image"
    for hit in body["hits"]:
        caption = captions[hit["id"]]
        assert hit["metadata"]["text"] == caption["text"]
        assert hit["metadata"]["image_id"] == caption["image_id"]
        media = client.get(hit["media_url"])
        assert media.content == (walk.corpus / caption["path"]).read_bytes()


def test_an_indexed_item_finds_itself(walk: Walk, client: TestClient) -> None:
    for name, target in (("images.jsonl", "images"), ("captions.jsonl", "captions")):
        item = walk.items(name)[7]
        body = asked(client, target, (walk.corpus / item["path"]).read_bytes(), 1)
        assert body["hits"][0]["score"] == pytest.approx(1, abs=1e-5)


def test_the_vector_is_the_same_in_training_in_the_encoder_and_over_http(
    walk: Walk, client: TestClient, encoder: Encoder
) -> None:
    model, _, _ = load_model(walk.fit)
    torch_embedder, media = ModelEmbedder(model), encoder.bundle.manifest.media
    for item in walk.items("captions.jsonl")[:8]:
        data = (walk.corpus / item["path"]).read_bytes()
        waveform = decode_speech(data, media)
        served, offline = vector_over_http(client, data), encoder.speech([waveform])[0]
        np.testing.assert_allclose(served, offline, atol=1e-6)
        np.testing.assert_allclose(served, torch_embedder.speech([waveform])[0], atol=1e-4)
    for item in walk.items("images.jsonl")[:8]:
        data = (walk.corpus / item["path"]).read_bytes()
        pixels = decode_image(data, media)
        served, offline = vector_over_http(client, data), encoder.image([pixels])[0]
        np.testing.assert_allclose(served, offline, atol=1e-6)
        np.testing.assert_allclose(served, torch_embedder.image([pixels])[0], atol=1e-4)


def test_every_answer_and_the_index_name_the_model(walk: Walk, client: TestClient) -> None:
    bundle = open_bundle(walk.bundle)
    clip = (walk.corpus / walk.items("captions.jsonl")[0]["path"]).read_bytes()
    assert asked(client, "images", clip, 1)["model"] == bundle.fingerprint[:12]
    assert client.get("/v1/index").json()["fingerprint"] == bundle.fingerprint
    assert bundle.manifest.metrics["test"]["clips"] == 5 * TEST
    assert bundle.manifest.training["data"]["pictures"] == PICTURES - TEST - 8


def test_no_reserved_voice_was_trained_on(walk: Walk) -> None:
    reserved = {"Annie", "linda", "Denis", "steph2"}
    voices = set(open_bundle(walk.bundle).manifest.training["data"]["voices"])
    assert voices
    assert not any(name in voice for voice in voices for name in reserved)
    heard_in_test = {item["voice"] for item in walk.items("captions.jsonl") if item["split"] == "test"}
    assert all(any(name in voice for name in reserved) for voice in heard_in_test)


def test_the_table_judges_unheard_voices_on_unseen_pictures(walk: Walk) -> None:
    head, _, row = walk.table.split("\n\n")[0].splitlines()
    assert head.startswith("| condition | clips | pictures | S->I R@1 |")
    assert row.startswith(f"| test | {5 * TEST} | {TEST} | ")
