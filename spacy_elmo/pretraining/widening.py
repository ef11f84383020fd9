"""A larger biLM that begins as a smaller one.

After Net2Net (Chen, Goodfellow & Shlens 2016), whose larger network computes what the smaller one does before it learns
more. There, new units are copies of old ones. Here they are drawn as in a new model and read everything, while the old
units do not read them yet: so nothing needs to break the tie between copies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from ..bilm import BiLM
from ..bilm.char_cnn import CharCNN
from ..bilm.char_features import Highway
from ..bilm.config import BiLMConfig
from ..bilm.lstm import ProjectedLSTM
from ..language.softmax import Softmax

WIDENED = ("filters", "projection_dim", "cell_dim")


def can_widen(small: BiLMConfig, large: BiLMConfig) -> bool:
    """Whether a biLM of the second shape can begin as one of the first.

    That is where no dimension is smaller, and no other than `projection_dim`, `cell_dim` and `filters` is larger.
    Filters keep their order; more of a width and, after them, other widths may be added.
    """
    return (
        small.lexicon is None
        and replace(small, **{name: getattr(large, name) for name in WIDENED}) == large
        and small.projection_dim <= large.projection_dim
        and small.cell_dim <= large.cell_dim
        and len(small.filters) <= len(large.filters)
        and all(
            width == same and count <= more
            for (width, count), (same, more) in zip(small.filters, large.filters, strict=False)
        )
    )


@torch.no_grad()
def widen(small: BiLM, shape: BiLMConfig) -> BiLM:
    """A biLM of a larger shape whose vectors hold those of a smaller biLM.

    Args:
        small: With a character CNN.
        shape: One for which `can_widen` holds.

    Returns:
        A new biLM on the same device, its further units drawn by torch's generator. In both halves of each layer's
        vectors, (n_layers + 1, n_tokens, 2 * projection_dim), the first `small.config.projection_dim` numbers are those
        that `small` gives, to rounding.
    """
    large = BiLM(shape, small.precision).to(small.device)
    _widen_char_cnn(small.char_cnn, large.char_cnn)
    for old_stack, new_stack in zip(small.stacks, large.stacks, strict=True):
        for old_layer, new_layer in zip(old_stack, new_stack, strict=True):
            _widen_lstm(old_layer, new_layer)
    return large


@torch.no_grad()
def widen_classes(small: Softmax, large: Softmax, old: Tensor, new: Tensor) -> None:
    """Give classes of one softmax the weights of another's, which may be of a narrower biLM.

    Args:
        small: Where they are from.
        large: Where they go.
        old: Their numbers in `small`, (n,) int64.
        new: Their numbers in `large`, in the same order.
    """
    _put(large.weight, small.weight[old], new, torch.arange(small.weight.shape[1]))
    large.bias[new] = small.bias[old]


def _widen_char_cnn(small: CharCNN, large: CharCNN) -> None:
    large.embedding.weight.copy_(small.embedding.weight)
    for old, new in zip(small.convolutions, large.convolutions, strict=False):
        for ours, theirs in zip(new.parameters(), old.parameters(), strict=True):
            ours[: len(theirs)] = theirs
    features = _places(*([count for _, count in cnn.config.filters] for cnn in (small, large)))
    highways = zip(small.highways, large.highways, strict=True)
    for old_highway, new_highway in cast("Iterator[tuple[Highway, Highway]]", highways):
        _widen_linear(old_highway.transform, new_highway.transform, features, features)
        _widen_linear(old_highway.carry, new_highway.carry, features, features)
    _widen_linear(small.projection, large.projection, torch.arange(small.config.projection_dim), features)


def _widen_linear(small: nn.Linear, large: nn.Linear, rows: Tensor, columns: Tensor) -> None:
    _put(large.weight, small.weight, rows, columns)
    large.bias[rows] = small.bias


def _widen_lstm(small: ProjectedLSTM, large: ProjectedLSTM) -> None:
    gates = _places([small.cell_dim] * 4, [large.cell_dim] * 4)
    read = _places(*([layer.input_dim, len(layer.projection)] for layer in (small, large)))
    _put(large.weight, small.weight, gates, read)
    large.bias[gates] = small.bias
    _put(large.projection, small.projection, torch.arange(len(small.projection)), torch.arange(small.cell_dim))


def _put(large: Tensor, small: Tensor, rows: Tensor, columns: Tensor) -> None:
    """Old units read the old ones as before, and of the new ones nothing."""
    large[rows] = 0
    large[rows[:, None], columns] = small


def _places(small: Sequence[int], large: Sequence[int]) -> Tensor:
    """Where the units of some blocks are when the blocks have grown, or others follow: at the beginning of each."""
    blocks = torch.arange(sum(large)).split(list(large))
    return torch.cat([block[:count] for block, count in zip(blocks, small, strict=False)])
