"""The .h5 file, held against one that AllenNLP's own command `elmo` has written.

`data/allennlp.hdf5` is what version 0.9.0, the last with that command, made of `data/allennlp.txt` and the small random
model of `tests/dropin/models.py`; `allennlp_peer.py` says how.
"""

import json
import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from spacy_elmo.embedding import Settings, embed, read
from tests.dropin.models import write_model

DATA = Path(__file__).with_name("data")
LINES = (DATA / "allennlp.txt").read_text("utf8").splitlines()


@pytest.fixture
def model(tmp_path: Path) -> tuple[str, str]:
    return write_model(tmp_path).files


def same_file(ours: Path, theirs: Path, one_of_theirs: object = slice(None)) -> None:
    with h5py.File(ours) as our, h5py.File(theirs) as their:
        assert list(our) == list(their)
        for name in their:
            for fact in ("dtype", "chunks", "compression", "fletcher32"):
                assert getattr(our[name], fact) == getattr(their[name], fact)
            assert dict(our[name].attrs) == dict(their[name].attrs) == {}
        index, their_index = our["sentence_to_index"], their["sentence_to_index"]
        assert index.shape == their_index.shape == (1,)
        assert h5py.check_string_dtype(index.dtype) == h5py.check_string_dtype(their_index.dtype)
        assert index[0] == their_index[0]
        assert dict(our.attrs) == dict(their.attrs)
        for name in map(str, range(len(LINES))):
            wanted = their[name][one_of_theirs]
            assert our[name].shape == wanted.shape
            np.testing.assert_allclose(our[name], wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("layers", "one"), [("all", slice(None)), ("top", -1)])
def test_it_is_allennlp_s(tmp_path: Path, model: tuple[str, str], layers: str, one: object) -> None:
    settings = Settings(layers=layers, format="tokens")
    embed([DATA / "allennlp.txt"], tmp_path / "ours.h5", model, settings, device="cpu")
    same_file(tmp_path / "ours.h5", DATA / "allennlp.hdf5", one)


def test_allennlp_s_is_read() -> None:
    found = {one.id: one for one in read(DATA / "allennlp.hdf5")}
    # Of a sentence that is there twice, the file tells the last alone.
    assert [found[str(i)].tokens for i in range(1, len(LINES))] == [line.split() for line in LINES[1:]]
    assert found["0"].tokens == []
    assert [found[str(i)].vectors.shape[1] for i in range(len(LINES))] == [len(line.split()) for line in LINES]


def test_the_kept_file_is_what_the_peer_writes(tmp_path: Path, model: tuple[str, str]) -> None:
    python, package = os.environ.get("SPACY_ELMO_PEERS"), os.environ.get("SPACY_ELMO_ALLENNLP_09")
    if not (python and package):
        pytest.skip(
            "needs AllenNLP: set SPACY_ELMO_PEERS to a Python that has 2.10.1, and SPACY_ELMO_ALLENNLP_09 to a "
            "directory that has 0.9.0"
        )
    files = ["--options-file", model[0], "--weight-file", model[1]]
    program = Path(__file__).with_name("allennlp_peer.py")
    arguments = [package, DATA / "allennlp.txt", tmp_path / "theirs.hdf5", "--all", *files]
    subprocess.run([python, program, *arguments], check=True, cwd=tmp_path)
    same_file(tmp_path / "theirs.hdf5", DATA / "allennlp.hdf5")
    with h5py.File(tmp_path / "theirs.hdf5") as file:
        assert len(json.loads(file["sentence_to_index"][0])) == len(set(LINES))
