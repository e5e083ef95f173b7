"""Rendered scenes: pictures show their content, captions say nothing else, corpora resume and repeat."""

import json
import re
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer.progress import Stage
from training.scenes import Group, Relation, Scene, captions, draw_scene, paint, render_corpus, render_scene
from training.scenes.backdrops import PAINTERS, paint_backdrop
from training.scenes.drawings import DRAWINGS, draw_object
from training.scenes.vocabulary import COLOURS, LIGHTS, PLURALS, SETTINGS

MEANINGS = {"little": "small", "tiny": "small", "big": "large", "huge": "large"}
SINGULAR = {plural: kind for kind, plural in PLURALS.items()}
PHRASE = re.compile(
    rf"\b(?:(a|an|one|two|three|four) )?(?:(small|little|tiny|large|big|huge) )?"
    rf"({'|'.join(COLOURS)}) ({'|'.join([*SINGULAR, *PLURALS])})\b"
)
PINNED = [
    "in the kitchen there are three orange balloons beneath one little black cat",
    "three orange balloons in the kitchen",
    "three orange balloons and a little black cat in the kitchen",
    "there are three orange balloons beneath a little black cat in a bright kitchen",
    "three orange balloons below a small black cat in the kitchen",
]
COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4}


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "images").iterdir())}


def scenes(how_many: int) -> list[tuple[Scene, list[str]]]:
    drawn = [draw_scene(Random(f"s{k}"), "close-up" if k % 5 == 0 else "scene") for k in range(how_many)]
    return [(scene, captions(scene, Random(f"c{k}"))) for k, scene in enumerate(drawn)]


# Captions


def test_phrases_of_captions_are_in_the_content() -> None:
    for scene, sentences in scenes(400):
        for sentence in sentences:
            found = list(PHRASE.finditer(sentence))
            for match in found:
                count, size, colour, noun = match.groups()
                kind = noun if noun in PLURALS else SINGULAR[noun]
                group = next(g for g in scene.groups if (g.kind, g.colour) == (kind, colour))
                assert COUNTS[count or "one"] == group.count, sentence
                assert noun == (group.kind if group.count == 1 else PLURALS[group.kind]), sentence
                assert size is None or MEANINGS.get(size, size) == group.size, sentence
            said = set(re.findall(r"[a-z]+", sentence))
            nouns = {word for word in said if word in PLURALS or word in SINGULAR}
            shown = {g.kind if g.count == 1 else PLURALS[g.kind] for g in scene.groups}
            # "under the moon and stars" names a setting, not an object
            assert nouns - ({"stars"} if "moon and stars" in sentence else set()) <= shown, sentence
            place = " ".join(SETTINGS.get(scene.setting, ("",)))
            hues = {word for word in said if word in COLOURS and word not in place}
            assert hues <= {g.colour for g in scene.groups}, sentence
            assert hues or found, sentence


def test_places_and_hours_of_captions_are_those_of_the_scene() -> None:
    for scene, sentences in scenes(300):
        for sentence in sentences:
            for setting, phrases in SETTINGS.items():
                if setting != scene.setting:
                    assert not any(re.search(rf"\b{phrase}\b", sentence) for phrase in phrases), sentence
            if re.search("dusk|sunset|evening", sentence):
                assert scene.light == "dusk"


@pytest.mark.parametrize(
    ("said", "word", "forward"),
    [
        ("left of", "left of", True),
        ("right of", "left of", False),
        ("above|over", "above", True),
        ("below|under|beneath", "above", False),
        ("in front of", "in front of", True),
        ("behind", "in front of", False),
    ],
)
def test_relations_of_captions_are_those_of_the_scene(said: str, word: str, forward: bool) -> None:
    seen = 0
    between = re.compile(rf"{PHRASE.pattern}(?: is| are)?(?: to the| on the)? (?:{said}) {PHRASE.pattern}")
    for scene, sentences in scenes(400):
        for match in filter(None, map(between.search, sentences)):
            seen += 1
            nouns = [match.group(4), match.group(8)]
            kinds = [noun if noun in PLURALS else SINGULAR[noun] for noun in nouns]
            first, second = kinds if forward else kinds[::-1]
            told = {
                (scene.groups[r.subject].kind, r.word, scene.groups[r.object].kind) for r in scene.relations
            }
            assert (first, word, second) in told, match.string
    assert seen > 5


def test_captions_are_five_distinct_grammatical_sentences() -> None:
    lengths = []
    for scene, sentences in scenes(400):
        assert len(set(sentences)) == 5
        for sentence in sentences:
            words = sentence.split()
            lengths.append(len(words))
            assert (3 if scene.level == "close-up" else 5) <= len(words) <= 16
            assert not re.search(r"\ba (?=[aeiou])|\ban (?![aeiou])|  ", sentence), sentence
            assert not re.search(r"there is (two|three|four)|there are (a|an|one)\b", sentence), sentence
    assert 8 < np.mean(lengths) < 13


def test_most_captions_say_the_setting_and_both_objects() -> None:
    both, where, total = 0, 0, 0
    for scene, sentences in scenes(400):
        if scene.level == "scene" and len(scene.groups) == 2:
            total += 5
            both += sum(all(re.search(rf"\b{g.colour}\b", s) for g in scene.groups) for s in sentences)
            where += sum(any(phrase in s for phrase in SETTINGS[scene.setting]) for s in sentences)
    assert both / total > 0.8
    assert where / total > 0.7


def test_captions_of_a_seed_stay_what_they_were() -> None:
    # A change here changes every corpus already spoken and trained on.
    scene = draw_scene(Random("pinned"))
    assert captions(scene, Random("pinned")) == PINNED


# Pictures


def test_there_is_a_drawing_for_each_kind_and_a_painter_for_each_setting() -> None:
    assert list(DRAWINGS) == list(PLURALS)
    assert list(PAINTERS) == list(SETTINGS)
    assert len(PLURALS) >= 3 * len(SETTINGS)


@pytest.mark.parametrize("kind", list(PLURALS))
def test_a_kind_fills_its_sheet_mostly_in_its_own_colour(kind: str) -> None:
    palette = np.array(list(COLOURS.values()), float)
    for index, colour in enumerate(COLOURS):
        pixels = np.asarray(draw_object(kind, colour, 160, Random(kind)), float)
        assert pixels.shape[2] == 4
        assert 0.4 * 160 < max(pixels.shape[:2]) <= 168
        opaque = pixels[pixels[..., 3] > 200][:, :3]
        assert len(opaque) > 0.12 * 160 * 160
        nearest = np.argmin(((opaque[:, None] - palette) ** 2).sum(-1), 1)
        votes = np.bincount(nearest, minlength=len(palette))
        assert votes[index] / len(opaque) > 0.28, colour


def test_kinds_look_unlike_one_another_at_96_pixels() -> None:
    outlines = []
    for kind in PLURALS:
        drawn = draw_object(kind, "red", 160, Random(0)).resize((32, 32))
        outlines.append(np.asarray(drawn, float).ravel())
    for index, one in enumerate(outlines):
        others = [np.abs(one - other).mean() for k, other in enumerate(outlines) if k != index]
        assert min(others) > 12, list(PLURALS)[index]


@pytest.mark.parametrize("setting", list(SETTINGS))
def test_a_setting_is_painted_whole_and_never_twice_alike(setting: str) -> None:
    seen = set()
    for light in LIGHTS:
        for seed in range(3):
            image = paint_backdrop(setting, light, 96, Random(seed))
            assert (image.mode, image.size) == ("RGB", (96, 96))
            pixels = np.asarray(image)
            assert pixels.std() > 8
            assert not (pixels.sum(-1) == 0).any(), "a gap was left unpainted"
            seen.add(image.tobytes())
    # Night has one light; what differs there is the draw.
    assert len(seen) == (3 if setting == "night sky" else 6)


def centres(relation: str, seed: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the red and the blue pixels of a scene lie (x, y) when red is `relation` blue."""
    sizes = ("small", "large") if relation == "in front of" else ("medium", "medium")
    rng = Random(seed)
    first, second = rng.sample(["balloon", "mug", "car", "apple", "umbrella", "star"], 2)
    groups = (Group(first, "red", 1, sizes[0]), Group(second, "blue", 1, sizes[1]))
    scene = Scene("scene", "plain", "day", groups, (Relation(0, relation, 1),))
    pixels = np.asarray(paint(scene, rng, 128)).astype(int)
    red, blue = pixels[..., 0] - pixels[..., 2] > 110, pixels[..., 2] - pixels[..., 0] > 90
    assert red.sum() > 150
    assert blue.sum() > 150
    (red_y, red_x), (blue_y, blue_x) = (np.argwhere(mask).mean(0) for mask in (red, blue))
    return (red_x, red_y), (blue_x, blue_y)


@pytest.mark.parametrize("seed", range(12))
def test_a_picture_shows_its_relation(seed: int) -> None:
    red, blue = centres("left of", seed)
    assert red[0] + 25 < blue[0]
    red, blue = centres("above", seed)
    assert red[1] + 25 < blue[1]
    red, blue = centres("in front of", seed)
    assert red[1] > blue[1] + 8


def islands(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> list[int]:
    """Pixels of each connected patch of the mask."""
    left, sizes = {(int(y), int(x)) for y, x in np.argwhere(mask)}, []
    while left:
        edge, size = [left.pop()], 1
        while edge:
            y, x = edge.pop()
            near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & left
            left -= near
            edge.extend(near)
            size += len(near)
        sizes.append(size)
    return sizes


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("neighbour", ["none", "left of", "above"])
def test_a_picture_shows_as_many_as_it_says(count: int, neighbour: str) -> None:
    flowers = Group("flower", "blue", count, "medium")
    for seed in range(6):
        scene = Scene("scene", "plain", "day", (flowers,), ())
        if neighbour != "none":
            apples, relation = Group("apple", "red", 2, "medium"), Relation(0, neighbour, 1)
            scene = replace(scene, groups=(flowers, apples), relations=(relation,))
        pixels = np.asarray(paint(scene, Random(seed), 192)).astype(int)
        # Each blue flower has one golden heart, and nothing else in the picture is golden.
        golden = (pixels[..., 0] - pixels[..., 2] > 105) & (pixels[..., 1] - pixels[..., 2] > 70)
        hearts = [size for size in islands(golden) if size > 12]
        assert len(hearts) == count


@pytest.mark.parametrize("kind", list(PLURALS))
def test_objects_are_large_enough_to_be_recognised(kind: str) -> None:
    for seed, (count, size) in enumerate([(1, "small"), (2, "small"), (4, "medium")]):
        scene = Scene("scene", "plain", "day", (Group(kind, "red", count, size),), ())
        empty = np.asarray(paint_backdrop("plain", "day", 128, Random(seed))).astype(int)
        changed = np.abs(np.asarray(paint(scene, Random(seed), 128)).astype(int) - empty).max(-1) > 40
        assert changed.sum() > count * 0.02 * 128 * 128


def test_a_scene_comes_from_its_generator_alone() -> None:
    for level in ("scene", "close-up"):
        (image, scene), (again, same) = (render_scene(Random(7), level, 64) for _ in range(2))
        assert scene == same
        assert scene.level == level
        assert image.size == (64, 64)
        assert image.tobytes() == again.tobytes()
    with pytest.raises(ValueError, match="'portrait'"):
        render_scene(Random(7), "portrait")


# Corpora


def test_a_corpus_resumes_and_repeats(tmp_path: Path) -> None:
    first = render_corpus(tmp_path / "a", 12, 5, size=64, dev=2, test=3, close_ups=0.4, workers=1)
    assert (first.images, first.texts, first.drawn) == (12, 60, 12)
    before = pictures(tmp_path / "a")
    manifests = [(tmp_path / "a" / name).read_bytes() for name in ("images.jsonl", "texts.jsonl")]
    (tmp_path / "a/images/scene-000004.jpg").unlink()
    (tmp_path / "a/images/scene-000007.jpg").write_bytes(before["scene-000007.jpg"][:500])
    Image.new("RGB", (64, 64)).save(tmp_path / "a/images/scene-000009.jpg")
    again = render_corpus(tmp_path / "a", 12, 5, size=64, dev=2, test=3, close_ups=0.4, workers=1)
    assert again.drawn == 3
    assert pictures(tmp_path / "a") == before
    assert manifests == [(tmp_path / "a" / name).read_bytes() for name in ("images.jsonl", "texts.jsonl")]


def test_a_corpus_is_the_same_from_several_processes(tmp_path: Path) -> None:
    for workers in (1, 2):
        render_corpus(tmp_path / str(workers), 40, 9, size=48, workers=workers)
    assert pictures(tmp_path / "1") == pictures(tmp_path / "2")


def test_manifests_agree_with_the_contract(tmp_path: Path) -> None:
    render_corpus(tmp_path, 20, 1, size=48, dev=4, test=5, close_ups=0.3, prefix="demo", workers=1)
    images, texts = read_lines(tmp_path / "images.jsonl"), read_lines(tmp_path / "texts.jsonl")
    assert [line["split"] for line in images] == ["test"] * 5 + ["dev"] * 4 + ["train"] * 11
    assert {line["level"] for line in images if line["split"] == "train"} == {"scene", "close-up"}
    assert {line["level"] for line in images if line["split"] != "train"} == {"scene"}
    for number, line in enumerate(images):
        assert line["id"] == f"demo-{number:06d}"
        with Image.open(tmp_path / line["path"]) as image:
            assert image.size == (48, 48)
        assert line["objects"] == len(line["content"])
        assert line["setting"] in SETTINGS or line["level"] == "close-up"
        mine = [text for text in texts if text["image_id"] == line["id"]]
        assert [text["id"] for text in mine] == [f"{line['id']}_{k}" for k in range(5)]
        assert {text["split"] for text in mine} == {line["split"]}
    assert not list(tmp_path.rglob("*.partial"))


def test_a_corpus_grows_without_moving_anything(tmp_path: Path) -> None:
    render_corpus(tmp_path, 6, 3, size=48, test=2, workers=1)
    few, drawn = read_lines(tmp_path / "texts.jsonl"), pictures(tmp_path)
    more = render_corpus(tmp_path, 9, 3, size=48, test=2, workers=1)
    assert more.drawn == 3
    assert read_lines(tmp_path / "texts.jsonl")[:30] == few
    assert drawn.items() <= pictures(tmp_path).items()


class Told:
    """A progress, and its own only stage, that remembers."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None]] = []
        self.reached: list[int] = []

    def stage(self, title: str, total: int | None = None) -> AbstractContextManager[Stage]:
        self.stages.append((title, total))
        return nullcontext(self)

    def reach(self, done: int, note: str = "") -> None:
        self.reached.append(done)


def test_progress_is_told_as_it_is_made(tmp_path: Path) -> None:
    told = Told()
    render_corpus(tmp_path, 40, 3, size=48, workers=1, progress=told)
    assert (told.stages, told.reached) == ([("draw scenes", 40)], [32, 40])


def test_figures_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="count=3"):
        render_corpus(tmp_path, 3, 1, dev=2, test=2)


def test_scenes_need_neither_torch_nor_the_serving_set() -> None:
    code = (
        "import sys, training.scenes; "
        "print({'torch', 'onnxruntime', 'faiss', 'av', 'fastapi'} & set(sys.modules) or 'none')"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "none"
