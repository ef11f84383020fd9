"""Words and characters with their numbers, as JSON."""

import json
from pathlib import Path
from typing import Any

from ..bilm import BiLMConfig
from ..bilm.lexicon import Lexicon
from .bounds import read_lexicon
from .errors import CheckpointError


def read_lexicon_json(config: BiLMConfig, path: Path) -> Lexicon | None:
    """Read the lexicon of a model of this config; None where it has none.

    Raises:
        CheckpointError: The file is missing or damaged, or is another model's.
    """
    if config.lexicon is None:
        return None
    try:
        data = read_lexicon(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; the model in {path.parent} is incomplete.") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable ({error}).") from None
    return parse_lexicon(config, data, str(path))


def parse_lexicon(config: BiLMConfig, data: bytes, where: str) -> Lexicon:
    """The lexicon from the bytes of lexicon.json; `serialize_lexicon` makes them."""
    try:
        values = json.loads(data)
        if not isinstance(values, dict) or set(values) != {"words", "characters"}:
            raise ValueError("it is not an object with the keys words and characters")
        for entries in values.values():
            if entries is not None and not _are_entries(entries):
                raise ValueError("its words and characters are not null, nor objects with numbers as values")
        lexicon = Lexicon(**values)
        if config.lexicon is not None:
            lexicon.check(config.lexicon)
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{where}: not the lexicon of this model ({error}).") from None
    return lexicon


def serialize_lexicon(lexicon: Lexicon) -> bytes:
    """The bytes of lexicon.json."""
    values = {"words": lexicon.words, "characters": lexicon.characters}
    # In JSON's own words a surrogate that stands alone may be part of a string, though in UTF-8's it may not.
    return json.dumps(values, ensure_ascii=False, indent=0).encode("utf8", "surrogatepass")


def _are_entries(entries: Any) -> bool:
    return isinstance(entries, dict) and all(type(number) is int for number in entries.values())
