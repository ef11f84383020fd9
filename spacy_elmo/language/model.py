"""A biLM with the softmax that it predicts words by."""

from torch import nn

from ..bilm import BiLM
from .softmax import Softmax


class LanguageModel(nn.Module):
    """Two language models, left to right and right to left, that share word vectors and softmax.

    After Peters et al. 2018, section 3.1.

    Args:
        bilm: What makes the vectors.
        vocabulary: The words that can be predicted, "<S>", "</S>" and "<UNK>" first.
    """

    def __init__(self, bilm: BiLM, vocabulary: list[str]) -> None:
        super().__init__()
        self.bilm = bilm
        self.vocabulary = vocabulary
        self.softmax = Softmax(len(vocabulary), bilm.config.projection_dim).to(bilm.device)
