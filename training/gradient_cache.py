"""The gradient of a loss over a whole batch, though no process ever holds the whole batch's graph.

Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (GradCache): embed
in chunks without a graph; take the loss's gradient with respect to the embeddings; embed each chunk again
with its graph and hand it its rows of that gradient. The same for several processes, each with its own rows.
A single chunk is embedded once; in one process that is the plain step.

Batch norm normalises by the chunk at hand, as it would by a smaller batch, and takes each chunk's statistics
up once, not twice. Without batch norm the gradient is the plain step's. Shape legend: R rows of this process,
B rows of all, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from training.distributed import Ranks

Embed = Callable[[slice], tuple[Tensor, Tensor]]
"""Some rows of this process -> their speech and image embeddings; the same at every call."""


def backpropagate(
    model: nn.Module,
    embed: Embed,
    chunks: Sequence[slice],
    loss: Callable[[Tensor, Tensor], Tensor],
    ranks: Ranks,
) -> Tensor:
    """Leave in the model's parameters the gradient of loss(speech_BD, image_BD), and return the loss.

    `chunks` are this process's rows in order. Gradients have to be none before. Every process returns the
    same loss and ends with the same gradient.
    """
    with ExitStack() as stack:
        if len(chunks) > 1:
            stack.enter_context(torch.no_grad())
            stack.enter_context(statistics_at_rest(model))
        embedded = [embed(rows) for rows in chunks]
    both = zip(*embedded, strict=True)
    leaves = [ranks.gather(torch.cat(parts).detach()).requires_grad_() for parts in both]
    value = loss(*leaves)
    value.backward()  # type: ignore[no-untyped-call]  # not annotated
    if not ranks.first:
        # What the loss reaches by itself, which is the scale, counts once and not once a process.
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
    gradients = [ranks.own(leaf.grad) for leaf in leaves if leaf.grad is not None]
    for number, rows in enumerate(chunks):
        pair = embedded[number] if len(chunks) == 1 else embed(rows)
        torch.autograd.backward(pair, [gradient[rows] for gradient in gradients])
    ranks.sum_gradients(model.parameters())
    return value.detach()


@contextmanager
def statistics_at_rest(model: nn.Module) -> Iterator[None]:
    """Batch norm normalises by its batch as ever, and its running statistics stay as they are."""
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
