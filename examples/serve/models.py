"""What the service computes, apart from HTTP: each function takes many requests at once."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import spacy

from spacy_elmo import LanguageModel, load_bilm, load_language_model
from spacy_elmo.embedding import EmbeddingError, Settings, manifest, read
from spacy_elmo.embedding.documents import Document, EmbeddedDocument, Text
from spacy_elmo.embedding.places import place
from spacy_elmo.embedding.tokenizer import Tokenizer, tokenizer_config
from spacy_elmo.embedding.vectors import Embedder
from spacy_elmo.explain import fill_gap
from spacy_elmo.explain.directions import directions
from spacy_elmo.explain.surprisal import UNKNOWN_WORD


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
        self._matrix = directions(np.stack([np.asarray(one.vectors, np.float32) for one in documents]))

    def __call__(self, requests: list[tuple[str, int]]) -> list[list[dict[str, Any]]]:
        """For each text and number, so many documents, the most alike first."""
        found = self._vectors([text for text, _ in requests])
        queries = directions(np.stack([np.asarray(one.vectors, np.float32) for one in found]))
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

    def __call__(self, requests: list[tuple[list[str], int, int]]) -> list[list[dict[str, Any]]]:
        """For each sentence, number of the gap and number of words, the most probable words and log-probabilities."""
        return [self._fill(words, gap, n) for words, gap, n in requests]

    def _fill(self, words: list[str], gap: int, n: int) -> list[dict[str, Any]]:
        likely = fill_gap(self._model, words[:gap], words[gap + 1 :], n + 1).cloze.both
        known = [(word, p) for word, p in likely if word != UNKNOWN_WORD]
        return [{"word": word, "log_probability": math.log(p)} for word, p in known[:n]]
