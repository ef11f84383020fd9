"""Inference: any number of sentences of any length, with bounded working memory and without autograd.

What makes it fast, in the order of the data's way:

- Sentences are sorted by length and packed, a batch of many rows a time: products are wide, and nothing is padding.
- The word encoder sees each distinct word of a batch once, and not at all while its vector is kept from earlier ones.
- A sentence alone starts where its boundary mark leaves the LSTMs, which is always the same state and computed once;
  and the mark at its other end is read by nobody. So no step is spent on boundaries.
- The two directions have nothing to do with each other, and run side by side (see `parallel`).
- The inputs' part of the gates is one product for many steps (see `lstm_inference`); in the first layer for distinct
  words only, of which there are half as many as tokens in a batch of 32 sentences.
- Weights are laid out for the processor once (see `products`), and again when they have changed (see `derived`).

Steps run in chunks, each through all layers, with the state carried from chunk to chunk: no array but the result grows
with the length of a sentence.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from itertools import pairwise
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from . import products
from .lstm import ProjectedLSTM
from .lstm_inference import PreparedLSTM
from .packing import Packing
from .parallel import both, in_turn
from .state import BiLMState
from .word_vectors import WordVectors
from .words import BOUNDARIES, WordTypes

if TYPE_CHECKING:
    from .model import BiLM

# Rows (tokens and boundaries) of a batch. More rows make wider matrix products; past some thousands nothing is gained.
BATCH_ROWS = 8192
# Bytes of the largest temporary array in an LSTM layer, of which each direction has two. Sets the size of the chunks.
WORKING_BYTES = 32 * 2**20
# Words that are too few to share out between threads.
FEW_WORDS = 32

Ids = npt.NDArray[np.int64]

P = ParamSpec("P")
T = TypeVar("T")


def _for_inference(function: Callable[Concatenate["BiLM", P], T]) -> Callable[Concatenate["BiLM", P], T]:
    """Without autograd, whatever modes the caller has set. What is kept from call to call must not be made in one."""

    @wraps(function)
    def run(bilm: "BiLM", *arguments: P.args, **keywords: P.kwargs) -> T:
        bilm.derived.of(bilm.weights_token())
        with torch.inference_mode(False), torch.no_grad(), torch.autocast(bilm.device.type, enabled=False):
            return function(bilm, *arguments, **keywords)

    return run


def embed(bilm: "BiLM", sentences: Sequence[Sequence[str]]) -> list[npt.NDArray[np.float32]]:
    """See `BiLM.embed`."""
    config = bilm.config
    results = [np.zeros((config.n_layers + 1, 0, config.width), dtype=np.float32)] * len(sentences)
    for batch in batches([len(sentence) for sentence in sentences]):
        for i, array in zip(batch, _embed_alone(bilm, [sentences[i] for i in batch]), strict=True):
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


@_for_inference
def _embed_alone(bilm: "BiLM", sentences: Sequence[Sequence[str]]) -> list[npt.NDArray[np.float32]]:
    """Each sentence from the state that its boundary mark leaves."""
    types = WordTypes.of(sentences, bilm.word_encoder)
    words = types.tokens[types.tokens >= BOUNDARIES]
    lengths = [length - BOUNDARIES for length in types.lengths]
    key = ("start", bilm.precision, products.kind(len(lengths)))
    start = bilm.derived.get(key, lambda: _start(bilm, len(lengths)))
    layers, _ = _run(bilm, types.ids, words, lengths, start.repeat(len(lengths)), len(lengths))
    return _split(layers, lengths)


def _start(bilm: "BiLM", n_rows: int) -> BiLMState:
    """The state of a sequence after its first boundary: <S> read forward, </S> backward. n_rows: see `_run`."""
    zeros = BiLMState.zeros(bilm.config, 1, bilm.device)
    ids = WordTypes.of([], bilm.word_encoder).ids
    _, after_begin = _run(bilm, ids, np.array([0]), [1], zeros, n_rows)
    _, after_end = _run(bilm, ids, np.array([1]), [1], zeros, n_rows)
    return BiLMState(
        torch.stack([after_begin.hidden[0], after_end.hidden[1]]), torch.stack([after_begin.cell[0], after_end.cell[1]])
    )


def embed_batch(
    bilm: "BiLM", sentences: Sequence[Sequence[str]], state: BiLMState
) -> tuple[list[npt.NDArray[np.float32]], BiLMState]:
    """Embed sentences as one batch, from a state to a state. See `BiLM.embed_stateful`."""
    if not sentences:
        return [], state
    types = WordTypes.of(sentences, bilm.word_encoder)
    layers, new_state = run_layers(bilm, types, state)
    return [array[:, 1:-1] for array in _split(layers, types.lengths)], new_state


@_for_inference
def run_layers(bilm: "BiLM", types: WordTypes, state: BiLMState) -> tuple[Tensor, BiLMState]:
    """All layers of a batch, boundaries included, (n_layers + 1, n_rows, width), and the state after it."""
    return _run(bilm, types.ids, types.tokens, types.lengths, state, state.n_sequences)


def _run(
    bilm: "BiLM", ids: Ids, tokens: npt.NDArray[np.int64], lengths: Sequence[int], state: BiLMState, n_rows: int
) -> tuple[Tensor, BiLMState]:
    """tokens: the row of `ids` of each token, all sequences one after another. lengths: the sequences' numbers of them.
    n_rows: sequences that the weights should be laid out for.
    RETURNS: (n_layers + 1, n_tokens, width), and the state after it.
    """
    config, device = bilm.config, bilm.device
    packing = Packing.of(lengths)
    order = torch.from_numpy(packing.order).to(device)
    packed_state = state.reorder(order)
    layers = torch.empty(config.n_layers + 1, len(tokens), config.width, dtype=torch.float32, device=device)
    words = _word_vectors(bilm, ids)

    def run_direction(direction: int) -> None:
        half = layers[:, :, direction * config.projection_dim : (direction + 1) * config.projection_dim]
        half[0] = words[torch.from_numpy(tokens).to(device)]
        _Direction(bilm, direction, words, half, packed_state, n_rows).run(tokens, packing)

    side_by_side = both if device.type == "cpu" else in_turn
    side_by_side(lambda: run_direction(0), lambda: run_direction(1))
    return layers, packed_state.reorder(torch.argsort(order))


class _Direction:
    """One direction's way through a batch, filling `layers[1:]` and advancing the state in place.

    words: (n_types, projection_dim). layers: (n_layers + 1, n_tokens, projection_dim).
    """

    def __init__(
        self, bilm: "BiLM", direction: int, words: Tensor, layers: Tensor, state: BiLMState, n_rows: int
    ) -> None:
        self._stack = [_prepared(bilm, lstm, n_rows) for lstm in bilm.stacks[direction]]
        self._direction = direction
        self._words = words
        self._layers = layers
        self._states = list(zip(state.hidden[direction], state.cell[direction], strict=True))
        self._skip = bilm.config.skip_connections
        self._chunk_rows = max(1, WORKING_BYTES // (4 * 4 * bilm.config.cell_dim))

    def run(self, tokens: npt.NDArray[np.int64], packing: Packing) -> None:
        order = packing.directions[self._direction]
        for steps, rows in packing.chunks(self._chunk_rows):
            self._run_chunk(tokens, order[rows], packing.batch_sizes[steps].tolist())

    def _run_chunk(self, tokens: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], sizes: list[int]) -> None:
        places = torch.from_numpy(rows).to(self._words.device)
        # Words that come twice share the inputs' part of their gates in the first layer.
        types, index = (torch.from_numpy(a).to(places.device) for a in np.unique(tokens[rows], return_inverse=True))
        first, *others = zip(self._stack, self._states, self._layers[1:], strict=True)
        lstm, state, layer = first
        x = lstm.run(lstm.input_gates(self._words[types]), sizes, state, index)
        layer[places] = x
        for lstm, state, layer in others:
            y = lstm.run(lstm.input_gates(x), sizes, state)
            x = y.add_(x) if self._skip else y
            layer[places] = x


def _prepared(bilm: "BiLM", lstm: ProjectedLSTM, n_rows: int) -> PreparedLSTM:
    key = (id(lstm), bilm.precision, products.kind(n_rows))
    return bilm.derived.get(key, lambda: PreparedLSTM(lstm, bilm.precision, n_rows))


def _word_vectors(bilm: "BiLM", ids: Ids) -> Tensor:
    """(n_types, projection_dim)"""
    compute = partial(_encode, bilm)
    if bilm.device.type != "cpu":
        return compute(ids)
    kept = bilm.derived.get("words", lambda: WordVectors(bilm.config.projection_dim))
    return kept.lookup(ids, compute)


def _encode(bilm: "BiLM", ids: Ids) -> Tensor:
    """(n_words, projection_dim), by the word encoder."""
    encode = partial(bilm.word_encoder, linear=partial(_linear, bilm))
    vectors = torch.empty(len(ids), bilm.config.projection_dim, dtype=torch.float32, device=bilm.device)

    def run(part: slice) -> None:
        vectors[part] = encode(torch.from_numpy(ids[part]).to(bilm.device))

    if len(ids) < FEW_WORDS or bilm.device.type != "cpu":
        run(slice(None))
    else:
        both(lambda: run(slice(0, None, 2)), lambda: run(slice(1, None, 2)))
    return vectors


def _linear(bilm: "BiLM", layer: nn.Linear, x: Tensor) -> Tensor:
    def build() -> products.Product:
        # Exact also in bfloat16: a word is computed once, and its error would be the largest part of the whole.
        return products.prepare(layer.weight, "float32", products.MANY_ROWS)

    return bilm.derived.get(id(layer), build)(x, layer.bias)


def _split(layers: Tensor, lengths: Sequence[int]) -> list[npt.NDArray[np.float32]]:
    """One array a sentence. Copies, so that one kept sentence does not keep its whole batch; alone in a batch it may be
    huge, and is not copied.
    """
    array = layers.cpu().numpy()
    if len(lengths) == 1:
        return [array]
    return [array[:, start:end].copy() for start, end in pairwise(np.cumsum([0, *lengths]))]
