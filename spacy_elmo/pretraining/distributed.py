"""The processes of a run: one, or as many as torchrun started."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..bilm.device import usable
from ..errors import ArgumentError
from .errors import ConfigError


@dataclass(frozen=True)
class Ranks:
    """The place of a process among those of a run.

    Attributes:
        rank: Its number, 0 to `size - 1`.
        size: How many there are.
        local_rank: Its number on its machine.
        device: Its own.
    """

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
        return DistributedDataParallel(module, gradient_as_bucket_view=True)

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
        """Wait until all ranks have come here."""
        if self.size > 1:
            dist.barrier()

    def all_equal(self, text: str) -> bool:
        """Whether all ranks gave the same text."""
        return len(set(self._texts(text))) == 1

    def of_machine(self, text: str) -> str:
        """The text that the first rank of this machine gave."""
        return self._texts(text)[self.rank - self.local_rank]

    def _texts(self, text: str) -> list[str]:
        """Of all ranks, in their order, in which those of a machine are neighbours."""
        texts = [text] * self.size
        if self.size > 1:
            dist.all_gather_object(texts, text)
        return texts


def n_processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def n_processors_of_rank() -> int:
    """Its share of them, where torchrun has started several ranks on this machine; one at least."""
    return max(1, n_processors() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


@contextmanager
def joined_ranks(device: str | None) -> Iterator[Ranks]:
    """Join the group that torchrun's environment variables describe, and leave it at the end.

    NCCL between GPUs, gloo between CPUs. Without these variables, a single rank.

    Args:
        device: None for this rank's GPU where there are any, else the CPU.

    Raises:
        ConfigError: There is no such device.
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    if device is None and torch.cuda.is_available():
        device = f"cuda:{local_rank % torch.cuda.device_count()}"
    try:
        place = usable(device)
    except ArgumentError as error:
        raise ConfigError(f"system.{error}") from None
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if size == 1:
        yield Ranks(0, 1, 0, place)
        return
    # While the first rank prepares a corpus the others wait, for hours if need be; a rank that dies ends the wait.
    timeout = timedelta(days=2)
    store, rank, size = next(dist.rendezvous("env://", timeout=timeout))
    backend = "nccl" if place.type == "cuda" else "gloo"
    fresh = dist.PrefixStore(_new_prefix(store, rank, size), store)
    dist.init_process_group(backend, timeout=timeout, store=fresh, rank=rank, world_size=size)
    try:
        yield Ranks(dist.get_rank(), size, local_rank, place)
    finally:
        # A thread of gloo's that still has to let go of a tensor needs the interpreter for it; the group's end, which
        # waits for the thread and holds the interpreter, would be a deadlock. During a sleep the thread gets on.
        time.sleep(0.05)
        dist.destroy_process_group()


def _new_prefix(store: dist.Store, rank: int, size: int) -> str:
    """Agree on a prefix to the store's keys that no earlier ranks have used.

    After a restart torchrun gives the new processes the store of the old ones, in which addresses of dead processes
    stand; and the machines of a run may differ in how many restarts they count. So the first rank names a prefix, and
    the others know that it is not an earlier first rank's by its knowing their own names.
    """
    name = uuid.uuid4().hex
    if rank == 0:
        store.set("prefix", name)
        for other in range(1, size):
            store.set(f"{name}/known/{other}", store.get(f"{name}/name/{other}").decode())
        return name
    while True:
        prefix = store.get("prefix").decode()
        store.set(f"{prefix}/name/{rank}", name)
        if store.check([known := f"{prefix}/known/{rank}"]) and store.get(known).decode() == name:
            return prefix
        time.sleep(0.1)
