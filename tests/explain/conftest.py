"""What the tests of `explain` share: a tiny model, and one browser for all pages."""

from collections.abc import Iterator

import pytest
import torch

from spacy_elmo import BiLM, LanguageModel
from spacy_elmo.corpus.corpus import MARKS
from spacy_elmo.explain import Occurrence
from tests.explain.browser import CHROMIUM, Browser, browser

SENTENCES = {
    "red": ["the match was lost", "a match against them", "they won the match"],
    "blue": ["strike a match now", "the match burns out", "box of match heads", "no match lights it"],
}


def occurrences() -> list[Occurrence]:
    return [
        Occurrence(tuple(words), words.index("match"), label)
        for label, sentences in SENTENCES.items()
        for words in map(str.split, sentences)
    ]


def language_model(bilm: BiLM) -> LanguageModel:
    """The model with a softmax of a few words."""
    torch.manual_seed(0)
    return LanguageModel(bilm, [*MARKS, "the", "match", "a", "was", "burns", "it"]).eval()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium to look at pages; there is none here")
    with browser() as found:
        yield found
