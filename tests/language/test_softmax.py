import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spacy_elmo.language import softmax as softmax_module
from spacy_elmo.language.sampler import LogUniformSampler, Negatives
from spacy_elmo.language.softmax import Softmax

N_CLASSES, DIM, N_ROWS, N_NEGATIVES = 23, 5, 17, 9
EXACT_OR_SAMPLED = pytest.mark.parametrize("sampled", [False, True], ids=["exact", "sampled"])


def random_softmax(dtype: torch.dtype = torch.float64) -> Softmax:
    torch.manual_seed(0)
    softmax = Softmax(N_CLASSES, DIM).to(dtype)
    with torch.no_grad():
        softmax.bias.normal_()
    return softmax


def random_rows(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    hidden = torch.randn(N_ROWS, DIM, dtype=dtype, requires_grad=True)
    return hidden, torch.randint(N_CLASSES, (N_ROWS,))


def some_negatives(sampled: bool = True) -> Negatives | None:
    return LogUniformSampler(N_CLASSES, N_NEGATIVES).draw(np.random.default_rng(0)) if sampled else None


def plain_loss(softmax: Softmax, hidden: Tensor, targets: Tensor, negatives: Negatives | None) -> Tensor:
    """All logits at once, the true class first where the others are a sample; gradients from autograd."""
    logits = hidden @ softmax.weight.t() + softmax.bias
    if negatives is None:
        return F.cross_entropy(logits, targets)
    logits = logits - torch.from_numpy(negatives.expected_counts).to(logits.dtype).log()
    classes = torch.from_numpy(negatives.classes)
    others = logits[:, classes].masked_fill(classes == targets[:, None], -torch.inf)
    columns = torch.cat([logits.gather(1, targets[:, None]), others], dim=1)
    return F.cross_entropy(columns, torch.zeros_like(targets))


def gradients(loss: Tensor, softmax: Softmax, hidden: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, (hidden, softmax.weight, softmax.bias))


def assert_close(found: Tensor, wanted: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


@EXACT_OR_SAMPLED
def test_loss_and_gradients_equal_the_plain_ones(sampled: bool) -> None:
    softmax, (hidden, targets), negatives = random_softmax(), random_rows(), some_negatives(sampled)
    if negatives:
        hits = int(np.isin(targets.numpy(), negatives.classes).sum())
        assert 0 < hits < N_ROWS, "some rows have their true class among the negatives, and some have not"
    found = softmax(hidden, targets, negatives)
    wanted = plain_loss(softmax, hidden, targets, negatives)
    assert found.shape == ()
    tolerance = 1e-6 if sampled else 1e-12  # the expected counts are float32
    assert_close(found, wanted, tolerance)
    for one, other in zip(gradients(3 * found, softmax, hidden), gradients(3 * wanted, softmax, hidden), strict=True):
        assert other.abs().max() > 0.01
        assert_close(one, other, tolerance)


@EXACT_OR_SAMPLED
def test_gradients_are_those_of_the_loss(sampled: bool) -> None:
    softmax, (hidden, targets), negatives = random_softmax(), random_rows(), some_negatives(sampled)

    def loss(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        parameters = {"weight": weight, "bias": bias}
        return torch.func.functional_call(softmax, parameters, (hidden, targets, negatives))

    inputs = [tensor.detach().requires_grad_() for tensor in (hidden, softmax.weight, softmax.bias)]
    assert torch.autograd.gradcheck(loss, inputs)


@EXACT_OR_SAMPLED
@pytest.mark.parametrize("rows", [1, 3, N_ROWS, N_ROWS + 1])
def test_the_size_of_the_chunks_plays_no_part(monkeypatch: pytest.MonkeyPatch, sampled: bool, rows: int) -> None:
    softmax, (hidden, targets), negatives = random_softmax(), random_rows(), some_negatives(sampled)
    wanted = softmax(hidden, targets, negatives)
    wanted_gradients = gradients(wanted, softmax, hidden)
    monkeypatch.setattr(softmax_module, "CHUNK_ELEMENTS", rows * (N_NEGATIVES if sampled else N_CLASSES))
    found = softmax(hidden, targets, negatives)
    assert_close(found, wanted)
    for one, other in zip(gradients(found, softmax, hidden), wanted_gradients, strict=True):
        assert_close(one, other)


def test_chunks_smaller_than_a_row_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    softmax, (hidden, targets) = random_softmax(), random_rows()
    wanted, wanted_logs = softmax(hidden, targets), softmax.log_probabilities(hidden, targets)
    monkeypatch.setattr(softmax_module, "CHUNK_ELEMENTS", 1)
    assert_close(softmax(hidden, targets), wanted)
    assert_close(softmax.log_probabilities(hidden, targets), wanted_logs)


@pytest.mark.parametrize("target", [0, 7])
def test_a_sample_of_nothing_but_the_true_class_costs_nothing(target: int) -> None:
    softmax, (hidden, _) = random_softmax(), random_rows()
    negatives = Negatives(np.array([target]), np.full(N_CLASSES, 0.1, np.float32))
    loss = softmax(hidden, torch.full((N_ROWS,), target), negatives)
    assert float(loss.detach()) == 0
    for gradient in gradients(loss, softmax, hidden):
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_all_classes_but_the_true_one_as_sure_negatives_are_the_exact_loss() -> None:
    softmax, (hidden, _) = random_softmax(), random_rows()
    targets = torch.full((N_ROWS,), 4)
    others = np.array([k for k in range(N_CLASSES) if k != 4])
    sampled = softmax(hidden, targets, Negatives(others, np.ones(N_CLASSES, np.float32)))
    exact = softmax(hidden, targets)
    assert_close(sampled, exact)
    for one, other in zip(gradients(sampled, softmax, hidden), gradients(exact, softmax, hidden), strict=True):
        assert_close(one, other)


def test_the_sampled_gradient_points_where_the_exact_one_does() -> None:
    """On the average of many samples, and because of the expected counts."""
    softmax, (hidden, targets) = random_softmax(), random_rows()
    wanted = gradients(softmax(hidden, targets), softmax, hidden)
    sampler, rng = LogUniformSampler(N_CLASSES, 15), np.random.default_rng(0)
    samples = [sampler.draw(rng) for _ in range(200)]
    corrected = cosines(softmax, hidden, targets, samples, wanted)
    ones = np.ones(N_CLASSES, np.float32)
    uncorrected = cosines(softmax, hidden, targets, [Negatives(one.classes, ones) for one in samples], wanted)
    assert min(corrected) > 0.99
    assert all(one > other for one, other in zip(corrected, uncorrected, strict=True))


def cosines(
    softmax: Softmax, hidden: Tensor, targets: Tensor, samples: list[Negatives], wanted: tuple[Tensor, ...]
) -> list[float]:
    parts = zip(*(gradients(softmax(hidden, targets, one), softmax, hidden) for one in samples), strict=True)
    means = [torch.stack(part).mean(dim=0).flatten() for part in parts]
    return [float(F.cosine_similarity(mean, one.flatten(), dim=0)) for mean, one in zip(means, wanted, strict=True)]


def test_log_probabilities_equal_log_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    softmax, (hidden, targets) = random_softmax(), random_rows()
    logits = hidden @ softmax.weight.t() + softmax.bias
    wanted = F.log_softmax(logits, dim=1)[torch.arange(N_ROWS), targets]
    for elements in (softmax_module.CHUNK_ELEMENTS, 5 * N_CLASSES):
        monkeypatch.setattr(softmax_module, "CHUNK_ELEMENTS", elements)
        found = softmax.log_probabilities(hidden, targets)
        assert not found.requires_grad
        assert_close(found, wanted.detach())


def test_log_probabilities_of_nothing() -> None:
    softmax = random_softmax()
    assert softmax.log_probabilities(torch.zeros(0, DIM).double(), torch.zeros(0, dtype=torch.int64)).shape == (0,)


@EXACT_OR_SAMPLED
def test_logits_of_any_size_give_finite_numbers(sampled: bool) -> None:
    softmax, (hidden, targets), negatives = random_softmax(torch.float32), random_rows(), some_negatives(sampled)
    large = (1000 * hidden).float().detach().requires_grad_()
    loss = softmax(large, targets, negatives)
    assert 100 < float(loss.detach()) < 1e5
    for gradient in gradients(loss, softmax, large):
        assert torch.isfinite(gradient).all()


@EXACT_OR_SAMPLED
def test_bfloat16_products_are_near(sampled: bool) -> None:
    softmax, (hidden, targets) = random_softmax(torch.float32), random_rows(torch.float32)
    negatives = some_negatives(sampled)
    wanted = softmax(hidden, targets, negatives)
    with torch.autocast("cpu", torch.bfloat16):
        found = softmax(hidden, targets, negatives)
    assert found.dtype == torch.float32
    assert found != wanted
    assert_close(found, wanted, 0.02)
    for one, other in zip(gradients(found, softmax, hidden), gradients(wanted, softmax, hidden), strict=True):
        assert one.dtype == torch.float32
        assert_close(one, other, 0.02 * float(other.abs().max()))


def test_a_fresh_softmax_has_logits_of_the_order_of_one() -> None:
    torch.manual_seed(0)
    softmax = Softmax(1000, 64)
    assert softmax.n_classes == 1000
    assert torch.equal(softmax.bias, torch.zeros(1000))
    logits = torch.randn(100, 64) @ softmax.weight.detach().t()
    assert 0.9 < float(logits.std()) < 1.1


@EXACT_OR_SAMPLED
def test_targets_of_32_bits(sampled: bool) -> None:
    softmax, (hidden, targets), negatives = (
        random_softmax(torch.float32),
        random_rows(torch.float32),
        some_negatives(sampled),
    )
    assert torch.equal(softmax(hidden, targets.int(), negatives), softmax(hidden, targets, negatives))


def test_weights_of_another_type_than_the_rows() -> None:
    softmax, (hidden, targets) = random_softmax(torch.float32), random_rows(torch.float32)
    wanted = softmax(hidden, targets)
    softmax.bfloat16()
    found = softmax(hidden, targets)
    assert_close(found.float(), wanted, 0.02)
    found.backward()
    assert softmax.bias.grad.dtype == torch.bfloat16
    assert hidden.grad.dtype == torch.float32


@EXACT_OR_SAMPLED
def test_of_no_rows_the_loss_and_its_gradients_are_zero(sampled: bool) -> None:
    softmax, (hidden, targets), negatives = random_softmax(), random_rows(), some_negatives(sampled)
    loss = softmax(hidden[:0], targets[:0], negatives)
    assert loss == 0
    for gradient in torch.autograd.grad(loss, (softmax.weight, softmax.bias)):
        assert not gradient.any()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_in_inference_mode(n_threads: int) -> None:
    softmax, (hidden, targets) = random_softmax(torch.float32), random_rows(torch.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        wanted = softmax(hidden, targets)
        with torch.inference_mode():
            assert torch.equal(softmax(hidden, targets), wanted)
    finally:
        torch.set_num_threads(threads)
