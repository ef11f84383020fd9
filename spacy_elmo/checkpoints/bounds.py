"""What a file may ask for before anything is read: no more than its size makes plausible."""

from pathlib import Path

from ..bilm import BiLMConfig
from ..bilm.characters import N_CHARACTERS
from .errors import CheckpointError

# Trained weights hardly compress: a parameter takes 4 bytes, 2 as float16. With less than one on average the file is
# mostly holes or one repeated value, and no model.
MIN_BYTES_PER_PARAMETER = 1
# Published lexicons have up to 150,000 words.
MAX_LEXICON_BYTES = 100_000_000
# Published models have 2 LSTM layers a direction and up to 2 highway layers.
MAX_LAYERS = 100
# Published models have 50. Every word takes this many positions, so a huge number exhausts memory at the first text.
MAX_CHARACTERS = 10_000


def read_lexicon(path: Path) -> bytes:
    """The bytes of a lexicon's file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is far too large for a lexicon.
    """
    if (size := path.stat().st_size) > MAX_LEXICON_BYTES:
        raise ValueError(f"it has {size:,} bytes, and a lexicon never takes more than {MAX_LEXICON_BYTES:,}")
    return path.read_bytes()


def n_parameters(config: BiLMConfig) -> int:
    """How many numbers a biLM of this config has, without making one."""
    projection, cell = config.projection_dim, config.cell_dim
    to_words = config.feature_dim * projection + projection
    lstm = 2 * projection * 4 * cell + 4 * cell + cell * projection
    return _n_word_parameters(config) + to_words + 2 * config.n_layers * lstm


def _n_word_parameters(config: BiLMConfig) -> int:
    """Those of the word encoder up to its projection."""
    lexicon, n_filters = config.lexicon, config.n_filters
    words = lexicon.n_words * lexicon.word_dim if lexicon else 0
    if lexicon and not lexicon.n_characters:
        return words
    characters = (lexicon.n_characters if lexicon else N_CHARACTERS) * config.char_dim
    convolutions = sum(width * config.char_dim * count + count for width, count in config.filters)
    highways = config.n_highway * 2 * (n_filters * n_filters + n_filters)
    return words + characters + convolutions + highways


def check_counts(config: BiLMConfig, where: str) -> None:
    """Raise CheckpointError where a config asks for so many things that naming them would take long.

    To be called before anything is made of the config.
    """
    for name, most in (("n_layers", MAX_LAYERS), ("n_highway", MAX_LAYERS), ("max_characters", MAX_CHARACTERS)):
        if (value := getattr(config, name)) > most:
            raise CheckpointError(f"{where}: '{name}' is {value:,}, but at most {most:,} are read.")


def check_size(config: BiLMConfig, n_bytes: int, where: str, n_absent: int = 0) -> None:
    """Raise CheckpointError where `n_bytes` of weights cannot be a model of this config: no memory goes into that.

    Args:
        config: The dimensions.
        n_bytes: The size of the files of weights.
        where: Their name.
        n_absent: Parameters that need not be in the files.
    """
    needed = n_parameters(config) - n_absent
    if n_bytes < needed * MIN_BYTES_PER_PARAMETER:
        raise CheckpointError(
            f"{where} has {n_bytes:,} bytes, which cannot hold the {needed:,} parameters of its config. One of the two "
            f"is damaged, or they are not of the same model."
        )
