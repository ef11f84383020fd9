"""experiments/noise.py, and experiments/compare_noise.py on top of it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.cli.evaluate import evaluate
from spacy.tokens import Doc, DocBin

from experiments import compare, compare_noise, noise
from experiments.datasets import VOCAB, read_docs
from tests.conftest import REPOSITORY
from tests.experiments.helpers import convert_demo, run
from tests.test_augment import words


def texts(docs: list[Doc]) -> list[list[str]]:
    return [[token.text for token in doc] for doc in docs]


def tokens_of(docs: list[Doc]) -> list[str]:
    return [token.text for doc in docs for token in doc]


# A data set


@given(st.lists(words, max_size=4), st.floats(0, 1), st.floats(0, 1), st.integers(0, 1000))
def test_a_smaller_rate_gives_some_of_the_same_errors(
    sentences: list[list[str]], rate: float, other_rate: float, seed: int
) -> None:
    docs = [Doc(VOCAB, words=tokens) for tokens in sentences]
    few, many = (tokens_of(noise.noised(docs, each, seed)) for each in sorted((rate, other_rate)))
    for clean, one, other in zip(tokens_of(docs), few, many, strict=True):
        assert one in (clean, other)
    assert texts(noise.noised(docs, rate, seed)) == texts(noise.noised(docs, rate, seed))


def test_rates() -> None:
    docs = [Doc(VOCAB, words=["some", "of", "these", "words", ",", "I", "42"]) for _ in range(1000)]
    for rate in (0, 0.1, 0.5, 1):
        tokens = tokens_of(noise.noised(docs, rate, seed=3))
        changed = sum(one != other for one, other in zip(tokens_of(docs), tokens, strict=True))
        assert changed == pytest.approx(rate * 4000, abs=100 if 0 < rate < 1 else 0)
    assert texts(noise.noised(docs, 0.1, 1)) != texts(noise.noised(docs, 0.1, 2))


# The commands


def test_command_is_one_of_its_seed(tmp_path: Path) -> None:
    convert_demo("test", tmp_path / "test.spacy")
    command = [sys.executable, "-m", "experiments.noise", "test.spacy", "out/a.spacy", "--rate", "0.2"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "1"}  # this process has another
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=300)
    for name, seed in (("b", 0), ("c", 6)):
        run(noise, "test.spacy", f"out/{name}.spacy", "--rate", "0.2", "--seed", seed, cwd=tmp_path)
    a, b, c = (texts(read_docs(tmp_path / "out" / f"{name}.spacy")) for name in "abc")
    assert a == b != c
    clean = read_docs(tmp_path / "test.spacy")
    assert list(map(len, a)) == list(map(len, clean))
    assert [doc.cats for doc in read_docs(tmp_path / "out" / "a.spacy")] == [doc.cats for doc in clean]


def test_command_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"absent\.spacy: no such file"):
        run(noise, "absent.spacy", "out.spacy", cwd=tmp_path)
    DocBin(docs=[]).to_disk(tmp_path / "in.spacy")
    with pytest.raises(SystemExit, match="from 0 to 1"):
        run(noise, "in.spacy", "out.spacy", "--rate", "10", cwd=tmp_path)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small comparison on the demo data: one system, and a copy of it in the place of a second seed."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "configs").symlink_to(REPOSITORY / "configs")
    for part in ("train", "dev", "test"):
        convert_demo(part, folder / "corpus" / f"{part}.spacy", "--share", "0.4")
    words = ["small", "--corpus", "corpus", "--score", "ents_f"]
    words += ["--system", "tok2vec=configs/ner_tok2vec.cfg"]
    words += ["--set", "training.max_steps=60", "--set", "training.eval_frequency=60"]
    run(compare, *words, cwd=folder)
    path = folder / "metrics" / "small.json"
    (result,) = json.loads(path.read_text("utf8"))
    path.write_text(json.dumps([result, {**result, "seed": 1}]), "utf8")
    trained = folder / "training" / "small"
    shutil.copytree(trained / "tok2vec-100pct-seed0", trained / "tok2vec-100pct-seed1")
    return folder


def losses(folder: Path, *words: str) -> list[dict[str, Any]]:
    """What `experiments.compare_noise` finds there."""
    options = ["--corpus", "corpus", "--score", "ents_f", "--baseline", "tok2vec", *words]
    run(compare_noise, "small", *options, cwd=folder)
    results: list[dict[str, Any]] = json.loads((folder / "metrics" / "small-noise.json").read_text("utf8"))
    return results


def test_scores_what_compare_trained(compared: Path) -> None:
    results = losses(compared, "--rates", "0", "0.3", "--noise-seeds", "0", "1")
    assert [(r["seed"], r["rate"], r["noise_seed"]) for r in results] == [
        (seed, rate, noise_seed) for seed in (0, 1) for rate in (0, 0.3) for noise_seed in (0, 1)
    ]
    scores = {r["seed"]: r["score"] for r in json.loads((compared / "metrics" / "small.json").read_text("utf8"))}
    for result in results:
        assert result["clean"] == pytest.approx(scores[result["seed"]])
        assert result["noised"] != result["clean"] or result["rate"] == 0
        assert result["noised"] == result["clean"] or result["rate"] > 0
    # The same as with a file that `experiments.noise` made, tested by what is behind spaCy's own command.
    run(noise, "corpus/test.spacy", "noised.spacy", "--rate", "0.3", "--seed", "1", cwd=compared)
    pipeline = compared / "training" / "small" / "tok2vec-100pct-seed1" / "model-best"
    wanted = 100 * evaluate(str(pipeline), compared / "noised.spacy")["ents_f"]
    (found,) = [r["noised"] for r in results if (r["seed"], r["rate"], r["noise_seed"]) == (1, 0.3, 1)]
    assert found == pytest.approx(wanted)


def test_scores_a_part(compared: Path) -> None:
    (result,) = losses(compared, "--rates", "0.3", "--noise-seeds", "0", "--seeds", "1", "--shares", "1.0")
    assert (result["system"], result["share"], result["seed"]) == ("tok2vec", 1.0, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--baseline", "elmo"], "--baseline elmo: "),
        (["--seeds", "7"], "--seeds 7: "),
        (["--shares", "0.5"], "--shares 0.5: "),
        (["--rates", "2"], "from 0 to 1"),
        (["--corpus", "absent"], "absent/test.spacy: no such file"),
    ],
)
def test_comparison_says_what_is_wrong(compared: Path, options: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        losses(compared, *options)


def test_comparison_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    DocBin(docs=[]).to_disk(tmp_path / "corpus" / "test.spacy")
    with pytest.raises(SystemExit, match=r"small\.json: no such file"):
        losses(tmp_path)


def test_table() -> None:
    def result(system: str, seed: int, rate: float, clean: float, noised: float) -> dict[str, object]:
        return {"system": system, "share": 1.0, "seed": seed, "rate": rate, "clean": clean, "noised": noised}

    results = [
        result("elmo", 0, 0.1, 50, 49),
        result("elmo", 0, 0.1, 50, 47),
        result("elmo", 1, 0.1, 30, 28),
        result("elmo", 1, 0.1, 30, 28),
        result("tok2vec", 0, 0.1, 20, 16),
        result("none", 0, 0.1, 0, 0),
        result("elmo", 0, 0.2, 50, 45),
        result("tok2vec", 0, 0.2, 20, 21),
    ]
    rows = compare_noise.table(results, "ents_f", "tok2vec").splitlines()
    assert "| Entity F1, clean | Entity F1, typos |" in rows[0]
    assert len({row.count("|") for row in rows}) == 1
    assert rows[2:] == [
        "| 100% | 10% | elmo | 40.0 | 38.0 | 2.0 | 5.0 | 0.50 | 0.25 | 50.0 → 48.0, 30.0 → 28.0 |",
        "| 100% | 10% | tok2vec | 20.0 | 16.0 | 4.0 | 20.0 | - | - | 20.0 → 16.0 |",
        "| 100% | 10% | none | 0.0 | 0.0 | 0.0 | 0.0 | 0.00 | 0.00 | 0.0 → 0.0 |",
        "| 100% | 20% | elmo | 50.0 | 45.0 | 5.0 | 10.0 | - | - | 50.0 → 45.0 |",
        "| 100% | 20% | tok2vec | 20.0 | 21.0 | -1.0 | -5.0 | - | - | 20.0 → 21.0 |",
    ]
