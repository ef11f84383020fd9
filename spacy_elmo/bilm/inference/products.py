"""Products with weights that stay the same from call to call, laid out beforehand as suits the processor and precision.

    weight = FixedWeight(weight, precision)
    y = weight.product(n_rows)(x, addend)  # x @ weight.T + addend

All ways of computing a float32 product agree to rounding. Which one is taken depends on the processor and the shapes
alone, never on a timing, so that the same machine gives the same numbers every time.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from . import processor

PRECISIONS = ("float32", "bfloat16")

# From x (n_rows, n_inputs) and an addend (n_outputs,) or (n_rows, n_outputs), which may be overwritten, or none, to
# (n_rows, n_outputs). All float32.
Product = Callable[[Tensor, Tensor | None], Tensor]

# Rows from which on a product is about as fast in one layout as in another, each weight being read for many of them.
MANY_ROWS = 128


def layout(weight: Tensor, precision: str, n_rows: int) -> str:
    """How a weight (n_outputs, n_inputs) should lie for products with about so many rows: one of LAYOUTS."""
    if precision == "bfloat16":
        return "bfloat16"
    if weight.device.type != "cpu":
        return "view"
    return _exact_layout(weight, n_rows)


def _exact_layout(weight: Tensor, n_rows: int) -> str:
    """The fastest by what `python -m bench.products` found on AMD Zen 3 and 5 and on Intel with AVX-512 and AMX.

    - Intel with AVX-512: MKL on a transposed copy while the weight stays in the second-level cache, and for one row.
    - Others, one row: as much work as reading the weight, which MKL does best along its longer side.
    - More rows: oneDNN's blocks, where there is AVX-512. With AVX2 alone they gain in steps of wide weights only.
    """
    n_outputs, n_inputs = weight.shape
    wide, rows, here = n_outputs > n_inputs, kind(n_rows), processor.here()
    if here.avx512 and here.vendor == "GenuineIntel" and (rows == "one" or 4 * weight.numel() <= here.l2_bytes):
        return "copy"
    if rows == "one":
        return "copy" if wide else "view"
    if _has_packing(torch.float32) and (here.avx512 or (wide and rows == "few")):
        return "packed"
    return "view"


def kind(n_rows: int) -> str:
    """Two numbers of rows of one kind get the same layout."""
    return "one" if n_rows == 1 else "few" if n_rows < MANY_ROWS else "many"


class FixedWeight:
    """A weight that does not change, in each layout that it has been asked for, once.

    Args:
        weight: (n_outputs, n_inputs), of any floating type; products are float32.
        precision: One of PRECISIONS.
    """

    def __init__(self, weight: Tensor, precision: str) -> None:
        self._weight = weight.detach().float()
        self._precision = precision
        self._products: dict[str, Product] = {}

    def product(self, n_rows: int) -> Product:
        """For about so many rows."""
        name = layout(self._weight, self._precision, n_rows)
        if name not in self._products:
            self._products[name] = LAYOUTS[name](self._weight)
        return self._products[name]


class Plain:
    """By torch's own matrix product; a view of the weight or a copy, as it is given."""

    def __init__(self, transposed: Tensor) -> None:
        self._transposed = transposed

    def __call__(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        """The product, with the addend where there is one."""
        if addend is None:
            return x @ self._transposed
        return torch.addmm(addend, x, self._transposed, out=addend if addend.dim() == 2 else None)


class Packed:
    """By oneDNN, with the weight in blocks in the order in which the processor reads them.

    On AMD processors with AVX-512 two to three times as fast as torch's default, MKL.
    """

    def __init__(self, weight: Tensor) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), None)

    def __call__(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        """The product, with the addend where there is one."""
        if addend is not None and addend.dim() == 2:
            return torch.ops.mkldnn._linear_pointwise.binary(x, addend, self._weight, None, "add")
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, addend, "none", [], "")


class Half:
    """Factors in bfloat16, sums in float32, rounded to bfloat16: fast on processors that have it, slow on others."""

    def __init__(self, weight: Tensor) -> None:
        weight = weight.detach().bfloat16()
        packed = weight.device.type == "cpu" and _has_packing(torch.bfloat16)
        self._product: Product = Packed(weight) if packed else Plain(weight.t())

    def __call__(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        """The product, with the addend where there is one."""
        y = self._product(x.bfloat16(), None).float()
        return y if addend is None else y.add_(addend)


LAYOUTS: dict[str, Callable[[Tensor], Product]] = {
    "view": lambda weight: Plain(weight.t()),
    "copy": lambda weight: Plain(weight.t().contiguous()),
    "packed": Packed,
    "bfloat16": Half,
}


@cache
def _has_packing(dtype: torch.dtype) -> bool:
    """Whether oneDNN's packed product is there for this processor and right: it is no public interface of torch."""
    if not torch.backends.mkldnn.is_available():
        return False
    with torch.device("cpu"):  # whatever the caller's default is
        x, weight, addend = torch.ones(3, 5, dtype=dtype), torch.eye(7, 5, dtype=dtype), torch.ones(3, 7, dtype=dtype)
    try:
        found = Packed(weight)(x, addend)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.equal(found, x @ weight.t() + 1)
