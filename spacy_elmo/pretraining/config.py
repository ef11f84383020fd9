"""The settings of a pretraining run, from a config file in spaCy's format."""

import configparser
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from spacy.util import load_config
from thinc.api import Config

from ..bilm import BiLMConfig
from ..bilm.products import PRECISIONS
from .errors import ConfigError
from .schedule import DECAYS


@dataclass(frozen=True)
class Paths:
    """Each a file, a directory, a glob, or a list of these. `heldout` null sets some of the training texts aside."""

    train: str | list[str]
    heldout: str | list[str] | None = None

    def __post_init__(self) -> None:
        for key in ("train", "heldout"):
            value = getattr(self, key)
            # An empty path would mean the current directory and all below it: more likely an unset variable.
            paths = [value] if isinstance(value, str) else value
            _require(paths is None or (paths and "" not in paths), f"paths.{key}", value, "a path, or a list of paths")


@dataclass(frozen=True)
class System:
    """device: such as "cpu" or "cuda:1"; null for a GPU where there is one.
    workers: processes that tokenise; null for as many as there are processors.
    """

    seed: int = 0
    device: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        _require(0 <= self.seed < 2**63, "system.seed", self.seed, "an integer from 0 on")
        _require(self.workers is None or self.workers >= 1, "system.workers", self.workers, "null, or 1 or more")


@dataclass(frozen=True)
class Vocabulary:
    """The words to predict: those that occur `min_count` times, at most `max_size`, the most frequent ones."""

    min_count: int = 3
    max_size: int | None = 100_000

    def __post_init__(self) -> None:
        _require(self.min_count >= 1, "vocabulary.min_count", self.min_count, "1 or more")
        _require(self.max_size is None or self.max_size > 3, "vocabulary.max_size", self.max_size, "null, or 4 or more")


@dataclass(frozen=True)
class Initialize:
    """source: a model to go on from, whatever `load_bilm` loads; null for a new one.
    freeze_char_cnn: leave its character CNN as it is.
    """

    source: Any = None
    freeze_char_cnn: bool = False

    def __post_init__(self) -> None:
        if self.freeze_char_cnn and self.source is None:
            raise ConfigError("initialize.freeze_char_cnn is true, but a new model has no character CNN worth keeping.")


@dataclass(frozen=True)
class OptimizerSettings:
    """Adam (Kingma & Ba 2015). The learning rate rises over `warmup_steps`, and decays to zero over the last
    `decay_share` of the steps after them.
    """

    learn_rate: float = 0.002
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    warmup_steps: int = 500
    decay: str = "cosine"
    decay_share: float = 1.0
    grad_clip: float = 1.0

    def __post_init__(self) -> None:
        _require(self.learn_rate > 0, "training.optimizer.learn_rate", self.learn_rate, "greater than 0")
        for key in ("beta1", "beta2"):
            _require(0 <= getattr(self, key) < 1, f"training.optimizer.{key}", getattr(self, key), "0 to less than 1")
        _require(self.eps > 0, "training.optimizer.eps", self.eps, "greater than 0")
        _require(self.warmup_steps >= 0, "training.optimizer.warmup_steps", self.warmup_steps, "0 or more")
        _require(self.decay in DECAYS, "training.optimizer.decay", self.decay, f"one of {', '.join(DECAYS)}")
        _require(0 < self.decay_share <= 1, "training.optimizer.decay_share", self.decay_share, "above 0, up to 1")
        _require(self.grad_clip > 0, "training.optimizer.grad_clip", self.grad_clip, "greater than 0")


@dataclass(frozen=True)
class Evaluation:
    """every: steps between two. max_words: of the held-out texts, the first so many; 0 for all."""

    every: int = 1000
    max_words: int = 50_000

    def __post_init__(self) -> None:
        _require(self.every >= 1, "training.evaluation.every", self.every, "1 or more")
        _require(self.max_words >= 0, "training.evaluation.max_words", self.max_words, "0 or more")


@dataclass(frozen=True)
class Checkpoints:
    """every_steps, every_minutes: whichever comes first; 0 for never. keep: how many, the newest."""

    every_steps: int = 0
    every_minutes: float = 10.0
    keep: int = 2

    def __post_init__(self) -> None:
        _require(self.every_steps >= 0, "training.checkpoints.every_steps", self.every_steps, "0 or more")
        _require(self.every_minutes >= 0, "training.checkpoints.every_minutes", self.every_minutes, "0 or more")
        _require(self.keep >= 1, "training.checkpoints.keep", self.keep, "1 or more")


@dataclass(frozen=True)
class Training:
    """batch_size: sequences read side by side, on each rank. unroll: tokens of each in one step.
    carry_state: whether a sentence begins with the state that the one before it left, within a passage.
    max_epochs, max_steps: whichever comes first; 0 for no limit.
    negatives: words that the softmax is sampled with; all are used where the vocabulary has fewer than twice as many.
    dropout: of the inputs of the LSTM layers and of the output.
    precision: of matrix products, "float32" or "bfloat16"; weights stay float32.
    patience: evaluations without a better perplexity after which to stop; 0 for never.
    log_every: steps between two lines of the log.
    logger: one of spaCy's loggers beside the log, see `@loggers`.
    """

    batch_size: int = 128
    unroll: int = 20
    carry_state: bool = True
    max_epochs: int = 10
    max_steps: int = 0
    negatives: int = 8192
    dropout: float = 0.1
    precision: str = "float32"
    patience: int = 0
    log_every: int = 20
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    evaluation: Evaluation = field(default_factory=Evaluation)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    logger: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        for key in ("batch_size", "unroll", "negatives", "log_every"):
            _require(getattr(self, key) >= 1, f"training.{key}", getattr(self, key), "1 or more")
        for key in ("max_epochs", "max_steps", "patience"):
            _require(getattr(self, key) >= 0, f"training.{key}", getattr(self, key), "0 or more")
        _require(0 <= self.dropout <= 0.99, "training.dropout", self.dropout, "from 0 to 0.99")
        _require(self.precision in PRECISIONS, "training.precision", self.precision, f"one of {', '.join(PRECISIONS)}")
        if not (self.max_epochs or self.max_steps):
            raise ConfigError("training.max_epochs and training.max_steps are both 0: the run would never end.")


@dataclass(frozen=True)
class PretrainingConfig:
    """All settings. `nlp` and `components` are spaCy's own sections: the tokenizer, and what finds sentences.
    `model`: dimensions of a new biLM, see `BiLMConfig`; none of them are needed where `initialize.source` has them.
    """

    paths: Paths
    nlp: dict[str, Any]
    components: dict[str, Any] = field(default_factory=dict)
    system: System = field(default_factory=System)
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    initialize: Initialize = field(default_factory=Initialize)
    model: dict[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)

    def bilm_config(self) -> BiLMConfig:
        """The dimensions of a new biLM; what is left out has the published small model's."""
        try:
            return BiLMConfig.from_dict({**BiLMConfig().to_dict(), **self.model})
        except (TypeError, ValueError) as error:
            raise ConfigError(f"[model] {error}") from None


def read_config(path: Path, overrides: Mapping[str, Any], init_from: Any = None) -> tuple[PretrainingConfig, Config]:
    """The settings, and the config as it was read, to be saved with the model.

    overrides: by dotted name, such as {"training.batch_size": 64}, for what the file has.
    init_from: takes the place of `initialize.source`.
    Raises ConfigError where a section or a key is unknown, missing, or of a wrong type or value.
    """
    try:
        config = load_config(path, overrides=dict(overrides), interpolate=True)
    except (OSError, ValueError, configparser.Error) as error:
        raise ConfigError(f"{path}: {error}") from None
    if init_from is not None:
        pair = isinstance(init_from, list | tuple)
        config.setdefault("initialize", {})["source"] = [str(path) for path in init_from] if pair else str(init_from)
    return _build(PretrainingConfig, config, ""), config


def _build(kind: Any, values: Any, name: str) -> Any:
    """A dataclass from a section of the config."""
    if not isinstance(values, dict):
        raise ConfigError(f"'{name}' is {values!r}, but is a section: write [{name}].")
    prefix = f"{name}." if name else ""
    known = {f.name: f for f in fields(kind)}
    if unknown := sorted(set(values) - set(known)):
        raise ConfigError(
            f"Unknown: {', '.join(prefix + key for key in unknown)}. Known there: "
            f"{', '.join(prefix + key for key in known)}."
        )
    needed = [key for key, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    if missing := [key for key in needed if key not in values]:
        raise ConfigError(f"Missing: {', '.join(prefix + key for key in missing)}.")
    hints = typing.get_type_hints(kind)
    return kind(**{key: _value(hints[key], value, prefix + key) for key, value in values.items()})


def _value(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint):
        return _build(hint, value, name)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if Any not in kinds and not any(_is_a(value, kind) for kind in kinds):
        wanted = " or ".join(_TYPE_NAMES[typing.get_origin(kind) or kind] for kind in kinds)
        raise ConfigError(f"{name} is {value!r}, but must be {wanted}.")
    return value


def _is_a(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) is list:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    plain = typing.get_origin(kind) or kind
    return isinstance(value, plain) and (plain is bool or not isinstance(value, bool))


_TYPE_NAMES = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    list: "a list of strings",
    dict: "a section",
    types.NoneType: "null",
}


def _require(holds: Any, name: str, value: Any, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {value!r}, but must be {wanted}.")
