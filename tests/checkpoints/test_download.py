import json
import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import spacy

from spacy_elmo import CheckpointError, download_model, load_bilm
from spacy_elmo.checkpoints.transfer import Patience
from spacy_elmo.disk import DiskError
from tests.checkpoints.server import Server, cut_after, good, length_of, status
from tests.checkpoints.test_allennlp import OPTIONS, WEIGHTS, write_pair
from tests.checkpoints.test_archives import write_archive
from tests.checkpoints.test_source import assert_allennlp

HASTY = Patience(connect=2, stall=0.2, attempts=2, pause=0)
PAIR = ["/x/our_options.json", "/x/our_weights.hdf5"]


@pytest.fixture
def catalogue(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue with a pair, and with an archive of it, on a server that has both."""
    options, weights = write_pair(tmp_path, OPTIONS, WEIGHTS)
    contents = [options.read_bytes(), weights.read_bytes()]
    server.files.update(zip(PAIR, contents, strict=True))
    archive = write_archive(tmp_path / "7.zip", dict(zip(["options.json", "model.hdf5"], contents, strict=True)))
    server.files["/7.zip"] = archive.read_bytes()
    path = tmp_path / "catalogue.json"
    monkeypatch.setenv("SPACY_ELMO_CATALOGUE", str(path))
    return write_catalogue(path, server)


def write_catalogue(path: Path, server: Server, **facts: str | int) -> Path:
    """facts: of the last file of each model."""
    shared = {"aliases": [], "languages": ["da"], "format": "allennlp"}
    pair = [{"url": server.url(PAIR[0])}, {"url": server.url(PAIR[1]), **facts}]
    archive = [{"url": server.url("/7.zip"), **facts}]
    models = [{"name": "our-pair", **shared, "files": pair}, {"name": "our-zip", **shared, "files": archive}]
    path.write_text(json.dumps({"models": models}), "utf8")
    return path


def download(name: str, force: bool = False) -> Path:
    return download_model(name, force=force, show_progress=False, patience=HASTY)


def message_of(name: str, force: bool = False) -> str:
    with pytest.raises((CheckpointError, DiskError)) as error:
        download(name, force)
    return str(error.value)


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def asked(server: Server) -> list[str]:
    paths = [request.path for request in server.requests]
    server.requests.clear()
    return paths


@pytest.mark.parametrize(
    ("name", "paths", "files"),
    [
        ("our-pair", PAIR, ["download.json", "our_options.json", "our_weights.hdf5"]),
        ("our-zip", ["/7.zip"], ["download.json", "model.hdf5", "options.json"]),
    ],
)
def test_a_model_is_there_from_then_on(
    catalogue: Path, server: Server, cache: Path, name: str, paths: list[str], files: list[str]
) -> None:
    with pytest.raises(CheckpointError, match=f"python -m spacy elmo download {name}"):
        load_bilm(name)
    assert asked(server) == []
    directory = download(name)
    assert directory == cache / "models" / name
    assert names_in(directory) == files
    assert names_in(cache) == ["locks", "models", "unfinished"]
    assert names_in(cache / "unfinished") == []
    assert asked(server) == paths
    assert download(name) == directory
    assert_allennlp(load_bilm(name, device="cpu"))
    assert asked(server) == []


def test_the_record_has_the_digests(catalogue: Path, server: Server) -> None:
    directory = download("our-zip")
    record = json.loads((directory / "download.json").read_text("utf8"))
    url = server.url("/7.zip")
    assert record["fetched"] == {url: sha256(server.files["/7.zip"]).hexdigest()}
    assert record["files"]["model.hdf5"] == sha256(server.files[PAIR[1]]).hexdigest()


def test_the_component_takes_its_name(catalogue: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo", config={"model": {"source": "our-pair"}})
    with pytest.raises(CheckpointError, match="python -m spacy elmo download our-pair"):
        nlp("A river")
    download("our-pair")
    assert nlp("A river").tensor.shape == (2, 2 * OPTIONS["lstm"]["projection_dim"])


@pytest.mark.parametrize(("name", "words"), [("our-par", "our-pair"), ("orignal", "original"), ("zzz", "elmo info")])
def test_an_unknown_name(name: str, words: str, catalogue: Path) -> None:
    message = message_of(name)
    assert f"'{name}' is not a published model" in message
    assert words in message


def test_an_embedded_model_needs_no_download() -> None:
    assert "'en_elmo_sm' comes with the package" in message_of("en_elmo_sm")


def test_a_cut_download_goes_on_in_the_next_call(catalogue: Path, server: Server) -> None:
    server.answers.extend([good, cut_after(1500), status(503)])
    assert "2 attempts failed" in message_of("our-pair")
    asked(server)
    server.answers.append(good)
    assert_allennlp(load_bilm(download("our-pair"), device="cpu"))
    assert asked(server) == [PAIR[1]]


def test_processes_or_threads_at_once_download_once(catalogue: Path, server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        directories = set(pool.map(download, ["our-pair"] * 4))
    assert len(directories) == 1
    assert asked(server) == PAIR
    assert_allennlp(load_bilm("our-pair", device="cpu"))


# What came is checked


@pytest.mark.parametrize("name", ["our-pair", "our-zip"])
def test_the_catalogues_digest_is_demanded(catalogue: Path, server: Server, cache: Path, name: str) -> None:
    path = PAIR[1] if name == "our-pair" else "/7.zip"
    digest = sha256(server.files[path]).hexdigest()
    write_catalogue(catalogue, server, sha256=digest)
    whole = server.files[path]
    server.files[path] = whole[:-1] + bytes([whole[-1] ^ 1])
    message = message_of(name)
    assert f"{server.url(path)}: what came has the SHA-256" in message
    assert f"and not {digest}" in message
    assert not (cache / "models").exists()
    server.files[path] = whole
    download(name)


def test_the_catalogues_length_is_demanded(catalogue: Path, server: Server) -> None:
    write_catalogue(catalogue, server, bytes=len(server.files["/7.zip"]) + 1)
    assert "are expected" in message_of("our-zip")


@pytest.mark.parametrize("force", [False, True])
def test_a_damaged_model_is_found_and_replaced(catalogue: Path, server: Server, force: bool) -> None:
    weights = download("our-pair") / "our_weights.hdf5"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + b"!")
    if not force:
        message = message_of("our-pair")
        assert f"{weights} is not what was downloaded" in message
        assert "python -m spacy elmo download our-pair --force" in message
    else:
        download("our-pair", force=True)
        assert weights.read_bytes() == data


def test_a_model_without_its_record(catalogue: Path) -> None:
    directory = download("our-pair")
    (directory / "download.json").write_text("{", "utf8")
    assert f"{directory / 'download.json'} is not what was downloaded" in message_of("our-pair")
    download("our-pair", force=True)
    assert download("our-pair") == directory


def test_another_file_than_at_the_first_time(catalogue: Path, server: Server, tmp_path: Path) -> None:
    directory = download("our-pair")
    before = (directory / "our_weights.hdf5").read_bytes()
    others = {path: np.zeros_like(array) + 1 for path, array in WEIGHTS.items()}
    server.files[PAIR[1]] = write_pair(tmp_path, OPTIONS, others)[1].read_bytes()
    message = message_of("our-pair", force=True)
    assert f"{server.url(PAIR[1])}: what came has the SHA-256" in message
    assert f"delete {directory}" in message
    assert (directory / "our_weights.hdf5").read_bytes() == before
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    assert download("our-pair") == directory
    assert (directory / "our_weights.hdf5").read_bytes() == server.files[PAIR[1]]


@pytest.mark.parametrize(("name", "path"), [("our-pair", PAIR[1]), ("our-zip", "/7.zip"), ("our-pair", PAIR[0])])
def test_what_is_no_model_does_not_stay(catalogue: Path, server: Server, cache: Path, name: str, path: str) -> None:
    """A page of a captive portal, say, or a file that the server cut and says that it is whole."""
    whole = server.files[path]
    for broken in (b"<html>Please log in</html>" * 100, whole[: len(whole) // 2]):
        server.files[path] = broken
        message = message_of(name)
        assert f"What came from {server.url(PAIR[0] if name == 'our-pair' else path)}" in message
        assert "is no whole model" in message
        assert not list((cache / "models").iterdir())
        assert names_in(cache / "unfinished") == []
    server.files[path] = whole
    download(name)


def test_a_server_that_states_less_than_there_is(catalogue: Path, server: Server) -> None:
    server.answers.extend([good, length_of(1500)])
    assert "is no whole model" in message_of("our-pair")


def test_a_pair_of_two_models(catalogue: Path, server: Server) -> None:
    options = {**OPTIONS, "lstm": {**OPTIONS["lstm"], "dim": 99}}
    server.files[PAIR[0]] = json.dumps(options).encode("utf8")
    assert "contradicts" in message_of("our-pair")


def test_a_model_of_another_format(catalogue: Path, server: Server, tmp_path: Path) -> None:
    server.files["/7.zip"] = write_archive(
        tmp_path / "7.zip", {"config.json": b"", "model.safetensors": b""}
    ).read_bytes()
    assert "is a model in the format native, not allennlp" in message_of("our-zip")


def test_what_is_left_of_another_address_is_not_used(catalogue: Path, server: Server) -> None:
    server.answers.extend([good, status(404)])
    message_of("our-pair")
    text = catalogue.read_text("utf8").replace("/x/our_options.json", "/y/our_options.json")
    catalogue.write_text(text, "utf8")
    server.files["/y/our_options.json"] = server.files.pop(PAIR[0])
    asked(server)
    download("our-pair")
    assert asked(server) == ["/y/our_options.json", PAIR[1]]


def test_a_failed_update_leaves_the_old_model(catalogue: Path, server: Server) -> None:
    directory = download("our-pair")
    server.answers.extend([status(404)])
    message_of("our-pair", force=True)
    assert download("our-pair") == directory


def test_a_change_that_was_killed_half_way_is_undone(catalogue: Path, server: Server, cache: Path) -> None:
    directory = download("our-pair")
    directory.rename(cache / "models" / ".our-pair.0123abcd.old")
    asked(server)
    assert load_bilm("our-pair", device="cpu")
    directory.rename(cache / "models" / ".our-pair.0123abcd.old")
    assert download("our-pair") == directory
    assert asked(server) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_without_permission(catalogue: Path, cache: Path) -> None:
    cache.chmod(0o500)
    assert "SPACY_ELMO_CACHE" in message_of("our-pair")


def test_a_cache_that_is_a_file(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACY_ELMO_CACHE", str(catalogue))
    message = message_of("our-pair")
    assert str(catalogue) in message
    assert "SPACY_ELMO_CACHE" in message
