"""The occurrences of a word as points."""

import sys

import numpy as np
import pytest

from spacy_elmo import BiLM
from spacy_elmo.explain import ExplainError, Occurrence, find_senses
from spacy_elmo.explain.errors import MissingExtraError
from spacy_elmo.explain.senses import _clusters, _rotation, _two_dimensions
from tests.explain.conftest import occurrences


def test_one_form_is_one_point_below_and_as_many_as_there_are_sentences_above(tiny_bilm: BiLM) -> None:
    senses = find_senses(tiny_bilm, "match", occurrences())
    assert senses.points.shape == (3, 7, 2)
    assert not np.ptp(senses.points[0])
    assert np.isnan(senses.explained[0])
    assert len(np.unique(senses.points[2].round(4), axis=0)) == 7
    assert ((senses.explained[1:] > 0) & (senses.explained[1:] <= 1)).all()


def test_cosines_and_neighbours_are_those_of_the_vectors(tiny_bilm: BiLM) -> None:
    places = occurrences()
    senses = find_senses(tiny_bilm, "match", places)
    vectors = [
        array[2, one.position] for array, one in zip(tiny_bilm.embed([p.words for p in places]), places, strict=True)
    ]
    expected = [float(vectors[3] @ v / np.linalg.norm(vectors[3]) / np.linalg.norm(v)) for v in vectors]
    np.testing.assert_allclose(senses.cosines[2, 3], expected, rtol=1e-4, atol=1e-6)
    assert senses.nearest(2, 3) == sorted({0, 1, 2, 4, 5, 6}, key=lambda j: -expected[j])


def test_distances_in_the_picture_are_those_of_the_first_two_principal_components(tiny_bilm: BiLM) -> None:
    places = occurrences()
    points = find_senses(tiny_bilm, "match", places).points
    vectors = np.stack(
        [array[1, one.position] for array, one in zip(tiny_bilm.embed([p.words for p in places]), places, strict=True)]
    )
    centred = vectors - vectors.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    expected = u[:, :2] * s[:2]
    np.testing.assert_allclose(points[1] @ points[1].T, expected @ expected.T, atol=1e-3)


def test_a_layer_is_turned_towards_the_one_above() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(9, 2))
    turn = np.array([[np.cos(2), -np.sin(2)], [np.sin(2), np.cos(2)]])
    mirrored = points @ turn * [1, -1]
    np.testing.assert_allclose(mirrored @ _rotation(mirrored, points), points, atol=1e-12)


def test_each_layer_is_turned_as_near_to_the_one_above_as_can_be(tiny_bilm: BiLM) -> None:
    """Then their product is symmetric and no turn makes its trace larger (Schönemann 1966)."""
    points = find_senses(tiny_bilm, "match", occurrences()).points.astype(float)
    product = points[1].T @ points[2]
    np.testing.assert_allclose(product, product.T, atol=1e-4)
    assert (np.linalg.eigvalsh(product) > 0).all()


def test_labels_are_the_occurrences_own_or_clusters(tiny_bilm: BiLM) -> None:
    senses = find_senses(tiny_bilm, "match", occurrences(), labelled_by="sense")
    assert senses.labels == ("red",) * 3 + ("blue",) * 4
    assert set(find_senses(tiny_bilm, "match", occurrences()).labels) <= set("123456")


def test_clusters_are_as_many_as_there_are() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(3, 8)[[0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]]
    assert _clusters((centres + rng.normal(scale=0.02, size=centres.shape)).astype("float32")) == list("111112222333")
    assert set(_clusters(rng.normal(size=(40, 200)).astype("float32"))) == {"1"}
    repeated = np.eye(2, 8, dtype="float32")[[0, 0, 0, 1, 1]]
    assert (_clusters(repeated), _clusters(repeated[:3])) == (list("11122"), list("111"))


@pytest.mark.parametrize(("n", "told"), [(0, "nowhere"), (2, "2 times")])
def test_too_few_occurrences_are_told(tiny_bilm: BiLM, n: int, told: str) -> None:
    with pytest.raises(ExplainError, match=told):
        find_senses(tiny_bilm, "match", [Occurrence(("a", "match"), 1)] * n)


def test_umap_keeps_together_what_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # compiling would take longer than these few points
    pytest.importorskip("umap", reason="needs umap-learn, of the extra 'umap'")
    near = np.random.default_rng(0).normal(scale=0.05, size=(12, 8))
    points, share = _two_dimensions((np.repeat(np.eye(2, 8), 6, axis=0) + near).astype("float32"), "umap")
    assert np.isnan(share)
    assert abs(points.mean()) < 1e-3
    one, other = points[:6], points[6:]
    apart = np.linalg.norm(one.mean(axis=0) - other.mean(axis=0))
    assert max(np.ptp(group, axis=0).max() for group in (one, other)) < apart / 3


def test_umap_that_is_not_there_is_told(tiny_bilm: BiLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"umap-learn.*pip install 'spacy-elmo\[umap\]'"):
        find_senses(tiny_bilm, "match", occurrences(), method="umap")
