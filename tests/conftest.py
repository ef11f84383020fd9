"""What tests share: tiny models, so that each test takes a moment, and the larger data where it is present."""

import os
from pathlib import Path

import pytest
import torch

from spacy_elmo import BiLM, BiLMConfig, save_bilm

REPOSITORY = Path(__file__).parent.parent
# Data and checkpoints that are not part of the repository lie beside it, or where this variable says.
SHARED = Path(os.environ.get("SPACY_ELMO_SHARED", REPOSITORY.parent / "shared"))

TINY = BiLMConfig(
    filters=((1, 4), (2, 6), (3, 8)),
    char_dim=5,
    max_characters=20,
    n_highway=1,
    projection_dim=6,
    cell_dim=10,
    n_layers=2,
)


def shared(*parts: str) -> Path:
    """A path in the shared data; skips the test where it is not there."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {path}, which is not part of the repository; set SPACY_ELMO_SHARED to where it is")
    return path


def random_bilm(config: BiLMConfig = TINY, seed: int = 0) -> BiLM:
    """A biLM with random weights of a size that makes its vectors differ well from word to word."""
    torch.manual_seed(seed)
    bilm = BiLM(config)
    with torch.no_grad():
        for parameter in bilm.parameters():
            parameter.normal_(0, 0.4)
        bilm.char_cnn.embedding.weight[0] = 0
    return bilm.eval()


@pytest.fixture(scope="session")
def tiny_bilm() -> BiLM:
    return random_bilm()


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of a tiny random model in the native format."""
    directory = tmp_path_factory.mktemp("tiny_elmo")
    save_bilm(random_bilm(), directory, overwrite=True)
    return str(directory)


@pytest.fixture(scope="session")
def other_source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Another tiny model, of another width."""
    directory = tmp_path_factory.mktemp("other_elmo")
    config = BiLMConfig(**{**TINY.to_dict(), "projection_dim": 4, "n_layers": 1})
    save_bilm(random_bilm(config, seed=1), directory, overwrite=True)
    return str(directory)
