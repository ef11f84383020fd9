"""`Elmo` is an ordinary module of torch: what programs do with modules works on it, and is seen in what it computes."""

import copy
import io
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector, parametrize, vector_to_parameters
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from spacy_elmo.allennlp import Elmo, batch_to_ids

from .models import BATCHES, SmallModel

IDS = batch_to_ids(BATCHES[1])
MIXES = "scalar_mix_0."


@pytest.fixture(params=[False, True], ids=["frozen", "trained"])
def elmo(request: pytest.FixtureRequest, model: SmallModel) -> Elmo:
    return Elmo(*model.files, 1, dropout=0, requires_grad=request.param)


@pytest.fixture
def trained(model: SmallModel) -> Elmo:
    return Elmo(*model.files, 1, dropout=0, requires_grad=True)


def run(module: nn.Module, grad: bool = False) -> Tensor:
    with torch.set_grad_enabled(grad):
        (representation,) = module(IDS)["elmo_representations"]
    return representation


def half_of(elmo: Elmo) -> dict[str, Tensor]:
    """Other values for all its parameters."""
    return {name: tensor.detach() / 2 for name, tensor in elmo.named_parameters()}


def with_half(elmo: Elmo) -> Tensor:
    """What it gives with these, computed by a module that never had others."""
    other = Elmo(None, None, 1, dropout=0, module=elmo._elmo_lstm.to_bilm())
    other.load_state_dict(half_of(elmo))
    return run(other)


def agree(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found.detach().float(), wanted.detach().float(), rtol=0, atol=1e-6)


def test_parameters_and_the_state_dict_are_the_same_tensors(elmo: Elmo) -> None:
    state = elmo.state_dict()
    assert list(state) == [name for name, _ in elmo.named_parameters()]
    for name, parameter in elmo.named_parameters():
        assert state[name].data_ptr() == parameter.data_ptr()
        assert elmo.get_parameter(name) is parameter


# Ways to put other values in the place of a module's parameters


def by_copying_into_the_state_dict(elmo: Elmo, values: dict[str, Tensor]) -> None:
    for tensor, value in zip(elmo.state_dict().values(), values.values(), strict=True):
        tensor.copy_(value)


def by_loading(elmo: Elmo, values: dict[str, Tensor]) -> None:
    elmo.load_state_dict(values)


def by_assigning(elmo: Elmo, values: dict[str, Tensor]) -> None:
    elmo.load_state_dict(values, assign=True)


def by_writing_in_place(elmo: Elmo, values: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in elmo.named_parameters():
            parameter.copy_(values[name])


def by_a_vector(elmo: Elmo, values: dict[str, Tensor]) -> None:
    vector_to_parameters(parameters_to_vector(values.values()), elmo.parameters())


def by_data(elmo: Elmo, values: dict[str, Tensor]) -> None:
    for name, parameter in elmo.named_parameters():
        parameter.data = values[name]


def by_writing_into_data(elmo: Elmo, values: dict[str, Tensor]) -> None:
    """As AllenNLP's moving averages do. Torch does not count it."""
    for name, parameter in elmo.named_parameters():
        parameter.data.copy_(values[name])
    if not any(parameter.requires_grad for parameter in elmo._elmo_lstm.parameters()):
        elmo._elmo_lstm.changed()


def by_deleting(elmo: Elmo, values: dict[str, Tensor]) -> None:
    """As pruning and weight decompositions do: a tensor in a parameter's place."""
    for name, value in values.items():
        owner, _, leaf = name.rpartition(".")
        if not name.startswith(MIXES):
            delattr(elmo.get_submodule(owner), leaf)
            setattr(elmo.get_submodule(owner), leaf, value)
        else:
            elmo.get_parameter(name).data = value


@pytest.mark.parametrize(
    "put",
    [
        by_copying_into_the_state_dict,
        by_loading,
        by_assigning,
        by_writing_in_place,
        by_a_vector,
        by_data,
        by_writing_into_data,
        by_deleting,
    ],
)
def test_other_values_are_seen(elmo: Elmo, put: Callable[[Elmo, dict[str, Tensor]], None]) -> None:
    before, wanted = run(elmo), with_half(elmo)
    assert (before - wanted).abs().max() > 0.1
    put(elmo, half_of(elmo))
    agree(run(elmo), wanted)
    agree(run(elmo, grad=True), wanted)


def test_functional_call(elmo: Elmo) -> None:
    before, wanted, values = run(elmo), with_half(elmo), half_of(elmo)
    agree(functional_call(elmo, values, (IDS,))["elmo_representations"][0], wanted)
    with torch.no_grad():
        agree(functional_call(elmo, values, (IDS,))["elmo_representations"][0], wanted)
    agree(run(elmo), before)


def test_gradients_reach_what_functional_call_lends(elmo: Elmo) -> None:
    values = {name: value.requires_grad_() for name, value in half_of(elmo).items()}
    functional_call(elmo, values, (IDS,))["elmo_representations"][0].square().sum().backward()
    for name, value in values.items():
        assert value.grad is not None, name
        assert value.grad.any(), name
        assert elmo.get_parameter(name).grad is None


def test_averaged_models(trained: Elmo) -> None:
    averaged = AveragedModel(trained, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    averaged.update_parameters(trained)
    wanted = {name: 0.75 * tensor for name, tensor in trained.named_parameters()}
    other = copy.deepcopy(trained)
    other.load_state_dict(wanted)
    run(averaged.module)
    by_writing_in_place(trained, half_of(trained))
    averaged.update_parameters(trained)
    agree(run(averaged), run(other))


def test_a_copy_is_trained_alone(trained: Elmo) -> None:
    before = run(trained)
    other = copy.deepcopy(trained)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    run(other, grad=True).square().mean().backward()
    optimizer.step()
    assert (run(other) - before).abs().max() > 1e-3
    agree(run(trained), before)
    assert all(parameter.grad is None for parameter in trained.parameters())


def test_a_module_is_saved_whole(elmo: Elmo) -> None:
    wanted = run(elmo)
    file = io.BytesIO()
    torch.save(elmo, file)
    # Besides the weights, next to nothing: no second layout of them.
    weights = sum(tensor.nbytes for tensor in elmo.state_dict().values())
    assert file.tell() < weights + 40_000
    file.seek(0)
    agree(run(torch.load(file, weights_only=False)), wanted)


def test_weights_are_frozen_and_trained_in_turn(trained: Elmo) -> None:
    trained._elmo_lstm.requires_grad_(False)
    run(trained, grad=True).sum().backward()
    assert all(parameter.grad is None for parameter in trained._elmo_lstm.parameters())
    trained._elmo_lstm.requires_grad_(True)
    run(trained, grad=True).sum().backward()
    assert all(parameter.grad is not None for parameter in trained.parameters())


def test_a_parametrisation_is_used(elmo: Elmo) -> None:
    class Doubled(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    wanted = copy.deepcopy(elmo)
    layer = elmo._elmo_lstm._elmo_lstm.forward_layer_1.state_projection
    parametrize.register_parametrization(layer, "weight", Doubled())
    with torch.no_grad():
        wanted._elmo_lstm._elmo_lstm.forward_layer_1.state_projection.weight.mul_(2)
    agree(run(elmo), run(wanted))


# Several devices and processes


def replicas(module: nn.Module, n: int) -> list[nn.Module]:
    """As `torch.nn.parallel.replicate` makes them, which does so on GPUs alone: shallow copies that have tensors in
    place of parameters.
    """
    modules = list(module.modules())
    copies = [[part._replicate_for_data_parallel() for part in modules] for _ in range(n)]
    number = {part: i for i, part in enumerate(modules)}
    for parts in copies:
        for part, replica in zip(modules, parts, strict=True):
            for name, child in part._modules.items():
                setattr(replica, name, None if child is None else parts[number[child]])
            for name, parameter in part._parameters.items():
                setattr(replica, name, None if parameter is None else parameter.clone())
    return [parts[0] for parts in copies]


@pytest.mark.parametrize("grad", [False, True])
def test_replicas_of_data_parallel(elmo: Elmo, grad: bool) -> None:
    wanted = run(elmo)
    for replica in replicas(elmo, 2):
        assert not list(replica.parameters())
        agree(run(replica, grad=grad), wanted)
    if grad:
        for replica in replicas(elmo, 2):
            run(replica, grad=True).sum().backward()
        mixes = (
            elmo if any(parameter.requires_grad for parameter in elmo._elmo_lstm.parameters()) else elmo.scalar_mix_0
        )
        assert all(parameter.grad is not None for parameter in mixes.parameters())


def test_threads_do_not_disturb_each_other(elmo: Elmo) -> None:
    """Replicas run in threads; each with its own weights here."""
    modules = replicas(elmo, 4)
    with torch.no_grad():
        for factor, replica in enumerate(modules, start=1):
            replica._elmo_lstm._token_embedder._projection.weight.mul_(factor)
    wanted = [run(replica) for replica in modules]
    for grad in (False, True):
        with ThreadPoolExecutor(4) as threads:
            for _ in range(3):
                for found, tensor in zip(threads.map(run, modules, [grad] * 4), wanted, strict=True):
                    agree(found, tensor)


@pytest.fixture
def process_group(tmp_path: object) -> Iterator[None]:
    if not torch.distributed.is_available():
        pytest.skip("needs a torch with torch.distributed")
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_distributed_data_parallel(elmo: Elmo) -> None:
    wanted = run(elmo)
    alone = copy.deepcopy(elmo)
    run(alone, grad=True).square().sum().backward()
    distributed = nn.parallel.DistributedDataParallel(elmo)
    agree(run(distributed), wanted)
    run(distributed, grad=True).square().sum().backward()
    for parameter, other in zip(elmo.parameters(), alone.parameters(), strict=True):
        assert (parameter.grad is None) == (other.grad is None)
        if other.grad is not None:
            torch.testing.assert_close(parameter.grad, other.grad)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_after_a_first_call(elmo: Elmo) -> None:
    """As the workers of a DataLoader are."""
    wanted = run(elmo)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(run(elmo).numpy()))
    child.start()
    child.join(60)
    if child.is_alive():
        child.kill()
        pytest.fail("the child waits for ever")
    agree(torch.from_numpy(queue.get()), wanted)


# Defaults, precisions, compilation


@pytest.fixture
def float64_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("float64_by_default")
@pytest.mark.parametrize("grad", [False, True])
def test_made_under_another_default_dtype(model: SmallModel, grad: bool) -> None:
    """It is of that type, as the layers around it are."""
    tagger = nn.Linear(12, 2)
    elmo = Elmo(*model.files, 1, dropout=0, requires_grad=grad, stateful=True)
    found = run(elmo, grad)
    assert found.dtype == torch.float64
    assert tagger(found).dtype == torch.float64
    torch.testing.assert_close(
        found.detach(), torch.from_numpy(model.batch(BATCHES[1]).mean(axis=0)), rtol=0, atol=1e-6
    )


def test_run_under_another_default_dtype(elmo: Elmo, request: pytest.FixtureRequest) -> None:
    wanted = run(elmo)
    request.getfixturevalue("float64_by_default")
    for grad in (False, True):
        found = run(elmo, grad)
        assert found.dtype == torch.float32
        agree(found, wanted)


def test_run_under_another_default_device(elmo: Elmo) -> None:
    wanted = run(elmo)
    elmo._elmo_lstm._elmo_lstm.stateful = True
    for grad in (False, True):
        with torch.device("meta"):
            agree(run(elmo, grad), wanted)
        elmo.reset_states()


def test_made_on_another_default_device(model: SmallModel) -> None:
    with torch.device("meta"):
        elmo = Elmo(*model.files, 1, dropout=0)
    assert {parameter.device.type for parameter in elmo.parameters()} == {"meta"}
    other = Elmo(*model.files, 1, dropout=0)
    elmo.load_state_dict(other.state_dict(), assign=True)
    agree(run(elmo), run(other))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.02), (torch.bfloat16, 0.1), (torch.float64, 1e-6)])
def test_other_precisions_for_training(trained: Elmo, dtype: torch.dtype, tolerance: float) -> None:
    wanted = run(trained)
    found = run(trained.to(dtype), grad=True)
    assert found.dtype == dtype
    torch.testing.assert_close(found.detach().float(), wanted, rtol=0, atol=tolerance)
    found.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.dtype == dtype for parameter in trained.parameters())


@pytest.mark.parametrize("grad", [False, True])
def test_compiled_with_what_is_around_it(model: SmallModel, grad: bool) -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.elmo = Elmo(*model.files, 1, dropout=0, requires_grad=grad)
            self.output = nn.Linear(12, 3)

        def forward(self, ids: Tensor) -> Tensor:
            return self.output(self.elmo(ids)["elmo_representations"][0]).relu()

    tagger = Tagger()
    wanted = tagger(IDS)
    compiled = torch.compile(tagger, backend="eager")
    for _ in range(2):
        agree(compiled(IDS), wanted)
    compiled(IDS).sum().backward()
    assert all(p.grad is not None for p in tagger.parameters() if p.requires_grad)
