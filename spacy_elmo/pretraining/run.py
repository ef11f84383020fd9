"""A pretraining run, from a config to a model."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.util import registry
from thinc.api import Config

from ..checkpoints.source import locate
from ..corpus.corpus import Corpus
from ..corpus.tokenize import load_nlp
from ..disk import lock
from ..language import LanguageModel
from ..language.metadata import CONFIG_FILE, read_facts
from .config import PretrainingConfig, read_config
from .corpora import check_vocabulary, paths_of, prepared_corpus, vocabulary_of
from .distributed import Ranks, joined_ranks
from .errors import ConfigError, RunError
from .kept_config import check_config, keep_config
from .lexicon import check_room
from .new_model import described_model, is_widened, new_model
from .progress import LOG_FILE, Progress
from .snapshots import Snapshots
from .summary import beginning, ending, tell
from .trainer import BEST, LAST, Trainer

LOCK_FILE = ".lock"


def pretrain(
    config_path: Path,
    output: Path,
    overrides: Mapping[str, Any] | None = None,
    init_from: Any = None,
    code: Path | None = None,
) -> Path:
    """Train a biLM as a config says. A run that has begun in `output` goes on from its last checkpoint.

    Args:
        config_path: The config, see `PretrainingConfig`.
        output: For the corpus, checkpoints, log and models. One run at a time writes there.
        overrides: By dotted name, such as {"training.batch_size": 64}.
        init_from: A model to go on from, whatever `load_bilm` loads; takes the place of `initialize.source`.
        code: A Python file that registers functions the config names; imported already.

    Returns:
        The directory of the model, `output`/model-last; `output`/model-best is the one of the lowest perplexity.

    Raises:
        ConfigError: The config makes no run.
        CorpusError: The texts make no corpus.
        CheckpointError: The model to go on from is not there, or damaged.
        RunError: See `Trainer.run`; or the output holds another run, or something else.
        DiskError: The disk does not take what is written, or another run writes to `output`.
    """
    # What can be wrong shows before the corpus is prepared, which may take hours.
    config, source = read_config(config_path, overrides or {}, init_from)
    if (lexicon := config.bilm_config().lexicon) is not None:
        check_room(lexicon)
    _check_output(config, output)
    _check_model(config)
    nlp = load_nlp({"nlp": config.nlp, "components": config.components})
    check_vocabulary(config)
    logger = _resolve_logger(config)
    snapshots, kept = Snapshots(output / "checkpoints", config.training.checkpoints.keep), output / CONFIG_FILE
    # A checkpoint has all of a model: the one that its run began from may be gone by now, or trained on.
    widened = not snapshots.steps() and _becomes_larger(config)
    with joined_ranks(config.system.device) as ranks, _alone(output, ranks):
        if kept.exists():
            check_config(source, kept)
        elif not snapshots.steps():
            _check_empty(output)
        corpus = prepared_corpus(config, code, output, ranks)
        model, earlier = _model_of(config, corpus, snapshots, ranks)
        trainer = Trainer(model, corpus, config, source, output, ranks, snapshots, earlier)
        trainer.resume()
        progress = None
        if ranks.is_first:
            if not kept.exists():  # not before all is well: what an error advises to change may be changed
                keep_config(source, kept)
            tell(beginning(trainer, widened))
            nlp.config = _config_for_loggers(nlp, source, trainer)
            progress = Progress(output, trainer.total_steps, trainer.run_state.step, logger, nlp)
        with progress or nullcontext():
            trainer.run(progress)
        if ranks.is_first:
            tell(ending(trainer))
        ranks.barrier()
    return output / LAST


def _check_output(config: PretrainingConfig, output: Path) -> None:
    for key in ("train", "heldout"):
        for path in paths_of(getattr(config.paths, key)):
            if path.is_dir() and output.resolve().is_relative_to(path.resolve()):
                raise ConfigError(
                    f"{output} lies in paths.{key} ({path}), so that what the run writes would be read as texts. Give "
                    f"an output outside."
                )


def _check_empty(output: Path) -> None:
    """`spacy train` calls its models the same."""
    for name in (BEST, LAST, LOG_FILE):
        if (output / name).exists():
            raise RunError(f"{output / name} is there already, and of no run of `pretrain`. Give another --output.")


def _check_model(config: PretrainingConfig) -> None:
    if config.initialize.source is None and not config.model:
        raise ConfigError(
            "initialize.source is null, and [model] is empty: there is nothing to train. Say which model to go on from "
            "(--init-from en_elmo_sm), or write the dimensions of a new one into [model]."
        )


def _alone(output: Path, ranks: Ranks) -> AbstractContextManager[None]:
    return lock(output / LOCK_FILE, f"The run in {output}") if ranks.is_first else nullcontext()


def _becomes_larger(config: PretrainingConfig) -> bool:
    """Whether the model to go on from does. Raises an error where there is none, or it does not suit the config."""
    _earlier_training(config.initialize.source)
    return is_widened(config)


def _model_of(
    config: PretrainingConfig, corpus: Corpus, snapshots: Snapshots, ranks: Ranks
) -> tuple[LanguageModel, dict[str, Any] | None]:
    """The model of the newest snapshot, without its weights, or a new one; and the facts of the training before."""
    facts = snapshots.newest_facts()
    if "model" in facts:  # those of earlier versions have it not
        return described_model(facts["model"], config, ranks.device), facts["earlier"]
    model = new_model(config, corpus, vocabulary_of(config, corpus), ranks.device)
    return model, _earlier_training(config.initialize.source)


def _earlier_training(source: Any) -> dict[str, Any] | None:
    """What is known of the training of the model that a run goes on from.

    Raises CheckpointError where there is no such model.
    """
    return None if source is None else read_facts(locate(source).directory)


def _resolve_logger(config: PretrainingConfig) -> Any:
    logger = config.training.logger
    try:
        return registry.resolve({"logger": logger})["logger"] if logger else None
    except ValueError as error:  # of spaCy's registry: no such logger, or not with these arguments
        raise ConfigError(f"[training.logger] {error}") from None


def _config_for_loggers(nlp: Language, source: Config, trainer: Trainer) -> Config:
    """spaCy's loggers read from the config of a pipeline what there is to show: no scores of components, here."""
    for name in nlp.pipe_names:
        nlp.remove_pipe(name)
    config = Config(nlp.config).copy()
    config.update({key: value for key, value in source.items() if key not in ("nlp", "components", "training")})
    config["training"] = {
        **config["training"],
        **source.get("training", {}),
        "max_steps": trainer.total_steps,
        "eval_frequency": trainer.settings.evaluation.every,
        "score_weights": {},
    }
    return config
