"""The texts of a run, prepared, and the words it learns to predict."""

from pathlib import Path
from typing import cast

from ..checkpoints.source import locate
from ..corpus.corpus import Corpus
from ..corpus.formats import Format
from ..corpus.prepare import prepare, shared_directory
from ..corpus.standard_input import STANDARD_INPUT, with_standard_input
from ..corpus.tokenize import TextSettings
from ..corpus.vocabulary import given_vocabulary, read_words
from ..language.metadata import SOFTMAX_FILE, read_vocabulary
from .config import PretrainingConfig
from .distributed import Ranks, n_processors
from .errors import ConfigError, RunError


def prepared_corpus(config: PretrainingConfig, code: Path | None, output: Path, ranks: Ranks) -> Corpus:
    """The corpus, prepared by one rank where all see the same disk, and by one rank a machine where they do not.

    Args:
        config: Names the texts, and says how they are read.
        code: See `TextSettings`.
        output: Of the run; the corpus lies there, where the config names no other place.
        ranks: All of them have to call this.

    Raises:
        CorpusError: See `prepare`.
        RunError: The machines have different texts.
    """
    nlp = {"nlp": config.nlp, "components": config.components}
    settings = TextSettings(nlp, cast("Format", config.corpus.format), code)
    train, heldout = paths_of(config.paths.train), paths_of(config.paths.heldout)
    if ranks.size > 1 and STANDARD_INPUT in train + heldout:
        raise ConfigError("paths.train or paths.heldout is '-', standard input, which several processes cannot share.")
    with with_standard_input(train + heldout) as files:
        train, heldout = files[: len(train)], files[len(train) :]
        corpus = _prepare(config, train, heldout or None, settings, output, ranks)
    if not ranks.all_equal(corpus.fingerprint):
        raise RunError("The machines of this run have prepared different corpora: give all of them the same texts.")
    return corpus


def _prepare(
    config: PretrainingConfig,
    train: list[Path],
    heldout: list[Path] | None,
    settings: TextSettings,
    output: Path,
    ranks: Ranks,
) -> Corpus:
    corpora, directory, corpus = config.paths.corpora, output / "corpus", None
    n_workers = config.system.workers or n_processors()
    # The first rank alone first: where the others are on its disk, there is nothing left to do for them.
    for prepares in (ranks.is_first, ranks.local_rank == 0 and not ranks.is_first):
        if prepares and corpora:  # by all bytes of the texts
            directory = shared_directory(Path(corpora), train, heldout, settings)
        if prepares:
            corpus = prepare(train, heldout, settings, directory, n_workers=n_workers, show_progress=ranks.is_first)
        ranks.barrier()
    directory = Path(ranks.of_machine(str(directory)))
    # Opened once: each time, all of it is held against its digests.
    return corpus or Corpus.open(directory)


def check_vocabulary(config: PretrainingConfig) -> None:
    """Raises CorpusError for a vocabulary file that is none: before the corpus is prepared, not after it."""
    if config.vocabulary.path is not None:
        read_words(Path(config.vocabulary.path))


def vocabulary_of(config: PretrainingConfig, corpus: Corpus) -> list[str]:
    """The words to predict, "<S>", "</S>" and "<UNK>" first. See `Vocabulary`."""
    if config.vocabulary.path is not None:
        return given_vocabulary(Path(config.vocabulary.path), corpus)
    if config.initialize.source is not None and config.initialize.keep_vocabulary:
        directory = locate(config.initialize.source).directory
        if (directory / SOFTMAX_FILE).exists() and (words := read_vocabulary(directory)):
            return words
    return corpus.vocabulary(config.vocabulary.min_count, config.vocabulary.max_size)


def paths_of(paths: str | list[str] | None) -> list[Path]:
    """The texts that a setting names: none, one, or several."""
    return [Path(path) for path in ([paths] if isinstance(paths, str) else paths or [])]
