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
        train: The training texts: a file, a directory, a glob, or a list of these.
        heldout: The texts to measure perplexity on, given as `train` is; null sets some of the training texts aside.
        corpora: A directory for tokenised texts, in which other runs find them again; null keeps them in the output.
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
        seed: The seed of everything that is random.
        device: The device to train on, such as "cpu" or "cuda:1"; null for a GPU if there is one.
        workers: The number of processes that tokenise; null for one on each processor.
    """

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    device: str | None = None
    workers: Positive | None = None


class Vocabulary(Section):
    """The words to predict.

    Attributes:
        min_count: A word has to occur at least this many times.
        max_size: At most this many words, the most frequent ones; null for no limit.
        path: A file with the words, one on each line, instead of the two settings above and of
            `initialize.keep_vocabulary`; null for none.
    """

    min_count: Positive = 3
    max_size: Annotated[int, Field(gt=3)] | None = 100_000
    path: str | None = None


class Initialize(Section):
    """What a run begins with.

    Attributes:
        source: A model to go on from, whatever `load_bilm` loads; null for a new one. The option `--init-from` sets it.
        keep_vocabulary: Keep the words that the source predicts, if it has a softmax, so that perplexities before and
            after are of the same words. `vocabulary` then counts only for a source without a softmax.
        freeze_char_cnn: Do not train what makes vectors of words, such as the character CNN.
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
        learn_rate: The highest learning rate.
        beta1: The decay of the running mean of gradients.
        beta2: The decay of the running mean of their squares.
        eps: Added to the denominator, so that nothing is divided by zero.
        warmup_steps: The number of steps in which the rate rises from zero to `learn_rate`.
        decay: How the rate falls to zero at the end: "linear" or "cosine"; "constant" for not at all.
        decay_share: The share of the steps after the warm-up in which the rate falls: the last ones.
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
    """How often perplexity is measured on the held-out texts.

    Attributes:
        every: The number of steps between two evaluations.
        max_words: How many words of the held-out texts are read, from their beginning; 0 for all.
    """

    every: Positive = 1000
    max_words: NotNegative = 50_000


class Checkpoints(Section):
    """What a run can go on from.

    Attributes:
        every_steps: A checkpoint after this many steps; 0 for never.
        every_minutes: A checkpoint after this many minutes, if they pass first; 0 for never.
        keep: How many of the newest checkpoints stay on disk.
    """

    every_steps: NotNegative = 0
    every_minutes: Annotated[float, Field(ge=0)] = 10.0
    keep: Positive = 2


class Training(Section):
    """How a model is trained.

    Attributes:
        batch_size: How many sequences are read side by side, in each process.
        unroll: How many tokens of each sequence are read in one step.
        carry_state: Whether a sentence begins with the LSTM's state after the sentence before it in the same passage;
            false and each begins from a fresh state.
        max_epochs: Stop after reading the texts this many times; 0 for no limit.
        max_steps: Stop after this many steps, if they are reached first; 0 for no limit.
        negatives: How many other words the sampled softmax compares a word with; if the vocabulary has fewer than twice
            as many words, all of them are used.
        dropout: The share of the LSTM layers' inputs, and of the output, that is set to 0.
        precision: That of matrix products, "float32" or "bfloat16"; "auto" for bfloat16 if the device that trains has
            units for it. Weights stay float32.
        patience: Stop after this many evaluations without a better perplexity; 0 for never.
        log_every: The number of steps between two lines of the log.
        logger: One of spaCy's loggers in addition to the log, by its name in `@loggers`; null for none.
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
    """Facts that are kept with the model; `info` and `package` use them.

    Attributes:
        licence: The licence of the weights, such as "MIT".
        author: Who made the model.
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
