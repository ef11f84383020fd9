"""Documents with vectors to spaCy's Docs, as the component leaves them, and back."""

import numpy as np
import numpy.typing as npt
from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..layers import slot
from .documents import Document, EmbeddedDocument

# Of the vectors in `Doc.user_data`, and of the document's id there.
NAME = "elmo"
ID = "spacy_elmo_id"


def to_doc(document: EmbeddedDocument, vocab: Vocab) -> Doc:
    """A Doc with a vector a token.

    They are its tensor, and in its user data too, where `Doc._.elmo_vectors` finds them and a DocBin keeps them.
    Whitespace tokens have zeros. Of all layers the tensor is the average.
    """
    words, spaces = words_and_spaces(document)
    rows = [i for i, word in enumerate(words) if not word.isspace()]
    # Blanks before the first sentence are part of it.
    starts = {rows[begin] if begin else 0 for begin in document.sentences[:, 0].tolist()}
    doc = Doc(vocab, words=words, spaces=spaces, sent_starts=[i in starts for i in range(len(words))])
    *layers, _, width = document.vectors.shape
    vectors: npt.NDArray[np.float32] = np.zeros((*layers, len(doc), width), np.float32)
    vectors[..., rows, :] = document.vectors
    doc.user_data[ID] = document.id
    sentences = [(sent.start, sent.end) for sent in doc.sents] if len(doc) else []
    slot.write(doc, NAME, sentences, vectors.mean(axis=0) if layers else vectors, vectors if layers else None)
    return restored(doc)


def words_and_spaces(document: Document) -> tuple[list[str], list[bool]]:
    """The tokens and what is between them, as spaCy's `get_words_and_spaces`, whose time is a square of the length."""
    text, end = document.text, 0
    words: list[str] = []
    spaces: list[bool] = []
    for token, (begin, after) in zip(document.tokens, document.offsets.tolist(), strict=True):
        if begin > end:
            words.append(text[end:begin])
            spaces.append(False)
        words.append(token)
        spaces.append(text[after : after + 1] == " ")
        end = after + spaces[-1]
    if end < len(text):
        words.append(text[end:])
        spaces.append(False)
    return words, spaces


def restored(doc: Doc) -> Doc:
    """A Doc that a DocBin has kept, with its tensor, which a DocBin does not keep."""
    vectors = slot.last(doc, "vectors")
    if vectors is not None:
        doc.tensor = np.asarray(vectors)
    return doc
