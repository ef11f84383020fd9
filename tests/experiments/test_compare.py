"""experiments/compare.py: trainings side by side."""

import json
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
import spacy
from spacy.cli.evaluate import evaluate

from experiments import compare, random_manylangs
from spacy_elmo import BiLM, save_bilm
from tests.checkpoints.test_allennlp import OPTIONS, WEIGHTS, write_pair
from tests.conftest import REPOSITORY
from tests.experiments.helpers import convert_demo, run


def compared(folder: Path, name: str, *words: str) -> dict[str, Any]:
    """The one result of a comparison on FOLDER/corpus."""
    run(compare, name, "--corpus", "corpus", "--score", "ents_f", *words, cwd=folder)
    (result,) = json.loads((folder / "metrics" / f"{name}.json").read_text("utf8"))
    return dict(result)


def test_trains_and_makes_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Path(copy(REPOSITORY / "configs" / "ner.cfg", tmp_path))
    for part in ("train", "dev", "test"):
        convert_demo(part, tmp_path / "corpus" / f"{part}.spacy", "--share", "0.2")
    words = ["--shares", "0.5", "--system", "elmo=ner.cfg"]
    words += ["--set", "training.max_steps=8", "--set", "training.eval_frequency=4"]
    result = compared(tmp_path, "small", *words)
    assert (result["system"], result["share"], result["seed"]) == ("elmo", 0.5, 0)
    assert f"**{result['score']:.1f}**" in (tmp_path / "metrics" / "small.md").read_text("utf8")
    # Nothing is trained again while nothing has changed, but everything that depends on a change would be.
    capsys.readouterr()
    monkeypatch.setattr(compare, "spacy_command", None)
    config.write_text("# A comment says nothing to a training.\n" + config.read_text("utf8"), "utf8")
    assert compared(tmp_path, "small", *words) == result
    assert "found before from the same inputs" in capsys.readouterr().out
    with pytest.raises(TypeError):
        compared(tmp_path, "small", *words, "--set", "training.dropout=0.2")


def test_sees_that_a_model_changed(tmp_path: Path, tiny_bilm: BiLM) -> None:
    """Its path does not; the results of systems without one stay, whatever models there are."""
    model = save_bilm(tiny_bilm, tmp_path / "model")
    ner, tok2vec = (REPOSITORY / "configs" / name for name in ("ner.cfg", "ner_tok2vec.cfg"))
    embedded = [path.name for path in compare.elmo_files(ner, [])]
    assert {"config.json", "model.safetensors"} <= set(embedded)
    assert "README.md" not in embedded, "a new card retrains nothing"
    assert list(compare.elmo_files(tok2vec, [])) == []
    source = ["--components.elmo.model.source", str(model)]
    assert list(compare.elmo_files(ner, source)) == [model / "config.json", model / "model.safetensors"]
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    source = ["--components.elmo.model.source", json.dumps(list(map(str, pair)))]
    assert list(compare.elmo_files(ner, source)) == list(pair)
    with pytest.raises(SystemExit, match=r"ner\.cfg: 'absent' names no ELMo model"):
        list(compare.elmo_files(ner, ["--components.elmo.model.source", "absent"]))


def test_stops_where_a_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"absent\.cfg: no such file"):
        compared(tmp_path, "small", "--system", "elmo=configs/absent.cfg")


def test_stops_with_the_log_of_what_failed(multilingual: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus").symlink_to(multilingual / "corpus")
    words = ["--system", f"elmo={REPOSITORY / 'configs' / 'ner.cfg'}", "--set", "nlp.lang=qq"]
    with pytest.raises(SystemExit, match=r"failed; the end of .*train\.log:(.|\n)*language qq"):
        compared(tmp_path, "small", *words)


def test_trains_on_a_model_in_the_format_of_elmoformanylangs(
    multilingual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (multilingual / "configs").symlink_to(REPOSITORY / "configs")
    words = ["--system", "elmo=configs/ner.cfg", "--set", "nlp.lang=da"]
    words += ["--set", "elmo:components.elmo.model.source=model"]
    words += ["--set", "training.max_steps=30", "--set", "training.eval_frequency=30"]
    with pytest.raises(SystemExit, match="there is no system other"):
        compared(multilingual, "multilingual", *words, "--set", "other:nlp.lang=da")
    result = compared(multilingual, "multilingual", *words)
    # Scored on the test set, which is not the one that the best step was chosen on.
    pipeline = multilingual / "training" / "multilingual" / "elmo-100pct-seed0" / "model-best"
    dev, test = (
        100 * evaluate(str(pipeline), multilingual / "corpus" / f"{part}.spacy")["ents_f"] for part in ("dev", "test")
    )
    assert result["score"] == pytest.approx(test)
    assert dev > 50
    assert dev > test
    run(random_manylangs, multilingual / "corpus" / "train.spacy", multilingual / "model", "--seed", "1")
    monkeypatch.setattr(compare, "spacy_command", None)
    with pytest.raises(TypeError):
        compared(multilingual, "multilingual", *words)
    (multilingual / "model").rename(multilingual / "elsewhere")
    nlp = spacy.load(pipeline)
    assert nlp.lang == "da"
    assert nlp("Mette bor i Århus.").tensor.shape == (5, 128)
