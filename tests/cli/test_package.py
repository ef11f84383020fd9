"""`python -m spacy elmo package`: a wheel that is of its model's language and licence."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import spacy
from thinc.api import Config

from spacy_elmo import BiLM, save_bilm
from spacy_elmo.checkpoints import locate
from spacy_elmo.language import save_language_model
from spacy_elmo.language.metadata import stated
from tests.cli.helpers import assert_fails, elmo
from tests.language.models import random_language_model

NLP = """
[nlp]
lang = "pt"
pipeline = ["sentencizer"]

[components]

[components.sentencizer]
factory = "sentencizer"
"""


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A model as `pretrain` leaves it."""
    facts = {"step": 1, "language": "pt", "licence": "CC BY 4.0", "author": "Maria Silva"}
    save_language_model(random_language_model(), tmp_path / "model", Config().from_str(NLP), facts)
    return tmp_path / "model"


def meta_of(output: Path) -> dict[str, Any]:
    """What the one wheel says of its pipeline."""
    (wheel,) = output.glob("*/dist/*.whl")
    with ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.count("/") == 1 and name.endswith("/meta.json")]
        return dict(json.loads(file.read(name)))


def test_a_package_is_of_its_model_s_language_licence_and_author(trained: Path, tmp_path: Path) -> None:
    result = elmo("package", trained, tmp_path / "out", "--name", "elmo_news", "--version", "2.1.0")
    assert result.code == 0, result.text
    meta = meta_of(tmp_path / "out")
    assert (meta["lang"], meta["name"], meta["version"]) == ("pt", "elmo_news", "2.1.0")
    assert (meta["license"], meta["author"]) == ("CC BY 4.0", "Maria Silva")


def test_it_installs_and_gives_the_model_s_vectors(tiny_bilm: BiLM, tmp_path: Path) -> None:
    model = save_bilm(tiny_bilm, tmp_path / "model")
    result = elmo("package", model, tmp_path / "out", "--name", "elmo", "--lang", "da", "--license", "MIT")
    assert result.code == 0, result.text
    (wheel,) = (tmp_path / "out").glob("*/dist/*.whl")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "site")]
    subprocess.run([*command, str(wheel)], check=True, timeout=300)
    program = "import spacy, json; doc = spacy.load('da_elmo')('Mette bor her'); print(json.dumps(doc.tensor.tolist()))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, env=environment, cwd=tmp_path
    )
    (layers,) = tiny_bilm.embed([["Mette", "bor", "her"]])
    assert np.allclose(json.loads(done.stdout), layers.mean(axis=0), rtol=0, atol=1e-6)


def test_a_model_without_such_facts_has_the_language_of_its_tokenizer_and_no_licence(
    trained: Path, tmp_path: Path
) -> None:
    (trained / "training.json").write_text('{"step": 1}', "utf8")
    result = elmo("package", trained, tmp_path / "out", "--name", "elmo")
    assert result.code == 0, result.text
    assert "licence of the weights is not known" in result.text
    meta = meta_of(tmp_path / "out")
    assert (meta["lang"], meta["license"], meta["author"]) == ("pt", "", "")


def test_the_catalogue_speaks_for_a_model_that_does_not(tiny_bilm: BiLM, tmp_path: Path) -> None:
    save_bilm(tiny_bilm, tmp_path / "cache" / "models" / "tiny")
    model: dict[str, Any] = {"name": "tiny", "languages": ["da"], "licence": "CC0", "format": "native"}
    model["files"] = [{"url": "https://example.org/tiny.zip"}]
    (tmp_path / "catalogue.json").write_text(json.dumps({"models": [model]}), "utf8")
    environment = {
        "SPACY_ELMO_CACHE": str(tmp_path / "cache"),
        "SPACY_ELMO_CATALOGUE": str(tmp_path / "catalogue.json"),
    }
    result = elmo("package", "tiny", tmp_path / "out", "--name", "elmo_again", environment=environment)
    assert result.code == 0, result.text
    meta = meta_of(tmp_path / "out")
    assert (meta["lang"], meta["license"]) == ("da", "CC0")


def test_a_saved_pipeline_says_of_itself_what_its_meta_says(tiny_source: str, tmp_path: Path) -> None:
    nlp = spacy.blank("da", meta={"license": "MIT", "author": "Mette"})
    nlp.add_pipe("elmo", config={"model": {"source": tiny_source}})
    nlp.initialize()
    nlp.to_disk(tmp_path / "nlp")
    for source in (tmp_path / "nlp", tmp_path / "nlp" / "elmo"):
        assert stated(locate(source)) == {"language": "da", "licence": "MIT", "author": "Mette"}


def test_what_the_user_says_goes_before_what_the_model_says(trained: Path, tmp_path: Path) -> None:
    """The name may begin with the language, which it is not given twice."""
    options = ["--lang", "ca", "--license", "CC0", "--author", "Xoán"]
    call = ["package", trained, tmp_path / "out", "--name", "ca_elmo", *options]
    before = tmp_path / "out" / "ca_elmo-1.0.0" / "ca_elmo" / "mine.txt"
    before.parent.mkdir(parents=True)
    before.touch()
    assert_fails(elmo(*call), "ca_elmo-1.0.0 is there already", "--version", "--overwrite")
    assert before.exists()
    result = elmo(*call, "--overwrite")
    assert result.code == 0, result.text
    assert not before.exists()
    meta = meta_of(tmp_path / "out")
    assert (meta["lang"], meta["name"]) == ("ca", "elmo")
    assert (meta["license"], meta["author"]) == ("CC0", "Xoán")


def test_says_what_is_missing(tiny_bilm: BiLM, tmp_path: Path) -> None:
    model = save_bilm(tiny_bilm, tmp_path / "model")
    assert_fails(elmo("package", model, tmp_path / "out", "--name", "elmo"), "of what language", "--lang")
    unknown = elmo("package", model, tmp_path / "out", "--name", "elmo", "--lang", "qqq")
    assert_fails(unknown, "spaCy has no language 'qqq'", "--lang")
    for name in ("bad name!", "_elmo", "elmo-news", "2elmo", "da_"):
        named = elmo("package", model, tmp_path / "out", "--name", name, "--lang", "da")
        assert_fails(named, f"--name is {name!r}, but must be letters, digits and _")
    (tmp_path / "file").touch()
    taken = elmo("package", model, tmp_path / "file", "--name", "elmo", "--lang", "da")
    assert_fails(taken, "file: could not be written", "Choose another place")
    assert_fails(elmo("package", tmp_path / "absent", tmp_path / "out", "--name", "elmo"), "absent")
    assert not (tmp_path / "out").exists()
