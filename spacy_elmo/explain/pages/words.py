"""Words as one reads them."""

import unicodedata
from collections.abc import Sequence

_CLOSING = set(".,;:!?%)]}’”»…") | {"n't", "'s", "'re", "'ve", "'ll", "'d", "'m", "''"}
_OPENING = set("([{‘“«$£€#")
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA")


def blank_before(words: Sequence[str], i: int) -> str:
    """What stands before a word in print: a blank or nothing. Words do not tell how they were written."""
    if i == 0 or words[i] in _CLOSING or words[i - 1] in _OPENING:
        return ""
    return "" if _is_unspaced(words[i]) and _is_unspaced(words[i - 1]) else " "


def joined(words: Sequence[str]) -> str:
    """Words as one text."""
    return "".join(blank_before(words, i) + word for i, word in enumerate(words))


def _is_unspaced(word: str) -> bool:
    """Whether a word is of a script without blanks."""
    return unicodedata.name(word[:1] or " ", "").startswith(_UNSPACED) or word in "、。「」（）"
