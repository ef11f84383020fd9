"""The workflow `language`, and experiments/language.py, which makes a table of it."""

import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import spacy
from spacy.cli import app
from typer.testing import CliRunner
from weasel.cli.run import project_run

from experiments import compare, language
from spacy_elmo import load_bilm
from spacy_elmo.cli import elmo_cli
from spacy_elmo.layers.encoder import bilm_shim
from tests.conftest import REPOSITORY
from tests.experiments.conftest import DANISH, TEST
from tests.experiments.helpers import run

TINY = {
    "language_texts": "texts.txt",
    "language_heldout": "heldout.txt",
    "language_ner": "ner",
    "language_steps": 2,
    "language_shares": "1.0",
    "ner_steps": 6,
    "ner_evaluate_every": 3,
    "jobs": 1,
}


def commands(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The words after `python -m` of each command of the workflow, with tiny values for its variables."""
    project_run(REPOSITORY, "language", overrides={f"vars.{name}": value for name, value in TINY.items()}, dry=True)
    return [shlex.split(line) for line in re.findall(r"python -m (.+)", capsys.readouterr().out)]


def in_this_process(words: list[str], log: Path, jobs: int, name: str) -> float:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return 1.0


def test_the_workflow_goes_from_texts_to_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All in this process, spaCy's commands too, where an experiment has processes of their own for them."""
    monkeypatch.setattr(compare, "spacy_command", in_this_process)
    lines = commands(capsys)
    assert [words[0] for words in lines] == [
        *["experiments.datasets"] * 3,
        "spacy",
        "experiments.compare",
        "experiments.language",
    ]
    monkeypatch.chdir(tmp_path)
    Path("configs").symlink_to(REPOSITORY / "configs")
    Path("ner").mkdir()
    for part, text in (("train", DANISH), ("dev", DANISH), ("test", TEST)):
        Path("ner", f"{part}.iob2").write_text(text, "utf8")
    Path("texts.txt").write_text("Mette bor i Århus. Hun arbejder for Danske Bank.\n" * 250, "utf8")
    Path("heldout.txt").write_text("Ole bor i Odense. Mette rejser til Århus.\n", "utf8")
    for module, *words in lines:
        if module == "spacy":
            done = CliRunner().invoke(elmo_cli, words[1:])
            assert done.exit_code == 0, done.output
        else:
            run(import_module(module), *words, cwd=tmp_path)
    model = Path("training/language/da/model-last")
    assert load_bilm(model).config == load_bilm("en_elmo_sm").config, "it begins as the embedded one"
    (row,) = json.loads(Path("metrics/languages.json").read_text("utf8"))
    assert (row["language"], row["tokens"], row["share"], row["tokens_before"] > 1e8) == ("da", 2560, 1.0, True)
    compared = json.loads(Path("metrics/language-da.json").read_text("utf8"))
    assert row["scores"] == {result["system"]: [result["score"]] for result in compared}
    # What was compared is the model that was trained here.
    nlp = spacy.load(Path("training/language-da/elmo-100pct-seed0/model-best"))
    assert (nlp.lang, bilm_shim(nlp.get_pipe("elmo").encoder).bilm.digest()) == ("da", load_bilm(model).digest())


def test_table() -> None:
    row = {"language": "da", "tokens": 7_680_000, "tokens_before": 0, "perplexity": 113.4, "share": 0.1}
    row["scores"] = {"elmo": [50.0, 60.0], "tok2vec": [40.0, 41.0]}
    lines = language.table([row, {**row, "tokens_before": 159_232_000}]).splitlines()
    assert lines[2:] == [
        "| da | 7.7 million | - | 113 | 10% | elmo | 55.0 | +14.5 | 50.0, 60.0 |",
        "| da | 7.7 million | - | 113 | 10% | tok2vec | 40.5 | - | 40.0, 41.0 |",
        "| da | 7.7 million | 159.2 million | 113 | 10% | elmo | 55.0 | +14.5 | 50.0, 60.0 |",
        "| da | 7.7 million | 159.2 million | 113 | 10% | tok2vec | 40.5 | - | 40.0, 41.0 |",
    ]


def test_rows_are_a_language_s_shares_the_largest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="no comparison"):
        run(language, cwd=tmp_path)
    results = [
        {"system": s, "share": share, "seed": seed, "score": share + seed}
        for s in "ab"
        for share in (0.1, 1)
        for seed in (1, 0)
    ]
    path = Path("metrics/language-pt.json")
    path.parent.mkdir()
    path.write_text(json.dumps(results), "utf8")
    with pytest.raises(SystemExit, match=re.escape("training/language/pt/model-last: no pretrained model")):
        language.rows_of(path)
    model = Path("training/language/pt/model-last")
    model.mkdir(parents=True)
    (model / "training.json").write_text(json.dumps({"tokens": 5, "perplexity": 2.0}), "utf8")
    rows = language.rows_of(path)
    assert [(row["language"], row["share"]) for row in rows] == [("pt", 1), ("pt", 0.1)]
    assert rows[0]["scores"] == {"a": [1, 2], "b": [1, 2]}
