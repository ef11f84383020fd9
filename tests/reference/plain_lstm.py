"""The LSTM layer in the plainest PyTorch: step after step, gradients from autograd. The judge of the fast ways."""

import torch
import torch.nn.functional as F
from torch import Tensor

from spacy_elmo.bilm.lstm import FORGET_BIAS, ProjectedLSTM, State


def plain_lstm(
    lstm: ProjectedLSTM, x: Tensor, batch_sizes: list[int], state: State, starts: Tensor | None = None
) -> tuple[Tensor, State]:
    """As `ProjectedLSTM.forward`, with the parameters of `lstm`."""
    hidden, cell = state
    kept = torch.ones(len(x), 1, dtype=x.dtype) if starts is None else (~starts).to(x.dtype)[:, None]
    outputs = []
    for rows, keep in zip(x.split(batch_sizes), kept.split(batch_sizes), strict=True):
        size = len(rows)
        new_hidden, new_cell = plain_step(lstm, rows, (hidden[:size] * keep, cell[:size] * keep))
        hidden, cell = torch.cat([new_hidden, hidden[size:]]), torch.cat([new_cell, cell[size:]])
        outputs.append(new_hidden)
    return torch.cat(outputs), (hidden, cell)


def plain_step(lstm: ProjectedLSTM, x: Tensor, state: State) -> State:
    hidden, cell = state
    i, j, f, o = F.linear(torch.cat([x, hidden], dim=1), lstm.weight, lstm.bias).chunk(4, dim=1)
    cell = torch.sigmoid(f + FORGET_BIAS) * cell + torch.sigmoid(i) * torch.tanh(j)
    cell = cell.clamp(-lstm.cell_clip, lstm.cell_clip)
    hidden = F.linear(torch.sigmoid(o) * torch.tanh(cell), lstm.projection)
    return hidden.clamp(-lstm.projection_clip, lstm.projection_clip), cell
