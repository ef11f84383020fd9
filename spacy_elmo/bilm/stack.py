"""The LSTM layers of a biLM, differentiable: the one loop over layers that training and fine-tuning run."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .lstm import LSTMLayer, run_side_by_side
from .packing import Packing
from .state import BiLMState
from .words import WordEncoder, WordTypes

Stacks = tuple[Sequence[LSTMLayer], Sequence[LSTMLayer]]


def run_stacks(
    stacks: Sequence[Sequence[LSTMLayer]],
    inputs: Sequence[Tensor],
    batch_sizes: Sequence[int],
    state: BiLMState,
    *,
    skip_connections: bool,
    starts: Tensor | None = None,
    keep: Sequence[Tensor] | None = None,
) -> tuple[list[list[Tensor]], BiLMState]:
    """All layers of one direction, or of both side by side (Peters et al. 2018, section 3.1).

    Args:
        stacks: The layers of each direction, the lowest first.
        inputs: What each direction reads, (n_rows, projection_dim), packed (see `packing`).
        batch_sizes: Rows of each step.
        state: Before the first step, of these directions, sequences in packed order.
        skip_connections: Whether each layer but the first adds its input to its output.
        starts: (n_rows,) bool, rows before which the state is set to zero; None for none.
        keep: What dropout multiplies with in each direction, (n_rows, (n_layers + 1) * projection_dim): each layer's
            input and the last one's output, side by side; None for no dropout.

    Returns:
        For each layer the output of each direction, (n_rows, projection_dim); and the new state.
    """
    masks = None if keep is None else list(zip(*(one.chunk(len(stacks[0]) + 1, dim=1) for one in keep), strict=True))
    xs = _masked(inputs, masks, 0)
    outputs, states = [], []
    for number, lstms in enumerate(zip(*stacks, strict=True)):
        before = list(zip(state.hidden[:, number], state.cell[:, number], strict=True))
        ys, after = run_side_by_side(lstms, xs, batch_sizes, before, starts)
        if number and skip_connections:
            ys = [y + x for y, x in zip(ys, xs, strict=True)]
        xs = _masked(ys, masks, number + 1)
        outputs.append(xs)
        states.append([torch.stack(part) for part in zip(*after, strict=True)])
    hidden, cell = (torch.stack(part, dim=1) for part in zip(*states, strict=True))
    return outputs, BiLMState(hidden, cell)


def _masked(xs: Sequence[Tensor], masks: Sequence[Sequence[Tensor]] | None, number: int) -> list[Tensor]:
    return list(xs) if masks is None else [x * mask for x, mask in zip(xs, masks[number], strict=True)]


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
    indices = [torch.from_numpy(order).to(device) for order in packing.directions]
    inputs = [tokens[index] for index in indices]
    outputs, new_state = run_stacks(
        stacks, inputs, packing.batch_sizes.tolist(), packed, skip_connections=skip_connections
    )
    backs = [torch.argsort(index) for index in indices]
    halves = [[tokens, tokens], *([y[back] for y, back in zip(layer, backs, strict=True)] for layer in outputs)]
    layers = torch.stack([torch.cat(both, dim=1) for both in halves])
    return layers, new_state.reorder(torch.argsort(order))
