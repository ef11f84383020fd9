import copy
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spacy_elmo.pretraining.config import OptimizerSettings
from spacy_elmo.pretraining.optimizer import Optimizer

SETTINGS = OptimizerSettings(learn_rate=0.05, beta1=0.8, beta2=0.95, eps=1e-6, warmup_steps=3, grad_clip=0.5)
TOTAL = 12
INPUTS = torch.randn(TOTAL, 6, 4, generator=torch.Generator().manual_seed(0))


def new_module() -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    module[0].bias.requires_grad_(False)
    return module


def make_gradients(module: nn.Module, step: int) -> None:
    """Of very different norms, some beyond the clip and some not."""
    loss = (module(INPUTS[step]) ** 2).mean()
    (loss * (10 if step % 2 else 0.1)).backward()


def update(module: nn.Module, optimizer: Optimizer, steps: range) -> None:
    for step in steps:
        make_gradients(module, step)
        optimizer.clip()
        optimizer.apply(step)


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_updates_are_counted_as_all_that_torch_writes_into_a_tensor() -> None:
    """By which those who keep what they computed with weights know that they changed."""
    module = new_module()
    optimizer = Optimizer(module, SETTINGS, TOTAL)
    versions = [parameter._version for parameter in module.parameters() if parameter.requires_grad]
    update(module, optimizer, range(3))
    found = [parameter._version for parameter in module.parameters() if parameter.requires_grad]
    assert found == [version + 3 for version in versions]


def test_updates_are_those_of_adam_clipped_and_scheduled() -> None:
    module, other = new_module(), new_module()
    optimizer = Optimizer(module, SETTINGS, TOTAL)
    trained = [parameter for parameter in other.parameters() if parameter.requires_grad]
    adam = torch.optim.Adam(trained, betas=(0.8, 0.95), eps=1e-6, foreach=False, fused=False)
    clipped = 0
    for step in range(TOTAL):
        make_gradients(module, step)
        make_gradients(other, step)
        norm = math.sqrt(sum(float((parameter.grad**2).sum()) for parameter in trained))
        clipped += norm > 0.5
        for parameter in trained:
            assert parameter.grad is not None
            parameter.grad.mul_(min(1, 0.5 / (norm + 1e-6)))
        done = (step - 3) / (TOTAL - 3)
        adam.param_groups[0]["lr"] = 0.05 * ((step + 1) / 3 if step < 3 else (1 + math.cos(math.pi * done)) / 2)
        adam.step()
        adam.zero_grad()
        assert optimizer.clip() == pytest.approx(norm, rel=1e-5)
        assert optimizer.apply(step) == pytest.approx(adam.param_groups[0]["lr"])
        for found, wanted in zip(module.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    assert 0 < clipped < TOTAL


def test_gradients_are_cleared_and_frozen_parameters_stay() -> None:
    module = new_module()
    before = tensors_of(module)
    optimizer = Optimizer(module, SETTINGS, TOTAL)
    update(module, optimizer, range(2))
    assert all(parameter.grad is None for parameter in module.parameters())
    changed = {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"0.weight", "2.weight", "2.bias"} == set(optimizer.parameters)


def test_the_norm_is_over_all_parameters_and_the_clip_its_bound() -> None:
    module = new_module()
    optimizer = Optimizer(module, SETTINGS, TOTAL)
    for value in (2.0, 0.01):
        for parameter in optimizer.parameters.values():
            parameter.grad = torch.full_like(parameter, value)
        wanted = value * math.sqrt(sum(parameter.numel() for parameter in optimizer.parameters.values()))
        assert optimizer.clip() == pytest.approx(wanted)
        assert optimizer.clip() == pytest.approx(min(wanted, 0.5), rel=1e-5)


@pytest.mark.parametrize("break_at", [1, 5])
def test_a_run_from_its_saved_state_goes_on_bit_for_bit(tmp_path: Path, break_at: int) -> None:
    whole = new_module()
    update(whole, Optimizer(whole, SETTINGS, TOTAL), range(TOTAL))

    module = new_module()
    optimizer = Optimizer(module, SETTINGS, TOTAL)
    update(module, optimizer, range(break_at))
    save_file(optimizer.state(), tmp_path / "state")
    again = copy.deepcopy(module)
    resumed = Optimizer(again, SETTINGS, TOTAL)
    resumed.load_state(load_file(tmp_path / "state"), break_at)
    update(again, resumed, range(break_at, TOTAL))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_the_state_has_both_moments_of_what_is_trained() -> None:
    module = new_module()
    optimizer = Optimizer(module, SETTINGS, TOTAL)
    assert optimizer.state() == {}
    update(module, optimizer, range(1))
    shapes = {name: tuple(tensor.shape) for name, tensor in optimizer.state().items()}
    names = {"0.weight": (5, 4), "2.weight": (3, 5), "2.bias": (3,)}
    assert shapes == {f"{moment}.{n}": shape for moment in ("exp_avg", "exp_avg_sq") for n, shape in names.items()}


def test_a_missing_moment_is_an_error() -> None:
    module = new_module()
    optimizer = Optimizer(module, SETTINGS, TOTAL)
    update(module, optimizer, range(1))
    state = optimizer.state()
    del state["exp_avg_sq.2.bias"]
    with pytest.raises(KeyError, match=r"exp_avg_sq\.2\.bias"):
        Optimizer(new_module(), SETTINGS, TOTAL).load_state(state, 1)
