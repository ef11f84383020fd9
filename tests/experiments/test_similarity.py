"""The rated pairs, and what is measured on them."""

from pathlib import Path

import numpy as np
import pytest

from experiments import similarity
from tests.experiments.helpers import run


def test_there_are_twenty_pairs_of_each_kind() -> None:
    lines = similarity.PAIRS.read_text("utf8").splitlines()[1:]
    kinds = [line.split("\t")[0] for line in lines]
    assert sorted({kinds.count(kind) for kind in kinds}) == [20]
    assert len({line.split("\t")[1] for line in lines}) == len(lines) == 200
    ratings = [float(rating) for line in lines for rating in line.split("\t")[3:]]
    assert set(np.array(ratings) * 2) <= set(range(11))


def test_both_formats_are_read(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text('kind\tfirst\tsecond\trating 1\trating 2\nx\ta "b\tc\t4\t5\n', "utf8")
    (tmp_path / "p.jsonl").write_text('{"a": "a \\"b", "b": "c", "score": 4.5}\n', "utf8")
    assert similarity.read_pairs(tmp_path / "p.tsv") == [similarity.Pair('a "b', "c", 4.5)]
    assert similarity.read_pairs(tmp_path / "p.jsonl") == similarity.read_pairs(tmp_path / "p.tsv")


def test_agreement_is_with_the_ratings() -> None:
    pairs = [similarity.Pair("", "", rating) for rating in (0, 1, 2, 5)]
    found = similarity.agreement([0.1, 0.2, 0.3, 0.4], pairs)
    assert found["spearman"] == pytest.approx(100)
    assert found["pearson"] < 99
    assert found["unrelated"] == pytest.approx(0.1)


def test_the_command_measures_every_layer_and_pooling(
    tiny_source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [
        ("the dog ran home", "the dog ran home", 5),
        ("the dog ran home", "a violin", 0),
        ("we ate soup", "we ate the soup", 4),
        ("we ate soup", "penguins cannot fly", 0),
    ]
    lines = [f"x\t{one}\t{other}\t{rating}\t{rating}" for one, other, rating in pairs]
    (tmp_path / "p.tsv").write_text("kind\tfirst\tsecond\trating 1\trating 2\n" + "\n".join(lines) + "\n", "utf8")
    run(similarity, "--model", tiny_source, "--pairs", tmp_path / "p.tsv", "--output", tmp_path / "found", cwd=tmp_path)
    rows = (tmp_path / "found.md").read_text("utf8").splitlines()[2:]
    assert len(rows) == 5 * 6
    # Words that are the same have the same vectors, also of a random model.
    assert all(float(row.split("|")[3]) > 50 for row in rows if "minus the mean" in row)
