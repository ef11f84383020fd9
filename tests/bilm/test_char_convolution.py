"""What the native kernels compute of the convolutions over characters in training, against torch in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spacy_elmo.bilm import BiLMConfig
from spacy_elmo.bilm.char_convolution import convolve as by_kernel
from spacy_elmo.bilm.char_features import CharFeatures, convolve, convolve_natively
from spacy_elmo.bilm.native import NativeKernel, kernels
from spacy_elmo.bilm.native.library import VARIABLE

KERNELS = [kernel for kernel in kernels() if kernel.precision == "float32"]
if not KERNELS:
    pytest.skip("needs the native kernels, which take a C++ compiler to build", allow_module_level=True)

every_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
N_CHARACTERS, MAX_CHARACTERS = 12, 9


def random_features(filters: tuple[tuple[int, int], ...], char_dim: int, seed: int) -> CharFeatures:
    torch.manual_seed(seed)
    config = BiLMConfig(filters=filters, char_dim=char_dim, max_characters=MAX_CHARACTERS, n_highway=0)
    return CharFeatures(config, N_CHARACTERS, padding=0, untrained=0)


def random_ids(n_words: int) -> Tensor:
    """Words of any length, some of nothing but padding, some with padding between their characters."""
    lengths = torch.randint(0, MAX_CHARACTERS + 1, (n_words, 1))
    return torch.randint(0, N_CHARACTERS, (n_words, MAX_CHARACTERS)) * (torch.arange(MAX_CHARACTERS) < lengths)


def values_and_gradients(features: CharFeatures, maxima: Tensor) -> list[Tensor]:
    # Each value weighs differently, and some not at all.
    weights = torch.linspace(-1, 2, maxima.numel()).view_as(maxima).to(maxima.dtype)
    gradients = torch.autograd.grad((maxima * weights.relu()).sum(), list(features.parameters()))
    return [maxima.detach(), *gradients]


@every_kernel
@settings(max_examples=25, deadline=None)
@given(
    filters=st.sampled_from([((1, 3),), ((3, 65), (1, 5)), ((9, 2), (2, 64), (4, 17)), ((7, 130),)]),
    char_dim=st.sampled_from([1, 4, 16, 19]),
    n_words=st.sampled_from([1, 2, 7]),
    n_threads=st.integers(1, 2),
    seed=st.integers(0, 2**31),
)
def test_values_and_gradients_are_those_of_float64(
    kernel: NativeKernel, filters: tuple[tuple[int, int], ...], char_dim: int, n_words: int, n_threads: int, seed: int
) -> None:
    features = random_features(filters, char_dim, seed)
    ids, threads = random_ids(n_words), torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        maxima = by_kernel(kernel, features.embedding, features.convolutions, ids, features.lengths(ids))
        found = values_and_gradients(features, maxima)
    finally:
        torch.set_num_threads(threads)
    features.double()
    wanted = values_and_gradients(features, convolve(features, ids))
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)


@every_kernel
def test_a_number_that_is_none_stays_one(kernel: NativeKernel) -> None:
    features = random_features(((2, 3), (1, 70)), 4, seed=0)
    with torch.no_grad():
        features.embedding.weight[5] = torch.nan
    ids = torch.tensor([[1, 5, 2], [1, 2, 3], [2, 3, 5]])
    maxima = by_kernel(kernel, features.embedding, features.convolutions, ids, features.lengths(ids))
    assert maxima.isnan().all(dim=1).tolist() == [True, False, True]
    assert not maxima[1].isnan().any()


def test_it_computes_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    features = random_features(((2, 3),), 4, seed=0)
    ids = random_ids(3)

    def node() -> str:
        return type(convolve_natively(features, ids).grad_fn).__name__

    assert node() == "_ConvolutionsBackward"
    with torch.autocast("cpu", torch.bfloat16):
        assert convolve_natively(features, ids).dtype == torch.bfloat16
    monkeypatch.setenv(VARIABLE, "0")
    assert node() == "CatBackward0"
    monkeypatch.delenv(VARIABLE)
    features.double()
    assert node() == "CatBackward0"


def test_ids_of_32_bits() -> None:
    features, ids = random_features(((2, 3),), 4, seed=0), random_ids(3)
    assert torch.equal(convolve_natively(features, ids.int()), convolve_natively(features, ids))


@pytest.mark.parametrize("number", [-1, N_CHARACTERS, 10 * N_CHARACTERS])
def test_an_id_without_a_vector_is_an_error(number: int) -> None:
    features, ids = random_features(((2, 3),), 4, seed=0), random_ids(3)
    ids[1, 2] = number
    with pytest.raises(IndexError, match=f"vectors of {N_CHARACTERS} characters"):
        convolve_natively(features, ids)


def test_weights_of_several_types_are_torchs() -> None:
    features, ids = random_features(((2, 3), (1, 4)), 4, seed=0), random_ids(3)
    features.convolutions[1].double()
    with pytest.raises(RuntimeError, match="type"):
        convolve_natively(features, ids)
