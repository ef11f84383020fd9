"""What is known of a model's layers."""

from pathlib import Path

import numpy as np
import pytest
import spacy

from spacy_elmo import BiLM
from spacy_elmo.explain import ExplainError, LayerReport, learned_mixes, measure_movement, render
from spacy_elmo.explain.layers import read_probes
from tests.pipeline.helpers import elmo_listener_of, pipeline

SENTENCES = [text.split() for text in ("the cat sat", "a cat ran", "the dog saw the cat", "no", "the end of the cat")]


def test_a_learned_mix_is_what_its_parameters_say(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "textcat")
    (mix,) = learned_mixes(nlp)
    np.testing.assert_allclose(mix.weights, [1 / 3] * 3, rtol=1e-6)
    listener = elmo_listener_of(nlp, "textcat")
    listener.mix.set_param("w", np.log(np.array([1, 2, 5], dtype="float32")))
    listener.mix.set_param("gamma", np.array([0.5], dtype="float32"))
    (mix,) = learned_mixes(nlp)
    np.testing.assert_allclose(mix.weights, [0.125, 0.25, 0.625], rtol=1e-6)
    assert (mix.component, mix.gamma) == ("textcat", 0.5)
    assert learned_mixes(spacy.blank("en")) == []


def test_movement_is_the_mean_over_pairs_of_sentences(tiny_bilm: BiLM) -> None:
    movement = measure_movement(tiny_bilm, SENTENCES, min_count=3)
    assert (movement.words, movement.counts) == (("cat", "the"), (4, 3))
    np.testing.assert_allclose(movement.moved[0], 0, atol=1e-6)
    layers = [array[2] for array in tiny_bilm.embed(SENTENCES)]

    def mean_cosine(vectors: list[np.ndarray]) -> float:
        unit = [v.astype(float) / np.linalg.norm(v) for v in vectors]
        pairs = [float(a @ b) for i, a in enumerate(unit) for b in unit[:i]]
        return sum(pairs) / len(pairs)

    cats = [layers[row][words.index("cat")] for row, words in enumerate(SENTENCES) if "cat" in words]
    expected = (1 - mean_cosine(cats)) / (1 - mean_cosine([v for array in layers for v in array]))
    assert movement.moved[2, 0] == pytest.approx(expected, rel=1e-5)
    assert movement.mean[2] == pytest.approx(movement.moved[2].mean())


def test_what_is_missing_is_told(tiny_bilm: BiLM, tmp_path: Path) -> None:
    with pytest.raises(ExplainError, match="No word stands in 9 of these 5"):
        measure_movement(tiny_bilm, SENTENCES, min_count=9)
    with pytest.raises(ExplainError, match="nothing to show"):
        render(LayerReport(), jupyter=False)
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ExplainError, match=r"a\.json.*experiments\.layers"):
        read_probes(tmp_path / "a.json")
