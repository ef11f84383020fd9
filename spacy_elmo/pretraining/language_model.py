"""A biLM with the softmax that it is trained with."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..bilm import BiLM, BiLMState
from .recurrence import Recurrence
from .sampler import Negatives
from .softmax import Softmax
from .windows import Window


class LanguageModel(nn.Module):
    """Two language models, one left to right and one right to left, that share word vectors and softmax
    (Peters et al. 2018, section 3.1).

    vocabulary: the words that can be predicted, "<S>", "</S>" and "<UNK>" first.
    """

    def __init__(self, bilm: BiLM, vocabulary: list[str]) -> None:
        super().__init__()
        self.bilm = bilm
        self.vocabulary = vocabulary
        # In a tuple: as a submodule it would name the biLM's parameters a second time.
        self._recurrence = (Recurrence(bilm),)
        self.softmax = Softmax(len(vocabulary), bilm.config.projection_dim).to(bilm.device)

    @property
    def recurrence(self) -> Recurrence:
        return self._recurrence[0]

    def forward(
        self, window: Window, state: BiLMState, negatives: Negatives | None, keep: Tensor | None
    ) -> tuple[Tensor, BiLMState]:
        """The mean loss in nats of all predictions of both directions, a scalar (see `Softmax`), and the state after
        the window, without gradients: back-propagation ends at the window's beginning.

        state: one sequence a lane.
        keep: what dropout multiplies with, (n_rows, recurrence.masked_size); None for no dropout.
        """
        table = self.bilm.char_cnn(self._tensor(window.ids))
        words = [table[self._tensor(inputs)] for inputs in window.inputs]
        masks = [] if keep is None else [keep]
        *tops, hidden, cell = self.recurrence(*words, self._tensor(window.starts), state.hidden, state.cell, *masks)
        loss = self.softmax(torch.cat(tops), self._tensor(window.targets).flatten(), negatives)
        # A captured recurrence gives all that it returns a place in the graph.
        return loss, BiLMState(hidden.detach(), cell.detach())

    def _tensor(self, array: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self.bilm.device)
