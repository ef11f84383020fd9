"""Inference: any number of sentences of any length, with bounded working memory and without autograd.

Sentences are sorted by length and grouped into batches; the character CNN sees each distinct word of a batch once; the
LSTMs run over packed rows in chunks of time steps, each through all layers, with the state carried from chunk to chunk.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .lstm import ProjectedLSTM
from .packing import Packing
from .state import BiLMState
from .words import WordTypes

if TYPE_CHECKING:
    from .model import BiLM

# Rows (tokens and boundaries) of a batch. More rows make wider matrix products; past some thousands nothing is gained.
BATCH_ROWS = 8192
# Bytes of the largest temporary array in an LSTM layer. Sets the size of the chunks.
WORKING_BYTES = 64 * 2**20


def embed(bilm: "BiLM", sentences: Sequence[Sequence[str]]) -> list[npt.NDArray[np.float32]]:
    """See `BiLM.embed`."""
    config = bilm.config
    results = [np.zeros((config.n_layers + 1, 0, config.width), dtype=np.float32)] * len(sentences)
    for batch in batches([len(sentence) for sentence in sentences]):
        state = BiLMState.zeros(config, len(batch), bilm.device)
        layers, _ = embed_batch(bilm, [sentences[i] for i in batch], state)
        for i, array in zip(batch, layers, strict=True):
            results[i] = array
    return results


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of the sentences that are not empty, grouped by length into batches of at most BATCH_ROWS rows, or of one
    sentence where it alone is longer.
    """
    batch: list[int] = []
    rows = 0
    for i in sorted((i for i, length in enumerate(lengths) if length), key=lengths.__getitem__):
        if batch and rows + lengths[i] + 2 > BATCH_ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(i)
        rows += lengths[i] + 2
    if batch:
        yield batch


def embed_batch(
    bilm: "BiLM", sentences: Sequence[Sequence[str]], state: BiLMState
) -> tuple[list[npt.NDArray[np.float32]], BiLMState]:
    """Embed sentences as one batch, from a state to a state. See `BiLM.embed_stateful`."""
    if not sentences:
        return [], state
    types = WordTypes.of(sentences, bilm.config.max_characters)
    layers, new_state = run_layers(bilm, types, state)
    return _split(layers, types.lengths), new_state


@torch.no_grad()
def run_layers(bilm: "BiLM", types: WordTypes, state: BiLMState) -> tuple[Tensor, BiLMState]:
    """All layers of a batch, boundaries included, (n_layers + 1, n_rows, width), and the state after it."""
    config, device = bilm.config, bilm.device
    packing = Packing.of(types.lengths)
    order = torch.from_numpy(packing.order).to(device)
    packed_state = state.reorder(order)
    layers = torch.empty(config.n_layers + 1, len(types.tokens), config.width, device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bilm.precision == "bfloat16"):
        tokens = bilm.char_cnn(torch.from_numpy(types.ids).to(device))[torch.from_numpy(types.tokens).to(device)]
        for direction, (rows, stack) in enumerate(zip(packing.directions, bilm.stacks, strict=True)):
            half = layers[:, :, direction * config.projection_dim : (direction + 1) * config.projection_dim]
            half[0] = tokens
            _run_direction(bilm, half, torch.from_numpy(rows).to(device), stack, packing, packed_state, direction)
    return layers, packed_state.reorder(torch.argsort(order))


def _run_direction(
    bilm: "BiLM",
    layers: Tensor,
    index: Tensor,
    stack: list[ProjectedLSTM],
    packing: Packing,
    state: BiLMState,
    direction: int,
) -> None:
    """Fill `layers[1:]` (n_layers + 1, n_rows, projection_dim), from `layers[0]`, and advance the state in place."""
    chunk_rows = max(1, WORKING_BYTES // (4 * 4 * bilm.config.cell_dim))
    for steps, rows in packing.chunks(chunk_rows):
        flat = index[rows]
        sizes = packing.batch_sizes[steps].tolist()
        x = layers[0, flat]
        for number, lstm in enumerate(stack):
            y = lstm.run_in_place(x, sizes, (state.hidden[direction, number], state.cell[direction, number]))
            x = y.add_(x) if number and bilm.config.skip_connections else y
            layers[number + 1, flat] = x


def _split(layers: Tensor, lengths: Sequence[int]) -> list[npt.NDArray[np.float32]]:
    """One array a sentence, boundaries dropped. Copies, so that one kept sentence does not keep its whole batch; alone
    in a batch a sentence may be huge, and is not copied.
    """
    array = layers.cpu().numpy()
    if len(lengths) == 1:
        return [array[:, 1:-1]]
    ends = np.cumsum([0, *lengths])
    return [array[:, start + 1 : end - 1].copy() for start, end in pairwise(ends)]
