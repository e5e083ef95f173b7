"""The bundle is complete or absent, says which file was altered, and is named by content alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.bundle import Bundle, BundleError, Golden, fingerprint_of, open_bundle, read_golden, write_bundle
from indexer.media import MediaSpec
from tests.fixtures.tiny_bundle import make_tiny_bundle


def write_like(bundle: Bundle, path: Path, **changes: Any) -> Bundle:
    """The same bundle written again with some arguments changed."""
    manifest = bundle.manifest
    arguments: dict[str, Any] = {
        "name": manifest.name,
        "system": manifest.system,
        "dim": manifest.dim,
        "similarity": manifest.similarity,
        "media": manifest.media,
        "graphs": {name: bundle.file(name) for name in manifest.graphs},
        "golden": read_golden(bundle),
        "training": manifest.training,
        "metrics": manifest.metrics,
        "licence": manifest.licence,
    }
    return write_bundle(path, **(arguments | changes))


def alter_manifest(bundle: Bundle, change: Callable[[dict[str, Any]], Any]) -> None:
    path = bundle.path / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle that the test may damage."""
    return make_tiny_bundle(tmp_path / "bundle")


def test_opens_as_it_was_written(bundle: Bundle) -> None:
    opened = open_bundle(bundle.path)
    assert opened == bundle
    assert opened.manifest.dim == 16
    assert opened.manifest.media == MediaSpec()
    assert opened.file("speech.onnx").is_file()
    assert read_golden(opened).speech_vector.shape == (16,)
    assert {p.name for p in bundle.path.parent.iterdir()} == {"bundle"}


def test_only_listed_files_have_a_path(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"no file '\.\./secret'"):
        bundle.file("../secret")


def test_name_training_and_file_names_leave_the_fingerprint(bundle: Bundle, tmp_path: Path) -> None:
    again = write_like(bundle, tmp_path / "again", name="another", training={"seed": 9}, metrics={"r": 1.0})
    assert again.fingerprint == bundle.fingerprint
    media = bundle.manifest.media
    assert fingerprint_of({"a": "0" * 64, "b": "1" * 64}, media) == fingerprint_of(
        {"b": "0" * 64, "a": "1" * 64}, media
    )


def test_weights_and_media_make_the_fingerprint(bundle: Bundle, tmp_path: Path) -> None:
    assert make_tiny_bundle(tmp_path / "other", seed=1).fingerprint != bundle.fingerprint
    assert make_tiny_bundle(tmp_path / "same").fingerprint == bundle.fingerprint
    digests, media = bundle.manifest.graphs, bundle.manifest.media
    assert fingerprint_of(digests, replace(media, max_seconds=4.0)) != bundle.fingerprint
    assert fingerprint_of(digests, replace(media, max_seconds=8)) == bundle.fingerprint


@pytest.mark.parametrize("name", ["speech.onnx", "image.onnx", "golden/speech.wav", "golden/vectors.npz"])
def test_one_altered_byte_is_found_and_named(bundle: Bundle, name: str) -> None:
    path = bundle.path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=f"{name} was altered"):
        open_bundle(bundle.path)
    assert open_bundle(bundle.path, verify=False) == bundle


def test_external_data_is_digested_too(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"w" * 100)
    graphs = {name: bundle.file(name) for name in bundle.manifest.graphs}
    graphs["speech.onnx.data"] = tmp_path / "weights"
    big = write_like(bundle, tmp_path / "big", graphs=graphs)
    assert big.fingerprint != bundle.fingerprint
    (big.path / "speech.onnx.data").write_bytes(b"w" * 99 + b"v")
    with pytest.raises(BundleError, match=r"speech\.onnx\.data was altered"):
        open_bundle(big.path)
    (big.path / "speech.onnx.data").unlink()
    with pytest.raises(BundleError, match=r"lacks speech\.onnx\.data"):
        open_bundle(big.path, verify=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(schema_version=2), "schema_version 2 and this SaySee reads 1"),
        (lambda d: d.update(schema_version=True), "schema_version should be int and is true"),
        (lambda d: d.pop("schema_version"), "has no 'schema_version'"),
        (lambda d: d.update(dim="16"), 'dim should be int and is "16"'),
        (lambda d: d.update(dim=0), "dim should be at least 1 and is 0"),
        (lambda d: d.pop("dim"), "has no 'dim'"),
        (lambda d: d.update(similarity="euclid"), "dot or cosine and is 'euclid'"),
        (lambda d: d.update(golden_tolerance=None), "golden_tolerance should be int or float and is null"),
        (lambda d: d.update(golden_tolerance=-1), "above 0 and is -1"),
        (lambda d: d.update(training=[]), r"training should be dict and is \[\]"),
        (lambda d: d["media"].pop("image_size"), "media block is not understood: .*image_size"),
        (lambda d: d["media"].update(image_size=128), "altered: its graphs and media block"),
        (lambda d: d["graphs"].pop("image.onnx"), r"lists no image\.onnx"),
        (lambda d: d["graphs"].update({"../x.onnx": "0" * 64}), r"'\.\./x\.onnx' cannot name a graph"),
        (lambda d: d["graphs"].update({"speech.onnx": "abc"}), "not a SHA-256"),
        (lambda d: d["golden"].update({"../../x": "0" * 64}), "golden should list"),
        (lambda d: d.update(fingerprint="0" * 64), "says 000000000000"),
    ],
)
def test_refuses_a_manifest(bundle: Bundle, change: Callable[[dict[str, Any]], Any], words: str) -> None:
    alter_manifest(bundle, change)
    with pytest.raises(BundleError, match=words) as caught:
        open_bundle(bundle.path)
    assert str(bundle.path / "manifest.json") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"), [("[1]", "hold a JSON object"), ("{", "cannot be read"), ("", "read")]
)
def test_refuses_what_is_no_manifest(bundle: Bundle, text: str, words: str) -> None:
    (bundle.path / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=words):
        open_bundle(bundle.path)


def test_refuses_what_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(BundleError, match=r"is not a model bundle: it has no manifest\.json"):
            open_bundle(path)


def vectors(golden: Golden, speech: np.ndarray[Any, Any]) -> Golden:
    return replace(golden, speech_vector=speech.astype(np.float32))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"graphs": {}}, r"lists no image\.onnx"),
        ({"graphs": {"speech.onnx": Path("/no/such/file")}}, "cannot be written: .*No such file"),
        ({"graphs": {"sub/speech.onnx": Path("/dev/null")}}, "plain file name"),
        ({"metrics": {"r10": float("nan")}}, "cannot be written: .*JSON"),
        ({"metrics": {"r10": object()}}, "cannot be written: .*JSON"),
        ({"dim": 17}, r"golden speech vector should be \[17\] and is \[16\]"),
        ({"similarity": "euclid"}, "dot or cosine"),
        ({"golden": lambda golden: vectors(golden, golden.speech_vector * 2)}, "has length 2.0000"),
        ({"golden": lambda golden: vectors(golden, golden.speech_vector * np.nan)}, "not finite"),
    ],
)
def test_writes_nothing_it_could_not_open(
    bundle: Bundle, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    if "golden" in changes:
        changes = {"golden": changes["golden"](read_golden(bundle))}
    with pytest.raises(BundleError, match=words) as caught:
        write_like(bundle, tmp_path / "new", **changes)
    assert str(tmp_path / "new") in str(caught.value)
    assert {p.name for p in tmp_path.iterdir()} == {"bundle"}


def test_never_writes_over_a_bundle(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="exists already"):
        write_like(bundle, bundle.path)
    (tmp_path / "empty").mkdir()
    assert write_like(bundle, tmp_path / "empty").fingerprint == bundle.fingerprint


def test_damaged_golden_vectors_are_refused(bundle: Bundle) -> None:
    (bundle.path / "golden" / "vectors.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(BundleError, match=r"vectors\.npz cannot be read"):
        read_golden(open_bundle(bundle.path, verify=False))
