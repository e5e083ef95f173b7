"""Presets as TOML: those that ship lie in `training/presets/`, and a path to any other file works as well."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from training.preset import Preset, PresetError

PRESETS = Path(__file__).resolve().parent / "presets"


def shipped() -> list[str]:
    """Names of the presets that ship."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def load_preset(name_or_path: str, changes: dict[str, str] | None = None) -> Preset:
    """A shipped preset by name or any TOML file by path.

    `changes` sets single values: {"optimiser.lr": "0.001", "stages.0.steps": "100"}.
    Raises PresetError where the file, a change or the whole does not hold together.
    """
    path = PRESETS / f"{name_or_path}.toml" if name_or_path in shipped() else Path(name_or_path)
    if not path.is_file():
        raise PresetError(
            f"no preset {name_or_path!r}; shipped are {', '.join(shipped())}, or give a TOML file"
        )
    try:
        values = _read(path)
        for key, text in (changes or {}).items():
            _set(values, key, text)
        return Preset.model_validate(values)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PresetError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise PresetError(f"preset {path.name}: {_sentence(error)}") from error


def parse_preset(text: str) -> Preset:
    """A preset from the JSON that a run folder keeps. Raises PresetError."""
    try:
        return Preset.model_validate_json(text)
    except ValidationError as error:
        raise PresetError(_sentence(error)) from error


def _sentence(error: ValidationError) -> str:
    """The first fault: where it is, what is wanted, what is there."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *above, last = (str(part) for part in first["loc"])
        known = _keys_of(first["loc"][:-1])
        near = get_close_matches(last, known, n=1)
        meant = f"did you mean {'.'.join([*above, near[0]])}?" if near else f"there are {', '.join(known)}"
        return f"{place}: there is no such key; {meant}"
    told = first["msg"].removeprefix("Value error, ")
    value = first["input"]
    given = f", not {value!r}" if isinstance(value, str | int | float) else ""
    return f"{place}: {told[:1].lower() + told[1:]}{given}"


def _keys_of(place: Sequence[str | int]) -> list[str]:
    """The keys of the preset's table at `place`, such as ("stages", 0)."""
    table: type[BaseModel] = Preset
    for part in place:
        if isinstance(part, str):
            kind = table.model_fields[part].annotation
            inner = (kind, *get_args(kind))  # a table, or a tuple of one kind of table
            table = next(one for one in inner if isinstance(one, type) and issubclass(one, BaseModel))
    return list(table.model_fields)


def _read(path: Path) -> dict[str, Any]:
    """The file's values over those of the shipped preset that it `extends`, if it does; tables are merged."""
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    base = values.pop("extends", None)
    if base is None:
        return values
    if base not in shipped() or path.resolve() == PRESETS / f"{base}.toml":
        raise PresetError(f"preset {path.name} extends {base!r}; shipped are {', '.join(shipped())}")
    return _merge(_read(PRESETS / f"{base}.toml"), values)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both_tables = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both_tables else value
    return merged


def _set(values: dict[str, object], key: str, text: str) -> None:
    *parents, last = key.split(".")
    table: object = values
    for parent in parents:
        if isinstance(table, list) and parent.isdigit() and int(parent) < len(table):
            table = table[int(parent)]
        elif isinstance(table, dict):
            table = table.setdefault(parent, {})
        else:
            raise PresetError(f"--set {key}: {parent} is not a table")
    if not isinstance(table, dict):
        raise PresetError(f"--set {key}: {last} has no table to go into")
    try:
        table[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[last] = text
