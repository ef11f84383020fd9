"""What scripts/probe_layers.py measures, on vectors where the answer is known, and the files that it measures with."""

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from .conftest import REPOSITORY, shared

SCRIPT = REPOSITORY / "scripts" / "probe_layers.py"
PROBES = REPOSITORY / "assets" / "probes"
UPOS = {"ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ"}
UPOS |= {"SYM", "VERB", "X"}


@pytest.fixture(scope="module")
def probes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("probe_layers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# The files


def test_each_sense_has_six_sentences_with_its_word_once(probes: ModuleType) -> None:
    occurrences = probes.read_senses(PROBES / "senses.jsonl")
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


def test_tags_are_those_of_universal_dependencies(probes: ModuleType) -> None:
    sentences = probes.read_conllu(PROBES / "pos.conllu")
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


# Reading


def test_conllu_without_ranges_and_empty_nodes(probes: ModuleType, tmp_path: Path) -> None:
    rest = "\t_\t_\t_\t_\t_\t_"
    rows = [
        "# text = vámonos",
        f"1-2\tvámonos\t_\t_{rest}",
        f"1\tvamos\t_\tVERB{rest}",
        f"2\tnos\t_\tPRON{rest}",
        f"2.1\tx\t_\tX{rest}",
        "",
        f"1\ta b\t_\tNOUN{rest}",
    ]
    (tmp_path / "a.conllu").write_text("\n".join(rows), "utf8")
    first, second = probes.read_conllu(tmp_path / "a.conllu")
    assert (first.words, first.tags) == (["vamos", "nos"], ["VERB", "PRON"])
    assert (second.words, second.tags) == (["a b"], ["NOUN"])


def test_reads_a_real_treebank(probes: ModuleType) -> None:
    sentences = probes.read_conllu(shared("data", "labelled", "pos", "ud_japanese_gsd", "test.conllu"))
    assert (len(sentences), sum(len(each.words) for each in sentences)) == (543, 13034)
    assert {tag for each in sentences for tag in each.tags} <= UPOS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 a b", r"a\.txt, line 1: CoNLL-U has 10 columns"),
        ('{"word": "a", "sense": "a.x"}', r"a\.txt, line 1: must be"),
        ("[1]", r"a\.txt, line 1: must be"),
        ('{"word": "bat", "sense": "bat.x", "text": "a bat and a bat"}', r"a\.txt, line 1: 'bat' must stand once"),
    ],
)
def test_says_which_line_is_wrong(probes: ModuleType, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.txt").write_text(text, "utf8")
    read = probes.read_conllu if text.startswith("1") else probes.read_senses
    with pytest.raises(SystemExit, match=message):
        read(tmp_path / "a.txt")
    with pytest.raises(SystemExit, match=r"absent: no such file"):
        read(tmp_path / "absent")


# Parts of speech


def test_a_probe_finds_what_is_linear_and_nothing_in_noise(probes: ModuleType) -> None:
    y = np.arange(600) % 3
    folds = probes.fold_of_each(600, 2)
    noise = normal(600, 8)
    separable = noise + 9 * np.eye(3, 8, dtype=np.float32)[y]
    assert probes.probe_hits(separable, y, folds, 1.0).mean() == 1.0
    assert abs(probes.probe_hits(noise, y, folds, 1.0).mean() - 1 / 3) < 0.07
    # What was learned by heart is of no use in another fold, however good it is at that.
    assert abs(probes.probe_hits(normal(600, 300), y, folds, 1.0).mean() - 1 / 3) < 0.07


def test_a_probe_takes_features_of_any_scale(probes: ModuleType) -> None:
    y = np.arange(120) % 2
    x = normal(120, 3)
    x[:, 0] = 1e-3 * (x[:, 0] + 6 * y)
    x[:, 1] = 1e3 * x[:, 1] + 1e4
    x[:, 2] = 5
    assert probes.probe_hits(x, y, probes.fold_of_each(120, 3), 1.0).mean() > 0.98


def test_the_fit_is_the_minimum(probes: ModuleType) -> None:
    x, y = torch.from_numpy(normal(200, 5)), torch.arange(200) % 4
    weights = probes.fit_softmax(x, y, 4, l2=2.0).double().requires_grad_()
    loss = torch.nn.functional.cross_entropy(x.double() @ weights[:-1] + weights[-1], y, reduction="sum")
    (gradient,) = torch.autograd.grad(loss + weights[:-1].square().sum(), weights)
    assert gradient.abs().max() / 200 < 1e-4
    # Without features what is left is how frequent the classes are.
    bias = probes.fit_softmax(torch.zeros(10, 1), torch.tensor([0] * 7 + [1] * 3), 2, l2=1.0)[-1]
    assert bias.softmax(0).tolist() == pytest.approx([0.7, 0.3], abs=1e-3)


def test_the_frequent_tag_is_counted_in_other_folds(probes: ModuleType) -> None:
    forms = ["run", "run", "run", "run", "the", "the", "new"]
    y = np.array([0, 0, 0, 1, 2, 2, 0])
    folds = np.array([0, 0, 1, 0, 0, 1, 1])
    # "new" is seen in no other fold, where 0 is most frequent.
    assert probes.frequent_tag_hits(forms, y, folds).tolist() == [1, 1, 1, 0, 1, 1, 1]
    assert probes.frequent_tag_hits(["a", "a"], np.array([0, 1]), np.array([0, 1])).tolist() == [0, 0]
    assert probes.ambiguous(forms, y).tolist() == [True] * 4 + [False] * 3


def test_folds_are_even_and_of_whole_sentences(probes: ModuleType) -> None:
    folds = probes.fold_of_each(23, 5)
    assert sorted(np.bincount(folds)) == [4, 4, 5, 5, 5]
    assert folds.tolist() == probes.fold_of_each(23, 5).tolist() != sorted(folds)


# Word senses


def words_and_senses(n_words: int, n_senses: int, n_sentences: int) -> tuple[list[str], list[str]]:
    each = [(f"w{w}", f"w{w}.{s}") for w in range(n_words) for s in range(n_senses) for _ in range(n_sentences)]
    return [word for word, _ in each], [sense for _, sense in each]


def test_senses_that_lie_apart_are_told_apart(probes: ModuleType) -> None:
    words, senses = words_and_senses(4, 3, 5)
    centres = {sense: normal(16, seed=i) for i, sense in enumerate(sorted(set(senses)))}
    x = np.stack([centres[sense] for sense in senses]) + 0.2 * normal(len(senses), 16, seed=99)
    assert probes.sense_hits(x, words, senses).tolist() == [1.0] * len(senses)
    # With the label of another sense each is wrong.
    assert probes.sense_hits(x[np.arange(len(x)) ^ 1], words, senses).sum() < len(senses)
    # Senses may have different numbers of sentences.
    kept = [i for i in range(len(senses)) if i not in (0, 1, 7)]
    hits = probes.sense_hits(x[kept], [words[i] for i in kept], [senses[i] for i in kept])
    assert hits.tolist() == [1.0] * len(kept)


@pytest.mark.parametrize("n_senses", [2, 3])
def test_equal_vectors_are_a_guess(probes: ModuleType, n_senses: int) -> None:
    words, senses = words_and_senses(3, n_senses, 6)
    # As good as equal: a sentence's neighbours in a batch may round its vectors otherwise.
    x = np.repeat(normal(3, 32), n_senses * 6, axis=0) + 1e-7 * normal(len(senses), 32)
    assert probes.sense_hits(x, words, senses) == pytest.approx(np.full(len(senses), 1 / n_senses))


@pytest.mark.parametrize("common", [0.0, 3.0])
def test_noise_is_as_good_as_chance(probes: ModuleType, common: float) -> None:
    """Also where all vectors of a word share a direction, as those of a language model do."""
    words, senses = words_and_senses(300, 2, 6)
    x = normal(len(senses), 16) + common
    assert abs(probes.sense_hits(x, words, senses).mean() - 0.5) < 0.03


# Results


def test_layers_and_their_average(probes: ModuleType) -> None:
    arrays = [normal(3, n, 4, seed=n) for n in (2, 5)]
    found = dict(probes.views(arrays))
    assert list(found) == ["0", "1", "2", "average"]
    assert np.array_equal(found["1"], np.concatenate([array[1] for array in arrays]))
    assert found["average"] == pytest.approx(np.concatenate([array.mean(axis=0) for array in arrays]))


def test_intervals(probes: ModuleType) -> None:
    owners = np.arange(400)
    values = (owners % 2).astype(float)
    cell = probes.estimate(values, owners)
    # 1.96 standard errors of a proportion of a half.
    assert cell["value"] == 50
    assert cell["low"] == pytest.approx(45.1, abs=1)
    assert cell["high"] == pytest.approx(54.9, abs=1)
    # Eight values that are always alike tell as much as one.
    wide = probes.estimate(np.repeat(values[:50], 8), np.repeat(owners[:50], 8))
    assert wide["high"] - wide["low"] == pytest.approx(2 * 13.9, abs=3)
    assert probes.estimate(np.ones(5), np.array([3, 3, 7, 8, 8])) == {"value": 100, "low": 100, "high": 100}


def test_differences_are_of_pairs(probes: ModuleType) -> None:
    """Where two layers are right about the same items, their difference is surer than either."""
    values = (np.arange(100) % 2).astype(float)
    better = values.copy()
    better[0] = 1
    found = probes.results({"0": values, "1": better, "average": values}, values, np.arange(100))
    assert list(found["differences"]) == ["1 - 0"]
    assert found["differences"]["1 - 0"]["value"] == pytest.approx(1)
    assert found["differences"]["1 - 0"]["high"] < 4
    assert found["layers"]["1"]["high"] > 55


def test_the_script_writes_a_table(tmp_path: Path) -> None:
    """On the embedded model and a part of the files."""
    blocks = (PROBES / "pos.conllu").read_text("utf8").split("\n\n")[:30]
    (tmp_path / "pos.conllu").write_text("\n\n".join(blocks) + "\n\n", "utf8")
    lines = (PROBES / "senses.jsonl").read_text("utf8").splitlines()[:36]
    (tmp_path / "senses.jsonl").write_text("\n".join(lines) + "\n", "utf8")
    command = [sys.executable, str(SCRIPT), "--pos", "pos.conllu", "--senses", "senses.jsonl", "--folds", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "metrics" / "layers.md").read_text("utf8")
    assert text in done.stdout
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
def test_the_script_says_what_cannot_be(
    probes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    (tmp_path / "one.jsonl").write_text('{"word": "bat", "sense": "bat.club", "text": "a bat"}\n', "utf8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words])
    with pytest.raises(SystemExit, match=message):
        probes.main()
