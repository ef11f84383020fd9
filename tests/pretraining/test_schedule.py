import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spacy_elmo.pretraining.schedule import DECAYS, learn_rate

PEAK = 0.002


@pytest.mark.parametrize("decay", DECAYS)
def test_the_rate_rises_in_a_line_to_its_peak(decay: str) -> None:
    rates = [learn_rate(step, 100, PEAK, 8, decay) for step in range(9)]
    assert rates == pytest.approx([PEAK * k / 8 for k in (1, 2, 3, 4, 5, 6, 7, 8, 8)])


@pytest.mark.parametrize("warmup", [0, 7])
def test_cosine_is_that_of_pytorch(warmup: int) -> None:
    total = 60
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - warmup)
    for step in range(warmup, total + 1):
        assert learn_rate(step, total, PEAK, warmup, "cosine") == pytest.approx(scheduler.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        scheduler.step()


def test_linear_falls_by_equal_steps_to_zero() -> None:
    rates = [learn_rate(step, 14, PEAK, 4, "linear") for step in range(4, 15)]
    assert rates == pytest.approx([PEAK * k / 10 for k in range(10, -1, -1)])


@pytest.mark.parametrize("decay", ["cosine", "linear"])
def test_the_decay_waits_for_its_share_of_the_steps(decay: str) -> None:
    """And is then the decay of a shorter run."""
    rates = [learn_rate(step, 44, PEAK, 4, decay, 0.25) for step in range(45)]
    assert set(rates[4:35]) == {PEAK}
    assert rates[34:] == pytest.approx([learn_rate(step, 10, PEAK, 0, decay) for step in range(11)])


def test_constant_stays() -> None:
    assert {learn_rate(step, 20, PEAK, 3, "constant") for step in range(3, 21)} == {PEAK}


@given(
    total=st.integers(1, 200),
    warmup=st.integers(0, 250),
    decay=st.sampled_from(DECAYS),
    peak=st.floats(1e-6, 1),
    share=st.floats(0.01, 1),
)
def test_every_update_of_a_run_has_a_rate_up_to_the_peak(
    total: int, warmup: int, decay: str, peak: float, share: float
) -> None:
    """Also of a run that ends before it has warmed up."""
    rates = [learn_rate(step, total, peak, warmup, decay, share) for step in range(total)]
    assert all(0 < rate <= peak * (1 + 1e-12) for rate in rates)
    rising, falling = rates[:warmup], rates[warmup:]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
