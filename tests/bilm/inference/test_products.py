"""Against float64. On any processor: what only some have is taken where it is there, and what all have everywhere."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spacy_elmo.bilm.inference import processor, products
from spacy_elmo.bilm.inference.processor import Processor
from spacy_elmo.bilm.inference.products import MANY_ROWS, FixedWeight, Half, Packed, Plain, Product

# Factors are near 1 and at most 40 are summed: more than ten times what float32 rounding makes of them.
TOLERANCE = 1e-5
# The largest relative error of a number rounded to bfloat16.
BFLOAT16_ROUNDING = 2.0**-8

# Rows of each kind, and on both sides of the limits between kinds.
ROW_COUNTS = [1, 2, 7, MANY_ROWS - 1, MANY_ROWS, 300]

row_counts = st.sampled_from(ROW_COUNTS)
sizes = st.integers(1, 40)
addend_dims = st.sampled_from([None, 1, 2])
seeds = st.integers(0, 2**31)


def has_packing() -> bool:
    return products._has_packing(torch.float32)


EXACT: dict[str, Callable[[Tensor], Product]] = {
    "view": lambda weight: Plain(weight.t()),
    "copy": lambda weight: Plain(weight.t().contiguous()),
}
if has_packing():
    EXACT["packed"] = Packed


class Case:
    """Random factors. Where strided, neither x nor the weight lies in one piece, like the columns of a gate weight."""

    def __init__(
        self, n_rows: int, n_inputs: int, n_outputs: int, addend_dim: int | None, seed: int = 0, strided: bool = False
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        margin = 3 if strided else 0
        self.weight = torch.randn(n_outputs, n_inputs + margin, generator=generator)[:, margin:]
        self.x = torch.randn(n_rows, n_inputs + margin, generator=generator)[:, :n_inputs]
        shape = {None: (0,), 1: (n_outputs,), 2: (n_rows, n_outputs)}[addend_dim]
        addend = torch.randn(shape, generator=generator)
        self.addend = None if addend_dim is None else addend
        self.wanted = self.x.double() @ self.weight.double().t()
        if self.addend is not None:
            self.wanted += self.addend

    def error(self, product: Product) -> Tensor:
        """(n_rows, n_outputs), of the product of copies: the addend may be overwritten, and nothing else."""
        x, weight = self.x.clone(), self.weight.clone()
        found = product(self.x, None if self.addend is None else self.addend.clone())
        assert found.dtype == torch.float32
        assert found.shape == self.wanted.shape
        assert torch.equal(self.x, x)
        assert torch.equal(self.weight, weight)
        return (found.double() - self.wanted).abs()

    def assert_exact(self, product: Product) -> None:
        assert self.error(product).max() < TOLERANCE

    def assert_near(self, product: Product) -> None:
        """Both factors and the result are rounded, the sums are float32. The addend is not rounded at all."""
        bound = 3.1 * BFLOAT16_ROUNDING * (self.x.double().abs() @ self.weight.double().abs().t())
        assert (self.error(product) <= bound + TOLERANCE).all()


cases = st.builds(Case, row_counts, sizes, sizes, addend_dims, seeds, st.booleans())


@pytest.mark.parametrize("make", EXACT.values(), ids=EXACT.keys())
@settings(max_examples=40, deadline=None)
@given(case=cases)
def test_a_product_is_that_of_float64(make: Callable[[Tensor], Product], case: Case) -> None:
    case.assert_exact(make(case.weight))


@settings(max_examples=40, deadline=None)
@given(case=cases)
def test_a_product_in_bfloat16_is_near_that_of_float64(case: Case) -> None:
    case.assert_near(Half(case.weight))


def test_a_product_in_bfloat16_rounds() -> None:
    case = Case(50, 40, 40, None)
    assert case.error(Half(case.weight)).max() > 1e-3


def test_the_addend_of_a_product_in_bfloat16_keeps_its_bits() -> None:
    addend = torch.tensor([[1 + 2.0**-20, 1000 + 2.0**-10]])
    found = Half(torch.zeros(2, 3))(torch.ones(1, 3), addend.clone())
    assert torch.equal(found, addend)


@pytest.mark.parametrize("make", [*EXACT.values(), Half], ids=[*EXACT.keys(), "half"])
def test_a_product_is_used_again_and_again(make: Callable[[Tensor], Product]) -> None:
    """With any number of rows, whichever it was made for, and the same bits for the same rows."""
    weight = Case(1, 11, 23, None).weight
    product = make(weight)
    first = product(torch.ones(3, 11), None)
    for n_rows in ROW_COUNTS:
        for addend_dim in (None, 1, 2):
            case = Case(n_rows, 11, 23, addend_dim)
            case.weight, case.wanted = weight, case.x.double() @ weight.double().t()
            case.wanted += 0 if case.addend is None else case.addend
            case.assert_near(product) if make is Half else case.assert_exact(product)
    assert torch.equal(product(torch.ones(3, 11), None), first)


def test_a_product_needs_no_gradient() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 3))
    with torch.no_grad():
        made: list[Product] = [*(make(weight) for make in EXACT.values()), Half(weight)]
        for product in made:
            assert not product(torch.ones(4, 3), torch.ones(2)).requires_grad


PROCESSORS = {
    "AVX2": Processor("AuthenticAMD", "Zen 3", bfloat16=False, avx512=False, l2_bytes=512 * 2**10),
    "AMD with AVX-512": Processor("AuthenticAMD", "Zen 5", bfloat16=False, avx512=True, l2_bytes=2**20),
    "Intel with AVX-512": Processor("GenuineIntel", "Xeon", bfloat16=False, avx512=True, l2_bytes=2**21),
    "Intel, weights larger than its cache": Processor(
        "GenuineIntel", "Xeon", bfloat16=False, avx512=True, l2_bytes=2**8
    ),
    "one that does not tell": Processor("", "", bfloat16=False, avx512=False, l2_bytes=2**19),
}


@pytest.mark.parametrize("kind", PROCESSORS)
@pytest.mark.parametrize("packing", [False, True])
@settings(max_examples=10, deadline=None)
@given(n_inputs=sizes, n_outputs=sizes, addend_dim=addend_dims, n_rows=row_counts, seed=seeds, strided=st.booleans())
def test_what_a_product_is_made_for_does_not_change_its_numbers(
    kind: str,
    packing: bool,
    n_inputs: int,
    n_outputs: int,
    addend_dim: int | None,
    n_rows: int,
    seed: int,
    strided: bool,
) -> None:
    """Nor do the abilities of the processor."""
    case = Case(n_rows, n_inputs, n_outputs, addend_dim, seed, strided)
    packing = packing and has_packing()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_has_packing", lambda dtype: packing and dtype == torch.float32)
        patch.setattr(processor, "here", lambda: PROCESSORS[kind])
        for made_for in ROW_COUNTS:
            product = FixedWeight(case.weight, "float32").product(made_for)
            assert packing or isinstance(product, Plain)
            case.assert_exact(product)
        case.assert_near(FixedWeight(case.weight, "bfloat16").product(n_rows))


def layout(product: Product) -> tuple[object, ...]:
    strides = product._transposed.stride() if isinstance(product, Plain) else ()
    return type(product), strides


@pytest.mark.parametrize("shape", [(40, 5), (5, 40), (40, 40)])
@pytest.mark.parametrize("kind", PROCESSORS)
def test_rows_of_one_kind_get_one_layout(monkeypatch: pytest.MonkeyPatch, kind: str, shape: tuple[int, int]) -> None:
    monkeypatch.setattr(processor, "here", lambda: PROCESSORS[kind])
    layouts: dict[str, set[tuple[object, ...]]] = {}
    for n_rows in range(1, 2 * MANY_ROWS):
        product = FixedWeight(torch.zeros(shape), "float32").product(n_rows)
        layouts.setdefault(products.kind(n_rows), set()).add(layout(product))
    assert list(layouts) == ["one", "few", "many"]
    assert {len(found) for found in layouts.values()} == {1}


def test_both_layouts_are_in_use() -> None:
    """The weight as it stands and turned round; else the tests above would see one of them alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_has_packing", lambda dtype: False)
        patch.setattr(processor, "here", lambda: PROCESSORS["AVX2"])
        weights = [torch.zeros(40, 5), torch.zeros(5, 40)]
        found = [FixedWeight(weight, "float32").product(n_rows) for weight in weights for n_rows in (1, 9)]
    assert {product._transposed.is_contiguous() for product in found if isinstance(product, Plain)} == {False, True}


# What bench/products.py found: the fastest for steps of the embedded and of the "original" model, by processor.
FASTEST = {
    "AVX2": {(2048, 128): "packed", (128, 512): "view", (16384, 512): "packed"},
    "AMD with AVX-512": {(2048, 128): "packed", (128, 512): "packed", (16384, 512): "packed"},
    "Intel with AVX-512": {(2048, 128): "copy", (128, 512): "copy", (16384, 512): "packed"},
}


@pytest.mark.parametrize("kind", FASTEST)
def test_each_processor_gets_what_is_fastest_on_it(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(processor, "here", lambda: PROCESSORS[kind])
    monkeypatch.setattr(products, "_has_packing", lambda dtype: True)
    found = {shape: products.layout(torch.empty(shape), "float32", 11) for shape in FASTEST[kind]}
    assert found == FASTEST[kind]


@pytest.fixture
def asked_afresh() -> Iterator[None]:
    """What is known of the processor is found out in the test, and forgotten behind it."""
    products._has_packing.cache_clear()
    yield
    products._has_packing.cache_clear()


def raising(error: Exception) -> Callable[..., Tensor]:
    def fail(*arguments: object) -> Tensor:
        raise error

    return fail


@pytest.mark.usefixtures("asked_afresh")
@pytest.mark.parametrize(
    "error", [AttributeError("no such operator"), RuntimeError("unsupported"), TypeError("wrong arguments")]
)
@pytest.mark.parametrize("attribute", ["__init__", "__call__"])
def test_a_packing_that_fails_is_not_used(monkeypatch: pytest.MonkeyPatch, attribute: str, error: Exception) -> None:
    monkeypatch.setattr(Packed, attribute, raising(error))
    monkeypatch.setattr(processor, "here", lambda: PROCESSORS["AMD with AVX-512"])
    for dtype in (torch.float32, torch.bfloat16):
        assert not products._has_packing(dtype)
    case = Case(5, 7, 30, 2)
    case.assert_exact(FixedWeight(case.weight, "float32").product(5))
    case.assert_near(FixedWeight(case.weight, "bfloat16").product(5))


@pytest.mark.usefixtures("asked_afresh")
def test_a_packing_that_is_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Packed, "__init__", lambda self, weight: None)
    monkeypatch.setattr(Packed, "__call__", lambda self, x, addend=None: addend)
    assert not products._has_packing(torch.float32)


@pytest.mark.usefixtures("asked_afresh")
def test_without_onednn_there_is_no_packing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(Packed, "__init__", raising(AssertionError("must not be tried")))
    assert not products._has_packing(torch.float32)


def test_a_torch_that_was_built_without_onednn_will_do() -> None:
    """Its operators are not there at all."""
    code = """
import types
import torch
torch.ops.mkldnn = types.SimpleNamespace()
torch.backends.mkldnn.is_available = lambda: False
from spacy_elmo import BiLM, BiLMConfig
config = BiLMConfig(filters=((1, 4),), char_dim=3, max_characters=9, n_highway=1, projection_dim=2, cell_dim=9)
for precision in ("float32", "bfloat16"):
    assert BiLM(config, precision).embed([["a", "word"]] * 3)[0].shape == (3, 2, 4)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
