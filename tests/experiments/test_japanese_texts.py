"""experiments/japanese_texts.py, on lines of two kinds that we wrote."""

import gzip
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest

from experiments import japanese_texts
from experiments.japanese_texts import not_literature
from tests.experiments.helpers import run

MODERN = [
    "1964年に東京で開かれた大会には93の国と地域が参加した。",
    "React のコンポーネントは props を受け取って画面を描画する。",
    "同市の人口は約35万人で、県内では3番目に多い。",
    "本社は大阪府にあり、家電製品の製造と販売を行っている企業である。",
]
LITERATURE = [
    "「まあ、お前さん、まだ起きていたのかえ」と老婆は云った。",
    "彼は黙って窓の外の雪を眺めていたが、やがて静かに立ち上った。",
    "その頃の私はまだ若く、何も知らぬ田舎者に過ぎなかった。",
    "私は急に寂しくなって、二十年も前の母の顔を思い出した。",
]


def lines_of(texts: list[str], n: int) -> list[str]:
    return list(islice(cycle(texts), n))


def test_documents_of_both_kinds_are_told_apart_to_a_few_lines_at_their_borders() -> None:
    lines = lines_of(MODERN, 40) + lines_of(LITERATURE, 60) + lines_of(MODERN, 40)
    wanted = np.repeat([True, False, True], [40, 60, 40])
    wrong = np.flatnonzero(not_literature(lines) != wanted)
    assert all(min(abs(i - 40), abs(i - 100)) <= 3 for i in wrong)


def test_texts_of_one_kind_cannot_be_told_apart() -> None:
    with pytest.raises(ValueError, match="all are of one kind"):
        not_literature(lines_of(LITERATURE, 30))


def test_all_that_is_not_literature_is_chosen_and_a_share_of_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(lines_of(MODERN, 40)) + "\n\n", "utf8")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("\n".join(lines_of(LITERATURE, 200)).encode("utf8")))
    run(japanese_texts, tmp_path / "out.txt", tmp_path / "a.txt", tmp_path / "b.txt.gz", "--literature", 0.25)
    chosen = (tmp_path / "out.txt").read_text("utf8").splitlines()
    assert chosen[:36] == lines_of(MODERN, 36)
    assert 25 <= len(chosen) - 40 <= 75
    run(japanese_texts, tmp_path / "none.txt", tmp_path / "a.txt", tmp_path / "b.txt.gz", "--literature", 0)
    assert len((tmp_path / "none.txt").read_text("utf8").splitlines()) <= 43
