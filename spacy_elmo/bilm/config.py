"""Every dimension of a biLM in one validated, immutable place."""

from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, fields
from math import inf
from typing import Any

from ..errors import ArgumentError

ACTIVATIONS = ("relu", "tanh")
# A word has at least two marks and a character.
_LEAST = {"char_dim": 1, "projection_dim": 1, "cell_dim": 1, "n_layers": 1, "n_highway": 0, "max_characters": 3}


@dataclass(frozen=True)
class LexiconConfig:
    """The size of a lexicon of words and characters, as models of ELMoForManyLangs have them.

    Attributes:
        n_words: Word vectors; 0 for a model that knows no words.
        word_dim: Their width; 0 for a model that knows no words.
        n_characters: Character vectors; 0 for a model that knows no characters.

    Raises:
        ArgumentError: If a value makes no model.
    """

    n_words: int
    word_dim: int
    n_characters: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not _is_integer(value) or value < 0:
                raise ArgumentError(
                    f"biLM config: 'lexicon.{field.name}' is {value!r}, but must be an integer from 0 on."
                )
        if (self.n_words == 0) is not (self.word_dim == 0):
            raise ArgumentError(
                f"biLM config: 'lexicon.n_words' is {self.n_words} and 'lexicon.word_dim' is {self.word_dim}, but "
                f"either both are 0 or none."
            )
        if not self.n_words and not self.n_characters:
            raise ArgumentError("biLM config: 'lexicon' has neither words nor characters.")

    @classmethod
    def from_dict(cls, values: Any) -> "LexiconConfig":
        """The lexicon's size from a dict as `BiLMConfig.to_dict` holds it.

        Raises:
            ArgumentError: If that is no dict, or keys are unknown or missing.
        """
        if not isinstance(values, Mapping):
            raise ArgumentError(f"biLM config: 'lexicon' is {values!r}, but must be null or a dict.")
        _check_keys(cls, values, optional=set())
        return cls(**values)


@dataclass(frozen=True)
class BiLMConfig:
    """The shape of a biLM (Peters et al. 2018, section 3.4). The defaults are the published "small" model's.

    Attributes:
        filters: (width in characters, number of filters) of each convolution.
        char_dim: Width of a character embedding.
        max_characters: Characters per word, the two word boundary marks included.
        n_highway: Highway layers between the convolutions and the projection.
        activation: "relu" or "tanh", applied after the max over positions.
        projection_dim: Width of the word vectors and of each LSTM's output, per direction.
        cell_dim: Width of an LSTM's cell.
        n_layers: Bidirectional LSTM layers. The biLM gives `n_layers + 1` layers of vectors.
        cell_clip: Bound of the cell state; None for no bound.
        projection_clip: Bound of the projected state; None for no bound.
        skip_connections: Whether each LSTM layer but the first adds its input to its output.
        lexicon: The size of the model's lexicon; None where words are their bytes alone. In a model that knows words
            and no characters, `filters`, `char_dim`, `n_highway` and `activation` play no part.

    Raises:
        ArgumentError: If a value makes no model.
    """

    filters: tuple[tuple[int, int], ...] = (
        (1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024),
    )  # fmt: skip
    char_dim: int = 16
    max_characters: int = 50
    n_highway: int = 1
    activation: str = "relu"
    projection_dim: int = 128
    cell_dim: int = 1024
    n_layers: int = 2
    cell_clip: float | None = 3.0
    projection_clip: float | None = 3.0
    skip_connections: bool = True
    lexicon: LexiconConfig | None = None

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            self._require(name, _is_integer(value) and value >= least, f"an integer of at least {least}")
        known = isinstance(self.activation, str) and self.activation in ACTIVATIONS
        self._require("activation", known, f"one of {', '.join(ACTIVATIONS)}")
        wanted = f"a list of [width, count] pairs, widths from 1 to {self.max_characters} and counts from 1"
        self._require("filters", self._are_filters(self.filters), wanted)
        # Read from JSON, the filters are lists; as tuples the config is hashable and compares by value.
        object.__setattr__(self, "filters", tuple((width, count) for width, count in self.filters))
        known = self.lexicon is None or isinstance(self.lexicon, LexiconConfig)
        self._require("lexicon", known, "None, or a LexiconConfig")
        for name in ("cell_clip", "projection_clip"):
            clip = getattr(self, name)
            number = isinstance(clip, float) or _is_integer(clip)
            self._require(name, clip is None or (number and 0 < clip < inf), "null, or a number greater than 0")
        self._require("skip_connections", isinstance(self.skip_connections, bool), "true or false")

    def _are_filters(self, filters: Any) -> bool:
        return (
            isinstance(filters, list | tuple)
            and len(filters) >= 1
            and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in filters)
            and all(_is_integer(number) and number >= 1 for pair in filters for number in pair)
            and all(width <= self.max_characters for width, _ in filters)
        )

    def _require(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise ArgumentError(f"biLM config: '{name}' is {getattr(self, name)!r}, but must be {wanted}.")

    @property
    def n_filters(self) -> int:
        """Filters of all widths together: the width of what is made of a word's characters."""
        return sum(count for _, count in self.filters)

    @property
    def feature_dim(self) -> int:
        """Width of a word before the projection."""
        if self.lexicon is None:
            return self.n_filters
        return self.lexicon.word_dim + (self.n_filters if self.lexicon.n_characters else 0)

    @property
    def width(self) -> int:
        """Width of a vector: forward and backward half together."""
        return 2 * self.projection_dim

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict; `from_dict` reads it back."""
        values = asdict(self)
        if self.lexicon is None:
            del values["lexicon"]  # as in files written before there were lexicons, which is most
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "BiLMConfig":
        """The config from a dict as `to_dict` gives it: complete, or wrong.

        Raises:
            ArgumentError: If keys are unknown or missing, which it names, or a value makes no model.
        """
        _check_keys(cls, values, optional={"lexicon"})
        if values.get("lexicon") is not None:
            values = {**values, "lexicon": LexiconConfig.from_dict(values["lexicon"])}
        return cls(**values)


def _is_integer(value: Any) -> bool:
    """True and False are none, though Python counts with them."""
    return isinstance(value, int) and not isinstance(value, bool)


def _check_keys(config: type[LexiconConfig] | type[BiLMConfig], values: Mapping[str, Any], optional: Set[str]) -> None:
    known = {field.name for field in fields(config)}
    if unknown := sorted(set(values) - known):
        raise ArgumentError(f"biLM config: unknown keys {unknown}; the known ones are {sorted(known)}.")
    if missing := sorted(known - optional - set(values)):
        raise ArgumentError(f"biLM config: missing keys {missing}.")
