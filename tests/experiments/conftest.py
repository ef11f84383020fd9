"""A small Danish comparison, whose model is one of ELMoForManyLangs'."""

from pathlib import Path

import pytest

from experiments import datasets, random_manylangs
from tests.experiments.helpers import run

DANISH = """\
1\tMette\tB-PER\n2\tbor\tO\n3\ti\tO\n4\tÅrhus\tB-LOC\n5\t.\tO\n
1\tHun\tO\n2\tarbejder\tO\n3\tfor\tO\n4\tDanske\tB-ORG\n5\tBank\tI-ORG\n6\ti\tO\n7\tÅrhus\tB-LOC\n8\t.\tO\n
1\tOle\tB-PER\n2\tog\tO\n3\tMette\tB-PER\n4\trejser\tO\n5\ttil\tO\n6\tOdense\tB-LOC\n7\t.\tO\n
"""
# The people are organisations here, so that a system that learned the training set is wrong about them.
TEST = DANISH.replace("B-PER", "B-ORG")


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small Danish corpus and, made of it, a random model."""
    folder = tmp_path_factory.mktemp("multilingual")
    for part, text in (("train", DANISH), ("dev", DANISH), ("test", TEST)):
        (folder / f"{part}.iob2").write_text(text, "utf8")
        run(datasets, "iob2", folder / f"{part}.iob2", folder / "corpus" / f"{part}.spacy")
    run(random_manylangs, folder / "corpus" / "train.spacy", folder / "model")
    return folder
