"""What the native kernels compute of a softmax's rows, against float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spacy_elmo.bilm.native import NativeKernel, kernels
from spacy_elmo.bilm.native.library import VARIABLE
from spacy_elmo.language.scores import NativeScores, TorchScores, scores_for

KERNELS = [kernel for kernel in kernels() if kernel.precision == "float32"]
if not KERNELS:
    pytest.skip("needs the native kernels, which take a C++ compiler to build", allow_module_level=True)

every_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


def rows(n: int, n_classes: int, seed: int) -> list[Tensor]:
    """Of each the arguments of a `ScoreGradient`; some leave out a class, which then has the score of the true one."""
    generator = torch.Generator().manual_seed(seed)
    hidden, weight = (3 * torch.randn(size, 5, generator=generator) for size in (n, n_classes))
    bias = torch.randn(n_classes, generator=generator)
    hits = torch.randint(-1, n_classes, (n,), generator=generator)
    own = torch.where(hits < 0, torch.randn(n, generator=generator), (hidden * weight[hits]).sum(dim=1) + bias[hits])
    return [hidden, weight, bias, hits, own, torch.randn(n_classes, generator=generator)]


@every_kernel
@settings(max_examples=25, deadline=None)
@given(
    n=st.sampled_from([1, 2, 7]),
    n_classes=st.sampled_from([1, 3, 8, 15, 16, 17, 64, 65, 200]),
    half=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_rows_are_those_of_float64(kernel: NativeKernel, n: int, n_classes: int, half: bool, seed: int) -> None:
    arguments = rows(n, n_classes, seed)
    if half:
        arguments[:2] = [tensor.bfloat16() for tensor in arguments[:2]]
    wanted_bias = arguments[-1].double()
    found = NativeScores(kernel)(*arguments)
    if half:  # the logits are rounded, too
        arguments[:2] = [(arguments[0] @ arguments[1].t()).double(), torch.eye(n_classes).double()]
    doubles = [tensor.double() if tensor.is_floating_point() else tensor for tensor in arguments[:-1]]
    loss, d_true, d_logits = TorchScores()(*doubles, d_bias=wanted_bias)
    wanted = [loss, d_true, d_logits, wanted_bias]
    for ours, theirs in zip([*found, arguments[-1]], wanted, strict=True):
        tolerance = 2**-8 if ours.dtype == torch.bfloat16 else 1e-5
        torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=1e-5)


@every_kernel
@pytest.mark.parametrize("n_classes", [5, 15, 16, 17])
def test_scores_that_are_all_far_below_zero(kernel: NativeKernel, n_classes: int) -> None:
    """Places behind the last class are no scores of zero."""
    arguments = rows(3, n_classes, seed=0)
    arguments[2] -= 200
    arguments[4] -= 200
    wanted = TorchScores()(*(tensor.double() if tensor.is_floating_point() else tensor for tensor in arguments))
    for ours, theirs in zip(NativeScores(kernel)(*arguments), wanted, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


@every_kernel
def test_a_class_that_is_left_out_gets_nothing_and_a_number_that_is_none_stays_one(kernel: NativeKernel) -> None:
    arguments = rows(3, 20, seed=0)
    arguments[3] = torch.tensor([4, 19, -1])
    d_bias = arguments[5].zero_()
    _, _, d_logits = NativeScores(kernel)(*arguments)
    assert (d_logits == 0).nonzero().tolist() == [[0, 4], [1, 19]]
    torch.testing.assert_close(d_bias, d_logits.sum(dim=0))
    arguments[0][1] = torch.nan
    loss, d_true, d_logits = NativeScores(kernel)(*arguments)
    assert loss.isnan()
    assert d_true.isnan().tolist() == [False, True, False]
    assert d_logits.isnan().any(dim=1).tolist() == [False, True, False]


def test_who_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    single, double = torch.ones(1), torch.ones(1).double()
    assert isinstance(scores_for(torch.bfloat16, single), NativeScores)
    assert isinstance(scores_for(torch.float64, double), TorchScores)
    assert isinstance(scores_for(torch.float16, single), TorchScores)
    assert isinstance(scores_for(torch.float32, single, double), TorchScores)
    monkeypatch.setenv(VARIABLE, "0")
    assert isinstance(scores_for(torch.float32, single), TorchScores)


def test_what_is_no_float32_is_refused_before_it_is_read() -> None:
    for number, dtype in ((2, torch.bfloat16), (3, torch.int32), (4, torch.float64), (5, torch.bfloat16)):
        arguments = rows(3, 20, seed=0)
        arguments[number] = arguments[number].to(dtype)
        with pytest.raises(TypeError, match=str(dtype)):
            NativeScores(KERNELS[0])(*arguments)
