"""experiments/random_manylangs.py: a model where none is at hand."""

from pathlib import Path

import numpy as np
import pytest

from experiments import random_manylangs
from spacy_elmo import load_bilm
from tests.experiments.helpers import run


def test_a_random_model_is_one_of_the_corpus_and_the_seed(multilingual: Path, tmp_path: Path) -> None:
    wanted = load_bilm(multilingual / "model", device="cpu")
    assert wanted.lexicon is not None
    assert wanted.lexicon.words is not None
    assert wanted.lexicon.characters is not None
    # What comes twice, and the marks.
    assert set(wanted.lexicon.words) == {"<oov>", "<bos>", "<eos>", "<pad>", ".", "i", "Mette", "Århus"}
    assert set("MettboriÅhus.") < set(wanted.lexicon.characters)
    for seed in (0, 1):
        run(random_manylangs, multilingual / "corpus" / "train.spacy", tmp_path / str(seed), "--seed", seed)
        found = load_bilm(tmp_path / str(seed), device="cpu")
        pairs = zip(found.state_dict().values(), wanted.state_dict().values(), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs) == (seed == 0)
    layers = wanted.embed([["Mette", "bor", "i", "Odense"]])[0]
    assert 0.1 < np.abs(layers).mean() < 3
    with pytest.raises(SystemExit, match=r"absent\.spacy: no such file"):
        run(random_manylangs, tmp_path / "absent.spacy", tmp_path / "2")
