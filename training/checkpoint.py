"""Run folder on disk: what a fit needs to go on, and what export and evaluate read.

    <run>/preset.json   the preset as composed      last.pt   state to go on from
          data.json     what it is fitted on, and   best.pt   weights at the best dev recall so far
                        what it began with          log.jsonl a line every ten steps and every evaluation
          dev.json      the newest dev scores       tensorboard/, cache/    where asked for

Files are replaced by write, fsync, rename: a kill leaves the old one or the new one. A run that goes on
after a kill writes the log's lines since its last checkpoint once more.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from indexer.durable import fsync_folder, replace_text
from training.preset import Preset, PresetError
from training.preset_file import parse_preset
from training.towers.dual import DualEncoder


class RunError(Exception):
    """A run folder that is not one, or belongs to another experiment."""


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Tensors and plain values, atomically."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    fsync_folder(path.parent)


def load_state(path: Path) -> dict[str, Any]:
    """What `save_state` wrote; nothing but tensors and plain values is ever unpickled."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RunError(
            f"{path.parent} holds no {path.name}: its fit has not come so far; to go on where it stopped, "
            "give the command it was begun with again: python -m training fit --preset PRESET --data CORPUS "
            f"--out {path.parent}, and whatever else was given"
        ) from error
    except Exception as error:  # torch.load raises many kinds on a damaged file
        raise RunError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}); delete it or fit again"
        ) from error
    return state


def read_preset(run: Path) -> Preset:
    """The preset that a run was started with."""
    path = run / "preset.json"
    if not path.is_file():
        raise RunError(f"{run} is not a run folder: preset.json is not there")
    try:
        return parse_preset(path.read_text(encoding="utf-8"))
    except (PresetError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read ({error}); fit again in another folder") from error


def read_data(run: Path) -> dict[str, Any]:
    """What a run is fitted on, as `start_run` was told."""
    path = run / "data.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}); fit again in another folder") from error
    return data


def read_metrics(path: Path) -> dict[str, Any]:
    """What `evaluate --out` wrote, to be kept in a bundle."""
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read as the JSON of evaluate --out ({error})") from error
    if not isinstance(metrics, dict):
        raise RunError(f"{path} is not an object of rows, as evaluate --out writes it")
    return metrics


def check_run(run: Path, preset: Preset, data: dict[str, Any]) -> None:
    """RunError where the folder was started on another experiment, saying what differs."""
    if (run / "preset.json").is_file():
        there = first_difference(read_preset(run).model_dump(), preset.model_dump())
        if there:
            raise RunError(f"{run} was started with {there}; give another --out, or the settings it has")
        recorded = read_data(run)
        for key in ("pictures", "clips", "items"):
            if key in recorded and recorded[key] != data[key]:
                raise RunError(
                    f"{run} was started on other data ({key}: {recorded[key]}, now {data[key]}); "
                    "give another --out, or the data it has"
                )
        began, begins = recorded.get("warm_start"), data.get("warm_start")
        if began != begins:
            raise RunError(
                f"{run} was started with the towers of {began or 'no other run'}, not {begins or 'of none'}; "
                "give another --out, or the --warm-start it has"
            )


def start_run(run: Path, preset: Preset, data: dict[str, Any]) -> None:
    """Make the folder, and say in it what experiment it is."""
    run.mkdir(parents=True, exist_ok=True)
    replace_text(run / "data.json", json.dumps(data, indent=1))
    replace_text(run / "preset.json", preset.model_dump_json(indent=1))


def first_difference(old: Any, new: Any, place: str = "") -> str:
    """The first value that is another, as `place = old, not new`; empty where all are the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = [(key, old.get(key), new.get(key)) for key in old]
    elif isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        pairs = [(str(i), *both) for i, both in enumerate(zip(old, new, strict=True))]
    else:
        return "" if old == new else f"{place} = {old}, not {new}"
    found = (first_difference(a, b, f"{place}.{key}" if place else key) for key, a, b in pairs)
    return next(filter(None, found), "")


def load_model(run: Path) -> tuple[DualEncoder, Preset, dict[str, Any]]:
    """The run's best weights in evaluation mode, its preset, and {"step", "metrics"}."""
    preset = read_preset(run)
    state = load_state(run / "best.pt")
    model = DualEncoder(preset, load_pretrained=False)
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise RunError(f"{run / 'best.pt'} is of another version's model; fit again") from error
    return model.eval(), preset, {"step": state["step"], "metrics": state["metrics"]}
