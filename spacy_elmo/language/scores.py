"""What training computes of a chunk of the softmax's rows: by the native kernel, or by torch."""

from typing import Protocol

import torch
from torch import Tensor

from ..bilm.native import NativeKernel
from ..bilm.native.library import Scores, padded
from ..bilm.native.tensors import address, kernel_of


class ScoreGradient(Protocol):
    """The loss of some rows, and what goes back from it."""

    def __call__(
        self, hidden: Tensor, weight: Tensor, bias: Tensor, hits: Tensor, true_logits: Tensor, d_bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Score the rows against all classes.

        Args:
            hidden: (n, projection_dim), in the type of the products.
            weight: (n_classes, projection_dim), the same.
            bias: (n_classes,).
            hits: (n,) int64, the class that is left out of a row's sum, -1 for none.
            true_logits: (n,) the score of each row's own class.
            d_bias: (n_classes,), to which the gradient of the bias is added.

        Returns:
            The sum of the losses, a scalar; the gradient of the true logits, (n,); and that of the others, (n,
            n_classes), in the type of the products.
        """


class TorchScores:
    """By torch, in any type and on any device."""

    def __call__(
        self, hidden: Tensor, weight: Tensor, bias: Tensor, hits: Tensor, true_logits: Tensor, d_bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `ScoreGradient`."""
        if hidden.dtype == bias.dtype:
            logits = torch.addmm(bias, hidden, weight.t())
        else:
            logits = (hidden @ weight.t()).to(bias.dtype).add_(bias)
        # In this way a GPU is not waited for.
        hits = hits[:, None]
        places = hits.clamp(min=0)
        logits.scatter_(1, places, logits.gather(1, places).masked_fill_(hits >= 0, -torch.inf))
        # Every pass over the logits costs: one exponential of each is enough.
        largest = torch.maximum(logits.amax(dim=1), true_logits)
        exponentials = logits.sub_(largest[:, None]).exp_()
        true_exponential = (true_logits - largest).exp_()
        sums = exponentials.sum(dim=1).add_(true_exponential)
        loss = (sums.log() + largest - true_logits).sum()
        d_true = true_exponential.div_(sums).sub_(1)
        d_logits = exponentials.mul_(sums.reciprocal_()[:, None])
        d_bias += d_logits.sum(dim=0)
        return loss, d_true, d_logits.to(hidden.dtype)


class NativeScores:
    """By a native kernel, which goes over each row while it is in the cache."""

    def __init__(self, kernel: NativeKernel) -> None:
        self._kernel = kernel

    def __call__(
        self, hidden: Tensor, weight: Tensor, bias: Tensor, hits: Tensor, true_logits: Tensor, d_bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `ScoreGradient`."""
        logits, bias, hits, true_logits = (
            hidden @ weight.t(),
            bias.contiguous(),
            hits.contiguous(),
            true_logits.contiguous(),
        )
        losses, d_true = torch.empty_like(true_logits), torch.empty_like(true_logits)
        is_half, memory = logits.dtype == torch.bfloat16, bias.new_empty(padded(len(bias)))
        scores = Scores(
            address(logits, torch.bfloat16 if is_half else torch.float32),
            is_half,
            address(bias, torch.float32),
            address(hits, torch.int64),
            *(address(tensor, torch.float32) for tensor in (true_logits, d_true, losses, d_bias, memory)),
            len(bias),
        )
        self._kernel.scores(scores, len(logits))
        return losses.sum(), d_true, logits


def scores_for(product_dtype: torch.dtype, *tensors: Tensor) -> ScoreGradient:
    """What computes of rows that are such tensors but for their products, which have such a type."""
    kernel = kernel_of(*tensors) if product_dtype in (torch.float32, torch.bfloat16) else None
    return TorchScores() if kernel is None else NativeScores(kernel)
