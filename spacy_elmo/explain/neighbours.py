"""The nearest contextual neighbours of a word in a corpus: exactly for small ones, by an index for large ones."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..bilm import BiLM
from ..disk import new_directory, read_json
from .directions import Array, directions
from .errors import ExplainError, MissingExtraError
from .occurrences import Occurrence

# Vectors that are compared one by one; beyond, usearch's graph is asked (HNSW, Malkov and Yashunin 2018).
MAX_EXACT = 100_000
# Vectors that are embedded, or compared, at a time.
CHUNK = 20_000
FACTS, SENTENCES, VECTORS, GRAPH = "facts.json", "sentences.json", "vectors.npy", "vectors.usearch"


@dataclass(frozen=True)
class Neighbour:
    """A word of the corpus, and the cosine of its vector with the one that was asked for."""

    occurrence: Occurrence
    cosine: float


@dataclass(frozen=True)
class IndexFacts:
    """What an index was made from. Another one is another index.

    Attributes:
        model: The digest of the biLM.
        corpus: The digest of the sentences.
        layer: Whose vectors it holds.
    """

    model: str
    corpus: str
    layer: int

    @classmethod
    def of(cls, bilm: BiLM, sentences: Sequence[Sequence[str]], layer: int) -> "IndexFacts":
        """Of an index that is to be made, or found again."""
        digest = sha256(json.dumps(list(map(list, sentences)), ensure_ascii=False).encode("utf8")).hexdigest()
        return cls(bilm.digest(), digest, layer % (bilm.config.n_layers + 1))


class NeighbourIndex:
    """The vectors of all words of a corpus in one layer.

    Args:
        facts: What it was made from.
        sentences: Lists of words.
        vectors: Of length 1, all words one after another, (n_words, width) float32; may be mapped from a file.
        graph: usearch's index of them, where there are more than MAX_EXACT.
    """

    def __init__(
        self, facts: IndexFacts, sentences: Sequence[Sequence[str]], vectors: Array, graph: Any = None
    ) -> None:
        self.facts = facts
        self.sentences = sentences
        self.vectors = vectors
        self._graph = graph
        self._ends = np.cumsum([len(words) for words in sentences])

    @classmethod
    def build(cls, bilm: BiLM, sentences: Sequence[Sequence[str]], layer: int = -1) -> "NeighbourIndex":
        """Embed a corpus.

        Args:
            bilm: The model.
            sentences: Lists of words.
            layer: Whose vectors; negative ones are counted from the top.

        Raises:
            ExplainError: There are no words.
            MissingExtraError: There are more than MAX_EXACT, and usearch is not installed.
        """
        n = sum(map(len, sentences))
        if not n:
            raise ExplainError("There are no words in these texts.")
        graph = _new_graph(bilm.config.width) if n > MAX_EXACT else None
        vectors = np.empty((n, bilm.config.width), dtype=np.float32)
        start = 0
        for part in _chunks(sentences):
            found = np.concatenate([array[layer] for array in bilm.embed(part)])
            vectors[start : start + len(found)] = directions(found)
            start += len(found)
        if graph is not None:
            graph.add(np.arange(n), vectors)
        return cls(IndexFacts.of(bilm, sentences, layer), sentences, vectors, graph)

    def nearest(
        self, bilm: BiLM, words: Sequence[str], position: int, n: int = 10, *, other_forms: bool = False
    ) -> list[Neighbour]:
        """Find the words of the corpus that are nearest to one in its sentence.

        Args:
            bilm: The model that the index was made with.
            words: The sentence.
            position: Which of its words.
            n: How many to find.
            other_forms: Leave out words of the same form, whatever the case of their letters.
        """
        (layers,) = bilm.embed([words])
        query = directions(layers[self.facts.layer, position])
        asked = n
        while True:
            rows, cosines = self._search(query, min(asked, len(self.vectors)))
            found = [Neighbour(self._occurrence(row), float(c)) for row, c in zip(rows, cosines, strict=True)]
            if other_forms:
                found = [one for one in found if one.occurrence.word.casefold() != words[position].casefold()]
            if len(found) >= n or asked >= len(self.vectors):
                return found[:n]
            asked *= 4

    def _search(self, query: Array, n: int) -> tuple[list[int], list[float]]:
        if self._graph is not None:
            matches = self._graph.search(query, n)
            return matches.keys.tolist(), (1 - matches.distances).tolist()
        cosines = self.vectors @ query
        rows = np.argpartition(-cosines, n - 1)[:n]
        rows = rows[np.argsort(-cosines[rows], kind="stable")]
        return rows.tolist(), cosines[rows].tolist()

    def _occurrence(self, row: int) -> Occurrence:
        number = int(np.searchsorted(self._ends, row, side="right"))
        words = tuple(self.sentences[number])
        return Occurrence(words, row - int(self._ends[number]) + len(words))

    def save(self, directory: Path) -> None:
        """Keep the index, as a whole, also in the place of another one.

        Raises:
            TakenError: Another thing is there.
        """
        with new_directory(directory, overwrite=(directory / FACTS).exists()) as unfinished:
            (unfinished / FACTS).write_text(json.dumps(asdict(self.facts)), "utf8")
            (unfinished / SENTENCES).write_text(json.dumps(list(map(list, self.sentences)), ensure_ascii=False), "utf8")
            np.save(unfinished / VECTORS, self.vectors)
            if self._graph is not None:
                self._graph.save(str(unfinished / GRAPH))

    @classmethod
    def load(cls, directory: Path) -> "NeighbourIndex":
        """Read an index that was kept; its vectors stay in their file.

        Raises:
            ExplainError: Another thing is there.
        """
        advice = "An index is kept in a directory of its own: name one that is not there yet."
        facts = read_json(directory / FACTS, ExplainError, advice)
        if not isinstance(facts, dict) or facts.keys() != {"model", "corpus", "layer"}:
            raise ExplainError(f"{directory}: not an index of neighbours. {advice}")
        sentences = read_json(directory / SENTENCES, ExplainError, max_bytes=10_000_000_000)
        vectors = np.load(directory / VECTORS, mmap_mode="r", allow_pickle=False)
        graph = None
        if (directory / GRAPH).exists():
            graph = _new_graph(vectors.shape[1])
            graph.load(str(directory / GRAPH))
        return cls(IndexFacts(**facts), sentences, vectors, graph)


def kept_index(directory: Path, bilm: BiLM, sentences: Sequence[Sequence[str]], layer: int = -1) -> NeighbourIndex:
    """The index of a corpus, from its directory where it was kept there, else built and kept.

    It is built anew where it is of another model, other sentences or another layer.

    Raises:
        ExplainError: Another thing is there.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        index = NeighbourIndex.load(directory)
        if index.facts == IndexFacts.of(bilm, sentences, layer):
            return index
    index = NeighbourIndex.build(bilm, sentences, layer)
    index.save(directory)
    return index


def _new_graph(width: int) -> Any:
    try:
        from usearch.index import Index
    except ImportError:
        raise MissingExtraError(f"usearch, for more than {MAX_EXACT:,} words", "neighbours") from None
    return Index(ndim=width, metric="cos", dtype="f32")


def _chunks(sentences: Sequence[Sequence[str]]) -> list[list[Sequence[str]]]:
    chunks: list[list[Sequence[str]]] = [[]]
    n = 0
    for words in sentences:
        if n and n + len(words) > CHUNK:
            chunks.append([])
            n = 0
        chunks[-1].append(words)
        n += len(words)
    return chunks
