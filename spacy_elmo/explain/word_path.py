"""A component's decision as a function of the words' vectors in layer 0, with its gradient.

The way: word vectors, the biLM's LSTM layers, the listener's mix, the component. The weights stay as they are.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from spacy import Language
from spacy.tokens import Doc
from thinc.api import Model, set_dropout_rate
from torch import Tensor

from ..bilm import BiLM, BiLMState
from ..bilm.char_cnn import CharCNN
from ..bilm.stack import run_layers
from ..bilm.words import WordTypes
from ..layers.encoder import bilm_shim
from ..layers.listener import ElmoListener
from ..layers.spans import DocWords
from ..pipeline import Elmo
from .decisions import Decision, Values
from .errors import ExplainError

Vectors = npt.NDArray[np.float32]
# Tokens that pass through the LSTMs at a time, all variants of a text together.
MAX_ROWS = 4096


class WordPath:
    """One text on its way to one component.

    Args:
        nlp: A trained pipeline.
        component: The name of a component that listens to "elmo".
        doc: The text, as the pipeline has left it.

    Raises:
        ExplainError: The component does not listen to an ELMo component, or the text has no words.
    """

    def __init__(self, nlp: Language, component: str, doc: Doc) -> None:
        if component not in nlp.pipe_names:
            raise ExplainError(f"There is no component {component!r} in this pipeline: {', '.join(nlp.pipe_names)}.")
        self.component: Any = nlp.get_pipe(component)
        self.doc = doc
        # A copy, whose gradients nobody applies.
        model: Any = getattr(self.component, "model", None)
        self.model: Model = copy.deepcopy(model)
        nodes = self.model.walk() if isinstance(self.model, Model) else ()
        self._listeners = [node for node in nodes if isinstance(node, ElmoListener)]
        upstream = {id(node.upstream): node.upstream for node in self._listeners}
        elmo = next(iter(upstream.values()), None)
        if len(upstream) != 1 or not isinstance(elmo, Elmo):
            raise ExplainError(
                f"{component!r} does not listen to one 'elmo' component, and so nothing is known of how it takes its "
                f"layers. Its tok2vec has to be an ElmoListener, and not one that `replace_listeners` has replaced."
            )
        _without_dropout(self.model)
        self.bilm: BiLM = bilm_shim(elmo.encoder).bilm
        self._words: DocWords = elmo.words_of([doc], self._listeners[0])[0]
        self._elmo = elmo
        self.rows = [row for rows in self._words.rows for row in rows]
        self.words = [word for sequence in self._words.sequences for word in sequence]
        if not self.words:
            raise ExplainError("There are no words in this text.")
        self.vectors = word_vectors(self.bilm, self.words)
        encoder = self.bilm.word_encoder
        with torch.no_grad():
            self._boundaries = encoder(torch.from_numpy(encoder.boundary_ids()).to(self.bilm.device)).float()

    def scores(self, decision: Decision, variants: Iterable[Vectors]) -> Values:
        """The probability of a decision with other word vectors, each (n_words, dim) -> (n_variants,).

        Variants are taken some at a time: of a long text, all together do not fit into memory.
        """
        parts = [self._run(decision, part, gradient=False)[0] for part in self._parts(variants)]
        return np.concatenate(parts)

    def gradients(self, decision: Decision, variants: Iterable[Vectors]) -> Iterator[Values]:
        """The derivatives of the probability by the word vectors of each variant, (n_words, dim), as they are taken."""
        for part in self._parts(variants):
            yield from self._run(decision, part, gradient=True)[1]

    def _parts(self, variants: Iterable[Vectors]) -> Iterator[Vectors]:
        n, rest = max(1, MAX_ROWS // max(1, len(self.words))), iter(variants)
        while part := list(islice(rest, n)):
            yield np.stack(part)

    def _run(self, decision: Decision, variants: Vectors, *, gradient: bool) -> tuple[Values, Values]:
        x = torch.from_numpy(np.ascontiguousarray(variants)).to(self.bilm.device).requires_grad_(gradient)
        with torch.set_grad_enabled(gradient):
            layers = self._layers(x)
        n, ops = len(variants), self.model.ops
        arrays = [array.detach().cpu().numpy() for array in layers]
        n_layers, width = arrays[0].shape[0], arrays[0].shape[2]
        n_sequences = len(self._words.sequences)
        placed = [
            self._words.place(ops, arrays[i * n_sequences : (i + 1) * n_sequences], n_layers, width) for i in range(n)
        ]
        total = [np.zeros_like(array) for array in arrays]

        def collect(d_layers: Sequence[npt.NDArray[Any]]) -> list[Any]:
            picked = [d for d_doc in d_layers for d in self._words.pick(ops, d_doc)]
            for one, d in zip(total, picked, strict=True):
                one += d
            return []

        docs = [self.doc] * n
        for listener in self._listeners:
            listener.receive(self._elmo.words_of(docs, listener), placed, collect)
        scores, send_back = decision.score(self.component, self.model, docs)
        if not gradient:
            return scores, np.empty(0)
        send_back(np.ones(n))
        outputs = [torch.from_numpy(one).to(self.bilm.device) for one in total]
        (found,) = torch.autograd.grad(layers, x, outputs)
        return scores, found.double().cpu().numpy()

    def _layers(self, variants: Tensor) -> list[Tensor]:
        """The layers of each sequence of each variant, (n_layers + 1, n_words, width)."""
        begin, end = self._boundaries[:1], self._boundaries[1:]
        lengths = [len(sequence) for sequence in self._words.sequences]
        rows = [part for variant in variants for sequence in variant.split(lengths) for part in (begin, sequence, end)]
        all_lengths = [length + 2 for length in lengths] * len(variants)
        types = WordTypes(np.empty((0, 0), np.int64), np.arange(sum(all_lengths)), all_lengths)
        state = BiLMState.zeros(self.bilm.config, len(all_lengths), self.bilm.device)
        # The rows are vectors already: what encodes words only hands them on.
        encoder: Any = _Rows(torch.cat(rows))
        skip = self.bilm.config.skip_connections
        layers, _ = run_layers(encoder, self.bilm.stacks, types, state, skip_connections=skip)
        return [sequence[:, 1:-1] for sequence in layers.split(all_lengths, dim=1)]


class _Rows:
    """In the place of a word encoder: rows that are there already."""

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows

    def __call__(self, ids: Tensor) -> Tensor:
        return self._rows


def word_vectors(bilm: BiLM, words: Sequence[str]) -> Vectors:
    """Layer 0 of words, once and not twice over, (n_words, projection_dim) float32."""
    encoder = bilm.word_encoder
    with torch.no_grad():
        found = encoder(torch.from_numpy(encoder.word_ids(list(words))).to(bilm.device)) if words else torch.empty(0)
    return np.asarray(found.float().cpu().numpy().reshape(len(words), -1))


def padding_vector(bilm: BiLM) -> Vectors:
    """Layer 0 of a word without a character, as AllenNLP fills short sentences up, (projection_dim,).

    Raises:
        ExplainError: The model reads words by a lexicon and has no such word.
    """
    encoder = bilm.word_encoder
    if not isinstance(encoder, CharCNN):
        raise ExplainError("This model has a lexicon and no word of padding alone; give a baseline of your own.")
    with torch.no_grad():
        ids = torch.zeros((1, bilm.config.max_characters), dtype=torch.int64, device=bilm.device)
        return np.asarray(encoder(ids).float().cpu().numpy()[0])


def _without_dropout(model: Model) -> None:
    set_dropout_rate(model, 0.0)
    for node in model.walk():
        if "dropout" in node.attrs:
            node.attrs["dropout"] = 0.0
