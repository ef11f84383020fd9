"""The lexicon of the texts, and runs of models that have one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spacy_elmo import Perplexity, load_bilm, load_language_model, score
from spacy_elmo.bilm.config import LexiconConfig
from spacy_elmo.corpus.corpus import MARKS, Corpus, Passages
from spacy_elmo.corpus.sentences import read_sentences
from spacy_elmo.corpus.tokenize import TextSettings
from spacy_elmo.pretraining.errors import ConfigError
from spacy_elmo.pretraining.lexicon import CHARACTER_MARKS, WORD_MARKS, lexicon_of
from spacy_elmo.pretraining.run import pretrain
from tests.corpus.corpora import ENGLISH, word_table
from tests.pretraining.runs import CONFIG, SETTINGS, WORDS, Run, evaluations, log, results, write_texts

# By descending count, as a corpus has them; the last one stands in the held-out texts alone.
COUNTS = {"bb": 3, "日本": 3, "<oov>": 2, "aab": 2, "cc": 2, "dé": 1, "zz": 0}


@pytest.fixture
def corpus() -> Corpus:
    counts = np.array([4, 4, 0, *COUNTS.values()])
    return Corpus("", sum(COUNTS.values()), counts, Passages([]), Passages([]), word_table([*MARKS, *COUNTS]))


def test_the_most_frequent_words_and_characters_follow_the_marks(corpus: Corpus) -> None:
    lexicon = lexicon_of(corpus, LexiconConfig(n_words=8, word_dim=5, n_characters=9))
    assert lexicon.words is not None
    assert lexicon.characters is not None
    # Equals stand in their own order, and a word that looks like a mark is none.
    assert list(lexicon.words) == [*WORD_MARKS, "bb", "日本", "aab", "cc"]
    assert list(lexicon.characters) == [*CHARACTER_MARKS, "b", "a", "c"]
    for entries in (lexicon.words, lexicon.characters):
        assert list(entries.values()) == list(range(len(entries)))


def test_a_lexicon_has_what_the_training_texts_have_and_no_more(corpus: Corpus) -> None:
    lexicon = lexicon_of(corpus, LexiconConfig(n_words=100, word_dim=5, n_characters=100))
    assert set(lexicon.words or ()) == {*WORD_MARKS, "bb", "日本", "aab", "cc", "dé"}
    assert set(lexicon.characters or ()) == {*CHARACTER_MARKS, *"abcdé日本<ov>"}


@pytest.mark.parametrize(("n_words", "word_dim", "n_characters"), [(0, 0, 20), (20, 4, 0)])
def test_a_lexicon_of_one_kind(corpus: Corpus, n_words: int, word_dim: int, n_characters: int) -> None:
    lexicon = lexicon_of(corpus, LexiconConfig(n_words, word_dim, n_characters))
    assert (lexicon.words is None) is (n_words == 0)
    assert (lexicon.characters is None) is (n_characters == 0)


@pytest.mark.parametrize(("shape", "key"), [((4, 5, 20), "n_words is 4"), ((20, 5, 6), "n_characters is 6")])
def test_a_lexicon_with_room_for_marks_alone_is_refused(corpus: Corpus, shape: tuple[int, int, int], key: str) -> None:
    with pytest.raises(ConfigError, match=f"model.lexicon.{key}, but the marks alone take"):
        lexicon_of(corpus, LexiconConfig(*shape))


def test_it_is_refused_before_anything_is_prepared(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.cfg"
    path.write_text(
        CONFIG.read_text("utf8") + "[model.lexicon]\nn_words = 4\nword_dim = 6\nn_characters = 20\n", "utf8"
    )
    with pytest.raises(ConfigError, match="the marks alone take"):
        pretrain(path, tmp_path / "run", {"paths.train": "texts.txt"})
    assert not (tmp_path / "run").exists()


# Runs


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_texts(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a lexicon of half of the words, and of all characters but the last ones."""
    path = tmp_path_factory.mktemp("config") / "lexicon.cfg"
    section = "[model.lexicon]\nn_words = 29\nword_dim = 6\nn_characters = 20\n"
    path.write_text(CONFIG.read_text("utf8") + section, "utf8")
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str], config: Path) -> Path:
    output = tmp_path_factory.mktemp("whole") / "run"
    Run(output, {**texts, "training.optimizer.learn_rate": 0.02}, config=config).finish()
    return output


def test_it_learns(whole: Path, texts: dict[str, str]) -> None:
    records = [record for record in log(whole) if "tokens_per_second" in record]
    assert records[-1]["loss"] < 0.7 * records[0]["loss"]
    model = load_language_model(whole / "model-last", "cpu")
    sentences = list(read_sentences([Path(texts["paths.heldout"])], TextSettings(ENGLISH)))
    found = Perplexity.of(score(model, sentences)).average
    assert found == pytest.approx(evaluations(whole)[-1]["perplexity"], rel=1e-4)
    assert found < len(WORDS) / 4


def test_its_files_are_those_of_the_native_format(whole: Path) -> None:
    model = load_bilm(whole / "model-last", "cpu")
    assert json.loads((whole / "model-last" / "config.json").read_text("utf8"))["bilm"]["lexicon"] == {
        "n_words": 29,
        "word_dim": 6,
        "n_characters": 20,
    }
    assert model.lexicon == lexicon_of(Corpus.open(whole / "corpus"), LexiconConfig(29, 6, 20))


def test_what_it_does_not_know_has_vectors_too(whole: Path) -> None:
    """An unknown word those of its characters, an unknown character that of <oov>."""
    model = load_bilm(whole / "model-last", "cpu")
    assert model.lexicon is not None
    known = [*(model.lexicon.words or ())][-1]
    first, second, third, fourth = model.embed([[known], ["gggg"], ["日"], ["本"]])
    assert all(np.isfinite(layers).all() for layers in (first, second, third))
    assert not np.allclose(second, third)
    assert np.array_equal(third, fourth)


def test_a_run_that_was_killed_goes_on_bit_for_bit(
    tmp_path: Path, whole: Path, texts: dict[str, str], config: Path
) -> None:
    output, settings = tmp_path / "run", {**texts, "training.optimizer.learn_rate": 0.02}
    Run(output, settings, pause_when="checkpoints/step-*20", config=config).kill_at_pause()
    Run(output, settings, config=config).finish()
    assert results(output) == results(whole)


def test_a_model_goes_on_with_the_lexicon_that_it_has(tmp_path: Path, whole: Path, texts: dict[str, str]) -> None:
    """Though the new texts have other words."""
    train = tmp_path / "train.txt"
    train.write_text(Path(texts["paths.train"]).read_text("utf8").replace("baf", "unheard"), "utf8")
    finetune = CONFIG.with_name("pretrain_finetune.cfg")
    settings: dict[str, Any] = {**SETTINGS, **texts, "paths.train": str(train), "training.max_steps": 2}
    settings |= {"training.batch_size": 8, "training.unroll": 10}
    after = load_bilm(pretrain(finetune, tmp_path / "run", settings, whole / "model-last"), "cpu")
    before = load_bilm(whole / "model-last", "cpu")
    assert after.lexicon == before.lexicon
    assert not torch.equal(after.lexicon_encoder.projection.weight, before.lexicon_encoder.projection.weight)
    assert evaluations(tmp_path / "run")[0]["step"] == 0
