"""Whether lines look as though their words were set apart already: misread, such a corpus teaches the wrong words."""

import re
import warnings
from collections.abc import Sequence

from .formats import Document

# Marks that no writing sets apart from the word before, but every tokenizer does.
_MARKS = ".,\u3001\u3002\uff0c\u0964\u06d4"  # and those of Chinese, Japanese, Hindi and Urdu
_ALONE = re.compile(rf"(?<!\S)[{_MARKS}](?!\S)")
_ATTACHED = re.compile(rf"[^\s{_MARKS}][{_MARKS}](?!\S)")
# Fewer say nothing.
_ENOUGH = 20


def warn_of_other_format(documents: Sequence[Document]) -> bool:
    """Warn where documents of one format look like those of another.

    Args:
        documents: Documents in a row, all of one format.

    Returns:
        Whether it has warned.
    """
    text = "\n".join(part for document in documents for part in document.parts)
    alone, attached = len(_ALONE.findall(text)), len(_ATTACHED.findall(text))
    place, format = documents[0].place, documents[0].format
    if format != "tokens" and alone >= _ENOUGH and alone > attached:
        warning = (
            f"{place}: from here on, lines look tokenised already, for commas and full stops stand alone. Read as "
            f'{format}, they are tokenised again. corpus.format = "tokens" takes them as they are.'
        )
    elif format == "tokens" and attached >= _ENOUGH and attached > alone:
        warning = (
            f"{place}: from here on, lines do not look tokenised, for commas and full stops stand at words. Read as "
            f'tokens, they are parts of the words. corpus.format = "documents" or "sentences" takes them apart.'
        )
    else:
        return False
    warnings.warn(warning, stacklevel=2)
    return True
