"""Characters of words to features: convolutions, max over positions, highway layers (Kim et al. 2016)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from . import char_convolution
from .autocast import product_dtype
from .config import BiLMConfig
from .native.tensors import kernel_of

# Bytes of the largest temporary array. Sets how many words are computed together: more on a GPU, where each chunk costs
# launches.
WORKING_BYTES = 16 * 2**20
GPU_WORKING_BYTES = 256 * 2**20

_ACTIVATION = {"relu": torch.relu, "tanh": torch.tanh}


def call(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer itself."""
    y: Tensor = layer(x)
    return y


def convolve(features: "CharFeatures", ids: Tensor) -> Tensor:
    """The layers themselves: embedding, convolutions, maximum over positions. Differentiable."""
    characters = features.embedding(ids).transpose(1, 2)
    # Of several equal positions `max` gives the gradient to one, much faster than `amax` shares it out.
    return torch.cat([conv(characters).max(dim=2).values for conv in features.convolutions], dim=1)


def convolve_natively(features: "CharFeatures", ids: Tensor) -> Tensor:
    """The same by the native kernel, where there is one for this type and device. It calls no hooks of these layers."""
    kernel = kernel_of(*char_convolution.tensors_of(features.embedding, features.convolutions))
    if kernel is None:
        return convolve(features, ids)
    found = char_convolution.convolve(kernel, features.embedding, features.convolutions, ids, features.lengths(ids))
    return found.to(product_dtype(found))


@dataclass(frozen=True)
class Operations:
    """How the parts of a word encoder are computed. Inference has faster ways than the layers themselves.

    Attributes:
        linear: A linear layer.
        convolve: Character ids (n_words, n_characters) to the greatest value of each filter, (n_words, n_filters).
    """

    linear: Callable[[nn.Linear, Tensor], Tensor] = call
    convolve: Callable[["CharFeatures", Tensor], Tensor] = convolve_natively


DIFFERENTIABLE = Operations()


def new_embedding(n_rows: int, dim: int, untrained: int) -> nn.Embedding:
    """An embedding as torch makes it.

    On the meta device it has no values, since torch would load its whole compiler to compute none.
    """
    weight = torch.empty(n_rows, dim, dtype=torch.float32)
    if not weight.is_meta:
        nn.init.normal_(weight)
        weight[untrained] = 0
    return nn.Embedding(n_rows, dim, padding_idx=untrained, _weight=weight)


class Highway(nn.Module):
    """y = g * relu(W_t x + b_t) + (1 - g) * x with g = sigmoid(W_c x + b_c) (Srivastava et al. 2015)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.transform = nn.Linear(dim, dim, dtype=torch.float32)
        self.carry = nn.Linear(dim, dim, dtype=torch.float32)

    def forward(self, x: Tensor, operations: Operations = DIFFERENTIABLE) -> Tensor:
        """Let through, at each feature of (n, dim), what the gate says: the input, or its transform."""
        linear = operations.linear
        return torch.lerp(x, torch.relu(linear(self.transform, x)), torch.sigmoid(linear(self.carry, x)))


class CharFeatures(nn.Module):
    """Convolutions over the characters of words, and highway layers.

    Args:
        n_characters: How many there are, marks and padding included.
        padding: The id that fills a row after its word.
        untrained: The id whose vector gets no gradient.
    """

    def __init__(self, config: BiLMConfig, n_characters: int, padding: int, untrained: int) -> None:
        super().__init__()
        self.config = config
        self.padding = padding
        self.embedding = new_embedding(n_characters, config.char_dim, untrained)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.char_dim, count, width, dtype=torch.float32) for width, count in config.filters
        )
        self.highways = nn.ModuleList(Highway(config.n_filters) for _ in range(config.n_highway))

    def features(self, ids: Tensor, operations: Operations) -> Tensor:
        """(n_words, max_characters) int64 -> (n_words, n_filters).

        The large products of the highways gain by many words, and take little memory for each.
        """
        widest = max(self.config.char_dim, *(count for _, count in self.config.filters))
        chunks = ids.split(chunk_size(self.config.max_characters * widest, ids.device))
        maxima = [operations.convolve(self, self._without_idle_padding(chunk)) for chunk in chunks]
        # The maximum commutes with the activation, which is monotonic; bilm-tf takes the maximum first.
        features = _ACTIVATION[self.config.activation](torch.cat(maxima))
        for highway in self.highways:
            features = highway(features, operations)
        return features

    def lengths(self, ids: Tensor) -> Tensor:
        """The characters of each word, its marks included, (n_words,)."""
        places = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        return ((ids != self.padding) * places).amax(dim=1)

    def _without_idle_padding(self, ids: Tensor) -> Tensor:
        """Cut the padding that no maximum depends on.

        All windows that hold nothing but padding are equal, so one of each width is enough, and short words need a
        fraction of the windows of a full row.
        """
        longest = int(self.lengths(ids).max())
        widest = max(width for width, _ in self.config.filters)
        return ids[:, : min(self.config.max_characters, longest + widest)]


def in_chunks(ids: Tensor, lengths: Tensor, numbers_per_word: int, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """`compute` of the rows of `ids`, many at a time, in their order.

    Words of similar length are computed together, since the convolutions run as far as the longest of them.
    """
    order = torch.argsort(lengths, stable=True)
    chunks = order.split(chunk_size(numbers_per_word, ids.device))
    words = torch.cat([compute(ids[rows]) for rows in chunks])
    return words[torch.argsort(order)]


def chunk_size(numbers_per_word: int, device: torch.device) -> int:
    """How many words may be computed together that need so many numbers each."""
    working_bytes = GPU_WORKING_BYTES if device.type == "cuda" else WORKING_BYTES
    return max(1, working_bytes // (4 * numbers_per_word))
