"""The word types of a corpus as the rows of ids that a word encoder takes."""

from collections.abc import Callable
from functools import partial

from ..bilm import BiLM
from ..bilm.lexicon import Lexicon
from ..corpus.corpus import BEGIN_SENTENCE, END_SENTENCE, IntArray, WordTable

# From types, (n_types,), to rows of ids, (n_types, n).
TypeIds = Callable[[IntArray], IntArray]


def type_ids(table: WordTable, bilm: BiLM) -> TypeIds:
    """The ids of types, the same as a biLM has for their words and for <S> and </S>."""
    if bilm.lexicon is None:
        return partial(table.character_ids, max_characters=bilm.config.max_characters)
    return partial(_lexicon_ids, table, bilm.lexicon, bilm.config.max_characters)


def _lexicon_ids(table: WordTable, lexicon: Lexicon, max_characters: int, types: IntArray) -> IntArray:
    ids = lexicon.word_ids([table.word(number) for number in types.tolist()], max_characters)
    for mark, row in zip((BEGIN_SENTENCE, END_SENTENCE), lexicon.boundary_ids(max_characters), strict=True):
        ids[types == mark] = row
    return ids
