"""Flair's own `ELMoEmbeddings` on our `ElmoEmbedder`, as docs/howto/migrate.md shows it, where Flair is at hand."""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY

from .models import SmallModel

SENTENCES = [["One", "sentence", "."], ["Another"]]
MODES = {
    "all": lambda layers: np.concatenate(layers, axis=1),
    "top": lambda layers: layers[-1],
    "average": lambda layers: layers.mean(axis=0),
}


@pytest.fixture(scope="module")
def vectors(model: SmallModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    if not (python := os.environ.get("SPACY_ELMO_FLAIR")):
        pytest.skip("needs Flair 0.15: set SPACY_ELMO_FLAIR to a Python that has it and what our package needs")
    page = (REPOSITORY / "docs" / "howto" / "migrate.md").read_text("utf8")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL) if "ModuleType" in block)
    folder = tmp_path_factory.mktemp("flair")
    (folder / "page.py").write_text(code, "utf8")
    (folder / "data.json").write_text(json.dumps({"files": model.files, "sentences": SENTENCES}), "utf8")
    script = Path(__file__).parent / "flair_peer.py"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "FLAIR_CACHE_ROOT": str(folder)}
    subprocess.run([python, script, folder], check=True, env=environment, stdout=subprocess.DEVNULL)
    with np.load(folder / "results.npz") as results:
        return dict(results)


@pytest.mark.parametrize("mode", MODES)
def test_its_modes(vectors: dict[str, np.ndarray], model: SmallModel, mode: str) -> None:
    for number, sentence in enumerate(SENTENCES):
        wanted = MODES[mode](model.layers(sentence))
        np.testing.assert_allclose(vectors[f"{mode}_{number}"], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["small", "medium", "original", "large", "pubmed"])
def test_its_names_mean_models_of_ours(vectors: dict[str, np.ndarray], name: str) -> None:
    ours = {"large": "5.5B"}.get(name, name)
    assert f"python -m spacy elmo download {ours}" in str(vectors[f"error_{name}"])
