"""Where the pages' code runs: a folder with what a reader has by then, as small as can be."""

import shutil
from pathlib import Path

import pytest
import srsly
import torch
from thinc.api import Config

from spacy_elmo.allennlp import Elmo
from spacy_elmo.language import LanguageModel, save_language_model
from tests.conftest import REPOSITORY, random_bilm
from tests.dropin.models import write_model
from tests.experiments.helpers import convert_demo

VOCABULARY = ["<S>", "</S>", "<UNK>", "A", "sentence", "."]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: texts, labelled and raw; a model as wide as the published ones; and one with a softmax."""
    place = tmp_path_factory.mktemp("prepared")
    _texts(place)
    (place / "model").mkdir()
    write_model(place / "model", projection_dim=512, dim=2)
    files = write_model(place, projection_dim=512, dim=2).files
    tagger = torch.nn.ModuleDict({"elmo": Elmo(*files, 1), "output": torch.nn.Linear(1024, 9)})
    torch.save(tagger.state_dict(), place / "tagger.pt")
    (place / "out").mkdir()
    save_language_model(LanguageModel(random_bilm(), VOCABULARY), place / "out" / "model-best", Config(), {})
    return place


def _texts(place: Path) -> None:
    for part, share in {"train": "0.3", "dev": "0.2", "test": "0.2"}.items():
        convert_demo(part, place / f"{part}.spacy", "--share", share)
    texts = [line["text"] for line in srsly.read_jsonl(REPOSITORY / "assets" / "demo" / "train.jsonl")]
    (place / "texts").mkdir()
    (place / "texts" / "demo.txt").write_text("\n".join(texts), "utf8")
    (place / "heldout.txt").write_text("\n".join(texts[:20]), "utf8")
    (place / "sentences.txt").write_text("The first sentence .\nAnother one .\n", "utf8")
    (place / "words.txt").write_text("Ein\tSatz\nNoch\teiner\t.\n", "utf8")


@pytest.fixture
def place(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy for one page, as the working directory."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    for name in ("assets", "configs"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
