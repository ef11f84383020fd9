"""The model that a run begins with."""

from dataclasses import replace
from typing import Any

import torch

from ..bilm import BiLM
from ..bilm.config import BiLMConfig, LexiconConfig
from ..bilm.lexicon import Lexicon
from ..checkpoints import Source, load_bilm
from ..checkpoints.source import locate
from ..corpus.corpus import MARKS, Corpus, class_numbers
from ..language import LanguageModel, load_language_model
from ..language.metadata import SOFTMAX_FILE
from .config import PretrainingConfig
from .errors import ConfigError
from .lexicon import lexicon_of
from .widening import WIDENED, can_widen, widen, widen_classes


def new_model(config: PretrainingConfig, corpus: Corpus, vocabulary: list[str], device: torch.device) -> LanguageModel:
    """The same for the same arguments.

    Args:
        config: Names a model to go on from, or the dimensions of a new one.
        corpus: What a new model's lexicon is made of, where it has one.
        vocabulary: The words to predict.
        device: Where to train.

    Raises:
        ConfigError: The config contradicts the model to go on from, or makes no lexicon.
        CheckpointError: There is no such model, or it is damaged.
    """
    if config.initialize.source is None:
        torch.manual_seed(config.system.seed)
        return LanguageModel(_new_bilm(config, corpus).to(device), vocabulary)
    bilm, source = _load(config.initialize.source, device)
    torch.manual_seed(config.system.seed)
    shape = _shape(config, bilm.config)
    if shape != bilm.config:
        bilm = widen(bilm, shape)
    model = LanguageModel(_to_train(bilm, config), vocabulary)
    if source is not None:
        _take_over_softmax(model, source)
    return model


def _load(source: Source, device: torch.device | str) -> tuple[BiLM, LanguageModel | None]:
    """A model to go on from, and all of it where it can predict words."""
    if (locate(source).directory / SOFTMAX_FILE).exists():
        model = load_language_model(source, device)
        return model.bilm, model
    return load_bilm(source, device), None


def _new_bilm(config: PretrainingConfig, corpus: Corpus) -> BiLM:
    shape = config.bilm_config()
    if shape.lexicon is None:
        return BiLM(shape)
    lexicon = lexicon_of(corpus, shape.lexicon)
    size = LexiconConfig(len(lexicon.words or ()), shape.lexicon.word_dim, len(lexicon.characters or ()))
    return BiLM(replace(shape, lexicon=size), lexicon=lexicon)


def _to_train(bilm: BiLM, config: PretrainingConfig) -> BiLM:
    bilm.word_encoder.requires_grad_(not config.initialize.freeze_char_cnn)
    return bilm.train()


def description(model: LanguageModel) -> dict[str, Any]:
    """All of a model but its weights, JSON-ready."""
    lexicon = model.bilm.lexicon
    return {
        "bilm": model.bilm.config.to_dict(),
        "lexicon": None if lexicon is None else {"words": lexicon.words, "characters": lexicon.characters},
        "vocabulary": model.vocabulary,
    }


def described_model(facts: dict[str, Any], config: PretrainingConfig, device: torch.device) -> LanguageModel:
    """The model of a `description`, for weights to be loaded into. The model that it once began as is not asked for."""
    lexicon = None if facts["lexicon"] is None else Lexicon(**facts["lexicon"])
    bilm = BiLM(BiLMConfig.from_dict(facts["bilm"]), lexicon=lexicon).to(device)
    return LanguageModel(_to_train(bilm, config), facts["vocabulary"])


def is_widened(config: PretrainingConfig) -> bool:
    """Whether the model to go on from becomes a larger one.

    Raises:
        ConfigError: It has not the dimensions of the config, and cannot be widened to them.
        CheckpointError: There is no such model, or it is damaged.
    """
    if config.initialize.source is None:
        return False
    bilm, _ = _load(config.initialize.source, "cpu")
    return _shape(config, bilm.config) != bilm.config


def _shape(config: PretrainingConfig, found: BiLMConfig) -> BiLMConfig:
    """What a model becomes that is of the shape `found`."""
    settings = {key: getattr(config.bilm_config(), key) for key in config.model}
    source = config.initialize.source
    wrong = [key for key, value in settings.items() if not _suits(found, key, value)]
    if wrong:
        values = "; ".join(f"model.{key} is {settings[key]!r}, and there {getattr(found, key)!r}" for key in wrong)
        raise ConfigError(
            f"[model] is not what {source} can become: {values}. Give a config without [model], as "
            f"pretrain_finetune.cfg is, or let it be larger in {', '.join(WIDENED)} alone."
        )
    shape = replace(found, **settings)
    if shape != found and config.initialize.freeze_char_cnn:
        raise ConfigError(
            f"initialize.freeze_char_cnn is true, but [model] is larger than {source}, and its new units are to learn. "
            f"Set it to false, or leave [model] empty."
        )
    return shape


def _suits(found: BiLMConfig, key: str, value: Any) -> bool:
    try:
        wanted = replace(found, **{key: value})
    except ValueError:  # such as filters wider than the words that the model reads
        return False
    return found == wanted or can_widen(found, wanted)


def _take_over_softmax(model: LanguageModel, source: LanguageModel) -> None:
    """Begin with what the source's softmax knows of the words that both vocabularies have."""
    numbers = class_numbers(source.vocabulary)
    shared = [(i, i) for i in range(len(MARKS))]
    shared += [(i, numbers[word]) for word, i in class_numbers(model.vocabulary).items() if word in numbers]
    ours, theirs = (torch.tensor(column) for column in zip(*shared, strict=True))
    widen_classes(source.softmax, model.softmax, theirs, ours)
