"""A biLM with the softmax that it is trained with."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..bilm import BiLM, BiLMState
from ..bilm.lstm import ProjectedLSTM
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
        self.softmax = Softmax(len(vocabulary), bilm.config.projection_dim).to(bilm.device)

    @property
    def masked_size(self) -> int:
        """Values of a row that dropout may take: each LSTM layer's input and the output, in both directions."""
        return 2 * (self.bilm.config.n_layers + 1) * self.bilm.config.projection_dim

    def forward(
        self, window: Window, state: BiLMState, negatives: Negatives | None, keep: Tensor | None
    ) -> tuple[Tensor, BiLMState]:
        """The mean loss in nats of all predictions of both directions, a scalar (see `Softmax`), and the state after
        the window, without gradients: back-propagation ends at the window's beginning.

        state: one sequence a lane.
        keep: what dropout multiplies with, (n_rows, masked_size); None for no dropout.
        """
        table = self.bilm.char_cnn(self._tensor(window.ids))
        starts = self._tensor(window.starts)
        parts = [None, None] if keep is None else keep.chunk(2, dim=1)
        halves = [
            self._run_direction(table[self._tensor(inputs)], stack, starts, state, direction, part)
            for direction, (inputs, stack, part) in enumerate(zip(window.inputs, self.bilm.stacks, parts, strict=True))
        ]
        outputs, hidden, cell = (list(part) for part in zip(*halves, strict=True))
        targets = self._tensor(window.targets).flatten()
        loss = self.softmax(torch.cat(outputs), targets, negatives)
        return loss, BiLMState(torch.stack(hidden).detach(), torch.stack(cell).detach())

    def _run_direction(
        self,
        x: Tensor,
        stack: list[ProjectedLSTM],
        starts: Tensor,
        state: BiLMState,
        direction: int,
        keep: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The top layer (n_rows, projection_dim), and the hidden and cell states of all layers."""
        batch_sizes = [state.n_sequences] * (len(x) // state.n_sequences)
        masks = [None] * (len(stack) + 1) if keep is None else list(keep.chunk(len(stack) + 1, dim=1))
        new_hidden, new_cell = [], []
        for number, (lstm, mask) in enumerate(zip(stack, masks, strict=False)):
            before = state.hidden[direction, number], state.cell[direction, number]
            x = x if mask is None else x * mask
            y, (hidden, cell) = lstm(x, batch_sizes, before, starts)
            x = y + x if number and self.bilm.config.skip_connections else y
            new_hidden.append(hidden)
            new_cell.append(cell)
        if masks[-1] is not None:
            x = x * masks[-1]
        return x, torch.stack(new_hidden), torch.stack(new_cell)

    def _tensor(self, array: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self.bilm.device)
