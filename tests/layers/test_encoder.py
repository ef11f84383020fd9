"""The biLM as a Thinc model."""

from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc
from thinc.api import SGD, Model

from spacy_elmo import BiLM
from spacy_elmo.layers import encoder
from spacy_elmo.layers.encoder import BiLMEncoder, bilm_shim
from spacy_elmo.layers.spans import DocWords, doc_words, sentences_or_doc
from tests.manylangs import random_model

VOCAB = spacy.blank("xx").vocab
DOCS = doc_words(
    [
        Doc(VOCAB, words=["The", "cat", " ", "sat"]),
        Doc(VOCAB, words=[]),
        Doc(VOCAB, words=["One"]),
        Doc(VOCAB, words=["A", "b", "c", "d"], sent_starts=[True, False, True, False]),
    ],
    sentences_or_doc,
)
# The sequences that the biLM reads of these, and the Doc and rows of each.
SEQUENCES = [["The", "cat", "sat"], ["One"], ["A", "b"], ["c", "d"]]
PLACES = [(0, [0, 1, 3]), (2, [0]), (3, [0, 1]), (3, [2, 3])]


@pytest.fixture(scope="session")
def manylangs_source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model with a lexicon."""
    return str(random_model(tmp_path_factory.mktemp("manylangs") / "model").directory)


def make_encoder(source: str) -> Model:
    return BiLMEncoder(source, "float32")


def test_layers_are_those_of_the_bilm(tiny_source: str, tiny_bilm: BiLM) -> None:
    layers = make_encoder(tiny_source).predict(DOCS)
    expected = [np.zeros((3, doc.n_tokens, 12), dtype=np.float32) for doc in DOCS]
    for array, (i, rows) in zip(tiny_bilm.embed(SEQUENCES), PLACES, strict=True):
        expected[i][:, rows] = array
    for found, wanted in zip(layers, expected, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_layers_in_training_are_those_of_prediction(tiny_source: str) -> None:
    encoder = make_encoder(tiny_source)
    trained, _ = encoder.begin_update(DOCS)
    for a, b in zip(trained, encoder.predict(DOCS), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_gradients_of_the_parameters_are_those_of_autograd(tiny_source: str) -> None:
    encoder, reference = make_encoder(tiny_source), bilm_shim(make_encoder(tiny_source)).bilm
    layers, backprop = encoder.begin_update(DOCS)
    rng = np.random.default_rng(0)
    d_layers = [rng.normal(size=array.shape).astype(np.float32) for array in layers]
    assert backprop(d_layers) == []
    outputs = reference(SEQUENCES)
    sum(
        (y * torch.from_numpy(d_layers[i][:, rows])).sum() for y, (i, rows) in zip(outputs, PLACES, strict=True)
    ).backward()
    wanted = dict(reference.named_parameters())
    for name, parameter in bilm_shim(encoder).bilm.named_parameters():
        assert parameter.grad is not None, name
        torch.testing.assert_close(parameter.grad, wanted[name].grad, atol=1e-4, rtol=1e-4)


def test_optimizer_steps_against_the_gradient(tiny_source: str) -> None:
    encoder = make_encoder(tiny_source)
    layers, backprop = encoder.begin_update(DOCS)
    backprop([np.ones_like(array) for array in layers])
    bilm = bilm_shim(encoder).bilm
    before = {name: p.detach().clone() for name, p in bilm.named_parameters()}
    gradients = {name: p.grad.clone() for name, p in bilm.named_parameters() if p.grad is not None}
    encoder.finish_update(SGD(0.01, grad_clip=0.0, L2=0.0))
    for name, parameter in bilm.named_parameters():
        torch.testing.assert_close(parameter.data, before[name] - 0.01 * gradients[name], atol=1e-6, rtol=1e-5)
        assert parameter.grad is None
        assert parameter.requires_grad


def test_updates_take_none_of_torchs_threads(tiny_source: str) -> None:
    """They wait for each other at full speed. The number that is set here stays."""
    encoder, seen = make_encoder(tiny_source), list[int]()

    def listen(_: torch.nn.Module, x: tuple[torch.Tensor], y: torch.Tensor) -> None:
        seen.append(torch.get_num_threads())
        y.register_hook(lambda _: seen.append(torch.get_num_threads()))

    bilm_shim(encoder).bilm.word_encoder.projection.register_forward_hook(listen)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        layers, backprop = encoder.begin_update(DOCS)
        backprop([np.ones_like(array) for array in layers])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1]


def test_prediction_builds_no_graph(tiny_source: str) -> None:
    encoder = make_encoder(tiny_source)
    encoder.predict(DOCS)
    assert all(parameter.grad is None for parameter in bilm_shim(encoder).bilm.parameters())


@pytest.mark.parametrize("docs", [[], [DOCS[1]], [DOCS[1], DOCS[1]]])
def test_batches_without_words(tiny_source: str, docs: list[DocWords]) -> None:
    encoder = make_encoder(tiny_source)
    layers, backprop = encoder.begin_update(docs)
    assert [array.shape for array in layers] == [(3, 0, 12)] * len(docs)
    assert backprop(layers) == []
    encoder.finish_update(SGD(0.1))
    assert [array.shape for array in encoder.predict(docs)] == [(3, 0, 12)] * len(docs)


def test_loads_when_first_run_and_not_before(tmp_path: Path, tiny_source: str) -> None:
    encoder = make_encoder(str(tmp_path / "not there"))
    assert bilm_shim(encoder)._model is None
    with pytest.raises(ValueError, match="not there"):
        encoder.predict(DOCS)
    encoder = make_encoder(tiny_source)
    assert encoder.has_dim("nO") is None
    encoder.initialize()
    assert bilm_shim(encoder)._model is not None
    assert (encoder.get_dim("nL"), encoder.get_dim("nO")) == (3, 12)


def test_bytes_need_no_source(tmp_path: Path, tiny_source: str) -> None:
    encoder = make_encoder(tiny_source)
    encoder.initialize()
    loaded = make_encoder(str(tmp_path / "not there")).from_bytes(encoder.to_bytes())
    for a, b in zip(loaded.predict(DOCS), encoder.predict(DOCS), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bytes_written_before_the_first_use(tmp_path: Path, tiny_source: str) -> None:
    data = make_encoder(tiny_source).to_bytes()
    loaded = make_encoder(str(tmp_path / "not there")).from_bytes(data)
    for a, b in zip(loaded.predict(DOCS), make_encoder(tiny_source).predict(DOCS), strict=True):
        np.testing.assert_array_equal(a, b)


def test_copy_has_weights_and_an_identity_of_its_own(tiny_source: str) -> None:
    encoder = make_encoder(tiny_source)
    before = encoder.predict(DOCS)
    copied = encoder.copy()
    assert bilm_shim(copied).id != bilm_shim(encoder).id
    layers, backprop = copied.begin_update(DOCS)
    backprop([np.ones_like(array) for array in layers])
    copied.finish_update(SGD(0.1))
    assert not np.allclose(copied.predict(DOCS)[0], before[0], atol=1e-3)
    for a, b in zip(encoder.predict(DOCS), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_change_of_a_single_number_is_seen(tiny_source: str) -> None:
    encoder = make_encoder(tiny_source)
    before = encoder.predict(DOCS)
    (weight,) = [p for name, p in bilm_shim(encoder).bilm.named_parameters() if name == "forward_layers.0.weight"]
    weight.grad = torch.zeros_like(weight)
    weight.grad[0, 1] = 1
    encoder.finish_update(SGD(5.0))
    assert max(np.abs(a - b).max() for a, b in zip(encoder.predict(DOCS), before, strict=True) if a.size) > 1e-3


def test_precision_is_that_of_the_config_after_loading(tiny_source: str) -> None:
    data = make_encoder(tiny_source).to_bytes()
    half = BiLMEncoder(tiny_source, "bfloat16").from_bytes(data)
    assert bilm_shim(half).bilm.precision == "bfloat16"
    assert next(bilm_shim(half).bilm.parameters()).dtype == torch.float32


def test_use_params_swaps_weights_in_and_back(tiny_source: str) -> None:
    encoder = make_encoder(tiny_source)
    before = encoder.predict(DOCS)
    shim = bilm_shim(encoder)
    params = {(shim.id, name): np.zeros(p.shape, dtype=np.float32) for name, p in shim.bilm.named_parameters()}
    with encoder.use_params(params):
        np.testing.assert_array_equal(encoder.predict(DOCS)[0], 0)
    for a, b in zip(encoder.predict(DOCS), before, strict=True):
        np.testing.assert_array_equal(a, b)


# Models with a lexicon


def test_bytes_hold_the_lexicon(tmp_path: Path, manylangs_source: str) -> None:
    encoder = make_encoder(manylangs_source)
    loaded = make_encoder(str(tmp_path / "not there")).from_bytes(encoder.to_bytes())
    for a, b in zip(loaded.predict(DOCS), encoder.predict(DOCS), strict=True):
        np.testing.assert_array_equal(a, b)
    assert bilm_shim(loaded).bilm.lexicon == bilm_shim(encoder).bilm.lexicon


def test_a_model_with_a_lexicon_learns_and_is_saved(tmp_path: Path, manylangs_source: str) -> None:
    encoder = make_encoder(manylangs_source).copy()
    before = make_encoder(manylangs_source).predict(DOCS)
    layers, backprop = encoder.begin_update(DOCS)
    backprop([np.ones_like(array) for array in layers])
    encoder.finish_update(SGD(0.1))
    changed = encoder.predict(DOCS)
    assert not np.allclose(changed[0], before[0], atol=1e-3)
    loaded = make_encoder(str(tmp_path / "not there")).from_bytes(encoder.to_bytes())
    for a, b in zip(loaded.predict(DOCS), changed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_many_words_are_read_a_block_at_a_time(tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the layers of a long document's sentences do not all wait for their place."""
    model = make_encoder(tiny_source)
    whole = model.predict(DOCS)
    sizes: list[int] = []
    predict = bilm_shim(model).predict

    def note(sentences: list[list[str]]) -> list[np.ndarray]:
        sizes.append(sum(map(len, sentences)))
        return predict(sentences)

    monkeypatch.setattr(bilm_shim(model), "predict", note)
    monkeypatch.setattr(encoder, "BLOCK", 2)
    for found, wanted in zip(model.predict(DOCS), whole, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert sizes == [3, 1, 2, 2]
