"""experiments/japanese.py: the tables of the Japanese card."""

import pytest

from experiments import japanese
from tests.conftest import REPOSITORY
from tests.experiments.helpers import run

CARD = REPOSITORY / "spacy_elmo" / "assets" / "ja_elmo_sm" / "README.md"


def test_the_card_has_the_tables_that_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    run(japanese)
    tables = capsys.readouterr().out.replace("| --- | --- | --- | --- |", "|---|---|---|---|").strip().split("\n\n")
    card = CARD.read_text("utf8")
    assert len(tables) == 2
    for table in tables:
        assert len(table.splitlines()) == 6
        assert f"\n{table}\n" in card
