"""What a run is about to do, and what it has done, for people."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn
from wasabi import table

from ..corpus.corpus import MARKS, UNKNOWN
from .trainer import BEST, Trainer

Row = tuple[str, str]


def tell(rows: Iterable[Row]) -> None:
    """Print a table to stderr, where the progress bar is, too: stdout belongs to the loggers."""
    print(table(list(rows)), file=sys.stderr)


def beginning(trainer: Trainer, widened: bool) -> Iterator[Row]:
    """What is trained, on what, and for how long. widened: whether it has just been."""
    config, corpus, model, ranks = trainer.config, trainer.corpus, trainer.model, trainer.ranks
    n_known = int(corpus.counts[len(MARKS) :][trainer.windows.classes[len(MARKS) :] != UNKNOWN].sum())
    n_heldout = sum(map(len, trainer.heldout))
    chosen = "set aside from the training texts" if config.paths.heldout is None else "of the held-out texts"
    source = config.initialize.source
    yield "Trained on", f"{corpus.n_words:,} words, {1 - n_known / corpus.n_words:.1%} of them unknown"
    yield "Measured on", f"{n_heldout:,} words {chosen}" if n_heldout else "nothing"
    yield "Vocabulary", f"{len(model.vocabulary):,} words{_kept(trainer)}"
    yield "Model", "new" if source is None else f"goes on from {source}{', widened' if widened else ''}"
    if lexicon := model.bilm.lexicon:
        yield "Lexicon", f"{len(lexicon.words or ()):,} words, {len(lexicon.characters or ()):,} characters"
    yield "Parameters", f"{_size(model.bilm):,} of the biLM, {_size(model.softmax):,} of the softmax"
    epochs = trainer.total_steps / trainer.windows.n_windows
    warming = ", all of them warm-up" if trainer.total_steps <= trainer.settings.optimizer.warmup_steps else ""
    yield "Steps", f"{trainer.total_steps:,} of {trainer.tokens_per_step:,} tokens each, {epochs:.1f} epochs{warming}"
    if trainer.run_state.step:
        yield "Goes on", f"from step {trainer.run_state.step:,}"
    yield "Device", f"{ranks.device}, {ranks.size} ranks" if ranks.size > 1 else f"{ranks.device}"


def ending(trainer: Trainer) -> Iterator[Row]:
    """What has come of it."""
    state = trainer.run_state
    if state.before:
        yield "Perplexity before", _perplexity(state.before)
    if state.latest:
        yield "Perplexity now", _perplexity(state.latest)
        yield "Best", f"{state.best_perplexity:,.1f} at step {state.best_step:,}: {trainer.output / BEST}"


def _kept(trainer: Trainer) -> str:
    """What there is to say where a setting of the vocabulary was not used."""
    settings, words = trainer.config.vocabulary, trainer.model.vocabulary
    if settings.path is not None or words == trainer.corpus.vocabulary(settings.min_count, settings.max_size):
        return ""
    return f", those of {trainer.config.initialize.source}: [vocabulary] is not used"


def _perplexity(found: dict[str, Any]) -> str:
    return f"{found['perplexity']:,.1f}, {found['unknown_share']:.1%} of the predictions of unknown words"


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
