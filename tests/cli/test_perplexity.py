"""`perplexity` as users call it."""

import json
import math
import shutil
from pathlib import Path

import pytest
from thinc.api import Config

from spacy_elmo import save_bilm
from tests.cli.helpers import assert_fails, elmo
from tests.conftest import random_bilm
from tests.corpus.corpora import write_lines
from tests.corpus.test_workers import CODE, CONFIG
from tests.pretraining.runs import command, evaluations, run_here, write_texts

SENTENCES = ["baf bak bam .", "Unheard words !", "fin gof gok gom gon gov luf ."]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_texts(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> Path:
    """Of a run that measured all of the held-out texts."""
    output = tmp_path_factory.mktemp("output") / "run"
    run_here(output, {**texts, "training.max_steps": 40, "training.evaluation.max_words": 0})
    return output


def json_lines(*call: str | Path) -> list[dict[str, object]]:
    result = elmo("perplexity", *call, "--json")
    assert result.code == 0, result.text
    return [json.loads(line) for line in result.output.splitlines()]


def test_it_is_what_the_run_measured(output: Path, texts: dict[str, str]) -> None:
    (found,) = json_lines(output / "model-best", texts["paths.heldout"])
    facts = json.loads((output / "model-best" / "training.json").read_text("utf8"))
    assert facts["perplexity"] == min(record["perplexity"] for record in evaluations(output))
    for key, fact in [
        ("perplexity", "perplexity"),
        ("forward", "forward_perplexity"),
        ("backward", "backward_perplexity"),
        ("predictions", "heldout_predictions"),
        ("unknown", "heldout_unknown"),
    ]:
        assert found[key] == pytest.approx(facts[fact], rel=1e-5), key


def test_in_a_process_of_its_own(output: Path, texts: dict[str, str]) -> None:
    result = elmo("perplexity", output / "model-best", texts["paths.heldout"])
    assert result.code == 0, result.text
    facts = json.loads((output / "model-best" / "training.json").read_text("utf8"))
    rows = dict(line.split() for line in result.output.splitlines() if line.strip())
    assert rows["perplexity"] == f"{facts['perplexity']:.2f}"
    assert rows["forward"] == f"{facts['forward_perplexity']:.2f}"
    assert rows["backward"] == f"{facts['backward_perplexity']:.2f}"
    assert rows["predictions"] == f"{facts['heldout_predictions']:,}"


def test_each_sentence(tmp_path: Path, output: Path) -> None:
    text = write_lines(tmp_path / "text.txt", [" ".join(SENTENCES[:2]), SENTENCES[2]])
    *sentences, total = json_lines(output / "model-best", text, "--per-sentence")
    assert [one["sentence"] for one in sentences] == SENTENCES
    assert "sentence" not in total
    assert [one["predictions"] for one in sentences] == [5, 4, 9]
    assert [one["unknown"] for one in sentences] == [0, 3, 0]
    for key in ("predictions", "unknown"):
        assert total[key] == sum(one[key] for one in sentences)
    for key in ("perplexity", "forward", "backward"):
        nats = sum(one["predictions"] * math.log(one[key]) for one in sentences)
        assert total[key] == pytest.approx(math.exp(nats / total["predictions"]), rel=1e-5)

    code, written = command(tmp_path / "written", "elmo", "perplexity", output / "model-best", text, "--per-sentence")
    assert code == 0
    for line, one in zip(written.splitlines(), sentences, strict=False):
        assert line.strip() == f"{one['perplexity']:.2f}  {one['sentence']}"
    rows = dict(line.split() for line in written.splitlines()[3:] if line.strip())
    assert rows["perplexity"] == f"{total['perplexity']:.2f}"
    assert rows["unknown"] == "3"
    assert total["unknown_share"] == pytest.approx(3 / 18)
    assert rows["unknown_share"] == "16.7%"


def test_tokens_and_standard_input(tmp_path: Path, output: Path) -> None:
    text = write_lines(tmp_path / "text.txt", ["baf bak , bam's", "", "fin ."])
    *sentences, _ = json_lines(output / "model-best", text, "--per-sentence", "--format", "tokens")
    assert [one["sentence"] for one in sentences] == ["baf bak , bam's", "fin ."]
    piped = elmo("perplexity", output / "model-best", "-", "--json", piped=b"baf bam's")
    assert json.loads(piped.output)["predictions"] == len(["baf", "bam", "'s", "</S>"])
    result = elmo("perplexity", output / "model-best", text, "--format", "lines")
    assert_fails(result, "a format of texts is one of documents, sentences, tokens, not 'lines'")


def test_a_model_s_own_tokenizer_is_in_a_file_of_code(tmp_path: Path, output: Path) -> None:
    model = shutil.copytree(output / "model-best", tmp_path / "model")
    config = Config().from_disk(model / "pretraining.cfg")
    config["nlp"] = {**config["nlp"], **CONFIG["nlp"]}
    config["components"] = {}
    config.to_disk(model / "pretraining.cfg")
    (tmp_path / "code.py").write_text(CODE)
    text = write_lines(tmp_path / "text.txt", ["baf-bak-bam"])
    assert_fails(elmo("perplexity", model, text), "Could not find function 'spacy_elmo_tests.AtDashes.v1'")
    one, _ = json_lines(model, text, "--per-sentence", "--code", tmp_path / "code.py")
    assert one["sentence"] == "baf bak bam"


def test_the_embedded_model_predicts(tmp_path: Path) -> None:
    text = write_lines(tmp_path / "text.txt", ["The capital of the country is a large city on the coast ."])
    shuffled = write_lines(tmp_path / "shuffled.txt", ["coast city The capital . is the on country the large of a"])
    likely, unlikely = (json_lines("en_elmo_sm", path)[0]["perplexity"] for path in (text, shuffled))
    assert isinstance(likely, float)
    assert isinstance(unlikely, float)
    assert likely < 200
    assert unlikely > 10 * likely


def test_what_cannot_be_measured(tmp_path: Path, output: Path, texts: dict[str, str]) -> None:
    empty = write_lines(tmp_path / "empty.txt", ["", "  "])
    vectors_only = save_bilm(random_bilm(), tmp_path / "vectors")
    model, heldout = output / "model-best", texts["paths.heldout"]
    for call, words in [
        (
            (vectors_only, heldout),
            f"{vectors_only} holds no softmax.safetensors: it makes vectors, but cannot predict words",
        ),
        ((tmp_path / "nowhere", heldout), "nowhere"),
        ((model, tmp_path / "nowhere.txt"), "nowhere.txt: no such file or directory"),
        ((model, empty), "empty.txt: no text, and so no perplexity"),
    ]:
        code, written = command(tmp_path / "written", "elmo", "perplexity", *call)
        message = " ".join(written.split())
        assert code == 1, message
        assert words in message
        assert "Traceback" not in message


def test_help(tmp_path: Path) -> None:
    code, written = command(tmp_path / "written", "elmo", "perplexity", "--help")
    assert code == 0
    _, _, examples = written.partition("Examples:\n")
    assert all(line.strip().startswith("python -m spacy elmo perplexity OUT/") for line in examples.splitlines()[:2])
