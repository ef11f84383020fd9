"""What a training step makes smaller: the loss of a language model over a window of text."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..bilm import BiLMState
from ..language.model import LanguageModel
from ..language.sampler import Negatives
from .recurrence import Recurrence
from .windows import Window


class Objective(nn.Module):
    """The mean loss of all predictions of both directions. Its parameters are the model's."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model
        # In a tuple: as a submodule it would name the biLM's parameters a second time.
        self._recurrence = (Recurrence(model.bilm),)

    @property
    def recurrence(self) -> Recurrence:
        """What computes the layers over time."""
        return self._recurrence[0]

    def forward(
        self, window: Window, state: BiLMState, negatives: Negatives | None, keep: Tensor | None
    ) -> tuple[Tensor, BiLMState]:
        """The loss of a window, and the state after it.

        Args:
            window: What the lanes read and have to predict.
            state: Before the window, one sequence a lane.
            negatives: None for the exact loss, see `Softmax`.
            keep: What dropout multiplies with, (n_rows, recurrence.masked_size); None for no dropout.

        Returns:
            The mean loss in nats, a scalar; and the state without gradients: back-propagation ends at the window's
            beginning.
        """
        table = self.model.bilm.word_encoder(self._tensor(window.ids))
        words = [table[self._tensor(inputs)] for inputs in window.inputs]
        masks = [] if keep is None else [keep]
        *tops, hidden, cell = self.recurrence(*words, self._tensor(window.starts), state.hidden, state.cell, *masks)
        loss = self.model.softmax(torch.cat(tops), self._tensor(window.targets).flatten(), negatives)
        # A captured recurrence gives all that it returns a place in the graph.
        return loss, BiLMState(hidden.detach(), cell.detach())

    def _tensor(self, array: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self.model.bilm.device)
