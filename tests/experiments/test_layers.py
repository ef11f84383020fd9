"""experiments/layers.py, on vectors where the answer is known, and the files that it measures with."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import layers
from experiments.datasets import read_conllu, read_senses
from experiments.layers import PROBES
from tests.experiments.helpers import UPOS, run


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# The files


def test_each_sense_has_six_sentences_with_its_word_once() -> None:
    occurrences = read_senses(PROBES / "senses.jsonl")
    senses = Counter((each.word, each.sense) for each in occurrences)
    assert len(senses) == 48
    assert set(senses.values()) == {6}
    assert set(Counter(word for word, _ in senses).values()) == {2}
    assert len({tuple(each.sentence) for each in occurrences}) == 288
    for each in occurrences:
        assert each.sense.startswith(f"{each.word}.")
        # Nor with a capital: the word's vector in layer 0 must not tell anything.
        assert [word.lower() for word in each.sentence].count(each.word) == 1
        assert 7 <= len(each.sentence) <= 15


def test_tags_are_those_of_universal_dependencies() -> None:
    sentences = read_conllu(PROBES / "pos.conllu")
    assert (len(sentences), sum(len(each.words) for each in sentences)) == (217, 1963)
    assert len({tuple(each.words) for each in sentences}) == 217
    assert {tag for each in sentences for tag in each.tags} == UPOS - {"X"}
    assert all(6 <= len(each.words) <= 16 for each in sentences)
    for each in sentences:
        for word, tag in zip(each.words, each.tags, strict=True):
            assert (tag == "PUNCT") == (not any(map(str.isalnum, word)) and tag != "SYM"), each


def test_pos_file_is_well_formed() -> None:
    blocks = (PROBES / "pos.conllu").read_text("utf8").rstrip("\n").split("\n\n")
    names = set()
    for block in blocks:
        name, text, *rows = block.split("\n")
        names.add(name.removeprefix("# sent_id = "))
        columns = [row.split("\t") for row in rows]
        assert [column[0] for column in columns] == [str(i) for i in range(1, len(rows) + 1)]
        assert text == "# text = " + " ".join(column[1] for column in columns)
        assert all(column[2] == "_" and column[4:] == ["_"] * 6 for column in columns)
    assert len(names) == len(blocks)


# Parts of speech


def test_a_probe_finds_what_is_linear_and_nothing_in_noise() -> None:
    y = np.arange(600) % 3
    folds = layers.fold_of_each(600, 2)
    noise = normal(600, 8)
    separable = noise + 9 * np.eye(3, 8, dtype=np.float32)[y]
    assert layers.probe_hits(separable, y, folds, 1.0).mean() == 1.0
    assert abs(layers.probe_hits(noise, y, folds, 1.0).mean() - 1 / 3) < 0.07
    # What was learned by heart is of no use in another fold, however good it is at that.
    assert abs(layers.probe_hits(normal(600, 300), y, folds, 1.0).mean() - 1 / 3) < 0.07


def test_a_probe_takes_features_of_any_scale() -> None:
    y = np.arange(120) % 2
    x = normal(120, 3)
    x[:, 0] = 1e-3 * (x[:, 0] + 6 * y)
    x[:, 1] = 1e3 * x[:, 1] + 1e4
    x[:, 2] = 5
    assert layers.probe_hits(x, y, layers.fold_of_each(120, 3), 1.0).mean() > 0.98


def test_the_frequent_tag_is_counted_in_other_folds() -> None:
    forms = ["run", "run", "run", "run", "the", "the", "new"]
    y = np.array([0, 0, 0, 1, 2, 2, 0])
    folds = np.array([0, 0, 1, 0, 0, 1, 1])
    # "new" is seen in no other fold, where 0 is most frequent.
    assert layers.frequent_tag_hits(forms, y, folds).tolist() == [1, 1, 1, 0, 1, 1, 1]
    assert layers.frequent_tag_hits(["a", "a"], np.array([0, 1]), np.array([0, 1])).tolist() == [0, 0]
    assert layers.ambiguous(forms, y).tolist() == [True] * 4 + [False] * 3


def test_folds_are_even_and_of_whole_sentences() -> None:
    folds = layers.fold_of_each(23, 5)
    assert sorted(np.bincount(folds)) == [4, 4, 5, 5, 5]
    assert folds.tolist() == layers.fold_of_each(23, 5).tolist() != sorted(folds)


# Word senses


def words_and_senses(n_words: int, n_senses: int, n_sentences: int) -> tuple[list[str], list[str]]:
    each = [(f"w{w}", f"w{w}.{s}") for w in range(n_words) for s in range(n_senses) for _ in range(n_sentences)]
    return [word for word, _ in each], [sense for _, sense in each]


def test_senses_that_lie_apart_are_told_apart() -> None:
    words, senses = words_and_senses(4, 3, 5)
    centres = {sense: normal(16, seed=i) for i, sense in enumerate(sorted(set(senses)))}
    x = np.stack([centres[sense] for sense in senses]) + 0.2 * normal(len(senses), 16, seed=99)
    assert layers.sense_hits(x, words, senses).tolist() == [1.0] * len(senses)
    # With the label of another sense each is wrong.
    assert layers.sense_hits(x[np.arange(len(x)) ^ 1], words, senses).sum() < len(senses)
    # Senses may have different numbers of sentences.
    kept = [i for i in range(len(senses)) if i not in (0, 1, 7)]
    hits = layers.sense_hits(x[kept], [words[i] for i in kept], [senses[i] for i in kept])
    assert hits.tolist() == [1.0] * len(kept)


@pytest.mark.parametrize("n_senses", [2, 3])
def test_equal_vectors_are_a_guess(n_senses: int) -> None:
    words, senses = words_and_senses(3, n_senses, 6)
    # As good as equal: a sentence's neighbours in a batch may round its vectors otherwise.
    x = np.repeat(normal(3, 32), n_senses * 6, axis=0) + 1e-7 * normal(len(senses), 32)
    assert layers.sense_hits(x, words, senses) == pytest.approx(np.full(len(senses), 1 / n_senses))


@pytest.mark.parametrize("common", [0.0, 3.0])
def test_noise_is_as_good_as_chance(common: float) -> None:
    """Also where all vectors of a word share a direction, as those of a language model do."""
    words, senses = words_and_senses(300, 2, 6)
    x = normal(len(senses), 16) + common
    assert abs(layers.sense_hits(x, words, senses).mean() - 0.5) < 0.03


# Results


def test_layers_and_their_average() -> None:
    arrays = [normal(3, n, 4, seed=n) for n in (2, 5)]
    found = dict(layers.views(arrays))
    assert list(found) == ["0", "1", "2", "average"]
    assert np.array_equal(found["1"], np.concatenate([array[1] for array in arrays]))
    assert found["average"] == pytest.approx(np.concatenate([array.mean(axis=0) for array in arrays]))


def test_intervals() -> None:
    owners = np.arange(400)
    values = (owners % 2).astype(float)
    cell = layers.estimate(values, owners)
    # 1.96 standard errors of a proportion of a half.
    assert cell["value"] == 50
    assert cell["low"] == pytest.approx(45.1, abs=1)
    assert cell["high"] == pytest.approx(54.9, abs=1)
    # Eight values that are always alike tell as much as one.
    wide = layers.estimate(np.repeat(values[:50], 8), np.repeat(owners[:50], 8))
    assert wide["high"] - wide["low"] == pytest.approx(2 * 13.9, abs=3)
    assert layers.estimate(np.ones(5), np.array([3, 3, 7, 8, 8])) == {"value": 100, "low": 100, "high": 100}


def test_differences_are_of_pairs() -> None:
    """Where two layers are right about the same items, their difference is surer than either."""
    values = (np.arange(100) % 2).astype(float)
    better = values.copy()
    better[0] = 1
    found = layers.results({"0": values, "1": better, "average": values}, values, np.arange(100))
    assert list(found["differences"]) == ["1 - 0"]
    assert found["differences"]["1 - 0"]["value"] == pytest.approx(1)
    assert found["differences"]["1 - 0"]["high"] < 4
    assert found["layers"]["1"]["high"] > 55


def test_the_command_writes_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the embedded model and a part of the files."""
    blocks = (PROBES / "pos.conllu").read_text("utf8").split("\n\n")[:30]
    (tmp_path / "pos.conllu").write_text("\n\n".join(blocks) + "\n\n", "utf8")
    lines = (PROBES / "senses.jsonl").read_text("utf8").splitlines()[:36]
    (tmp_path / "senses.jsonl").write_text("\n".join(lines) + "\n", "utf8")
    run(layers, "--pos", "pos.conllu", "--senses", "senses.jsonl", "--folds", "2", cwd=tmp_path)
    text = (tmp_path / "metrics" / "layers.md").read_text("utf8")
    assert text in capsys.readouterr().out
    found = json.loads((tmp_path / "metrics" / "layers.json").read_text("utf8"))
    assert (found["pos"]["sentences"], found["senses"]["words"], found["senses"]["sentences"]) == (30, 3, 36)
    for part in (found["pos"]["all"], found["pos"]["ambiguous"], found["senses"]["all"]):
        assert list(part["layers"]) == ["0", "1", "2", "average"]
        assert list(part["differences"]) == ["1 - 0", "2 - 1"]
        for cell in [*part["layers"].values(), part["baseline"]]:
            assert 0 <= cell["low"] <= cell["value"] <= cell["high"] <= 100
            assert f"{cell['value']:.1f} [{cell['low']:.1f}, {cell['high']:.1f}]" in text
    # A word's own vector does not know its sense; nor its tag, but for the forms that have one alone.
    assert found["senses"]["all"]["layers"]["0"]["value"] == pytest.approx(50)
    assert found["pos"]["all"]["layers"]["1"]["value"] > found["pos"]["all"]["baseline"]["value"]


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--folds", "300"], "--folds 300: must be from 2"), (["--senses", "one.jsonl"], "bat.club has one sentence")],
)
def test_the_command_says_what_cannot_be(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "one.jsonl").write_text('{"word": "bat", "sense": "bat.club", "text": "a bat"}\n', "utf8")
    with pytest.raises(SystemExit, match=message):
        run(layers, *words, cwd=tmp_path)
