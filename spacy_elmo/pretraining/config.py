"""The settings of a pretraining run, from a config file in spaCy's format."""

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator
from spacy.util import load_config
from thinc.api import Config

from ..bilm import BiLMConfig
from ..corpus.formats import FORMATS
from .errors import ConfigError
from .precision import PRECISIONS
from .schedule import DECAYS
from .settings import NotNegative, Positive, PositiveNumber, Section, one_of


def _not_empty(paths: str | list[str] | None) -> str | list[str] | None:
    # An empty path would mean the current directory and all below it: more likely an unset variable.
    if paths is not None and (not paths or "" in ([paths] if isinstance(paths, str) else paths)):
        raise ValueError("a path, or a list of paths")
    return paths


class Paths(Section):
    """The texts.

    Attributes:
        train: A file, a directory, a glob, or a list of these.
        heldout: The same; null sets some of the training texts aside.
        corpora: A directory for prepared texts, where other runs find them; null for the output's own.
    """

    train: Annotated[str | list[str], AfterValidator(_not_empty)]
    heldout: Annotated[str | list[str] | None, AfterValidator(_not_empty)] = None
    corpora: Annotated[str | None, AfterValidator(_not_empty)] = None


class CorpusSettings(Section):
    """How texts are read.

    Attributes:
        format: What a line of a text is: "documents", "sentences", or "tokens", which is a sentence with blanks between
            its words.
    """

    format: Annotated[str, one_of(FORMATS)] = "documents"


class System(Section):
    """Where a run takes place.

    Attributes:
        seed: Of all that is random.
        device: Such as "cpu" or "cuda:1"; null for a GPU where there is one.
        workers: Processes that tokenise; null for as many as there are processors.
    """

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    device: str | None = None
    workers: Positive | None = None


class Vocabulary(Section):
    """The words to predict.

    Attributes:
        min_count: Those that occur so many times.
        max_size: The most frequent ones, so many at most; null for all.
        path: A file that has all of them, a word a line, in place of these two and of `initialize.keep_vocabulary`;
            null for none.
    """

    min_count: Positive = 3
    max_size: Annotated[int, Field(gt=3)] | None = 100_000
    path: str | None = None


class Initialize(Section):
    """What a run begins with.

    Attributes:
        source: A model to go on from, whatever `load_bilm` loads; null for a new one.
        keep_vocabulary: Go on predicting the words of its softmax, where it has one, so that perplexities before and
            after are of the same words. `vocabulary` is then for models without.
        freeze_char_cnn: Leave its character CNN as it is, or what else makes vectors of words.
    """

    source: Any = None
    keep_vocabulary: bool = True
    freeze_char_cnn: bool = False

    @model_validator(mode="after")
    def _has_something_to_freeze(self) -> "Initialize":
        if self.freeze_char_cnn and self.source is None:
            raise ValueError("initialize.freeze_char_cnn is true, but a new model has no character CNN worth keeping.")
        return self


class OptimizerSettings(Section):
    """Adam (Kingma & Ba 2015).

    Attributes:
        learn_rate: At its highest.
        warmup_steps: Steps over which the rate rises to it.
        decay: How the rate falls to zero at the end; "constant" for not at all.
        decay_share: The last share of the steps after the warm-up, in which it falls.
        grad_clip: The largest norm of a gradient; a longer one is shortened to it.
    """

    learn_rate: PositiveNumber = 0.002
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    eps: PositiveNumber = 1e-8
    warmup_steps: NotNegative = 500
    decay: Annotated[str, one_of(DECAYS)] = "cosine"
    decay_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    grad_clip: PositiveNumber = 1.0


class Evaluation(Section):
    """On the held-out texts.

    Attributes:
        every: Steps between two evaluations.
        max_words: Of the texts, the first so many; 0 for all.
    """

    every: Positive = 1000
    max_words: NotNegative = 50_000


class Checkpoints(Section):
    """What a run can go on from.

    Attributes:
        every_steps: Steps between two checkpoints; 0 for never.
        every_minutes: Minutes between two checkpoints, where these have passed first; 0 for never.
        keep: How many, the newest.
    """

    every_steps: NotNegative = 0
    every_minutes: Annotated[float, Field(ge=0)] = 10.0
    keep: Positive = 2


class Training(Section):
    """How a model is trained.

    Attributes:
        batch_size: Sequences read side by side, on each rank.
        unroll: Tokens of each in one step.
        carry_state: Whether a sentence begins with the state that the one before it left, within a passage.
        max_epochs: Where to stop; 0 for no limit.
        max_steps: Where to stop, if this comes first; 0 for no limit.
        negatives: Words that the softmax is sampled with; all are used where the vocabulary has fewer than twice as
            many.
        dropout: Of the inputs of the LSTM layers and of the output.
        precision: Of matrix products, "float32" or "bfloat16", or "auto" for bfloat16 where the device that trains has
            units for it; weights stay float32.
        patience: Evaluations without a better perplexity after which to stop; 0 for never.
        log_every: Steps between two lines of the log.
        logger: One of spaCy's loggers beside the log, see `@loggers`.
    """

    batch_size: Positive = 128
    unroll: Positive = 20
    carry_state: bool = True
    max_epochs: NotNegative = 10
    max_steps: NotNegative = 0
    negatives: Positive = 8192
    dropout: Annotated[float, Field(ge=0, le=0.99)] = 0.1
    precision: Annotated[str, one_of(PRECISIONS)] = "float32"
    patience: NotNegative = 0
    log_every: Positive = 20
    optimizer: OptimizerSettings = OptimizerSettings()
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()
    logger: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _ends(self) -> "Training":
        if not (self.max_epochs or self.max_steps):
            raise ValueError("training.max_epochs and training.max_steps are both 0: the run would never end.")
        return self


class About(Section):
    """What is told of the model, and changes nothing in it.

    Attributes:
        licence: Under which it may be used, such as "MIT".
        author: Who made it.
    """

    licence: str | None = None
    author: str | None = None


class PretrainingConfig(Section):
    """All settings.

    `nlp` and `components` are spaCy's own sections: the tokenizer, and what finds sentences. `model`: dimensions of a
    new biLM, see `BiLMConfig`; none of them are needed where `initialize.source` has them. The sizes of a lexicon are
    the largest that it may have, see `lexicon_of`.
    """

    paths: Paths
    nlp: dict[str, Any]
    components: dict[str, Any] = Field(default_factory=dict)
    system: System = System()
    corpus: CorpusSettings = CorpusSettings()
    vocabulary: Vocabulary = Vocabulary()
    initialize: Initialize = Initialize()
    model: dict[str, Any] = Field(default_factory=dict)
    training: Training = Training()
    about: About = About()

    def bilm_config(self) -> BiLMConfig:
        """The dimensions of a new biLM; what is left out has the published small model's."""
        try:
            return BiLMConfig.from_dict({**BiLMConfig().to_dict(), **self.model})
        except (TypeError, ValueError) as error:
            raise ConfigError(f"[model] {error}") from None


def read_config(path: Path, overrides: Mapping[str, Any], init_from: Any = None) -> tuple[PretrainingConfig, Config]:
    """Read a config file.

    Args:
        path: The file.
        overrides: By dotted name, such as {"training.batch_size": 64}, for what the file has.
        init_from: Takes the place of `initialize.source`.

    Returns:
        The settings, and the config as it was read, to be saved with the model.

    Raises:
        ConfigError: A section or a key is unknown, missing, or of a wrong type or value.
    """
    try:
        config = load_config(path, overrides=dict(overrides), interpolate=True)
    except (OSError, ValueError, configparser.Error) as error:
        raise ConfigError(f"{path}: {error}") from None
    if "corpora" in config:
        raise ConfigError(
            f"{path} is a config of `spacy train`, for components that read vectors. `python -m spacy elmo configs` "
            f"lists those of `pretrain`."
        )
    if init_from is not None:
        pair = isinstance(init_from, list | tuple)
        config.setdefault("initialize", {})["source"] = [str(path) for path in init_from] if pair else str(init_from)
    return PretrainingConfig.read(config), config
