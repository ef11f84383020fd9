from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoints.server import Server
from tests.checkpoints.test_download import catalogue  # noqa: F401
from tests.cli.helpers import Result, assert_fails, elmo


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def environment(tmp_path: Path, catalogue: Path) -> dict[str, str]:  # noqa: F811
    return {
        "SPACY_ELMO_CACHE": str(tmp_path / "cache"),
        "SPACY_ELMO_CATALOGUE": str(catalogue),
        "NO_PROXY": "127.0.0.1",
    }


def test_download_and_use(tmp_path: Path, server: Server, environment: dict[str, str]) -> None:
    def run(*arguments: str | Path) -> Result:
        return elmo(*arguments, environment=environment)

    assert_fails(run("convert", "our-pair", tmp_path / "native", "--to", "native"), "elmo download our-pair")
    result = run("download", "our-pair")
    assert result.code == 0, result.text
    assert f"our-pair is here: {tmp_path / 'cache' / 'models' / 'our-pair'}" in result.text
    n_requests = len(server.requests)
    assert run("download", "our-pair").code == 0
    assert "Licence not known" in run("info", "our-pair").text
    assert run("convert", "our-pair", tmp_path / "native", "--to", "native").code == 0
    assert (tmp_path / "native" / "model.safetensors").exists()
    assert len(server.requests) == n_requests
    assert run("download", "our-pair", "--force").code == 0
    assert len(server.requests) == 2 * n_requests


def test_faults_are_messages(server: Server, environment: dict[str, str]) -> None:
    result = elmo("download", "our-par", environment=environment)
    assert_fails(result, "'our-par' is not a published model", "Did you mean our-pair", "elmo info")
    assert_fails(elmo("download", "en_elmo_sm", environment=environment), "comes with the package")
    server.files.clear()
    assert_fails(elmo("download", "our-zip", environment=environment), "/7.zip: the server answers 404")


def test_help_tells_of_the_cache() -> None:
    text = elmo("download", "--help").text
    for words in ("SPACY_ELMO_CACHE", "--force", "python -m spacy elmo download small"):
        assert words in text


def test_converting_an_archive(tmp_path: Path, server: Server, environment: dict[str, str]) -> None:
    (tmp_path / "given.zip").write_bytes(server.files["/7.zip"])
    result = elmo("convert", tmp_path / "given.zip", tmp_path / "out", "--to", "native", environment=environment)
    assert result.code == 0, result.text
    assert (tmp_path / "out" / "config.json").exists()
