"""Tar shards: WebDataset's rule of names, in any tar; damage is named; equal samples give equal bytes."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from training.shards import END, PICTURES, ShardDamaged, find_shards, read_samples, shard_key, tar_member


def tar(path: Path, *members: tuple[str, bytes]) -> Path:
    """Written by the standard library, as other programs do."""
    with tarfile.open(path, "w") as file:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def test_files_with_the_same_key_are_one_sample_and_the_rest_is_passed_over(tmp_path: Path) -> None:
    shard = tar(
        tmp_path / "a.tar",
        ("000000001.jpg", b"picture"), ("000000001.json", b"{}"),
        ("000000002.txt", b"only text"),
        ("deep/er/x.seg.PNG", b"mask"), ("deep/er/x.jpg", b"deep"),
        ("README", b"no extension"), (".hidden.jpg", b""),
        ("000000003.jpg", b"last"),
    )  # fmt: skip
    samples = list(read_samples(shard))
    assert [(sample.key, sorted(sample.files)) for sample in samples] == [
        ("000000001", ["jpg", "json"]),
        ("000000002", ["txt"]),
        ("deep/er/x", ["jpg", "seg.png"]),
        ("000000003", ["jpg"]),
    ]
    found = samples[0].first(PICTURES)
    assert found is not None
    assert (found[0], found[1].read()) == ("jpg", b"picture")
    assert samples[1].first(PICTURES) is None


def test_a_tar_of_ours_is_a_tar_and_its_bytes_do_not_depend_on_the_day(tmp_path: Path) -> None:
    long = "folder/" + "x" * 150
    content = tar_member("a.flac", b"12345") + tar_member(f"{long}.json", b"{}" * 400) + END
    (tmp_path / "ours.tar").write_bytes(content)
    with tarfile.open(tmp_path / "ours.tar") as file:
        members = file.getmembers()
        assert [(m.name, m.size, m.mtime, m.uid, m.mode) for m in members] == [
            ("a.flac", 5, 0, 0, 0o644),
            (f"{long}.json", 800, 0, 0, 0o644),
        ]
    assert [sample.key for sample in read_samples(tmp_path / "ours.tar")] == ["a", long]


def test_a_dot_in_a_name_does_not_end_its_key(tmp_path: Path) -> None:
    key = shard_key("v1.2/dog.b")
    (tmp_path / "a.tar").write_bytes(tar_member(f"{key}.flac", b"x") + tar_member(f"{key}.json", b"x") + END)
    (sample,) = read_samples(tmp_path / "a.tar")
    assert sorted(sample.files) == ["flac", "json"]
    assert shard_key("dog-b") != shard_key("dog.b")


@pytest.mark.parametrize("damage", ["cut", "no tar", "empty", "twice"])
def test_a_damaged_shard_is_named(tmp_path: Path, damage: str) -> None:
    shard = tar(tmp_path / "broken.tar", ("1.jpg", b"x" * 5000), ("1.txt", b"y" * 5000))
    whole = shard.read_bytes()
    if damage == "twice":
        tar(shard, ("1.jpg", b"x"), ("1.jpg", b"y"))
    else:
        shard.write_bytes({"cut": whole[:7000], "no tar": b"hello" * 999, "empty": b""}[damage])
    with pytest.raises(ShardDamaged, match=r"broken\.tar (is not a whole tar file|holds 1\.jpg twice)"):
        list(read_samples(shard))


def test_shards_come_by_name(tmp_path: Path) -> None:
    for name in ("b-000010.tar", "b-000002.tar", ".half.tar", "b-000002.json", "c.tar.partial"):
        (tmp_path / name).touch()
    assert [path.name for path in find_shards(tmp_path)] == ["b-000002.tar", "b-000010.tar"]
