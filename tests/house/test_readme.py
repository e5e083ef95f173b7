"""The README's file tree is the tree, its links lead somewhere, and its commands name things that exist."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def listed() -> set[str]:
    """Paths in the README's tree; a folder ends with a slash, children are indented by two spaces."""
    (tree,) = blocks(README.partition("## The tree")[2].partition("\n## ")[0], "text")
    parents: list[str] = []
    found: set[str] = set()
    for line in tree.splitlines():
        depth, words = (len(line) - len(line.lstrip())) // 2, line.split(maxsplit=1)
        assert len(words) == 2, f"a line without its description: {line!r}"
        path = "".join(parents[:depth]) + words[0]
        parents[depth:] = [words[0]] if words[0].endswith("/") else []
        assert path not in found
        found.add(path)
    return found


def present() -> set[str]:
    """Files of the repository (it may lie here without git), less the two kinds that only have to exist."""
    lines = [line for line in (ROOT / ".gitignore").read_text().splitlines() if line and line[0] != "#"]
    ignored = [".git", "__init__.py", "py.typed", *(line.rstrip("/") for line in lines)]
    found: set[str] = set()
    for place, folders, names in os.walk(ROOT):
        above = Path(place).relative_to(ROOT)

        def kept(name: str, above: Path = above) -> bool:
            anchored = f"/{name}" if above == Path() else name
            return not any(fnmatch(name, pattern) or anchored == pattern for pattern in ignored)

        folders[:] = filter(kept, folders)
        found |= {(above / name).as_posix() for name in filter(kept, names)}
    return found


def test_the_tree_in_the_readme_is_the_tree() -> None:
    """A folder whose children are not listed stands for all it holds; every other file has its own line."""
    paths = listed()
    folders = {path for path in paths if path.endswith("/")}
    files = paths - folders
    whole = {folder for folder in folders if not any(p != folder and p.startswith(folder) for p in paths)}
    on_disk = present()
    assert files - on_disk == set(), "in the README, not in the repository"
    unlisted = {name for name in on_disk - files if not any(name.startswith(folder) for folder in whole)}
    assert unlisted == set(), "in the repository, not in the README"
    assert {folder for folder in whole if not any(name.startswith(folder) for name in on_disk)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_in_the_docs_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    code = "\n".join([*blocks(page.read_text(), "sh"), *re.findall(r"`([^`\n]+)`", page.read_text())])
    assert set(re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", code)) - targets == set()


def test_the_readme_shows_all_four_directions() -> None:
    shown = "\n".join(blocks(README, "sh")).replace("\\\n", "")
    calls = re.findall(r"curl [^\n]*@\S+\.(\w+)\s[^\n]*/v1/search/(images|captions)", shown)
    assert {(extension in {"jpg", "png"}, target) for extension, target in calls} == {
        (picture, target) for picture in (True, False) for target in ("images", "captions")
    }
