"""Words to character ids, as bilm-tf and AllenNLP number them.

A word is its UTF-8 bytes between two marks, padded to a fixed length. The byte 0 has id 1, and so on: every id is
one more than bilm-tf's, so that 0 stays free for padding outside words, as in AllenNLP.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BEGIN_SENTENCE = 257
END_SENTENCE = 258
BEGIN_WORD = 259
END_WORD = 260
PAD = 261
N_CHARACTERS = 262


# Among the words of a sentence, bilm-tf and AllenNLP take these two for the sentence boundaries themselves.
BOUNDARY_WORDS = ("<S>", "</S>")


def word_ids(words: Sequence[str], max_characters: int, boundary_words: Sequence[str] = ()) -> npt.NDArray[np.int64]:
    """Words to character ids.

    Args:
        words: Of a word, the bytes past `max_characters - 2` are cut off, as in the published implementations; a lone
            surrogate, which UTF-8 cannot hold, counts for nothing.
        max_characters: Of a word, its two marks included.
        boundary_words: The words that are read as begin and end of a sentence, see `BOUNDARY_WORDS`; none by default.

    Returns:
        int64 (n_words, max_characters).
    """
    ids = np.full((len(words), max_characters), PAD, dtype=np.int64)
    ids[:, 0] = BEGIN_WORD
    spellings = [word.encode("utf-8", "ignore")[: max_characters - 2] for word in words]
    ends = np.fromiter(map(len, spellings), np.int64, len(spellings))[:, None] + 1
    places = np.arange(max_characters)
    # All words at once, in the order in which their bytes stand one after another.
    ids[(places > 0) & (places < ends)] = np.frombuffer(b"".join(spellings), dtype=np.uint8).astype(np.int64) + 1
    ids[places == ends] = END_WORD
    for word, boundary in zip(boundary_words, boundary_ids(max_characters), strict=False):
        ids[[other == word for other in words]] = boundary
    return ids


def boundary_ids(max_characters: int) -> npt.NDArray[np.int64]:
    """The ids of the begin and the end of a sentence as words, int64 (2, max_characters)."""
    ids = np.full((2, max_characters), PAD, dtype=np.int64)
    ids[:, 0] = BEGIN_WORD
    ids[:, 1] = BEGIN_SENTENCE, END_SENTENCE
    ids[:, 2] = END_WORD
    return ids
