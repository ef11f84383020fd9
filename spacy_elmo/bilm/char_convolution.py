"""Convolutions over the characters of words and the greatest value of each filter, for training by the native kernel.

One filter's greatest value comes from one window: so the gradient of a word takes as many windows as there are filters,
where that of a convolution takes all of them. Nothing of the size of the windows is kept.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .native import NativeKernel
from .native.library import PANEL, Convolution, padded
from .native.tensors import address
from .parallel import both


def tensors_of(embedding: nn.Embedding, convolutions: Iterable[nn.Module]) -> list[Tensor]:
    """All weights, read as attributes: what is lent by `functional_call` is no parameter."""
    parameters: list[Any] = [tensor for conv in convolutions for tensor in (conv.weight, conv.bias)]
    return [embedding.weight, *parameters]


def convolve(
    kernel: NativeKernel, embedding: nn.Embedding, convolutions: Iterable[nn.Module], ids: Tensor, lengths: Tensor
) -> Tensor:
    """The greatest values of all filters, (n_words, n_filters) float32, differentiable.

    Args:
        kernel: One of float32.
        embedding: Vectors of characters, float32 in the processor's memory; its padding gets no gradient.
        convolutions: `nn.Conv1d`, each.
        ids: (n_words, n_characters), int32 or int64.
        lengths: (n_words,) int64, the characters of each word, padding behind it left out.

    Raises:
        IndexError: An id has no vector.
    """
    if ids.dtype == torch.int32:
        ids = ids.long()
    if ids.numel():
        (lowest, highest), n_characters = map(int, ids.aminmax()), len(embedding.weight)
        if lowest < 0 or highest >= n_characters:
            raise IndexError(f"Ids from {lowest} to {highest}, but there are vectors of {n_characters:,} characters.")
    tensors = tensors_of(embedding, convolutions)
    found: Tensor = _Convolutions.apply(kernel, embedding.padding_idx, ids.contiguous(), lengths.contiguous(), *tensors)
    return found


class _Convolutions(torch.autograd.Function):
    """Embedding, convolutions, maximum over the windows; halves of the words side by side, see `parallel.both`."""

    @staticmethod
    def forward(
        ctx: Any,
        kernel: NativeKernel,
        untrained: int | None,
        ids: Tensor,
        lengths: Tensor,
        embedding: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        words = _Words(kernel, ids, lengths, embedding, parameters)
        maxima, places = words.forward()
        ctx.save_for_backward(ids, lengths, embedding, places, *parameters)
        ctx.kernel, ctx.untrained = kernel, untrained
        return maxima

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_maxima: Tensor) -> tuple[Tensor | None, ...]:
        ids, lengths, embedding, places, *parameters = ctx.saved_tensors
        d_embedding, *gradients = _Words(ctx.kernel, ids, lengths, embedding, parameters).backward(d_maxima, places)
        if ctx.untrained is not None:
            d_embedding[ctx.untrained] = 0
        return None, None, None, None, d_embedding, *gradients


class _Words:
    """What a pass forward or backward reads."""

    def __init__(
        self, kernel: NativeKernel, ids: Tensor, lengths: Tensor, embedding: Tensor, parameters: Sequence[Tensor]
    ) -> None:
        self._kernel, self._ids, self._lengths = kernel, ids, lengths
        self._embedding = embedding.contiguous()
        # (count, width * dim), as a window's characters lie in memory.
        self._weights = [weight.transpose(1, 2).flatten(1).contiguous() for weight in parameters[::2]]
        self._biases = [bias.contiguous() for bias in parameters[1::2]]
        self._filters = [(len(weight), weight.shape[2]) for weight in parameters[::2]]
        self._shape = len(ids), sum(count for count, _ in self._filters)

    def forward(self) -> tuple[Tensor, Tensor]:
        """The greatest values, and the windows that they come from, both (n_words, n_filters)."""
        maxima, places = self._embedding.new_empty(self._shape), self._ids.new_empty(self._shape, dtype=torch.int32)
        panels = [_panels(weight) for weight in self._weights]
        self._in_halves(lambda rows: self._run(rows, panels, maxima, places, None))
        return maxima, places

    def backward(self, d_maxima: Tensor, places: Tensor) -> list[Tensor]:
        """The gradients of the embedding, and of the weight and the bias of each convolution."""
        d_maxima, parts = d_maxima.contiguous(), list[list[Tensor]]()

        def run(rows: slice) -> None:
            pairs = zip(self._weights, self._biases, strict=True)
            gradients = [torch.zeros_like(tensor) for tensor in (self._embedding, *(t for pair in pairs for t in pair))]
            self._run(rows, self._weights, d_maxima, places, gradients)
            parts.append(gradients)

        self._in_halves(run)
        d_embedding, *gradients = (sum(part[1:], part[0]) for part in zip(*parts, strict=True))
        for i, weight in enumerate(gradients[::2]):
            windows = weight.view(len(weight), -1, self._embedding.shape[1])
            # Strides as the parameter's own, even of an axis of one: DistributedDataParallel asks for them.
            gradients[2 * i] = windows.transpose(1, 2).clone(memory_format=torch.contiguous_format)
        return [d_embedding, *gradients]

    def _in_halves(self, run: Callable[[slice], None]) -> None:
        middle = len(self._ids) // 2
        both(lambda: run(slice(0, middle)), lambda: run(slice(middle, len(self._ids))))

    def _run(
        self, rows: slice, weights: Sequence[Tensor], maxima: Tensor, places: Tensor, gradients: list[Tensor] | None
    ) -> None:
        """One after another the filters of each width. `gradients` are added to, None means forward."""
        ids, lengths, maxima, places = self._ids[rows], self._lengths[rows], maxima[rows], places[rows]
        max_characters, dim = ids.shape[1], self._embedding.shape[1]
        memory, first = self._embedding.new_empty(2, max_characters, dim), 0
        for i, (weight, bias, (count, width)) in enumerate(zip(weights, self._biases, self._filters, strict=True)):
            floats = {"embedding": self._embedding, "weight": weight, "bias": bias, "maxima": maxima}
            floats |= {"characters": memory[0], "d_characters": memory[1]}
            if gradients is not None:
                added = gradients[0], *gradients[2 * i + 1 : 2 * i + 3]
                floats |= zip(("d_embedding", "d_weight", "d_bias"), added, strict=True)
            convolution = Convolution(
                ids=address(ids, torch.int64),
                lengths=address(lengths, torch.int64),
                places=address(places, torch.int32),
                **{name: address(tensor, torch.float32) for name, tensor in floats.items()},
                max_characters=max_characters,
                dim=dim,
                width=width,
                count=count,
                n_filters=self._shape[1],
                first_filter=first,
            )
            self._kernel.convolve(convolution, len(ids), backward=gradients is not None)
            first += count


def _panels(weight: Tensor) -> Tensor:
    """(count, n_inputs) -> (n_panels, n_inputs, PANEL), filled up with zeros."""
    count, n_inputs = weight.shape
    rows = weight.new_zeros(padded(count), n_inputs)
    rows[:count] = weight
    return rows.view(-1, PANEL, n_inputs).transpose(1, 2).contiguous()
