"""Every test has a cache of its own, and a server where it asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoints.server import Server


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SPACY_ELMO_CACHE", str(directory))
    monkeypatch.delenv("SPACY_ELMO_CATALOGUE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return directory


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running
