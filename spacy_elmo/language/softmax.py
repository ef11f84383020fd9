"""The output softmax over the vocabulary, shared by both directions, and its loss against all words or a sample."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..bilm.autocast import product_dtype, without_autocast
from ..bilm.parallel import both, n_threads
from .sampler import Negatives
from .scores import scores_for

# Elements of a chunk of logits: small enough to stay in a processor's cache between the passes over it.
CHUNK_ELEMENTS = 2**21
# On a GPU each chunk costs a dozen launches, so there it is as large as its memory allows: 256 MiB.
GPU_CHUNK_ELEMENTS = 2**26


class Softmax(nn.Module):
    """The scores of all words that can be predicted.

    Attributes:
        weight: (n_classes, projection_dim).
        bias: (n_classes,).
    """

    def __init__(self, n_classes: int, projection_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_classes, projection_dim))
        self.bias = nn.Parameter(torch.zeros(n_classes))
        # As bilm-tf: the logits of a fresh model are of the order of 1.
        nn.init.normal_(self.weight, std=projection_dim**-0.5)

    @property
    def n_classes(self) -> int:
        """How many words it knows."""
        return len(self.bias)

    def forward(self, hidden: Tensor, targets: Tensor, negatives: Negatives | None = None) -> Tensor:
        """The mean cross-entropy in nats, a scalar; 0 of no rows.

        Args:
            hidden: (n, projection_dim).
            targets: (n,) class numbers, int32 or int64.
            negatives: None for the exact loss over all classes. Otherwise the sampled softmax (Jean et al. 2015): each
                true class against the negatives, logits corrected by the log of the expected counts, and negatives that
                happen to be a row's true class left out of its sum. An estimate for training; not a perplexity.
        """
        true_weight = F.embedding(targets, self.weight)  # which refuses other types
        targets = targets.long()
        true_bias = self.bias[targets]
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        hits = targets
        if negatives is not None:
            device = self.weight.device
            classes = torch.from_numpy(negatives.classes).to(device)
            correction = torch.from_numpy(negatives.expected_counts).to(device).log()
            weight, bias = self.weight[classes], self.bias[classes] - correction[classes]
            true_bias = true_bias - correction[targets]
            hits = _hits(targets, classes, self.n_classes)
        true_logits = (hidden * true_weight).sum(dim=1) + true_bias
        return _CrossEntropy.apply(hidden, true_logits, weight, bias, hits)

    @torch.no_grad()
    def log_probabilities(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """log P(target) over the whole vocabulary in nats, shape (n,)."""
        rows = _chunk_rows(self.weight)
        parts = []
        for h, target in zip(hidden.split(rows), targets.split(rows), strict=True):
            logits = F.linear(h, self.weight, self.bias)
            parts.append(logits.gather(1, target[:, None])[:, 0] - logits.logsumexp(dim=1))
        return torch.cat(parts)


def _hits(targets: Tensor, classes: Tensor, n_classes: int) -> Tensor:
    """Where each target stands among the negatives, -1 for nowhere. Shape (n,)."""
    place = torch.full((n_classes,), -1, device=targets.device)
    place[classes] = torch.arange(len(classes), device=targets.device)
    return place[targets]


class _CrossEntropy(torch.autograd.Function):
    """mean(log(exp(true) + sum_k exp(hidden @ weight_k + bias_k)) - true), the sum without each row's hit.

    The logits, the largest array of a training step, exist one chunk at a time: each chunk's gradients are made at
    once in the forward pass, while its probabilities are at hand, and only scaled in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, true_logits: Tensor, weight: Tensor, bias: Tensor, hits: Tensor) -> Tensor:
        dtype, n, size = product_dtype(hidden), len(hidden), _chunk_rows(weight)
        score, scale = scores_for(dtype, hidden, true_logits, bias), 1 / max(n, 1)
        product_hidden, product_weight = hidden.to(dtype), weight.to(dtype)
        d_hidden, d_true = torch.empty_like(hidden), torch.empty_like(true_logits)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []

        def run(first: int, last: int) -> None:
            loss, d_weight, d_bias = hidden.new_zeros(()), torch.zeros_like(weight), torch.zeros_like(bias)
            for start in range(first, last, size):
                rows = slice(start, min(start + size, last))
                found, d_true[rows], d_logits = score(
                    product_hidden[rows], product_weight, bias, hits[rows], true_logits[rows], d_bias
                )
                loss += found
                d_hidden[rows] = d_logits @ product_weight
                d_weight += d_logits.t() @ product_hidden[rows]
            parts.append((loss, d_weight, d_bias))

        with without_autocast(hidden):
            if hidden.is_cpu and n_threads() > 1:
                both(lambda: run(0, n // 2), lambda: run(n // 2, n))
            else:
                run(0, n)
        loss, d_weight, d_bias = (sum(part[1:], part[0]) for part in zip(*parts, strict=True))
        ctx.save_for_backward(*(gradient.mul_(scale) for gradient in (d_hidden, d_true, d_weight, d_bias)))
        return loss * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        return (*(gradient * d_loss for gradient in ctx.saved_tensors), None)


def _chunk_rows(weight: Tensor) -> int:
    return max(1, (GPU_CHUNK_ELEMENTS if weight.is_cuda else CHUNK_ELEMENTS) // len(weight))
