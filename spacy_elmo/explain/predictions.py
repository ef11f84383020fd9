"""What a language model expects at each place of a sentence: from the left, from the right, and from both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..bilm import BiLMState
from ..bilm.inference import batches
from ..bilm.words import BOUNDARIES, WordTypes
from ..language import LanguageModel
from ..language.sampler import log_uniform

# Places whose probabilities of all words are there at a time.
MAX_PLACES = 128


@dataclass(frozen=True)
class Places:
    """Some places of words in a row, and the log-probabilities in nats of all words there.

    Attributes:
        sentence: Which sentence they are in.
        first: The first of them.
        forward: Given the words before, (n_places, n_classes).
        backward: Given the words after.
        both: Given both: p(w | l, r) ~ p(w | l) p(w | r) / p(w), as if the two sides were independent given the word.
            p(w) is the log-uniform distribution that the model's negatives were drawn from, close to Zipf's law. The
            marks of a sentence's ends are left out.
    """

    sentence: int
    first: int
    forward: Tensor
    backward: Tensor
    both: Tensor


@torch.no_grad()
def predict_places(model: LanguageModel, sentences: Sequence[Sequence[str]]) -> Iterator[Places]:
    """All places of sentences, each sentence read alone, those of about one length together."""
    weight, bias = model.softmax.weight, model.softmax.bias
    prior = torch.from_numpy(np.log(log_uniform(len(bias)))).to(weight)

    def expect(hidden: Tensor) -> Tensor:
        return torch.log_softmax(torch.nn.functional.linear(hidden, weight, bias), dim=1)

    filled = [i for i, words in enumerate(sentences) if words]
    for batch in batches([len(sentences[i]) for i in filled]):
        numbers = [filled[i] for i in batch]
        types = WordTypes.of([sentences[i] for i in numbers], model.bilm.word_encoder)
        layers, _ = model.bilm.engine.run(types, BiLMState.zeros(model.bilm.config, len(numbers), model.bilm.device))
        for number, rows in zip(numbers, layers[-1].split(types.lengths), strict=True):
            forward, backward = rows.chunk(2, dim=1)
            for first in range(0, len(rows) - BOUNDARIES, MAX_PLACES):
                places = slice(first, min(first + MAX_PLACES, len(rows) - BOUNDARIES))
                left, right = expect(forward[:-BOUNDARIES][places]), expect(backward[BOUNDARIES:][places])
                joint = left + right - prior
                joint[:, :BOUNDARIES] = -torch.inf
                yield Places(number, first, left, right, torch.log_softmax(joint, dim=1))
