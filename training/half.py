"""Weights stored as float16 and computed with as float32: half the file, the same speed.

Each large float32 initializer becomes float16 with a Cast behind it, which ONNX Runtime folds when it loads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SMALLEST = 1024
"""Elements below which a tensor is left alone: norms, biases and shapes weigh nothing."""


def store_half(path: Path) -> float:
    """Rewrite the graph at `path` in place; a tensor that float16 cannot hold (overflow) is left as it is.

    Returns the largest rounding error of any weight, as a share of its tensor's largest value.
    """
    model = onnx.load(path)
    worst = 0.0
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < SMALLEST or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        half = values.astype(np.float16)
        error = np.abs(half.astype(np.float32) - values).max() / max(np.abs(values).max(), 1e-30)
        worst = max(worst, float(error))
        name, stored = tensor.name, tensor.name + ".float16"
        tensor.CopyFrom(numpy_helper.from_array(half, stored))
        casts.append(helper.make_node("Cast", [stored], [name], name + ".widen", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return worst
