"""`pretrain` as users call it: its help, its errors, a run that is stopped and goes on, and what its models are for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import spacy

from spacy_elmo import load_bilm
from tests.pretraining.runs import (
    CONFIG,
    SETTINGS,
    TIMEOUT,
    arguments,
    command,
    digests,
    evaluations,
    snapshot,
    steps_of,
    write_texts,
)

LOGGER = """
import spacy


@spacy.registry.loggers("spacy_elmo_tests.Printing.v1")
def printing(prefix):
    def setup(nlp, stdout, stderr):
        def log(info):
            if info:
                print(prefix, info["step"], sorted(info["losses"]), file=stdout)

        return log, lambda: print(prefix, "ended", nlp.lang, file=stdout)

    return setup
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_texts(tmp_path_factory.mktemp("texts"))


def fails(tmp_path: Path, *call: str | Path) -> tuple[int | None, str]:
    """An exit code, and a message without line breaks."""
    code, written = command(tmp_path / "written", "elmo", "pretrain", *call)
    assert "Traceback" not in written
    return code, " ".join(written.split())


def test_help(tmp_path: Path) -> None:
    code, written = command(tmp_path / "written", "elmo", "pretrain", "--help")
    assert code == 0
    _, _, examples = written.partition("Examples:\n")
    lines = [line.strip() for line in examples.splitlines()[:6]]
    assert all(line.startswith("python -m spacy elmo pretrain configs/") for line in lines[:5])
    assert lines[5].startswith("torchrun --nproc-per-node 4 -m spacy elmo pretrain configs/")
    for option in ("--output", "--init-from", "--code"):
        assert option in written


def test_calls_that_are_not_whole(tmp_path: Path) -> None:
    for call, word in [([CONFIG], "--output"), (["--output", "run"], "CONFIG")]:
        code, message = fails(tmp_path, *call)
        assert code == 2
        assert f"Missing {'option' if word == '--output' else 'argument'} '{word}'" in message
    code, message = fails(tmp_path, CONFIG, "--output", tmp_path / "run", "--outptu", "x")
    assert code == 2
    assert "--outptu" in message
    assert "A setting has a dot in its name" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training.dropuot": "0.1"}, "training.dropuot"),
        ({"training.batch_size": "many"}, "training.batch_size is 'many', but must be an integer"),
        ({"training.dropout": "1.5"}, "training.dropout is 1.5, but must be"),
        ({"paths.train": "null"}, "paths.train is None, but must be a string or a list of strings"),
        ({"paths.train": "nowhere/*.txt"}, "nowhere/*.txt: no such file or directory, and as a glob it matches"),
        ({"nlp.lang": "xx-nowhere"}, "nlp config"),
        ({"system.device": "tpu"}, "system.device is 'tpu', which cannot be used here"),
        ({"system.device": "cuda:99"}, "system.device is 'cuda:99', which cannot be used here"),
    ],
)
def test_settings_that_make_no_run(tmp_path: Path, texts: dict[str, str], changes: dict[str, str], words: str) -> None:
    code, message = fails(tmp_path, *arguments(tmp_path / "run", {**texts, **changes}))
    assert code == 1, message
    assert words in message
    assert not list(tmp_path.glob("run/corpus*"))


def test_files_that_are_not_there(tmp_path: Path, texts: dict[str, str]) -> None:
    code, message = fails(tmp_path, tmp_path / "nowhere.cfg", "--output", tmp_path / "run")
    assert code == 1
    assert "nowhere.cfg" in message
    code, message = fails(tmp_path, *arguments(tmp_path / "run", texts), "--init-from", "en_elmo_xl")
    assert code == 1
    assert "'en_elmo_xl' names no ELMo model" in message
    code, message = fails(tmp_path, *arguments(tmp_path / "run", texts), "--code", tmp_path / "nowhere.py")
    assert code == 1
    assert "nowhere.py" in message


def test_stopped_and_called_again(tmp_path: Path, texts: dict[str, str]) -> None:
    """And with a logger from one's own code; and then the model gives vectors, also in AllenNLP's format."""
    code, config, output = tmp_path / "code.py", tmp_path / "config.cfg", tmp_path / "run"
    code.write_text(LOGGER, "utf8")
    section = '[training.logger]\n@loggers = "spacy_elmo_tests.Printing.v1"\nprefix = "told"\n'
    config.write_text(f"{CONFIG.read_text('utf8').replace('logger = null', '')}\n{section}", "utf8")
    _, *options = arguments(output, {**SETTINGS, **texts})
    call = [sys.executable, "-m", "spacy", "elmo", "pretrain", str(config), *options, "--code", str(code)]
    environment = {**os.environ, "ANSI_COLORS_DISABLED": "1"}

    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + TIMEOUT
    while not snapshot(output, 20).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    told, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert "Traceback" not in told + errors
    assert "the same command goes on from here" in " ".join(told.split())
    lines = [line for line in told.splitlines() if line.startswith("told")]
    assert lines == ["told 20 ['elmo']", "told ended en"]

    again = subprocess.run(call, capture_output=True, text=True, env=environment, timeout=TIMEOUT)
    assert again.returncode == 0, again.stderr
    lines = [line for line in again.stdout.splitlines() if line.startswith("told")]
    assert lines == ["told 40 ['elmo']", "told 60 ['elmo']", "told ended en"]
    assert f"Wrote {output / 'model-last'}" in " ".join(again.stdout.split())
    assert [step for step, is_evaluation in steps_of(output) if is_evaluation] == [20, 40, 60]
    assert evaluations(output)[-1]["perplexity"] < evaluations(output)[0]["perplexity"]
    assert "100%" in again.stderr
    before = digests(output / "model-last")

    to = (tmp_path / "allennlp", "--to", "allennlp")
    assert command(tmp_path / "written", "elmo", "convert", output / "model-last", *to)[0] == 0
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo", config={"model": {"source": str(output / "model-last")}})
    doc = nlp("baf bak bam , unheard")
    vectors = load_bilm(output / "model-last", "cpu").embed([[token.text for token in doc]])[0]
    np.testing.assert_allclose(doc.tensor, vectors.mean(axis=0), atol=1e-6)
    assert np.abs(doc.tensor).max(axis=1).min() > 0
    converted = load_bilm(tmp_path / "allennlp", "cpu").embed([[token.text for token in doc]])[0]
    np.testing.assert_allclose(converted, vectors, atol=1e-6)
    assert digests(output / "model-last") == before
