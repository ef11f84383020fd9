"""Models by AllenNLP's addresses and by its default."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from spacy_elmo import CheckpointError
from spacy_elmo.allennlp import Elmo, ElmoEmbedder
from spacy_elmo.checkpoints import published

from .models import SmallModel

FOLDER = "models/elmo/2x1024_128_2048cnn_1xhighway/elmo_2x1024_128_2048cnn_1xhighway_"
HOSTS = ["https://s3-us-west-2.amazonaws.com/allennlp", "https://allennlp.s3.amazonaws.com"]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACY_ELMO_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("host", HOSTS)
def test_published_addresses_mean_the_model_that_was_downloaded(model: SmallModel, host: str) -> None:
    addresses = f"{host}/{FOLDER}options.json", f"{host}/{FOLDER}weights.hdf5"
    with pytest.raises(CheckpointError, match="python -m spacy elmo download small"):
        Elmo(*addresses, 1)
    small = published.find("small")
    assert small is not None
    directory = published.directory_of(small.name)
    directory.mkdir(parents=True)
    for source, file in zip(model.files, small.files, strict=True):
        shutil.copy(source, directory / file.name)
    found = ElmoEmbedder(*addresses).embed_sentence(["a", "b"])
    np.testing.assert_array_equal(found, ElmoEmbedder(*model.files).embed_sentence(["a", "b"]))


def test_the_embedder_s_default_is_the_original_model() -> None:
    with pytest.raises(CheckpointError, match="python -m spacy elmo download original"):
        ElmoEmbedder()


@pytest.mark.parametrize(
    "files", [("options.json", "weights.hdf5"), ("options.json", None), (f"{FOLDER}options.json",) * 2]
)
def test_other_addresses_are_refused(files: tuple[str, str | None]) -> None:
    options, weights = (file and f"https://example.org/{file}" for file in files)
    with pytest.raises(ValueError, match=r"https://example\.org/.*options\.json (and .* are not the|is an address)"):
        Elmo(options, weights, 1)
