"""experiments/unexpected.py: errors that are put into texts, and how well they are found."""

import numpy as np

from experiments.unexpected import precisions, with_errors
from spacy_elmo import BiLM
from tests.explain.conftest import language_model

SENTENCES = [["the", "match", "was", "lost", "."], ["a", "match", "burns", "."]] * 40


def test_errors_are_about_as_many_as_asked_for_and_told(tiny_bilm: BiLM) -> None:
    model = language_model(tiny_bilm)
    changed, errors = with_errors(SENTENCES, model.vocabulary, 0.3)
    before, after = (np.concatenate(rows) for rows in (SENTENCES, changed))
    assert errors == (before != after).tolist()
    assert 0.1 < np.mean([error for error, word in zip(errors, before, strict=True) if word.isalpha()]) < 0.4
    assert not any(error for error, word in zip(errors, before, strict=True) if word == ".")
    assert with_errors(SENTENCES, model.vocabulary, 0.0) == (SENTENCES, [False] * len(errors))


def test_precision_is_the_share_of_errors_among_the_first(tiny_bilm: BiLM) -> None:
    """Words outside the vocabulary first: where these are the errors, all of the first are errors."""
    model = language_model(tiny_bilm)
    is_unknown = [word not in model.vocabulary for words in SENTENCES for word in words]
    found = precisions(model, SENTENCES, is_unknown)
    assert set(found["words outside the vocabulary first"].values()) == {1.0}
    others = precisions(model, SENTENCES, [not one for one in is_unknown])
    assert others["words outside the vocabulary first"][20] == 0.0
    assert others["forward"][sum(not one for one in is_unknown)] > 0.3
