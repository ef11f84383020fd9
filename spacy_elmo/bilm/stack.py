"""The LSTM layers of a biLM, differentiable: the one loop over layers that training and fine-tuning run."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .lstm import LSTMLayer
from .packing import Packing
from .state import BiLMState
from .words import WordEncoder, WordTypes

Stacks = tuple[Sequence[LSTMLayer], Sequence[LSTMLayer]]


def run_stack(
    stack: Sequence[LSTMLayer],
    x: Tensor,
    batch_sizes: Sequence[int],
    state: tuple[Tensor, Tensor],
    *,
    skip_connections: bool,
    starts: Tensor | None = None,
    keep: Tensor | None = None,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """All layers of one direction (Peters et al. 2018, section 3.1).

    Args:
        stack: The layers, the lowest first.
        x: (n_rows, projection_dim), packed (see `packing`).
        batch_sizes: Rows of each step.
        state: Hidden and cell before the first step, (n_layers, n_sequences, projection_dim) and (n_layers,
            n_sequences, cell_dim), sequences in packed order.
        skip_connections: Whether each layer but the first adds its input to its output.
        starts: (n_rows,) bool, rows before which the state is set to zero; None for none.
        keep: What dropout multiplies with, (n_rows, (n_layers + 1) * projection_dim): each layer's input and the last
            one's output, side by side; None for no dropout.

    Returns:
        The output of each layer, (n_rows, projection_dim), and the new hidden and cell, shaped as `state`.
    """
    masks: Sequence[Tensor | None] = [None] * (len(stack) + 1) if keep is None else keep.chunk(len(stack) + 1, dim=1)
    outputs, states = [], []
    x = _masked(x, masks[0])
    for number, (lstm, mask) in enumerate(zip(stack, masks[1:], strict=True)):
        y, new_state = lstm(x, batch_sizes, (state[0][number], state[1][number]), starts)
        x = _masked(y + x if number and skip_connections else y, mask)
        outputs.append(x)
        states.append(new_state)
    hidden, cell = zip(*states, strict=True)
    return outputs, torch.stack(hidden), torch.stack(cell)


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


def run_layers(
    encoder: WordEncoder, stacks: Stacks, types: WordTypes, state: BiLMState, *, skip_connections: bool
) -> tuple[Tensor, BiLMState]:
    """As `Engine.run`, differentiable and in the weights' own precision.

    A biLM in float64 is the measure of rounding errors.

    Args:
        encoder: What makes vectors of words.
        stacks: The LSTM layers of each direction, forward first.
        types: The batch.
        state: Of as many sequences.
        skip_connections: Whether each layer but the first adds its input to its output.

    Returns:
        Layers (n_layers + 1, n_rows, 2 * projection_dim), boundaries included, and the state after the batch. Both
        carry the graph.
    """
    packing, device = Packing.of(types.lengths), stacks[0][0].projection.device
    tokens = encoder(torch.from_numpy(types.ids).to(device))[torch.from_numpy(types.tokens).to(device)]
    order = torch.from_numpy(packing.order).to(device)
    packed = BiLMState(state.hidden.to(tokens.dtype), state.cell.to(tokens.dtype)).reorder(order)
    sizes = packing.batch_sizes.tolist()

    def run_direction(direction: int) -> tuple[Tensor, Tensor, Tensor]:
        index = torch.from_numpy(packing.directions[direction]).to(device)
        before = packed.hidden[direction], packed.cell[direction]
        outputs, hidden, cell = run_stack(
            stacks[direction], tokens[index], sizes, before, skip_connections=skip_connections
        )
        back = torch.argsort(index)
        return torch.stack([tokens, *(output[back] for output in outputs)]), hidden, cell

    layers, hidden, cell = zip(run_direction(0), run_direction(1), strict=True)
    new_state = BiLMState(torch.stack(hidden), torch.stack(cell))
    return torch.cat(layers, dim=2), new_state.reorder(torch.argsort(order))
