"""Experiments as their users call them, and the data that they are tried on."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from experiments import datasets
from tests.conftest import REPOSITORY

UPOS = {"ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ"}
UPOS |= {"SYM", "VERB", "X"}


def run(module: ModuleType, *words: object, cwd: Path = REPOSITORY) -> None:
    """As `python -m MODULE WORDS`, but in this process, which has imported already what takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module.__name__, *map(str, words)])
        patch.chdir(cwd)
        module.main()


def convert_demo(part: str, output: Path, *words: str) -> None:
    """Our own texts, or a part of them, as a .spacy file."""
    run(datasets, "jsonl", REPOSITORY / "assets" / "demo" / f"{part}.jsonl", output, *words)
