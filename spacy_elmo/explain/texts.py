"""Texts to Docs, as the model to look at was trained to read them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from spacy import Language
from spacy.tokens import Doc, DocBin

from ..checkpoints import Source
from ..checkpoints.published import meant
from ..checkpoints.source import locate
from ..corpus.compression import decompressed
from ..corpus.doc_bins import reading
from ..corpus.files import find, kind
from ..corpus.formats import Format, is_blank, json_object, numbered
from ..corpus.sentences import read_sentences
from ..corpus.texts import CHUNK_BYTES
from ..corpus.tokenize import TextSettings, language_config, load_nlp
from ..language.metadata import CONFIG_FILE, read_text_settings, read_vocabulary
from ..layers.spans import sentences_or_doc
from ..similarity import WordFrequencies
from .errors import ExplainError

# Where a word is left out, and what stands at both sides of a word that is meant.
GAP, MARK = "___", "*"


def text_settings(source: Source, format: str | None = None) -> TextSettings:
    """How texts become words for a model.

    A model that was trained here says so itself; for another one it is spaCy's tokenizer of its language, and full
    stops end sentences.

    Args:
        source: The model.
        format: What a line of a text file is, see `corpus.formats.Format`; None for what the model says.
    """
    if (locate(source).directory / CONFIG_FILE).exists():
        settings = read_text_settings(locate(source).directory)
    else:
        published = meant(source)
        settings = TextSettings(language_config(published.languages[0] if published and published.languages else "xx"))
    return settings if format is None else replace(settings, format=cast(Format, format))


def word_frequencies(source: Source) -> WordFrequencies | None:
    """How frequent a model takes words to be; None where it knows of no words."""
    vocabulary = read_vocabulary(locate(source).directory)
    return None if vocabulary is None else WordFrequencies.of_vocabulary(vocabulary)


def read_docs(paths: Sequence[Path], settings: TextSettings) -> Iterator[Doc]:
    """The documents of texts.

    What annotations a .spacy file holds, its Docs have; what stands in a line of a .jsonl file beside its "text" is
    in `Doc.user_data`.

    Args:
        paths: Files, directories or globs, see `corpus.files.find`.
        settings: How texts become words.

    Raises:
        CorpusError: A text cannot be read, or a line of a .jsonl file is not an object with a "text".
    """
    nlp = load_nlp(settings.nlp)
    for path in find(paths):
        if kind(path) == "spacy":
            docs = _doc_bin(path).get_docs(nlp.vocab)
            yield from (doc if doc.has_annotation("SENT_START") else nlp(doc) for doc in docs)
        elif kind(path) == "jsonl" and settings.format == "documents":
            yield from _json_lines(path, nlp)
        else:
            for words in read_sentences([path], settings):
                yield Doc(nlp.vocab, words=words, sent_starts=[i == 0 for i in range(len(words))])


def split_text(text: str, settings: TextSettings) -> list[list[str]]:
    """The sentences of a text, lists of words."""
    doc = load_nlp(settings.nlp)(text)
    found = [[token.text for token in sentence if not token.is_space] for sentence in sentences_or_doc([doc])[0]]
    return [words for words in found if words]


def split_words(text: str, settings: TextSettings) -> list[str]:
    """The words of one sentence."""
    return [token.text for token in load_nlp(settings.nlp).make_doc(text) if not token.is_space]


def one_word(text: str, settings: TextSettings) -> str:
    """A word that is to be looked for.

    Raises:
        ExplainError: It is none, or more than one to the model.
    """
    words = split_words(text, settings)
    if len(words) != 1:
        raise ExplainError(f"{text!r} is {len(words)} words to this model: {', '.join(words)}. Name one word.")
    return words[0]


def split_marked(text: str, settings: TextSettings) -> tuple[list[str], int]:
    """The words of a sentence, and which of them stands between two MARKs.

    Raises:
        ExplainError: It is not one word that is marked.
    """
    parts = text.split(MARK)
    words = [split_words(part, settings) for part in parts]
    if len(parts) != 3 or len(words[1]) != 1:
        raise ExplainError(f"Put {MARK} before and after the one word that is meant: it is not so in {text!r}.")
    return [*words[0], *words[1], *words[2]], len(words[0])


def split_gap(text: str, settings: TextSettings) -> tuple[list[str], list[str]]:
    """The words before and after the GAP in a sentence.

    Raises:
        ExplainError: There is not one gap.
    """
    parts = text.split(GAP)
    if len(parts) != 2:
        raise ExplainError(
            f"Write {GAP} once in the text, in the place of the word: there are {len(parts) - 1} in {text!r}."
        )
    before, after = (split_words(part, settings) for part in parts)
    return before, after


def _json_lines(path: Path, nlp: Language) -> Iterator[Doc]:
    for place, line in numbered(_content(path), path):
        if not is_blank(line):
            value = json_object(line, place)
            doc = nlp(value.pop("text"))
            doc.user_data.update(value)
            yield doc


def _doc_bin(path: Path) -> DocBin:
    with reading(path):
        return DocBin().from_bytes(b"".join(_content(path)))


def _content(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from decompressed(iter(partial(file.read, CHUNK_BYTES), b""), path)
