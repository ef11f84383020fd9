"""What the native kernels compute of a step in training, against float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spacy_elmo.bilm.lstm import ProjectedLSTM
from spacy_elmo.bilm.lstm_cells import CellUpdate, NativeCells, Step, TorchCells, cells_for
from spacy_elmo.bilm.native import NativeKernel, kernels
from spacy_elmo.bilm.native.library import VARIABLE

KERNELS = [kernel for kernel in kernels() if kernel.precision == "float32"]
if not KERNELS:
    pytest.skip("needs the native kernels, which take a C++ compiler to build", allow_module_level=True)

every_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


def step(
    compute: CellUpdate, inputs: list[Tensor], keep: Tensor | None, clip: float, half: bool = False
) -> list[Tensor]:
    """All that comes of a step forward and backward."""
    products, bias, before, d_exposed, d_cells = (tensor.clone() for tensor in inputs)
    dtype = torch.bfloat16 if half else before.dtype
    gates, cells, squashed = (torch.empty_like(x) for x in (products, before, before))
    exposed, d_gates = torch.empty_like(before, dtype=dtype), torch.empty_like(gates, dtype=dtype)
    kept = before if keep is None else before * keep
    compute.forward(Step(kept, gates, cells, squashed, clip), products.to(dtype), bias, exposed)
    compute.backward(Step(before, gates, cells, squashed, clip), d_exposed.to(dtype), d_gates, d_cells, keep)
    return [gates, cells, squashed, exposed, d_gates, d_cells]


@every_kernel
@settings(max_examples=25, deadline=None)
@given(
    n_rows=st.sampled_from([1, 3, 31, 32, 33, 100]),
    cell_dim=st.sampled_from([1, 3, 8, 15, 16, 17, 40]),
    clip=st.sampled_from([0.5, 3.0, float("inf")]),
    starts=st.booleans(),
    half=st.booleans(),
    n_threads=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_a_step_forward_and_backward_is_that_of_float64(
    kernel: NativeKernel, n_rows: int, cell_dim: int, clip: float, starts: bool, half: bool, n_threads: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(n_rows, width, generator=generator) for width in (4 * cell_dim, *[cell_dim] * 3)]
    if half:
        rows[0], rows[2] = rows[0].bfloat16().float(), rows[2].bfloat16().float()
    inputs = [rows[0], torch.randn(4 * cell_dim, generator=generator), *rows[1:]]
    keep = torch.randint(0, 2, (n_rows, 1), generator=generator).float() if starts else None
    threads = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        found = step(NativeCells(kernel), inputs, keep, clip, half)
    finally:
        torch.set_num_threads(threads)
    doubles = [tensor.double() for tensor in inputs]
    wanted = step(TorchCells(), doubles, None if keep is None else keep.double(), clip)
    for ours, theirs in zip(found, wanted, strict=True):
        tolerance = 2**-8 if ours.dtype == torch.bfloat16 else 0
        torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=1e-5)


@every_kernel
def test_a_number_that_is_none_stays_one(kernel: NativeKernel) -> None:
    inputs = [torch.full((2, width), torch.nan) for width in (12, 12, 3, 3, 3)]
    inputs[1] = inputs[1][0]
    for tensor in step(NativeCells(kernel), inputs, None, 3.0):
        assert tensor.isnan().all()


@every_kernel
def test_gradients_of_a_layer_are_those_of_float64(monkeypatch: pytest.MonkeyPatch, kernel: NativeKernel) -> None:
    monkeypatch.setenv(VARIABLE, kernel.name)
    torch.manual_seed(0)
    lstm, sizes = ProjectedLSTM(5, 19, 7, cell_clip=0.9, projection_clip=0.7), [6, 6, 4, 1]
    with torch.no_grad():
        lstm.weight.mul_(2)
        lstm.projection.mul_(2)
    inputs = [torch.randn(sum(sizes), 5), torch.randn(6, 7), torch.randn(6, 19).clamp(-0.9, 0.9)]
    starts = torch.zeros(sum(sizes), dtype=torch.bool)
    starts[[2, 7]] = True

    def gradients(dtype: torch.dtype) -> list[Tensor]:
        layer = ProjectedLSTM(5, 19, 7, cell_clip=0.9, projection_clip=0.7).to(dtype)
        layer.load_state_dict(lstm.state_dict())
        x, hidden, cell = (tensor.to(dtype, copy=True).requires_grad_() for tensor in inputs)
        output, (new_hidden, new_cell) = layer(x, sizes, (hidden, cell), starts)
        assert (new_cell.abs() == 0.9).any()
        (output.square().sum() + new_hidden.sum() + new_cell.square().sum()).backward()
        return [tensor.grad for tensor in (x, hidden, cell, *layer.parameters())]

    assert isinstance(cells_for(torch.float32, inputs[0]), NativeCells)
    assert isinstance(cells_for(torch.float64, inputs[0].double()), TorchCells)
    assert isinstance(cells_for(torch.float32, inputs[0], inputs[1].double()), TorchCells)
    for ours, theirs in zip(gradients(torch.float32), gradients(torch.float64), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)


def test_without_the_kernel_torch_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    assert isinstance(cells_for(torch.float32, torch.ones(1)), TorchCells)


def test_what_is_of_another_type_is_refused_before_it_is_read() -> None:
    ones, gates = torch.ones(2, 3), torch.ones(2, 12)
    compute, numbers = NativeCells(KERNELS[0]), Step(ones, gates, ones, ones, 3.0)
    with pytest.raises(TypeError, match="float64"):
        compute.forward(Step(ones.double(), gates, ones, ones, 3.0), gates, None, ones)
    with pytest.raises(TypeError, match="bfloat16"):
        compute.forward(numbers, gates, None, ones.bfloat16())
    with pytest.raises(TypeError, match="float16"):
        compute.backward(numbers, ones.half(), gates, ones, None)
    with pytest.raises(TypeError, match=r"bfloat16 numbers .* not torch\.float32"):
        compute.backward(numbers, ones.bfloat16(), gates, ones, None)
