"""Networks from timm, by name: made, given their weights, and what is wrong with them said in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import timm
from torch import nn

from training.preset import PresetError


class BackboneConfig(Protocol):
    """What both towers' configurations say of a network."""

    @property
    def model(self) -> str: ...
    @property
    def pretrained(self) -> bool: ...
    @property
    def weights(self) -> str: ...


def build_backbone(config: BackboneConfig, load_pretrained: bool, **options: Any) -> nn.Module:
    """The network, with random weights, timm's published ones or those in a file. Raises PresetError.

    `load_pretrained` False leaves out weights that a checkpoint is about to replace; `options` go to timm.
    """
    wanted = config.pretrained and load_pretrained
    if wanted and config.weights:
        if not Path(config.weights).is_file():
            raise PresetError(f"the weights {config.weights} for {config.model} are not there")
        options["pretrained_cfg_overlay"] = {"file": config.weights, "hf_hub_id": None, "url": None}
    try:
        network: nn.Module = timm.create_model(config.model, pretrained=wanted, **options)
    except (RuntimeError, ValueError, OSError) as error:
        raise PresetError(_sentence(config, wanted, error)) from error
    return network


def num_features(network: nn.Module) -> int:
    """Width of the pooled vector of a network made without a classifier."""
    width: Any = network.num_features
    return int(width)


def pixel_statistics(config: BackboneConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, in [0, 1], that the network's pretrained weights expect."""
    known = timm.get_pretrained_cfg(config.model)
    if known is None:
        raise PresetError(f"timm does not say how pixels are scaled for {config.model}; take another network")
    return tuple(known.mean), tuple(known.std)


def _sentence(config: BackboneConfig, wanted: bool, error: Exception) -> str:
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if isinstance(error, OSError) and wanted and not config.weights:
        return (
            f"the pretrained weights of {config.model} could not be fetched ({reason}); "
            "fetch them elsewhere and name the file as weights, or set pretrained = false"
        )
    if wanted:
        return f"{config.model} does not take its pretrained weights: {reason}"
    return f"the network {config.model} cannot be made: {reason}"
