"""From a saved spaCy pipeline back to its biLM."""

import json
import shutil
from pathlib import Path

import pytest
import spacy
import srsly

from spacy_elmo import BiLM, CheckpointError, load_bilm
from spacy_elmo.checkpoints import describe, locate
from tests.checkpoints.test_source import assert_same_parameters
from tests.cli.helpers import elmo
from tests.conftest import random_bilm


def save_pipeline(path: Path, source: str, *names: str) -> Path:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    for name in names:
        nlp.add_pipe("elmo", name=name, config={"model": {"source": source}})
    nlp.initialize()
    nlp.to_disk(path)
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, tiny_source: str) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("saved") / "pipeline", tiny_source, "elmo")


@pytest.mark.parametrize("inner", ["", "elmo", "elmo/model", "elmo/cfg", "config.cfg", "meta.json"])
def test_a_pipeline_or_its_component_is_a_source(saved: Path, tiny_bilm: BiLM, inner: str) -> None:
    assert_same_parameters(load_bilm(saved / inner, device="cpu"), tiny_bilm)
    facts = describe(locate(saved / inner))
    assert (facts["format"], facts["family"], facts["dtype"]) == ("spacy", "bilm-tf", "float32")
    assert list(facts["files"]) == [str(saved / "elmo" / "model")]


def test_an_installed_package_is_a_source_by_its_name(
    saved: Path, tiny_bilm: BiLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "en_with_elmo"
    shutil.copytree(saved, package / "en_with_elmo-1.2.3")
    (package / "__init__.py").write_text("raise ImportError('it is looked for, and not run')", "utf8")
    monkeypatch.syspath_prepend(tmp_path)
    assert_same_parameters(load_bilm("en_with_elmo", device="cpu"), tiny_bilm)
    with pytest.raises(CheckpointError, match="'en_with_elmo_too' names no ELMo model"):
        load_bilm("en_with_elmo_too")
    with pytest.raises(CheckpointError, match="'spacy' names no ELMo model"):
        load_bilm("spacy")


def test_of_several_one_is_to_be_named(tmp_path: Path, tiny_source: str, tiny_bilm: BiLM) -> None:
    path = save_pipeline(tmp_path / "pipeline", tiny_source, "elmo", "other")
    with pytest.raises(CheckpointError, match=r"with 2 biLMs. Give .*pipeline/elmo or .*pipeline/other"):
        load_bilm(path)
    assert_same_parameters(load_bilm(path / "other", device="cpu"), tiny_bilm)


def test_a_pipeline_without_one_says_so(tmp_path: Path, tiny_source: str) -> None:
    path = save_pipeline(tmp_path / "pipeline", tiny_source)
    with pytest.raises(CheckpointError, match="pipeline is a spaCy pipeline without ELMo"):
        load_bilm(path)


def test_the_trained_weights_are_those_of_the_pipeline(tmp_path: Path, tiny_source: str) -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("elmo", config={"model": {"source": tiny_source}})
    nlp.initialize()
    changed = random_bilm(seed=7)
    nlp.to_disk(tmp_path / "pipeline")
    path = tmp_path / "pipeline" / "elmo" / "model"
    message = srsly.msgpack_loads(path.read_bytes())
    from spacy_elmo.checkpoints.message import pack

    place = next(i for i, shims in enumerate(message["shims"]) if shims)
    message["shims"][place] = [pack(changed)]
    path.write_bytes(srsly.msgpack_dumps(message))
    assert_same_parameters(load_bilm(tmp_path / "pipeline", device="cpu"), changed)
    assert pipe is not None


def test_the_commands_take_a_pipeline(saved: Path, tmp_path: Path, tiny_bilm: BiLM) -> None:
    result = elmo("info", saved, "--json")
    assert result.code == 0, result.text
    assert json.loads(result.output)["format"] == "spacy"
    result = elmo("convert", saved, tmp_path / "native", "--to", "native")
    assert result.code == 0, result.text
    assert_same_parameters(load_bilm(tmp_path / "native", device="cpu"), tiny_bilm)


def damaged(saved: Path, tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "elmo" / "model"
    if not path.exists():
        shutil.copytree(saved / "elmo", tmp_path / "elmo")
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as error:
        load_bilm(path)
    assert str(path) in str(error.value)
    return str(error.value)


def test_damage_is_told(saved: Path, tmp_path: Path) -> None:
    data = (saved / "elmo" / "model").read_bytes()
    for length in (200, 400, len(data) // 2, len(data) - 1):
        damaged(saved, tmp_path, data[:length])
    message = srsly.msgpack_loads(data)
    place = next(i for i, shims in enumerate(message["shims"]) if shims)
    for shims in ([], [b""], [7], [srsly.msgpack_dumps({})], [srsly.msgpack_dumps([1])], None):
        message["shims"][place] = shims
        damaged(saved, tmp_path, srsly.msgpack_dumps(message))
