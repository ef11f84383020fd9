"""The processes of a run: one, or as many as torchrun started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Ranks:
    """rank: this process's number, 0 to `size - 1`; local_rank: its number on its machine."""

    rank: int
    size: int
    local_rank: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over all ranks."""
        if self.size == 1:
            return module
        return DistributedDataParallel(module, broadcast_buffers=False, gradient_as_bucket_view=True)

    def sum(self, values: list[float]) -> list[float]:
        """The sums over all ranks, the same on each."""
        if self.size == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor]

    def gather(self, tensor: Tensor, dim: int) -> Tensor:
        """The ranks' tensors, of one shape, put together along a dimension."""
        if self.size == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts, dim=dim)

    def barrier(self) -> None:
        if self.size > 1:
            dist.barrier()

    def all_equal(self, text: str) -> bool:
        """Whether all ranks gave the same text."""
        if self.size == 1:
            return True
        texts: list[str | None] = [None] * self.size
        dist.all_gather_object(texts, text)
        return len(set(texts)) == 1


@contextmanager
def joined_ranks(device: str | None) -> Iterator[Ranks]:
    """Join the group that torchrun's environment variables describe, and leave it at the end. NCCL between GPUs, gloo
    between CPUs. Without these variables, a single rank.

    device: None for this rank's GPU where there are any, else the CPU.
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    if device is None:
        device = f"cuda:{local_rank % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    place = torch.device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if size == 1:
        yield Ranks(0, 1, 0, place)
        return
    # While the first rank prepares a corpus the others wait, for hours if need be; a rank that dies ends the wait.
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=timedelta(days=2))
    try:
        yield Ranks(dist.get_rank(), size, local_rank, place)
    finally:
        dist.destroy_process_group()
