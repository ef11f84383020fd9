"""Texts to documents: by spaCy's tokenizer and sentence rule."""

from typing import TYPE_CHECKING, Any

from spacy.tokens import Doc

from ..checkpoints import CheckpointError, locate
from ..corpus.errors import CorpusError
from ..corpus.tokenize import MAX_STRINGS, load_nlp
from ..language.metadata import read_text_settings
from ..layers.spans import sentences_or_doc
from .documents import Document, Reject, Text, spans
from .errors import EmbeddingError
from .settings import Settings

if TYPE_CHECKING:
    from ..checkpoints import Source


def tokenizer_config(model: "Source", settings: Settings) -> dict[str, Any]:
    """What the settings say, or how the texts were read that the model was trained with.

    Raises:
        EmbeddingError: Neither says it, or spaCy cannot make it.
    """
    try:
        config = settings.nlp or read_text_settings(locate(model).directory).nlp
        load_nlp(config)
    except CheckpointError as error:
        raise EmbeddingError(f"{error} Name a language whose tokenizer to use (nlp).") from None
    except CorpusError as error:
        raise EmbeddingError(f"{error}") from None
    return config


class Tokenizer:
    """Tokenises texts; a document that is tokenised already passes.

    Args:
        config: See `Settings.nlp`.

    Raises:
        CorpusError: spaCy cannot make its pipeline.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._nlp = load_nlp(config)

    def __call__(self, item: Text | Document | Reject) -> Document | Reject:
        """The document of a text, or a reject where it cannot be tokenised."""
        if not isinstance(item, Text):
            return item
        if len(self._nlp.vocab.strings) > MAX_STRINGS:
            self._nlp = load_nlp(self._config)
        try:
            doc = self._nlp.make_doc(item.text) if item.is_sentence else self._nlp(item.text)
        except Exception as error:  # a component's, and it may be any
            return Reject(item.id, f"not tokenised: {error}")
        return of_doc(item.id, doc)


def of_doc(id: str, doc: Doc) -> Document:
    """The words of a Doc: its sentences where it has any, and else all of it as one, as the component reads it."""
    tokens: list[str] = []
    offsets: list[tuple[int, int]] = []
    sentences: list[tuple[int, int]] = []
    for sent in sentences_or_doc([doc])[0]:
        begin = len(tokens)
        for token in sent:
            text = token.text
            if not text.isspace():
                tokens.append(text)
                offsets.append((token.idx, token.idx + len(text)))
        if len(tokens) > begin:
            sentences.append((begin, len(tokens)))
    return Document(id, doc.text, tokens, spans(offsets), spans(sentences))
