"""What the service computes, apart from HTTP: each function takes many requests at once."""

from pathlib import Path
from typing import Any

import numpy as np
import spacy
import torch

from spacy_elmo import LanguageModel, load_bilm, load_language_model
from spacy_elmo.bilm import BiLMState
from spacy_elmo.bilm.words import WordTypes
from spacy_elmo.corpus.corpus import MARKS
from spacy_elmo.embedding import EmbeddingError, Settings, manifest, read
from spacy_elmo.embedding.documents import Document, EmbeddedDocument, Text
from spacy_elmo.embedding.places import place
from spacy_elmo.embedding.tokenizer import Tokenizer, tokenizer_config
from spacy_elmo.embedding.vectors import Embedder


class Vectors:
    """Texts to tokens and their vectors.

    Args:
        model: As for `load_bilm`.
        settings: Which vectors, and how texts become tokens.
    """

    def __init__(self, model: str, settings: Settings) -> None:
        self._tokenizer = Tokenizer(tokenizer_config(model, settings))
        bilm = load_bilm(model, "cpu", settings.precision).eval()
        self.digest = bilm.digest()
        self._embedder = Embedder(bilm, settings)

    def __call__(self, texts: list[str]) -> list[EmbeddedDocument]:
        """As many documents as texts."""
        documents: list[Document] = []
        for text in texts:
            document = self._tokenizer(Text("", text))
            if not isinstance(document, Document):
                raise ValueError(document.reason)
            documents.append(document)
        embedded = list(self._embedder(documents))
        if any(not isinstance(one, EmbeddedDocument) for one in embedded):
            raise ValueError("a text could not be embedded")
        return [one for one in embedded if isinstance(one, EmbeddedDocument)]


class Entities:
    """Texts to the entities that a trained pipeline finds."""

    def __init__(self, pipeline: str) -> None:
        self._nlp = spacy.load(pipeline)

    def __call__(self, texts: list[str]) -> list[list[dict[str, Any]]]:
        """Of each text its entities, with the characters where they begin and end."""
        with self._nlp.memory_zone():  # else spaCy keeps every word that it has ever seen
            return [
                [{"text": e.text, "label": e.label_, "start": e.start_char, "end": e.end_char} for e in doc.ents]
                for doc in self._nlp.pipe(texts)
            ]


class Neighbours:
    """The documents of an output of `embed` that are most like a text, by the cosine of their vectors.

    Args:
        output: A directory of parts, written with pool "doc".
        model: That it was written with.

    Raises:
        EmbeddingError: Texts would get other vectors than the documents have.
    """

    def __init__(self, output: str | Path, model: str) -> None:
        job = manifest.read(place(str(output)))["job"]
        settings = Settings(**job["settings"])
        self._vectors = Vectors(model, settings)
        if settings.pool != "doc" or self._vectors.digest != job["model"]:
            raise EmbeddingError(f"{output}: not written with pool doc by {model}, which is to read texts.")
        documents = list(read(output))
        self._ids = [one.id for one in documents]
        self._texts = [one.text for one in documents]
        self._matrix = _normed(np.stack([np.asarray(one.vectors, np.float32) for one in documents]))

    def __call__(self, requests: list[tuple[str, int]]) -> list[list[dict[str, Any]]]:
        """For each text and number, so many documents, the most alike first."""
        found = self._vectors([text for text, _ in requests])
        queries = _normed(np.stack([np.asarray(one.vectors, np.float32) for one in found]))
        cosines = queries @ self._matrix.T
        return [
            [
                {"id": self._ids[i], "text": self._texts[i], "cosine": float(row[i])}
                for i in np.argsort(-row, kind="stable")[:n].tolist()
            ]
            for row, (_, n) in zip(cosines, requests, strict=True)
        ]


class Cloze:
    """The words that fit a gap: by both directions of a language model, neither of which sees it."""

    def __init__(self, model: str) -> None:
        self._model: LanguageModel = load_language_model(model)

    @torch.no_grad()
    def __call__(self, requests: list[tuple[list[str], int, int]]) -> list[list[dict[str, Any]]]:
        """For each sentence, number of the gap and number of words, the most probable words and log-probabilities."""
        bilm, softmax = self._model.bilm, self._model.softmax
        types = WordTypes.of([words for words, _, _ in requests], bilm.word_encoder)
        layers, _ = bilm.engine.run(types, BiLMState.zeros(bilm.config, len(requests), bilm.device))
        found = []
        for sentence, (_, gap, n) in zip(layers[-1].split(types.lengths), requests, strict=True):
            forward, backward = sentence.chunk(2, dim=1)
            # Row 0 is the boundary: what stands before the gap is in row `gap`, what stands after it in `gap + 2`.
            scores = (torch.stack([forward[gap], backward[gap + 2]]) @ softmax.weight.t() + softmax.bias).sum(0)
            scores[: len(MARKS)] = -torch.inf
            best = scores.log_softmax(0).topk(min(n, len(scores) - len(MARKS)))
            words = [self._model.vocabulary[i] for i in best.indices.tolist()]
            found.append([{"word": w, "log_probability": p} for w, p in zip(words, best.values.tolist(), strict=True)])
        return found


def _normed(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
