"""Several processes, one fit: who takes which rows of a batch, and what they hand each other.

`torchrun -m training fit ...` starts them; a process alone is rank 0 of 1 and talks to nobody. Every rank
keeps the same weights, because all take the same steps from the same summed gradient. Small talk goes over
gloo, tensors of a GPU over NCCL. Shape legend: R rows of this process, B rows of all, D embedding.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from indexer.cores import available_cores

T = TypeVar("T")

PATIENCE = timedelta(days=1)
"""How long ranks wait for one that works (it decodes, or evaluates). One that has died is noticed at once."""


class RankLost(Exception):
    """Another process of this fit has ended."""


class UnevenShare(Exception):
    """A batch that cannot be shared evenly among processes and chunks."""


@dataclass(frozen=True)
class Ranks:
    """This process's place among `count`."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def share(self, batch: int, chunk: int = 0) -> slice:
        """This process's rows of a batch. Raises UnevenShare."""
        parts = self.count * (chunk or 1)
        if batch % parts:
            of = f"processes: {self.count}" + (f", chunks of {chunk}" if chunk else "")
            raise UnevenShare(f"a batch of {batch} is no multiple of {parts} ({of}); take one that is")
        rows = batch // self.count
        return slice(self.rank * rows, (self.rank + 1) * rows)

    def gather(self, rows_RD: Tensor) -> Tensor:
        """[B, D]: the rows of every process, in the ranks' order. All give as many."""
        if self.count == 1:
            return rows_RD
        parts = [torch.empty_like(rows_RD) for _ in range(self.count)]
        with _reaching_others():
            distributed.all_gather(parts, rows_RD.contiguous())
        return torch.cat(parts)

    def own(self, rows_BD: Tensor) -> Tensor:
        """[R, D]: of gathered rows those of this process."""
        return rows_BD.chunk(self.count)[self.rank]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every gradient becomes the sum over all processes."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        with _reaching_others():
            distributed.all_reduce(flat)
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def any(self, here: bool) -> bool:
        """Whether it is true in any process; waits for all of them."""
        if self.count == 1:
            return here
        answer = torch.tensor(int(here))
        with _reaching_others():
            distributed.all_reduce(answer, distributed.ReduceOp.MAX)
        return bool(answer)

    def first_alone(self, work: Callable[[], T]) -> T:
        """`work` by rank 0, then, finding it done, by all the others."""
        if self.first:
            result = work()
            self.any(False)
            return result
        self.any(False)
        return work()


ALONE = Ranks()


@contextmanager
def open_ranks(device: torch.device) -> Iterator[Ranks]:
    """The place that torchrun gave this process, with its cores and its GPU; rank 0 of 1 without torchrun."""
    if not distributed.is_torchelastic_launched():
        yield ALONE
        return
    local, beside = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    torch.set_num_threads(max(1, available_cores() // beside))
    if device.type == "cuda":
        torch.cuda.set_device(local)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    yield Ranks(distributed.get_rank(), distributed.get_world_size())
    distributed.destroy_process_group()  # not after a fault: it may wait for those who are gone


@contextmanager
def _reaching_others() -> Iterator[None]:
    """torch raises several kinds of RuntimeError when a peer's connection ends, gloo the plain one."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise RankLost(
            "another process of this fit has ended (what it printed stands above, if it could); "
            "the same command goes on from the last checkpoint"
        ) from error
