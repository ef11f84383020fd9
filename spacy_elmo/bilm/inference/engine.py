"""Inference: any number of sentences of any length, with bounded working memory and without autograd.

What makes it fast, in the order of the data's way:

- Sentences are sorted by length and packed, a batch of many rows a time: products are wide, and nothing is padding.
- The word encoder sees each distinct word of a batch once, and not at all while its vector is kept from earlier ones;
  its convolutions are sums of table rows (see `char_tables`).
- A sentence alone starts where its boundary mark leaves the LSTMs, which is always the same state and computed once;
  and the mark at its other end is read by nobody. So no step is spent on boundaries.
- The two directions have nothing to do with each other, and run side by side.
- The inputs' part of the gates is one product for many steps; in the first layer for distinct words only, of which
  there are half as many as tokens in a batch of 32 sentences.
- Weights are laid out for the processor once.
- All of this is one call of a native kernel (see `native_loop`), where there is one; else torch does it (see
  `layer_loop`, `lstm`, `products` and `parallel`).

Steps run in chunks, each through all layers, with the state carried from chunk to chunk: no array but the result grows
with the length of a sentence.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from itertools import pairwise
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..char_features import CharFeatures, Operations, call, convolve
from ..config import BiLMConfig
from ..native import kernel_for
from ..packing import Packing
from ..parallel import alone, both, here, safe_after_fork
from ..stack import Stacks
from ..state import BiLMState
from ..words import BOUNDARIES, Ids, WordEncoder, WordTypes
from .char_tables import CharTables
from .layer_loop import LayerLoop, TorchLoop
from .native_linear import NativeLinear
from .native_loop import NativeLoop
from .products import MANY_ROWS, FixedWeight, kind
from .word_table import WordTable

# Rows (tokens and boundaries) of a batch. More rows make wider matrix products; past some thousands nothing is gained.
BATCH_ROWS = 8192
# Bytes of the largest temporary array in an LSTM layer, of which each direction has two. Sets the size of the chunks.
WORKING_BYTES = 32 * 2**20
# Words that are too few to share out between threads.
FEW_WORDS = 32

Layers = npt.NDArray[np.float32]

P = ParamSpec("P")
T = TypeVar("T")


def _for_inference(method: Callable[Concatenate["Engine", P], T]) -> Callable[Concatenate["Engine", P], T]:
    """Without autograd, whatever modes the caller has set. What is kept from call to call must not be made in one."""

    @wraps(method)
    def run(engine: "Engine", *arguments: P.args, **keywords: P.kwargs) -> T:
        def compute() -> T:
            with torch.inference_mode(False), torch.no_grad(), torch.autocast(engine.device.type, enabled=False):
                return method(engine, *arguments, **keywords)

        return cast(T, engine.call(compute))

    return run


class Engine:
    """Computes the layers of a biLM, and keeps what it makes of weights.

    That is weights in other layouts, vectors of words, the state after a boundary. So it is to be made anew when they
    have changed (see `WeightsTracker`). None of it is copied or pickled along.

    Computes in float32, whatever type the weights have, and gives float32. Several threads may use one engine.

    Args:
        config: The biLM's dimensions.
        encoder: What makes vectors of words.
        stacks: The LSTM layers of each direction, forward first.
        precision: Of the LSTMs' matrix products, one of PRECISIONS. The word encoder's are exact also in bfloat16: a
            word is computed once, and its error would be the largest part of the whole.
    """

    def __init__(self, config: BiLMConfig, encoder: WordEncoder, stacks: Stacks, precision: str) -> None:
        self._made_of = config, encoder, stacks, precision
        self.config = config
        self.device = stacks[0][0].projection.device
        self._encoder = encoder
        with torch.inference_mode(False), torch.no_grad():
            kernel = kernel_for(precision) if self.device.type == "cpu" else None
            self._loop: LayerLoop = (
                TorchLoop(config, stacks, precision) if kernel is None else NativeLoop(config, stacks, kernel)
            )
            self._words = WordTable(config.projection_dim)
        # The word encoder's, see `precision`.
        self._kernel = None if kernel is None else kernel_for("float32")
        self._linears: dict[int, Callable[[Tensor], Tensor]] = {}
        self._tables: CharTables | None = None
        self._starts: dict[str, BiLMState] = {}
        # In which thread all of this is computed. The kernel has threads of its own.
        self.call: Callable[[Callable[[], Any]], Any] = here
        if self.device.type == "cpu":
            self.call = safe_after_fork if kernel is None else alone

    def __reduce__(self) -> tuple[Any, ...]:
        return Engine, self._made_of

    def embed(self, sentences: Sequence[Sequence[str]], summed: Sequence[int] | None = None) -> list[Layers]:
        """The layers of each sentence alone, whatever stands beside it, see `BiLM.embed`.

        Args:
            sentences: Lists of words.
            summed: The layers that are added up, in ascending order: then no other memory is taken than for their
                sum. None for all, each by itself.

        Returns:
            Arrays (n_layers + 1, n_words, 2 * projection_dim); (1, n_words, 2 * projection_dim) of a sum.
        """
        n_layers = self.config.n_layers + 1 if summed is None else 1
        results = [np.zeros((n_layers, 0, self.config.width), dtype=np.float32)] * len(sentences)
        for batch in batches([len(sentence) for sentence in sentences]):
            layers = self.embed_batch([sentences[i] for i in batch], summed)
            for i, array in zip(batch, _split(layers, [len(sentences[i]) for i in batch]), strict=True):
                results[i] = array
        return results

    def embed_stateful(self, sentences: Sequence[Sequence[str]], state: BiLMState) -> tuple[list[Layers], BiLMState]:
        """Embed sentences as one batch, from a state to a state, see `BiLM.embed_stateful`."""
        if not sentences:
            return [], state
        types = WordTypes.of(sentences, self._encoder)
        layers, new_state = self.run(types, state)
        return [array[:, 1:-1] for array in _split(layers, types.lengths)], new_state

    @_for_inference
    def run(self, types: WordTypes, state: BiLMState) -> tuple[Tensor, BiLMState]:
        """All layers of a batch, boundaries included, from a state of as many sequences.

        Returns:
            Layers (n_layers + 1, n_rows, 2 * projection_dim) float32, and the state after the batch.
        """
        packing = Packing.of(types.lengths)
        order = torch.from_numpy(packing.order).to(self.device)
        packed = BiLMState(state.hidden.float(), state.cell.float()).reorder(order)
        layers = self._run(types.ids, types.tokens, packing, packed, state.n_sequences)
        return layers, packed.reorder(torch.argsort(order))

    @_for_inference
    def embed_batch(self, sentences: Sequence[Sequence[str]], summed: Sequence[int] | None = None) -> Tensor:
        """The layers of some sentences as one array: for those who make something smaller of it at once.

        Args:
            sentences: A batch (see `batches`), each with a word or more. Each starts from the state that its boundary
                mark leaves.
            summed: See `embed`.

        Returns:
            (n_layers + 1 or 1, n_words, 2 * projection_dim) float32, on the engine's device, sentence after sentence.
        """
        types = WordTypes.of(sentences, self._encoder)
        words = types.tokens[types.tokens >= BOUNDARIES]
        lengths = [length - BOUNDARIES for length in types.lengths]
        # Sequences that all begin alike are in packed order already.
        start = self._start(len(lengths)).repeat(len(lengths))
        return self._run(types.ids, words, Packing.of(lengths), start, len(lengths), summed)

    def _start(self, n_rows: int) -> BiLMState:
        """The state of a sequence after its first boundary: <S> read forward, </S> backward. n_rows: see `_run`."""
        rows = kind(n_rows)
        if rows not in self._starts:
            ids, one = self._encoder.boundary_ids(), Packing.of([1])
            after_begin, after_end = (BiLMState.zeros(self.config, 1, self.device) for _ in range(2))
            self._run(ids, np.array([0]), one, after_begin, n_rows)
            self._run(ids, np.array([1]), one, after_end, n_rows)
            self._starts[rows] = BiLMState(
                torch.stack([after_begin.hidden[0], after_end.hidden[1]]),
                torch.stack([after_begin.cell[0], after_end.cell[1]]),
            )
        return self._starts[rows]

    def _run(
        self,
        ids: Ids,
        tokens: npt.NDArray[np.int64],
        packing: Packing,
        state: BiLMState,
        n_rows: int,
        summed: Sequence[int] | None = None,
    ) -> Tensor:
        """Layers (n_layers + 1, n_tokens, 2 * projection_dim), or 1 of a sum.

        Args:
            ids: The word types.
            tokens: The row of `ids` of each token, all sequences one after another.
            packing: Of the tokens.
            state: Before the first tokens, sequences in packed order. Becomes the one after them, in place.
            n_rows: For how many sequences the weights should be laid out.
            summed: See `embed`.
        """
        shape = self.config.n_layers + 1 if summed is None else 1, len(tokens), self.config.width
        layers = torch.empty(shape, dtype=torch.float32, device=self.device)
        chunk_rows = max(1, WORKING_BYTES // (4 * 4 * self.config.cell_dim))
        self._loop.run(self._word_vectors(ids), tokens, packing, state, layers, n_rows, chunk_rows, summed)
        return layers

    def _word_vectors(self, ids: Ids) -> Tensor:
        """The vectors of words, (n_types, projection_dim), kept ones where there are any."""
        return self._words.lookup(ids, self._encode) if self.device.type == "cpu" else self._encode(ids)

    def _encode(self, ids: Ids) -> Tensor:
        """(n_words, projection_dim), by the word encoder."""
        vectors = torch.empty(len(ids), self.config.projection_dim, dtype=torch.float32, device=self.device)
        operations = Operations(self._linear, self._convolve)  # not kept: it holds the engine

        def run(part: slice) -> None:
            vectors[part] = self._encoder(torch.from_numpy(ids[part]).to(self.device), operations)

        # The kernel shares its rows out itself.
        if len(ids) < FEW_WORDS or self.device.type != "cpu" or self._kernel is not None:
            run(slice(None))
        else:
            both(lambda: run(slice(0, None, 2)), lambda: run(slice(1, None, 2)))
        return vectors

    def _linear(self, layer: nn.Linear, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            return call(layer, x)
        if id(layer) not in self._linears:
            self._linears[id(layer)] = self._fixed_linear(layer)
        return self._linears[id(layer)](x)

    def _fixed_linear(self, layer: nn.Linear) -> Callable[[Tensor], Tensor]:
        if self._kernel is not None:
            return NativeLinear(layer, self._kernel)
        product, bias = FixedWeight(layer.weight, "float32").product(MANY_ROWS), layer.bias
        return lambda x: product(x, bias)

    def _convolve(self, features: CharFeatures, ids: Tensor) -> Tensor:
        if self.device.type != "cpu" or not CharTables.suit(features):
            return convolve(features, ids)
        if self._tables is None:
            self._tables = CharTables(features)
        return self._tables(ids)


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of the sentences that are not empty, grouped by length into batches.

    A batch has at most BATCH_ROWS rows, or one sentence where it alone is longer.
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


def _split(layers: Tensor, lengths: Sequence[int]) -> list[Layers]:
    """One array a sentence.

    Copies, so that one kept sentence does not keep its whole batch; alone in a batch it may be huge, and is not copied.
    """
    array = layers.cpu().numpy()
    if len(lengths) == 1:
        return [array]
    return [array[:, start:end].copy() for start, end in pairwise(np.cumsum([0, *lengths]))]
