"""A tiny language model with random weights."""

import torch

from spacy_elmo import BiLMConfig
from spacy_elmo.corpus.corpus import MARKS
from spacy_elmo.language import LanguageModel
from tests.conftest import TINY, random_bilm

WORDS = ["the", "cat", "sat", "on", "a", "mat", "naïve", "日本"]
VOCABULARY = [*MARKS, *WORDS]


def random_language_model(
    config: BiLMConfig = TINY, vocabulary: list[str] = VOCABULARY, seed: int = 0
) -> LanguageModel:
    """With biases that differ, as those of a trained model do."""
    model = LanguageModel(random_bilm(config, seed), list(vocabulary))
    with torch.no_grad():
        for parameter in model.softmax.parameters():
            parameter.normal_(0, 0.5)
    return model
