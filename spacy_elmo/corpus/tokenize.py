"""Documents to word types: by spaCy's tokenizer and sentence rule, or as the words and sentences they have already."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import spacy
from spacy.attrs import ORTH, SENT_START
from spacy.language import Language
from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc, DocBin

from ..disk import digest
from .errors import CorpusError
from .formats import FORMATS, SEPARATOR, Format

# spaCy's cache holds 10,000 strings by default, and everything rarer goes through the rules each time: a million
# doubles the speed.
CACHE_SIZE = 1_000_000
# A vocabulary only grows. At this size (about 300 MB) a new one is begun. spaCy's memory zones would do as well, but
# they empty the tokenizer's cache too, and a zone for each piece of text takes three times as long.
MAX_STRINGS = 500_000


@dataclass(frozen=True)
class TextSettings:
    """How texts become sentences of words.

    Attributes:
        nlp: A config with the sections "nlp" and "components", in spaCy's format: the tokenizer, and what finds
            sentences. A document in which nothing marks sentences is one sentence.
        format: What a line of a text is. In the format "sentences" the tokenizer alone is used, in "tokens" neither.
        code: A Python file that registers functions the config names. Other processes import it before they use them;
            whoever makes this has done so.
    """

    nlp: dict[str, Any]
    format: Format = "documents"
    code: Path | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise CorpusError(f"a format of texts is one of {', '.join(FORMATS)}, not {self.format!r}")

    @property
    def code_digest(self) -> str | None:
        """Of the file that registers functions of the user's own; None without one."""
        return None if self.code is None else digest(self.code)


@dataclass(frozen=True)
class Tokens:
    """Tokenised documents, without whitespace tokens and without documents that have no other.

    Attributes:
        rows: For each sentence 0, and then its words: i + 1 stands for words[i]. Shape (n_rows,), int32.
        document_rows: How many of the rows are each document's, shape (n_documents,), int64.
        words: Each once.
    """

    rows: npt.NDArray[np.int32]
    document_rows: npt.NDArray[np.int64]
    words: list[str]


def language_config(code: str) -> dict[str, Any]:
    """The nlp config of a language: its tokenizer, and sentences that end where a mark of punctuation ends them."""
    return {
        "nlp": {"lang": code, "pipeline": ["sentencizer"]},
        "components": {"sentencizer": {"factory": "sentencizer"}},
    }


def load_nlp(config: dict[str, Any]) -> Language:
    """A pipeline.

    Args:
        config: As in `TextSettings`; what is left out is spaCy's default.

    Raises:
        CorpusError: spaCy cannot make it.
    """
    try:
        nlp = spacy.util.load_model_from_config(spacy.Config(config), auto_fill=True)
    except (ValueError, KeyError, ImportError) as error:
        raise CorpusError(f"the nlp config does not make a spaCy pipeline: {error}") from None
    if unknown := sorted(config["nlp"].keys() - nlp.config["nlp"].keys()):
        raise CorpusError(f"the nlp config has keys that spaCy does not know: nlp.{', nlp.'.join(unknown)}.")
    nlp.max_length = 2**30  # the tokenizer's own limit; the default is for what a parser holds in memory
    if isinstance(nlp.tokenizer, Tokenizer):
        nlp.tokenizer.max_cache_size = CACHE_SIZE
    return nlp


class DocumentTokenizer:
    """Documents, or Docs that are tokenised already, to `Tokens`."""

    def __init__(self, config: dict[str, Any]) -> None:
        """Make the pipeline of a config.

        Args:
            config: See `load_nlp`.
        """
        self._config = config
        self._nlp = load_nlp(config)

    def __call__(self, documents: list[list[str]] | bytes, format: Format = "documents") -> Tokens:
        """Tokenise some documents.

        Args:
            documents: Each its text, or its sentences, see `formats.Document`; or the bytes of a DocBin. Its Docs keep
                their words, and their sentences where they have any; where not, the config's sentence rule goes over
                them.
            format: What they were read as.
        """
        if len(self._nlp.vocab.strings) > MAX_STRINGS:
            self._nlp = load_nlp(self._config)
        if isinstance(documents, bytes):
            return self._from_docs(self._docs(documents))
        if format == "tokens":
            return _from_words(documents)
        if format == "sentences":
            return self._from_sentences(documents)
        return self._from_docs(self._nlp.pipe(chain.from_iterable(documents)))

    def _docs(self, doc_bin: bytes) -> Iterator[Doc]:
        for doc in DocBin().from_bytes(doc_bin).get_docs(self._nlp.vocab):
            yield doc if doc.has_annotation("SENT_START") else self._nlp(doc)

    def _from_docs(self, docs: Iterator[Doc]) -> Tokens:
        return self._tokens([doc.to_array([ORTH, SENT_START]) for doc in docs])

    def _from_sentences(self, documents: list[list[str]]) -> Tokens:
        return self._tokens([np.concatenate([self._sentence(text) for text in texts]) for texts in documents])

    def _sentence(self, text: str) -> np.ndarray:
        orths = self._nlp.make_doc(text).to_array(ORTH)
        return np.stack([orths, np.arange(len(orths)) == 0], axis=1).astype(np.uint64)

    def _tokens(self, arrays: list[np.ndarray]) -> Tokens:
        """arrays: one a document, uint64 (n_tokens, 2), of the hashes of its words and its sentence starts."""
        arrays = [array for array in arrays if len(array)]
        lengths = np.array([len(array) for array in arrays], dtype=np.int64)
        orths, starts = np.concatenate([np.empty((0, 2), np.uint64), *arrays]).T
        is_start = starts == 1  # -1 and 0, not a start and not known, are other numbers
        is_start[np.cumsum(lengths) - lengths] = True
        # Python sees distinct words only, never tokens.
        hashes, types = np.unique(orths, return_inverse=True)
        strings = [self._nlp.vocab.strings[int(value)] for value in hashes]
        is_word = np.array([bool(string) and not string.isspace() for string in strings], dtype=bool)

        keep = is_word[types]
        documents = np.repeat(np.arange(len(arrays)), lengths)[keep]
        # Sentences by number, so that one whose first token is whitespace begins with the word that comes next.
        sentences = np.cumsum(is_start)[keep]
        begins = np.diff(sentences, prepend=0) > 0
        words = (np.cumsum(is_word) - 1)[types[keep]]
        rows = np.zeros(len(words) + np.count_nonzero(begins), dtype=np.int32)
        rows[np.arange(len(words)) + np.cumsum(begins)] = words + 1
        document_rows = np.bincount(documents, minlength=len(arrays))
        document_rows += np.bincount(documents[begins], minlength=len(arrays))
        return Tokens(
            rows=rows,
            document_rows=document_rows[document_rows > 0],
            words=[string for string, kept in zip(strings, is_word, strict=True) if kept],
        )


def _from_words(documents: list[list[str]]) -> Tokens:
    """Tokens from sentences of words between SEPARATORs."""
    numbers: dict[str, int] = {}
    rows: list[int] = []
    document_rows: list[int] = []
    for sentences in documents:
        begin = len(rows)
        for sentence in sentences:
            words = [word for word in sentence.split(SEPARATOR) if word and not word.isspace()]
            if words:
                rows.append(0)
                rows += [numbers.setdefault(word, len(numbers) + 1) for word in words]
        if len(rows) > begin:
            document_rows.append(len(rows) - begin)
    return Tokens(np.array(rows, dtype=np.int32), np.array(document_rows, dtype=np.int64), list(numbers))
