"""A tiny language model with random weights, and windows of random rows for it."""

import numpy as np
import torch

from spacy_elmo import BiLMConfig
from spacy_elmo.bilm.characters import boundary_ids, word_ids
from spacy_elmo.corpus.corpus import MARKS
from spacy_elmo.pretraining.language_model import LanguageModel
from spacy_elmo.pretraining.windows import Window
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


def random_window(
    n_lanes: int = 3, unroll: int = 5, seed: int = 0, n_classes: int = len(VOCABULARY), max_characters: int = 20
) -> Window:
    """Words, targets and starts of passages anywhere, as no text has them."""
    rng = np.random.default_rng(seed)
    shape = (2, unroll * n_lanes)
    return Window(
        ids=np.concatenate([boundary_ids(max_characters), word_ids(WORDS, max_characters)]),
        inputs=rng.integers(len(WORDS) + 2, size=shape),
        targets=rng.integers(n_classes, size=shape),
        starts=np.arange(shape[1]) % 7 == 4,
    )
