import copy
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spacy_elmo import BiLM
from spacy_elmo.bilm.derived import SAMPLE, Derived
from tests.conftest import random_bilm


class Built:
    """A value that counts how often it was built, and sums what it was built from."""

    def __init__(self, layer: nn.Linear) -> None:
        self.layer = layer
        self.times = 0

    def __call__(self) -> float:
        self.times += 1
        return float(sum(parameter.detach().double().sum() for parameter in self.layer.parameters()))

    def get(self, derived: Derived) -> float:
        return derived.get("sum", list(self.layer.parameters()), self)


def layer_of(n_inputs: int = 30, n_outputs: int = 20) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(n_inputs, n_outputs)


def change_in_place(layer: nn.Linear) -> None:
    with torch.no_grad():
        layer.weight[7, 13] += 1  # one number, which is in no sample


def change_through_data(layer: nn.Linear) -> None:
    layer.weight.data.mul_(0.9)


def change_as_thinc(layer: nn.Linear) -> None:
    """Thinc's optimizer updates an array of the parameter's memory, of which torch knows nothing."""
    array = layer.weight.data.numpy()
    array -= 0.001 * np.sign(array)


def change_the_bias_as_thinc(layer: nn.Linear) -> None:
    layer.bias.detach().numpy()[:] *= 1.001


def assign_data(layer: nn.Linear) -> None:
    layer.weight.data = layer.weight.data + 1


def load_a_state(layer: nn.Linear) -> None:
    layer.load_state_dict({name: 2 * value for name, value in layer.state_dict().items()})


def assign_a_state(layer: nn.Linear) -> None:
    layer.load_state_dict({name: 2 * value for name, value in layer.state_dict().items()}, assign=True)


def replace_the_parameter(layer: nn.Linear) -> None:
    layer.weight = nn.Parameter(layer.weight.detach() + 1)


def swap_tensors(layer: nn.Linear) -> None:
    torch.utils.swap_tensors(layer.weight, nn.Parameter(layer.weight.detach() * 3))


def step_of_an_optimizer(layer: nn.Linear) -> None:
    layer(torch.ones(1, layer.in_features)).sum().backward()
    torch.optim.Adam(layer.parameters(), lr=1e-3).step()


CHANGES: list[Callable[[nn.Linear], None]] = [
    change_in_place,
    change_through_data,
    change_as_thinc,
    change_the_bias_as_thinc,
    assign_data,
    load_a_state,
    assign_a_state,
    replace_the_parameter,
    swap_tensors,
    step_of_an_optimizer,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_once(change: Callable[[nn.Linear], None]) -> None:
    derived, built = Derived(), Built(layer_of())
    before = built.get(derived)
    for times in (2, 3):
        change(built.layer)
        after = built.get(derived)
        assert after != before
        assert after == Built(built.layer)()
        # Once, and not again.
        assert built.get(derived) == after
        assert built.times == times
        before = after


def test_nothing_is_built_again_without_a_change() -> None:
    derived, built = Derived(), Built(layer_of())
    kept = built.get(derived)
    layer = built.layer
    for use in (
        lambda: layer(torch.ones(2, 30)).sum().backward(),
        lambda: layer.zero_grad(),
        lambda: layer.requires_grad_(False),
        lambda: layer.eval(),
        lambda: layer.state_dict(),
        lambda: copy.deepcopy(layer),
        lambda: layer.float(),
        lambda: layer.to("cpu"),
    ):
        use()
        assert built.get(derived) == kept
        with torch.no_grad():
            assert built.get(derived) == kept
        with torch.inference_mode():
            assert built.get(derived) == kept
    assert built.times == 1


@pytest.mark.parametrize("size", [0, 1, 2, SAMPLE - 1, SAMPLE, SAMPLE + 1, 2 * SAMPLE - 1, 2 * SAMPLE, 1000])
def test_an_update_of_any_size_of_tensor_is_seen(size: int) -> None:
    derived, tensor = Derived(), torch.zeros(size)
    array = tensor.numpy()
    values = []
    for _ in range(3):
        values.append(derived.get("copy", [tensor], tensor.clone))
        array += 1
    for expected, value in enumerate(values):
        assert torch.equal(value, torch.full((size,), float(expected)))


def test_a_changed_type_is_seen() -> None:
    derived, built = Derived(), Built(layer_of())
    built.get(derived)
    built.layer.double()
    built.get(derived)
    assert built.times == 2


def test_another_shape_of_the_same_memory_is_seen() -> None:
    derived, tensor = Derived(), torch.arange(6.0)
    assert derived.get("shape", [tensor], lambda: tensor.shape) == (6,)
    other = tensor.view(2, 3)
    assert derived.get("shape", [other], lambda: other.shape) == (2, 3)


def test_memory_that_is_used_again_is_seen() -> None:
    """Another tensor, at the same address, of the same shape, as fresh as the first one was."""
    memory = np.zeros(100, dtype=np.float32)
    derived, values = Derived(), []
    for number in range(3):
        memory[:] = number
        tensor = torch.from_numpy(memory)
        assert tensor._version == 0
        assert tensor.data_ptr() == memory.ctypes.data
        values.append(derived.get("first", [tensor], tensor[0].item))
        del tensor
    assert values == [0, 1, 2]


def test_columns_of_a_wider_tensor_are_seen_to_change() -> None:
    wide = torch.zeros(10, 40)
    derived, columns = Derived(), wide[:, 5:9]
    assert derived.get("sum", [columns], columns.sum) == 0
    wide.numpy()[:] += 1
    assert derived.get("sum", [columns], columns.sum) == 40


def test_keys_are_kept_apart() -> None:
    derived, one, other = Derived(), Built(layer_of()), Built(layer_of(5, 3))
    for _ in range(2):
        assert derived.get("one", list(one.layer.parameters()), one) == Built(one.layer)()
        assert derived.get("other", list(other.layer.parameters()), other) == Built(other.layer)()
    next(other.layer.parameters()).data.add_(1)
    derived.get("one", list(one.layer.parameters()), one)
    derived.get("other", list(other.layer.parameters()), other)
    assert (one.times, other.times) == (1, 2)


class Value:
    pass


def test_the_old_value_is_gone_before_the_new_one_is_built() -> None:
    derived, tensor = Derived(), torch.zeros(100)
    old = weakref.ref(derived.get("value", [tensor], Value))
    assert old() is not None
    tensor.add_(1)

    def build() -> Value:
        assert old() is None
        return Value()

    assert isinstance(derived.get("value", [tensor], build), Value)


def test_a_build_that_fails_leaves_nothing() -> None:
    derived, tensor = Derived(), torch.zeros(100)
    assert derived.get("sum", [tensor], tensor.sum) == 0
    tensor.add_(1)

    def fail() -> Any:
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        derived.get("sum", [tensor], fail)
    assert derived.get("sum", [tensor], tensor.sum) == 100


def test_parameters_made_in_inference_mode() -> None:
    """They count no versions. Their values are looked at all the same."""
    derived = Derived()
    with torch.inference_mode():
        tensor = torch.zeros(100)
    assert tensor.is_inference()
    assert derived.get("sum", [tensor], tensor.sum) == 0
    with torch.inference_mode():
        tensor.add_(1)
        assert derived.get("sum", [tensor], tensor.sum) == 100
    assert derived.get("sum", [tensor], pytest.fail) == 100


def test_elsewhere_than_on_a_cpu_nothing_is_kept() -> None:
    derived, tensor, times = Derived(), torch.zeros(3, device="meta"), []
    for _ in range(2):
        derived.get("value", [torch.zeros(3), tensor], lambda: times.append(1))
    assert len(times) == 2


def pickled(bilm: BiLM) -> BiLM:
    copied: BiLM = pickle.loads(pickle.dumps(bilm))
    return copied


@pytest.mark.parametrize("make_copy", [copy.deepcopy, pickled])
def test_a_copy_of_a_bilm_derives_its_own(make_copy: Callable[[BiLM], BiLM]) -> None:
    bilm, sentences = random_bilm(), [["a", "copy"], ["of", "its", "own"]]
    (before, _), size = bilm.embed(sentences), len(pickle.dumps(random_bilm()))
    assert len(pickle.dumps(bilm)) == size
    other = make_copy(bilm)
    assert other.derived is not bilm.derived
    assert not other.derived._kept
    np.testing.assert_array_equal(other.embed(sentences)[0], before)
    # Neither sees what happens to the other.
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    assert np.abs(other.embed(sentences)[0] - before).max() > 0.1
    np.testing.assert_array_equal(bilm.embed(sentences)[0], before)
