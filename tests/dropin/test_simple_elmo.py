import inspect
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spacy_elmo import CheckpointError
from spacy_elmo.simple_elmo import ElmoModel

from .models import BATCHES, SmallModel

TEXTS = BATCHES[1]
# What the public attributes of simple_elmo's 0.9.2 class are for the small model.
ATTRIBUTES = {"batch_size": 32, "max_chars": 50, "vector_size": 12, "n_layers": 3, "vocab": None, "session": None}

SELECT = {"average": lambda layers: layers.mean(axis=0), "top": lambda layers: layers[-1], "all": lambda layers: layers}


@pytest.fixture(scope="module")
def elmo(model: SmallModel) -> ElmoModel:
    elmo = ElmoModel()
    elmo.load(model.files, max_batch_size=2, limit=10)
    return elmo


@pytest.mark.parametrize("layers", SELECT)
def test_vectors_are_padded_with_zeros(elmo: ElmoModel, model: SmallModel, layers: str) -> None:
    found = elmo.get_elmo_vectors(TEXTS, layers=layers)
    assert found.dtype == np.float32
    assert found.shape == ((4, 3, 5, 12) if layers == "all" else (4, 5, 12))
    for row, text in zip(found, TEXTS, strict=True):
        wanted = SELECT[layers](model.layers(text))
        np.testing.assert_allclose(row[..., : len(text), :], wanted, rtol=0, atol=1e-5)
        assert not row[..., len(text) :, :].any()


@pytest.mark.parametrize("layers", SELECT)
def test_the_mean_is_over_a_text_s_own_words_and_of_length_1(elmo: ElmoModel, model: SmallModel, layers: str) -> None:
    found = elmo.get_elmo_vector_average(TEXTS, layers=layers)
    assert found.dtype == np.float32
    assert found.shape == ((4, 3, 12) if layers == "all" else (4, 12))
    for row, text in zip(found, TEXTS, strict=True):
        wanted = SELECT[layers](model.layers(text)).mean(axis=-2) if text else np.zeros_like(row)
        np.testing.assert_allclose(row, wanted / (np.linalg.norm(wanted) or 1), rtol=0, atol=1e-5)


def test_the_average_is_the_default_and_nothing_is_remembered(elmo: ElmoModel) -> None:
    for method in (elmo.get_elmo_vectors, elmo.get_elmo_vector_average):
        wanted = method(TEXTS, warmup=True, layers="average")
        elmo.warmup(object(), TEXTS)
        np.testing.assert_array_equal(method(TEXTS, False, "average", None), wanted)
        np.testing.assert_array_equal(method(TEXTS, session=object()), wanted)


def test_attributes(model: SmallModel) -> None:
    elmo = ElmoModel()
    assert [getattr(elmo, name) for name in ATTRIBUTES] == [None] * len(ATTRIBUTES)
    assert elmo.load(model.files, max_batch_size=7) == "The model is now loaded."
    assert {name: getattr(elmo, name) for name in ATTRIBUTES} == {**ATTRIBUTES, "batch_size": 7}


def test_no_texts_and_empty_ones(elmo: ElmoModel) -> None:
    assert elmo.get_elmo_vectors([]).shape == (0, 0, 12)
    assert elmo.get_elmo_vectors([[]], layers="all").shape == (1, 3, 0, 12)
    assert elmo.get_elmo_vector_average([]).shape == (0, 12)
    assert not elmo.get_elmo_vector_average([[], []]).any()


def test_any_model(tiny_source: str) -> None:
    elmo = ElmoModel()
    elmo.load(tiny_source)
    assert elmo.get_elmo_vectors([["a", "b"]]).shape == (1, 2, 12)


def test_what_is_wrong_is_said(elmo: ElmoModel, model: SmallModel) -> None:
    for method in (elmo.get_elmo_vectors, elmo.get_elmo_vector_average):
        with pytest.raises(ValueError, match="layers is 'bottom', but must be one of average, top, all"):
            method(TEXTS, layers="bottom")
        with pytest.raises(TypeError, match="tokenised sentences"):
            method(["a text"])
    with pytest.raises(RuntimeError, match="No model is loaded yet"):
        ElmoModel().get_elmo_vectors(TEXTS)
    with pytest.raises(ValueError, match="full=True"):
        ElmoModel().load(model.files, full=True)
    with pytest.raises(CheckpointError, match="nowhere"):
        ElmoModel().load("nowhere")


# Parity with the real simple_elmo, where an environment that has it is at hand

PEER_TEXTS = [["one", "two"], ["a", "b", "<S>", "</S>", "x" * 60], ["日本語"]]


@pytest.fixture(scope="module")
def peer(model: SmallModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What simple_elmo made of the small model."""
    if not (python := os.environ.get("SPACY_ELMO_SIMPLE_ELMO")):
        pytest.skip("needs simple_elmo 0.9.2: set SPACY_ELMO_SIMPLE_ELMO to a Python that has it")
    folder = tmp_path_factory.mktemp("simple_elmo")
    for file in model.files:
        shutil.copy(file, folder)
    (folder / "texts.json").write_text(json.dumps(PEER_TEXTS), "utf8")
    script = Path(__file__).parent / "simple_elmo_peer.py"
    subprocess.run([python, script, folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    facts = json.loads((folder / "facts.json").read_text("utf8"))
    with np.load(folder / "results.npz") as results:
        return {**facts, **results}


def test_names_are_the_peer_s(peer: dict[str, Any], model: SmallModel) -> None:
    elmo = ElmoModel()
    assert elmo.load(model.files) == peer["loaded"]
    assert {name: getattr(elmo, name) for name in ATTRIBUTES} == peer["attributes"]
    for name, arguments in peer["arguments"].items():
        assert list(inspect.signature(getattr(ElmoModel, name)).parameters) == arguments


@pytest.mark.parametrize("layers", SELECT)
def test_vectors_are_the_peer_s(elmo: ElmoModel, peer: dict[str, Any], layers: str) -> None:
    """But for the padding, where the peer has a vector in layer 0."""
    found, wanted = elmo.get_elmo_vectors(PEER_TEXTS, layers=layers), peer[f"vectors_{layers}"]
    assert found.shape == wanted.shape
    for row, other, text in zip(found, wanted, PEER_TEXTS, strict=True):
        words = np.s_[..., : len(text), :]
        np.testing.assert_allclose(row[words], other[words], rtol=0, atol=1e-5)


@pytest.mark.parametrize("layers", ["average", "top"])
def test_means_are_the_peer_s_for_texts_without_padding(elmo: ElmoModel, peer: dict[str, Any], layers: str) -> None:
    found = elmo.get_elmo_vector_average(PEER_TEXTS, layers=layers)
    np.testing.assert_allclose(found, peer[f"means_{layers}"], rtol=0, atol=1e-5)


def test_what_the_peer_does_that_we_do_not(elmo: ElmoModel, peer: dict[str, Any]) -> None:
    """The facts behind what docs/howto/migrate.md says of it."""
    vectors = elmo.get_elmo_vectors(PEER_TEXTS, layers="all")
    # The shorter texts' padding is no zero in layer 0, and is part of their means.
    padding = peer["vectors_all"][0, :, 2:]
    assert np.abs(padding[0]).max() > 0.1
    assert not padding[1:].any()
    mean = peer["vectors_average"][0].mean(axis=0)
    np.testing.assert_allclose(peer["padded_means_average"][0], mean / np.linalg.norm(mean), rtol=0, atol=1e-5)
    assert np.abs(peer["padded_means_average"][0] - peer["means_average"][0]).max() > 0.1
    # Means of "all" are means of numbers of several layers and words: an array (layers, words, width) was read as one
    # (words, layers, width).
    mixed = vectors[1].reshape(5, 3, 12).mean(axis=0)
    np.testing.assert_allclose(peer["means_all"][1], mixed / np.linalg.norm(mixed), rtol=0, atol=1e-5)
    assert np.abs(elmo.get_elmo_vector_average(PEER_TEXTS, layers="all")[1] - peer["means_all"][1]).max() > 0.05
    assert peer["vectors_all"].dtype == peer["means_all"].dtype == np.float64
