"""Convolutions over characters as sums of table rows.

There are few characters, so what each adds to a window at each of its positions can be computed beforehand: the product
of all embeddings with the weight of that position. A window is then the sum of one row per position, with no product
left, and as exact as the convolution itself.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..char_features import CharFeatures

# A model of many characters, as a Chinese one is, has larger tables than would be faster than its convolutions.
LARGEST_BYTES = 64 * 2**20


class CharTables:
    """Computes what `char_features.convolve` does, for float32 layers that do not change."""

    def __init__(self, features: CharFeatures) -> None:
        self._convolutions = [_ConvolutionTable(features.embedding.weight, conv) for conv in features.convolutions]

    @staticmethod
    def suit(features: CharFeatures) -> bool:
        """Whether tables are exact for these layers, and small."""
        weight = features.embedding.weight
        columns = sum(width * count for width, count in features.config.filters)
        return weight.dtype == torch.float32 and 4 * len(weight) * columns <= LARGEST_BYTES

    def __call__(self, ids: Tensor) -> Tensor:
        """(n_words, n_characters) int64 -> (n_words, n_filters)."""
        return torch.cat([convolution(ids) for convolution in self._convolutions], dim=1)


class _ConvolutionTable:
    """One convolution.

    Its table has the rows of all characters at the first position of a window, then those at the second, and so on.
    """

    def __init__(self, embedding: Tensor, convolution: nn.Module) -> None:
        weight, self._bias = convolution.get_parameter("weight"), convolution.get_parameter("bias")
        self._width = weight.shape[2]
        self._table = (embedding @ weight.permute(2, 1, 0)).flatten(0, 1)
        self._first_rows = torch.arange(self._width, device=weight.device) * len(embedding)

    def __call__(self, ids: Tensor) -> Tensor:
        windows = ids.unfold(1, self._width, 1)
        rows = (windows + self._first_rows).flatten(0, 1)
        return F.embedding_bag(rows, self._table, mode="sum").view(*windows.shape[:2], -1).amax(dim=1) + self._bias
