"""Parity with TensorFlow: vectors of bilm-tf's own, from the fixture of its and AllenNLP's tests.

File k of vectors belongs to the k-th list of sentences. bilm-tf embedded batch by batch, batch i being the i-th
sentence of each list, and carried the state on; the file holds the two halves of the top layer, (2, n_tokens, 16).
"""

import json

import h5py
import numpy as np
import pytest

from spacy_elmo import BiLM, load_bilm
from tests.conftest import shared
from tests.reference.numpy_elmo import NumpyELMo

TOLERANCE = 1e-5

Array = np.ndarray


@pytest.fixture(scope="module")
def bilm() -> BiLM:
    return load_bilm(shared("fixtures", "allennlp"), device="cpu")


@pytest.fixture(scope="module")
def lists() -> list[list[list[str]]]:
    """3 lists of 10 sentences of words."""
    lists = json.loads(shared("fixtures", "allennlp", "sentences.json").read_text("utf8"))
    return [[sentence.split() for sentence in sentences] for sentences in lists]


@pytest.fixture(scope="module")
def wanted() -> list[list[Array]]:
    """The top layer of each sentence, (n_tokens, 32)."""
    vectors = []
    for k in range(3):
        with h5py.File(shared("fixtures", "allennlp", f"lm_embeddings_{k}.hdf5")) as file:
            vectors.append([np.concatenate(np.asarray(file[str(i)]), axis=1) for i in range(10)])
    return vectors


def test_all_sentences_statefully(bilm: BiLM, lists: list[list[list[str]]], wanted: list[list[Array]]) -> None:
    state = None
    n_compared = 0
    for i in range(10):
        found, state = bilm.embed_stateful([sentences[i] for sentences in lists], state)
        for k in range(3):
            np.testing.assert_allclose(found[k][2], wanted[k][i], rtol=0, atol=TOLERANCE)
            n_compared += 1
    assert n_compared == 30


def test_the_first_of_each_list_without_a_state(
    bilm: BiLM, lists: list[list[list[str]]], wanted: list[list[Array]]
) -> None:
    found = bilm.embed([sentences[0] for sentences in lists])
    for array, vectors in zip(found, wanted, strict=True):
        np.testing.assert_allclose(array[2], vectors[0], rtol=0, atol=TOLERANCE)


def test_the_later_ones_need_the_state(bilm: BiLM, lists: list[list[list[str]]], wanted: list[list[Array]]) -> None:
    """So the comparison with state is one of the state, too."""
    (found,) = bilm.embed([lists[0][2]])
    assert np.abs(found[2] - wanted[0][2]).max() > 100 * TOLERANCE


def test_the_lower_layers_against_the_reference(bilm: BiLM, lists: list[list[list[str]]]) -> None:
    options = json.loads(shared("fixtures", "allennlp", "options.json").read_text("utf8"))
    with h5py.File(shared("fixtures", "allennlp", "lm_weights.hdf5")) as file:
        weights: dict[str, Array] = {}
        file.visititems(lambda path, item: weights.update({path: item[()]}) if hasattr(item, "shape") else None)
    reference = NumpyELMo(options, weights)
    state, states = None, [reference.zero_state() for _ in range(3)]
    for i in range(3):
        batch = [sentences[i] for sentences in lists]
        found, state = bilm.embed_stateful(batch, state)
        for k, sentence in enumerate(batch):
            layers, states[k] = reference.embed_stateful(sentence, states[k])
            np.testing.assert_allclose(found[k], layers, rtol=0, atol=TOLERANCE)
