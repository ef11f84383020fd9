"""What a token of weights sees: every way that torch has of changing them."""

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.utils import parametrize
from torch.nn.utils.stateless import _reparametrize_module

from spacy_elmo import BiLM, load_bilm
from spacy_elmo.bilm.lexicon import Lexicon
from spacy_elmo.bilm.weights import WeightsTracker
from tests.conftest import REPOSITORY, TINY, random_bilm
from tests.manylangs import random_model

SENTENCES = [["A", "change", "of", "weights"], ["shows", "at", "once"]]

Change = Callable[[BiLM], None]


def with_gradients(bilm: BiLM) -> list[nn.Parameter]:
    parameters = list(bilm.parameters())
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    return parameters


def step(optimizer: type[torch.optim.Optimizer], **settings: object) -> Change:
    return lambda bilm: optimizer(with_gradients(bilm), **settings).step()  # type: ignore[arg-type]


def write_one_number(bilm: BiLM) -> None:
    with torch.no_grad():
        bilm.char_cnn.embedding.weight[ord("h") + 1, 2] += 1


def write_in_inference_mode(bilm: BiLM) -> None:
    with torch.inference_mode():
        bilm.char_cnn.projection.weight.mul_(2)


def write_through_a_view(bilm: BiLM) -> None:
    with torch.no_grad():
        bilm.stacks[0][1].split_weight()[1].mul_(2)


def copy_all(bilm: BiLM) -> None:
    with torch.no_grad():
        for parameter in bilm.parameters():
            parameter.copy_(parameter * 2)


def copy_into_the_state(bilm: BiLM) -> None:
    """As averages of weights are put into a model."""
    for tensor in bilm.state_dict().values():
        tensor.copy_(tensor * 0.5)


def give_other_data(bilm: BiLM) -> None:
    for parameter in bilm.parameters():
        parameter.data = parameter.data / 2


def vectors_to_parameters(bilm: BiLM) -> None:
    vector = nn.utils.parameters_to_vector(bilm.parameters())
    nn.utils.vector_to_parameters(vector.detach() * 0.9, bilm.parameters())


def replace_a_layer(bilm: BiLM) -> None:
    bilm.backward_layers[0] = copy.deepcopy(bilm.forward_layers[0])


def swap_two_layers(bilm: BiLM) -> None:
    """Both stay what they are, at another place."""
    layers = bilm.forward_layers
    layers[0], layers[1] = layers[1], layers[0]


def replace_a_parameter_by_one_of_the_same_memory(bilm: BiLM) -> None:
    """Which counts as many writes, all of them its own."""
    projection = bilm.char_cnn.projection
    other = nn.Parameter(projection.weight.data)
    with torch.no_grad():
        other.mul_(2)
    while other._version < projection.weight._version:
        torch.autograd.graph.increment_version(other)
    projection.weight = other


def transpose(bilm: BiLM) -> None:
    """The same memory, type and shape."""
    weight = bilm.char_cnn.get_submodule("highways.0.transform").get_parameter("weight")
    weight.data = weight.data.t()


def swap_tensors(bilm: BiLM) -> None:
    weight = bilm.char_cnn.projection.weight
    torch.utils.swap_tensors(weight, nn.Parameter(weight.detach() * 2))


class Half(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight / 2


def parametrize_a_layer(bilm: BiLM) -> None:
    parametrize.register_parametrization(bilm.stacks[0][0], "projection", Half())


def set_memory(bilm: BiLM) -> None:
    bias = bilm.char_cnn.projection.bias
    with torch.no_grad():
        bias.set_(torch.ones_like(bias))  # type: ignore[call-overload]


def initialize(bilm: BiLM) -> None:
    nn.init.normal_(bilm.char_cnn.projection.weight)


def halve_all_at_once(bilm: BiLM) -> None:
    torch._foreach_mul_([parameter.detach() for parameter in bilm.parameters()], 0.5)


def round_all(bilm: BiLM) -> None:
    bilm.bfloat16().float()


def load(bilm: BiLM, assign: bool = False) -> None:
    state = {name: tensor * 2 for name, tensor in bilm.state_dict().items()}
    bilm.load_state_dict(state, assign=assign)


def load_lazily(bilm: BiLM) -> None:
    state = {name: tensor * 2 for name, tensor in bilm.state_dict().items()}
    bilm.to("meta").load_state_dict(state, assign=True)


SEEN: dict[str, Change] = {
    "SGD": step(torch.optim.SGD, lr=0.1),
    "SGD, a loop": step(torch.optim.SGD, lr=0.1, foreach=False),
    "Adam, foreach": step(torch.optim.Adam, lr=0.1, foreach=True),
    "AdamW": step(torch.optim.AdamW, lr=0.1),
    "Adagrad": step(torch.optim.Adagrad, lr=0.1),
    "all at once": halve_all_at_once,
    "init": initialize,
    "one number": write_one_number,
    "inference mode": write_in_inference_mode,
    "a view": write_through_a_view,
    "copy_": copy_all,
    "copy_ into the state dict": copy_into_the_state,
    "load_state_dict": load,
    "load_state_dict, assigned": lambda bilm: load(bilm, assign=True),
    "load_state_dict, from meta": load_lazily,
    "other data": give_other_data,
    "vector_to_parameters": vectors_to_parameters,
    "another layer": replace_a_layer,
    "layers in another order": swap_two_layers,
    "another parameter": replace_a_parameter_by_one_of_the_same_memory,
    "the same memory, transposed": transpose,
    "swap_tensors": swap_tensors,
    "a parametrization": parametrize_a_layer,
    "set_": set_memory,
    "to bfloat16 and back": round_all,
}


# After these, not every other way is open.
NOT_FOLLOWED = {"a parametrization", "the same memory, transposed"}


@pytest.mark.parametrize("change", SEEN.values(), ids=SEEN)
def test_a_change_is_seen_once(change: Change) -> None:
    bilm, unchanged = random_bilm(), random_bilm(seed=2)
    token, other, before = bilm.weights_token(), unchanged.weights_token(), bilm.embed(SENTENCES)
    assert bilm.weights_token() == token
    change(bilm)
    after = bilm.weights_token()
    assert after != token
    assert bilm.weights_token() == after
    assert unchanged.weights_token() == other
    found = bilm.embed(SENTENCES)
    # The change was one of the vectors, too, and these are those of a biLM that knows nothing of the old weights.
    assert any(np.abs(ours - old).max() > 1e-3 for ours, old in zip(found, before, strict=True))
    for ours, theirs in zip(found, copy.deepcopy(bilm).embed(SENTENCES), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("move", [nn.Module.double, nn.Module.half, nn.Module.bfloat16, lambda bilm: bilm.to("meta")])
def test_another_type_or_device_is_seen(move: Callable[[nn.Module], nn.Module]) -> None:
    bilm = random_bilm()
    token = bilm.weights_token()
    move(bilm)
    assert bilm.weights_token() != token


def test_other_data_at_the_same_address_is_seen() -> None:
    """As the allocator likes to give what was freed last."""
    bilm = random_bilm()
    bias = bilm.stacks[1][0].bias
    memory, tokens = np.zeros(bias.shape, np.float32), set()
    for number in range(5):
        memory[:] = number
        bias.data = torch.from_numpy(memory)
        assert bias.data_ptr() == memory.ctypes.data
        tokens.add(bilm.weights_token())
    assert len(tokens) == 5


def test_memory_that_is_shared_now_is_seen() -> None:
    """Other processes may write into it from now on."""
    bilm = random_bilm()
    token = bilm.weights_token()
    bilm.share_memory()
    assert bilm.weights_token() != token


def test_weights_that_are_swapped_for_a_call_are_seen_there_and_afterwards() -> None:
    bilm, other = random_bilm(), random_bilm(seed=1)
    before, wanted = bilm.embed(SENTENCES), other.embed(SENTENCES)
    with _reparametrize_module(bilm, dict(other.named_parameters())):
        within = bilm.embed(SENTENCES)
    for found, expected in ((within, wanted), (bilm.embed(SENTENCES), before)):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def step_of_a_fused_optimizer(bilm: BiLM) -> None:
    torch.optim.Adam(with_gradients(bilm), lr=0.1, fused=True).step()


def zero_a_letter(bilm: BiLM) -> None:
    bilm.char_cnn.embedding.weight.data[ord("h") + 1] = 0


def write_through_an_array(bilm: BiLM) -> None:
    bilm.char_cnn.projection.bias.detach().numpy()[:] += 1


@pytest.mark.parametrize("write", [zero_a_letter, write_through_an_array, step_of_a_fused_optimizer])
def test_what_torch_does_not_count_takes_a_call_of_changed(write: Change) -> None:
    bilm = random_bilm()
    bilm.embed(SENTENCES)
    token, digest = bilm.weights_token(), bilm.digest()
    write(bilm)
    bilm.changed()
    assert bilm.weights_token() != token
    assert bilm.digest() != digest
    for ours, theirs in zip(bilm.embed(SENTENCES), copy.deepcopy(bilm).embed(SENTENCES), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_changed_counts_for_those_who_ask_much_later() -> None:
    """Though nobody has asked before, and more than once."""
    bilm = random_bilm()
    tokens = set()
    for _ in range(3):
        bilm.changed()
        bilm.changed()
        tokens |= {bilm.weights_token(), bilm.weights_token()}
    assert len(tokens) == 3


def test_weights_made_in_inference_mode() -> None:
    """Torch counts nothing that is written into these; other memory is seen all the same."""
    with torch.inference_mode():
        bilm = random_bilm()
    assert bilm.char_cnn.projection.weight.is_inference()
    token, before = bilm.weights_token(), bilm.embed(SENTENCES)
    assert bilm.weights_token() == token
    with torch.inference_mode():
        bilm.char_cnn.projection.weight.mul_(2)
    bilm.changed()
    assert bilm.weights_token() != token
    assert np.abs(bilm.embed(SENTENCES)[0] - before[0]).max() > 1e-3
    token = bilm.weights_token()
    bilm.load_state_dict(random_bilm().state_dict(), assign=True)
    assert bilm.weights_token() != token


def test_what_changes_no_weight_changes_no_token() -> None:
    bilm = random_bilm()
    token = bilm.weights_token()
    for use in (
        lambda: bilm.embed(SENTENCES),
        lambda: torch.cat([layers.flatten() for layers in bilm(SENTENCES)]).sum().backward(),
        lambda: bilm.zero_grad(),
        lambda: bilm.requires_grad_(False).requires_grad_(),
        lambda: bilm.eval().train(),
        lambda: bilm.state_dict(),
        lambda: bilm.digest(),
        lambda: copy.deepcopy(bilm),
        lambda: pickle.dumps(bilm),
        lambda: bilm.float().to("cpu"),
    ):
        use()
        assert bilm.weights_token() == token
        with torch.no_grad():
            assert bilm.weights_token() == token
        with torch.inference_mode():
            assert bilm.weights_token() == token


@settings(max_examples=30, deadline=None)
@given(data=st.data(), names=st.lists(st.sampled_from(sorted(set(SEEN) - NOT_FOLLOWED)), max_size=6))
def test_no_token_stands_for_two_states(data: st.DataObject, names: list[str]) -> None:
    """After any row of changes, each seen at once or together with the next ones, some of which undo each other."""
    bilm = random_bilm()
    states = {bilm.weights_token(): numbers_of(bilm)}
    for name in names:
        SEEN[name](bilm)
        if data.draw(st.booleans()):
            numbers = numbers_of(bilm)
            assert states.setdefault(bilm.weights_token(), numbers) == numbers


def numbers_of(bilm: BiLM) -> list[tuple[str, bytes]]:
    return [(name, tensor.detach().numpy().tobytes()) for name, tensor in bilm.state_dict().items()]


def test_old_memory_is_freed_at_once() -> None:
    """The tracker does not hold what the model has let go."""
    bilm = random_bilm()
    old = StorageWeakRef(bilm.char_cnn.projection.weight.untyped_storage())
    bilm.weights_token()
    bilm.double()
    assert old.expired()


def saved(bilm: BiLM) -> BiLM:
    file = io.BytesIO()
    torch.save(bilm, file)
    file.seek(0)
    loaded: BiLM = torch.load(file, weights_only=False)
    return loaded


def pickled(bilm: BiLM) -> BiLM:
    copied: BiLM = pickle.loads(pickle.dumps(bilm))
    return copied


@pytest.mark.parametrize("make_copy", [copy.deepcopy, pickled, saved])
def test_a_copy_has_a_token_of_its_own_and_keeps_nothing_of_the_others(make_copy: Callable[[BiLM], BiLM]) -> None:
    bilm, size = random_bilm(), len(pickle.dumps(random_bilm()))
    (before, _), token = bilm.embed(SENTENCES), bilm.weights_token()
    assert len(pickle.dumps(bilm)) == size
    other = make_copy(bilm)
    assert other.weights_token() != token
    assert other.digest() == bilm.digest()
    np.testing.assert_array_equal(other.embed(SENTENCES)[0], before)
    # Neither sees what happens to the other.
    copy_all(other)
    assert np.abs(other.embed(SENTENCES)[0] - before).max() > 0.1
    assert bilm.weights_token() == token
    np.testing.assert_array_equal(bilm.embed(SENTENCES)[0], before)


def test_replicas_of_data_parallel_keep_nothing_in_common() -> None:
    """They have no list of parameters, so that nothing would tell one's engine from another's."""
    bilm = random_bilm()
    engine, token = bilm.engine, bilm.weights_token()
    replicas = [bilm._replicate_for_data_parallel() for _ in range(2)]
    tokens = {token, *(replica.weights_token() for replica in replicas)}
    assert len(tokens) == len({id(engine), *(id(replica.engine) for replica in replicas)}) == 3
    assert bilm.engine is engine


def test_no_two_processes_have_a_token_in_common() -> None:
    """Whatever seeds they set."""
    code = "from tests.conftest import random_bilm; print(random_bilm().weights_token())"
    run = [sys.executable, "-c", code]
    tokens = [subprocess.run(run, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout for _ in range(2)]
    assert all(tokens)
    assert tokens[0] != tokens[1]


def test_a_tracker_looks_at_no_values() -> None:
    """There are none on a meta device."""
    tracker, tensors = WeightsTracker(), [torch.empty(3, device="meta"), torch.empty(2, 2, device="meta")]
    token = tracker.token(tensors)
    assert tracker.token(iter(tensors)) == token
    assert tracker.token(tensors[::-1]) != token
    token = tracker.token(tensors)
    tensors[0].add_(1)
    assert tracker.token(tensors) != token


# Digests


def test_a_digest_is_that_of_the_content() -> None:
    assert random_bilm().digest() == random_bilm().digest()
    assert random_bilm().digest() != random_bilm(seed=1).digest()
    # Of these weights for ever: others keep it beside what they computed.
    with torch.no_grad():
        bilm = random_bilm()
        for parameter in bilm.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 1024)
    assert bilm.digest() == "7e369d2e61baa5ca0b0e3650dde2c44c7422dcdd3929c4b4c76688d9a1d0608d"
    bilm.precision = "bfloat16"
    assert bilm.digest() == "7e369d2e61baa5ca0b0e3650dde2c44c7422dcdd3929c4b4c76688d9a1d0608d"


@pytest.mark.parametrize("changes", [{"cell_clip": None}, {"skip_connections": False}, {"activation": "tanh"}])
def test_a_digest_knows_the_config(changes: dict[str, object]) -> None:
    other = BiLM(type(TINY)(**{**TINY.to_dict(), **changes}))
    other.load_state_dict(random_bilm().state_dict())
    assert other.digest() != random_bilm().digest()


def test_a_digest_knows_the_lexicon(tmp_path: Path) -> None:
    random_model(tmp_path)
    bilm, other = load_bilm(tmp_path, device="cpu"), load_bilm(tmp_path, device="cpu")
    assert bilm.digest() == other.digest()
    lexicon = bilm.lexicon
    assert lexicon is not None
    assert lexicon.words is not None
    words = {**lexicon.words, "the": lexicon.words["one"]}
    other = BiLM(bilm.config, lexicon=Lexicon(words, lexicon.characters))
    other.load_state_dict(bilm.state_dict())
    assert other.digest() != bilm.digest()


def test_a_digest_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    computed, compute = [], BiLM._compute_digest

    def counted(bilm: BiLM) -> str:
        computed.append(1)
        return compute(bilm)

    monkeypatch.setattr(BiLM, "_compute_digest", counted)
    bilm = random_bilm()
    digests = [bilm.digest(), bilm.digest()]
    write_one_number(bilm)
    digests += [bilm.digest(), bilm.digest()]
    assert len(computed) == 2
    assert len(set(digests)) == 2
