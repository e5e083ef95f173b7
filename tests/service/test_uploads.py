"""Everything that may be wrong with what is sent: each its status, one sentence, and the server goes on."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.fixtures.local_client import LocalClient
from tests.fixtures.media_bytes import make_png, make_wav

PROBLEM = "/problems/"


def _float_wav(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.astype(np.float32), 16000, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


@cache
def _encoded(seconds: float, format_: str, subtype: str | None = None) -> bytes:
    samples = 0.3 * np.sin(2 * np.pi * 300 * np.arange(round(16000 * seconds)) / 16000)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16000, format=format_, subtype=subtype)
    return buffer.getvalue()


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _picture(format_: str) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(make_png(3))).convert("RGB").save(buffer, format=format_)
    return buffer.getvalue()


@cache
def _bomb() -> bytes:
    """A PNG that is 50,000 pixels square when it is unpacked."""
    rows = zlib.compressobj(9)
    line = bytes(50_000 // 8 + 1)
    packed = b"".join(rows.compress(line) for _ in range(50_000)) + rows.flush()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@cache
def _large_webp() -> bytes:
    """Within the limit of pixels, but too much for a decoder that takes 16 bytes for each."""
    buffer = io.BytesIO()
    Image.new("RGB", (5000, 5000)).save(buffer, format="WEBP", method=0)
    return buffer.getvalue()


def _nan_wav() -> bytes:
    samples = np.sin(np.arange(16000) / 20)
    samples[4000:9000] = np.nan
    return _float_wav(samples)


BAD: dict[str, tuple[Callable[[], bytes], int, set[str]]] = {
    "empty": (lambda: b"", 422, {"empty-media"}),
    "text": (lambda: b"I am a text that calls itself a recording.\n" * 9, 415, {"unsupported-media"}),
    "svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, {"unsupported-media"}),
    "pdf": (lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", 415, {"unsupported-media"}),
    "noise": (lambda: np.random.default_rng(5).bytes(5000), 415, {"unsupported-media"}),
    "html": (lambda: b"<!doctype html><script>alert(1)</script>", 415, {"unsupported-media"}),
    "wav header alone": (
        lambda: make_wav()[:44],
        422,
        {"empty-media", "too-short-media", "undecodable-media"},
    ),
    "mp3 cut to its first bytes": (
        lambda: _encoded(1, "MP3")[:100],
        422,
        {"undecodable-media", "too-short-media", "empty-media"},
    ),
    "mp3 cut in half": (lambda: _half(_encoded(2, "MP3")), 422, {"undecodable-media"}),
    "wav cut in half": (lambda: _half(make_wav()), 422, {"undecodable-media"}),
    "flac cut in half": (lambda: _half(_encoded(2, "FLAC")), 422, {"undecodable-media"}),
    "ogg cut in half": (lambda: _half(_encoded(2, "OGG", "OPUS")), 422, {"undecodable-media"}),
    "jpeg cut in half": (lambda: _half(_picture("JPEG")), 422, {"undecodable-media"}),
    "png cut in half": (lambda: _half(make_png(3)), 422, {"undecodable-media"}),
    "0.05 s": (lambda: make_wav(0.05), 422, {"too-short-media"}),
    "silence": (lambda: _float_wav(np.zeros(16000)), 422, {"silent-media"}),
    "nan samples": (_nan_wav, 422, {"undecodable-media"}),
    "10 minutes": (lambda: _encoded(600, "FLAC"), 413, {"media-too-long"}),
    "png bomb": (_bomb, 413, {"media-too-large"}),
    "webp of 25 megapixels": (_large_webp, 413, {"media-too-large"}),
}


@pytest.mark.parametrize("way", ["multipart", "raw"])
@pytest.mark.parametrize("call", ["/v1/search/images", "/v1/search/captions", "/v1/embeddings"])
@pytest.mark.parametrize("what", sorted(BAD))
def test_media_that_cannot_be_used(client: TestClient, what: str, call: str, way: str) -> None:
    make, status, names = BAD[what]
    data = make()
    if way == "multipart":
        answer = client.post(call, files={"file": ("recording.wav", data, "audio/wav")})
    else:
        answer = client.post(call, content=data, headers={"content-type": "audio/wav"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"].removeprefix(PROBLEM) in names
    assert body["detail"].endswith(".")
    assert "\n" not in body["detail"]


@pytest.mark.parametrize(
    "data",
    [
        make_wav(1, sample_rate_hz=192_000, channels=8),
        _encoded(1, "FLAC"),
        _encoded(1, "OGG", "VORBIS"),
        _encoded(1, "OGG", "OPUS"),
        _encoded(1, "MP3"),
        _picture("JPEG"),
        _picture("WEBP"),
        _picture("GIF"),
        _picture("TIFF"),
    ],
)
def test_media_of_other_kinds_are_taken(client: TestClient, data: bytes) -> None:
    answer = client.post("/v1/search/images", content=data)
    assert answer.status_code == 200, answer.text


BOUNDARY = "multipart/form-data; boundary=x"
END = b"\r\n--x--\r\n"


def _part(disposition: bytes, content: bytes = b"x", more: bytes = b"") -> bytes:
    return b"--x\r\nContent-Disposition: form-data" + disposition + b"\r\n" + more + b"\r\n" + content


FORMS: dict[str, tuple[bytes, str]] = {
    "no boundary": (b"", "multipart/form-data"),
    "no body": (b"", BOUNDARY),
    "no end": (b"--x\r\n", BOUNDARY),
    "no form": (b"nothing of the kind", BOUNDARY),
    "no name": (_part(b"") + END, BOUNDARY),
    "text in place of the file": (_part(b'; name="file"') + END, BOUNDARY),
    "another field": (_part(b'; name="other"; filename="a"') + END, BOUNDARY),
    "a charset of host names": (_part(b'; name="\xff\xfe"', b"\xff") + END, f"{BOUNDARY}; charset=idna"),
    "a charset of nowhere": (_part(b'; name="file"', b"\xff") + END, f"{BOUNDARY}; charset=a\x01b"),
    "too many headers": (_part(b'; name="file"; filename="a"', more=b"X: y\r\n" * 3000) + END, BOUNDARY),
    "too long a text": (_part(b'; name="t"', b"t" * 100_000) + END, BOUNDARY),
    "too many texts": (b"\r\n".join(_part(b'; name="t%d"' % n) for n in range(99)) + END, BOUNDARY),
}


@pytest.mark.parametrize("what", sorted(FORMS))
def test_a_form_that_cannot_be_read(client: TestClient, what: str) -> None:
    body, kind = FORMS[what]
    answer = client.post("/v1/search/images", content=body, headers={"content-type": kind})
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == PROBLEM + "bad-upload"


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"", "", "The request has no body: send a recording or a picture as the multipart field 'file'"),
        (b"nothing of the kind", BOUNDARY, "The multipart body is damaged: it does not consist of parts"),
        (b"", "multipart/form-data", "The Content-Type is multipart/form-data without a boundary"),
        (_part(b"") + END, BOUNDARY, "A part of the multipart body has no name: send each file as the field"),
        (_part(b'; name="file"; filename="a"', make_wav()), BOUNDARY, "The multipart body is cut off: the"),
        (b"", BOUNDARY, "The multipart body is cut off: the boundary that closes it is missing"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_plainly(
    client: TestClient, body: bytes, kind: str, said: str
) -> None:
    answer = client.post("/v1/search/images", content=body, headers={"content-type": kind} if kind else {})
    assert answer.json()["detail"].startswith(said)


def test_more_files_than_the_call_takes(client: TestClient) -> None:
    two = [("file", ("a", make_wav())), ("file", ("b", make_wav()))]
    refused = client.post("/v1/search/images", files=two).json()
    assert refused["type"] == PROBLEM + "bad-upload"
    assert refused["detail"] == "This call takes one file: send several to /v1/search/images/batch."
    many = [("file", (str(n), make_wav(0.2))) for n in range(17)]
    refused = client.post("/v1/embeddings", files=many).json()
    assert refused["type"] == PROBLEM + "bad-upload"
    assert refused["detail"] == "This call takes at most 16 files."
    assert len(client.post("/v1/embeddings", files=many[:16]).json()["data"]) == 16


@pytest.mark.parametrize("call", ["/v1/search/images", "/v1/search/captions/batch", "/v1/embeddings"])
def test_a_field_beside_the_file_would_go_unheeded_and_is_refused(client: TestClient, call: str) -> None:
    file = ("file", ("a", make_wav()))
    answer = client.post(call, files=[file], data={"k": "3", "note": "x"})
    assert (answer.status_code, answer.json()["type"]) == (400, PROBLEM + "bad-upload")
    assert answer.json()["detail"] == (
        "The multipart body has 'k', 'note' beside 'file': no other field is taken, and options such as k "
        "are query parameters."
    )
    answer = client.post(call, files=[file, ("image" * 99, ("b", make_wav()))])
    assert (answer.status_code, answer.json()["type"]) == (400, PROBLEM + "bad-upload")
    assert len(answer.json()["detail"]) < 300


# The limit on the body, counted before anything is parsed.

LIMIT = 200_000


@pytest.fixture(scope="module")
def limited(index: Path) -> Iterator[TestClient]:
    with LocalClient(create_app(Settings(index=index, threads=1, max_body_bytes=LIMIT))) as client:
        yield client


def _in_pieces(beginning: bytes = b"") -> Iterator[bytes]:
    yield beginning
    for _ in range(LIMIT // 10_000 + 1):
        yield b"\0" * 10_000


FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.mark.parametrize("call", ["/v1/search/images", "/v1/embeddings"])
@pytest.mark.parametrize("with_length", [True, False])
@pytest.mark.parametrize(("beginning", "kind"), [(b"", "audio/wav"), (FORM, BOUNDARY)])
def test_a_body_over_the_limit(
    limited: TestClient, call: str, with_length: bool, beginning: bytes, kind: str
) -> None:
    pieces = _in_pieces(beginning)
    content = b"".join(pieces) if with_length else pieces
    answer = limited.post(call, content=content, headers={"content-type": kind})
    assert answer.status_code == 413
    assert answer.json()["type"] == PROBLEM + "body-too-large"
    assert answer.json()["detail"] == "The request body is larger than the 200,000 bytes that are taken here."
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_at_the_limit_is_read(limited: TestClient) -> None:
    assert limited.post("/v1/search/images", content=b"\0" * LIMIT).status_code == 415
    assert limited.get("/v1/limits").json()["max_body_bytes"] == LIMIT


def test_the_server_goes_on_after_all_that(app: FastAPI, client: TestClient) -> None:
    for what in sorted(BAD):
        client.post("/v1/search/images", content=BAD[what][0]())
    assert client.post("/v1/search/images", content=make_wav()).status_code == 200
    assert client.get("/readyz").json()["status"] == "ready"
    assert app.state.service.keeper.holder._readers == {}
