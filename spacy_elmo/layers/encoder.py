"""The words of Docs to the biLM's layers."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

from thinc.api import Model

from ..checkpoints import Source
from .shim import BiLMShim
from .spans import DocWords
from .types import Array, Layers, LayersBackprop, Vectors

# Words that are read at once in prediction, or one sequence where it alone has more. What was read of a long document's
# sentences goes to its place before the next are.
BLOCK = 65_536


def BiLMEncoder(source: Source | None, precision: str) -> Model[list[DocWords], Layers]:
    """The biLM as a Thinc model: for each Doc an array (n_layers + 1, n_tokens, width) float32.

    The dimensions "nL" (n_layers + 1) and "nO" (width) are known once the biLM has loaded, which it does when it is
    initialized, deserialized, or first run.
    """
    return Model(
        "bilm_encoder",
        forward,
        init=init,
        dims={"nL": None, "nO": None},
        shims=[BiLMShim(source, precision)],
    )


def forward(
    model: Model[list[DocWords], Layers], words: list[DocWords], is_train: bool
) -> tuple[Layers, LayersBackprop]:
    """Layers of each Doc, and the callback that takes their gradient to the biLM."""
    init(model)
    shim = bilm_shim(model)
    ops: Any = model.ops
    n_layers, width = model.get_dim("nL"), model.get_dim("nO")
    sequences = [sequence for doc in words for sequence in doc.sequences]
    if is_train:
        trained, backprop_bilm = shim.begin_update(sequences)
        vectors = iter(trained)
    else:
        vectors = _predict(sequences, shim.predict)
    remaining = (ops.asarray3f(array) for array in vectors)
    layers = [doc.place(ops, islice(remaining, len(doc.sequences)), n_layers, width) for doc in words]

    def backprop(d_layers: Layers) -> list[DocWords]:
        backprop_bilm([dv for doc, d_doc in zip(words, d_layers, strict=True) for dv in doc.pick(ops, d_doc)])
        return []

    return layers, backprop


def average(model: Model[list[DocWords], Layers], words: list[DocWords], layers: Sequence[int]) -> Vectors:
    """The average of some layers of each Doc, (n_tokens, width): as of what `forward` gives, without its memory."""
    init(model)
    shim, ops, width = bilm_shim(model), cast(Any, model.ops), model.get_dim("nO")
    sequences = [sequence for doc in words for sequence in doc.sequences]
    averages = _predict(sequences, lambda part: shim.predict_average(part, layers))
    remaining = (ops.asarray3f(array[None]) for array in averages)
    return [doc.place(ops, islice(remaining, len(doc.sequences)), 1, width)[0] for doc in words]


def _predict(
    sequences: Sequence[Sequence[str]], run: Callable[[Sequence[Sequence[str]]], list[Array]]
) -> Iterator[Array]:
    """What `run` makes of each sequence: of BLOCK words at most before those who wait have taken what is there."""
    start = 0
    while start < len(sequences):
        end, n_words = start, 0
        while end < len(sequences) and (end == start or n_words + len(sequences[end]) <= BLOCK):
            n_words += len(sequences[end])
            end += 1
        vectors = run(sequences[start:end])
        vectors.reverse()
        while vectors:
            yield vectors.pop()
        start = end


def init(model: Model[list[DocWords], Layers], X: list[DocWords] | None = None, Y: Layers | None = None) -> None:
    """Load the biLM, if that is still to be done, and learn the dimensions from it."""
    if model.has_dim("nO") is None:
        config = bilm_shim(model).bilm.config
        model.set_dim("nL", config.n_layers + 1)
        model.set_dim("nO", config.width)


def bilm_shim(model: Model[list[DocWords], Layers]) -> BiLMShim:
    """The one shim of an encoder."""
    return cast(BiLMShim, model.shims[0])
