"""All that a training step is given, as a function of its number; made ahead by other processes for a GPU."""

import signal
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader, Dataset

from ..language.sampler import LogUniformSampler, Negatives
from .randomness import Purpose, dropout_factors, generator
from .windows import Window, Windows


@dataclass(frozen=True)
class Batch:
    """What one step is given.

    Attributes:
        window: What the lanes read.
        negatives: None where the softmax is not sampled.
        keep: What dropout multiplies with, (n_rows, masked_size) float32; None for no dropout.
    """

    window: Window
    negatives: Negatives | None
    keep: npt.NDArray[np.float32] | None


class Batches(Dataset[Batch]):
    """The batch of each step.

    Args:
        windows: Of the whole run.
        sampler: Of negatives; None for a softmax that is not sampled.
        seed: Of all that is random.
        dropout: The probability that it takes a value.
        masked_size: Values of a row that it may take.
    """

    def __init__(
        self, windows: Windows, sampler: LogUniformSampler | None, seed: int, dropout: float, masked_size: int
    ) -> None:
        self.windows = windows
        self.sampler = sampler
        self.seed = seed
        self.dropout = dropout
        self.masked_size = masked_size

    def __getitem__(self, step: int) -> Batch:
        keep = None
        if self.dropout:
            lanes, unroll = self.windows.lanes, self.windows.unroll
            keep = dropout_factors(self.seed, step, lanes, unroll, self.masked_size, self.dropout)
        negatives = None
        if self.sampler:
            negatives = self.sampler.draw(generator(self.seed, step, Purpose.NEGATIVES))
        return Batch(self.windows.window(*divmod(step, self.windows.n_windows)), negatives, keep)

    def of_steps(self, steps: range, n_workers: int) -> Generator[Batch, None, None]:
        """The batches of some steps, in order.

        Args:
            steps: Their numbers.
            n_workers: Processes that make them ahead, until the generator is closed; 0 for none.
        """
        yield from DataLoader(
            self,
            batch_size=None,
            sampler=steps,
            num_workers=n_workers,
            collate_fn=_as_it_is,
            worker_init_fn=_leave_signals,
        )


def _as_it_is(batch: Any) -> Any:
    return batch


def _leave_signals(_: int) -> None:
    """A keyboard's interrupt and a scheduler's warning go to all processes.

    The one that trains needs batches until it has saved, and ends the others then.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
