"""Run folder on disk: what a fit needs to go on, and what export and evaluate read.

    <run>/preset.json    the preset as composed     last.pt   resume state     best.pt   weights at the best dev recall
          log.jsonl      one line a logged step     data.json what it was fitted on
Files are replaced by write, fsync, rename: a kill leaves the old one or the new one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from indexer.durable import fsync_folder, replace_text
from training.preset import Preset
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
            f"{path.parent} holds no {path.name}; fit it first: python -m training fit --out {path.parent}"
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
    return Preset.model_validate_json(path.read_text(encoding="utf-8"))


def start_run(run: Path, preset: Preset, data: dict[str, Any]) -> None:
    """Make the folder, or check that it belongs to this very experiment."""
    run.mkdir(parents=True, exist_ok=True)
    if (run / "preset.json").is_file():
        if read_preset(run) != preset:
            raise RunError(
                f"{run} was started with other settings; give another --out, or the settings it has"
            )
        if json.loads((run / "data.json").read_text(encoding="utf-8")) != data:
            raise RunError(f"{run} was started on other data; give another --out, or the data it has")
        return
    replace_text(run / "data.json", json.dumps(data, indent=1))
    replace_text(run / "preset.json", preset.model_dump_json(indent=1))


def load_model(run: Path) -> tuple[DualEncoder, Preset, dict[str, Any]]:
    """The run's best weights in evaluation mode, its preset, and {"step", "metrics"}."""
    preset = read_preset(run)
    state = load_state(run / "best.pt")
    model = DualEncoder(preset, load_pretrained=False)
    model.load_state_dict(state["model"])
    return model.eval(), preset, {"step": state["step"], "metrics": state["metrics"]}
