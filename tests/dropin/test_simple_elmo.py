import numpy as np
import pytest

from spacy_elmo import CheckpointError
from spacy_elmo.simple_elmo import ElmoModel

from .models import BATCHES, SmallModel

TEXTS = BATCHES[1]

SELECT = {
    "average": lambda layers: layers.mean(axis=0),
    "top": lambda layers: layers[-1],
    "all": lambda layers: np.moveaxis(layers, 0, -2),
}


@pytest.fixture(scope="module")
def elmo(model: SmallModel) -> ElmoModel:
    elmo = ElmoModel()
    elmo.load(model.files, max_batch_size=2, limit=10)
    return elmo


@pytest.mark.parametrize("layers", SELECT)
def test_vectors_are_padded_with_zeros(elmo: ElmoModel, model: SmallModel, layers: str) -> None:
    found = elmo.get_elmo_vectors(TEXTS, layers=layers)
    wanted = SELECT[layers](model.batch(TEXTS))
    assert found.dtype == np.float32
    assert found.shape == wanted.shape == ((4, 5, 3, 12) if layers == "all" else (4, 5, 12))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    for row, text in zip(found, TEXTS, strict=True):
        assert not row[len(text) :].any()


@pytest.mark.parametrize("layers", SELECT)
def test_the_mean_is_over_a_text_s_own_words(elmo: ElmoModel, model: SmallModel, layers: str) -> None:
    found = elmo.get_elmo_vector_average(TEXTS, layers=layers)
    assert found.dtype == np.float32
    assert found.shape == ((4, 3, 12) if layers == "all" else (4, 12))
    for row, text in zip(found, TEXTS, strict=True):
        wanted = SELECT[layers](model.layers(text)).mean(axis=0) if text else np.zeros_like(row)
        np.testing.assert_allclose(row, wanted, rtol=0, atol=1e-5)


def test_the_average_is_the_default_and_warmup_changes_nothing(elmo: ElmoModel) -> None:
    wanted = elmo.get_elmo_vectors(TEXTS, warmup=True, layers="average")
    np.testing.assert_array_equal(elmo.get_elmo_vectors(TEXTS, warmup=False), wanted)
    wanted = elmo.get_elmo_vector_average(TEXTS, warmup=True, layers="average")
    np.testing.assert_array_equal(elmo.get_elmo_vector_average(TEXTS, warmup=False), wanted)


def test_no_texts_and_empty_ones(elmo: ElmoModel) -> None:
    assert elmo.get_elmo_vectors([]).shape == (0, 0, 12)
    assert elmo.get_elmo_vectors([[]], layers="all").shape == (1, 0, 3, 12)
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
