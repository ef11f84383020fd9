import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from random import Random

import numpy as np
import pytest

from spacy_elmo import BiLM, CheckpointError, load_bilm, save_bilm
from spacy_elmo.checkpoints import archives
from spacy_elmo.checkpoints.archives import unpack, unpacked
from spacy_elmo.checkpoints.source import locate
from spacy_elmo.disk import DiskError
from tests.checkpoints.test_allennlp import OPTIONS, WEIGHTS, write_pair

Files = dict[str, bytes]
ENDINGS = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".ZIP"]
NOISE = Random(0).randbytes(20_000)


def write_archive(path: Path, files: Files) -> Path:
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    mode = {".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def contents_of(directory: Path) -> Files:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.fixture
def pair(tmp_path: Path) -> Files:
    """The files of an AllenNLP model under NLPL's names."""
    options, weights = write_pair(tmp_path, OPTIONS, WEIGHTS)
    return {
        "options.json": options.read_bytes(),
        "model.hdf5": weights.read_bytes(),
        "vocab.txt.gz": b"",
        "README": b"",
    }


def refusal(path: Path, directory: Path) -> str:
    """The message by which an archive is refused. Nothing may have come out of the directory."""
    around = sorted(directory.parent.iterdir())
    directory.mkdir()
    with pytest.raises(CheckpointError) as error:
        unpack(path, directory)
    assert sorted(directory.parent.iterdir()) == sorted([*around, directory])
    assert str(path) in str(error.value)
    return str(error.value)


# Archives of models


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("inner", ["", "204/", "./204/"])
def test_an_archive_of_a_pair(tmp_path: Path, cache: Path, pair: Files, ending: str, inner: str) -> None:
    path = write_archive(tmp_path / f"204{ending}", {f"{inner}{name}": content for name, content in pair.items()})
    bilm = load_bilm(path, device="cpu")
    np.testing.assert_array_equal(bilm.char_cnn.projection.bias.detach(), WEIGHTS["CNN_proj/b_proj"])
    assert cache in locate(str(path)).directory.parents


@pytest.mark.parametrize("ending", [".zip", ".tgz"])
def test_an_archive_of_a_native_model(tmp_path: Path, tiny_bilm: BiLM, ending: str) -> None:
    files = contents_of(save_bilm(tiny_bilm, tmp_path / "tiny"))
    assert load_bilm(write_archive(tmp_path / f"tiny{ending}", files), device="cpu").config == tiny_bilm.config


def test_an_archive_of_a_manylangs_model(tmp_path: Path) -> None:
    names = ["de.model/token_embedder.pkl", "de.model/encoder.pkl", "de.model/config.json", "de.model/char.dic"]
    location = locate(write_archive(tmp_path / "142.zip", dict.fromkeys(names, b"x")))
    assert (location.format.name, location.directory.name) == ("manylangs", "de.model")


def test_an_archive_may_hold_its_own_directory(tmp_path: Path, pair: Files) -> None:
    """As `tar -cf a.tar .` makes it."""
    for name, content in pair.items():
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_bytes(content)
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(tmp_path / "model", ".")
        assert archive.getnames()[0] == "."
        archive.add(tmp_path / "model", "./", recursive=False)
    np.testing.assert_array_equal(
        load_bilm(path, device="cpu").char_cnn.projection.bias.detach(), WEIGHTS["CNN_proj/b_proj"]
    )


def test_what_is_not_the_models_stays_out(tmp_path: Path) -> None:
    files = {"a/model.hdf5": b"1", "a/._model.hdf5": b"2", "__MACOSX/a/._model.hdf5": b"3", ".DS_Store": b"4"}
    unpack(write_archive(tmp_path / "a.zip", files), tmp_path)
    assert contents_of(tmp_path / "a") == {"model.hdf5": b"1"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.zip"]


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.zip", {"notes.txt": b"x"})
    with pytest.raises(CheckpointError, match=r"a\.zip, unpacked: .* is not an ELMo model.* It holds: notes\.txt"):
        load_bilm(path)


# The cache


def test_an_archive_is_unpacked_once_and_again_when_it_changed(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_archive(tmp_path / "a.zip", {"old": b"1"})
    first = unpacked(path)
    with monkeypatch.context() as patched:
        patched.setattr(archives, "unpack", None)
        monkeypatch.chdir(tmp_path)
        assert unpacked(Path("a.zip")) == first
    n_bytes = path.stat().st_size
    write_archive(path, {"new": b"2"})
    assert path.stat().st_size == n_bytes
    os.utime(path, ns=(0, 0))
    assert contents_of(unpacked(path)) == {"new": b"2"}
    assert not first.exists()
    assert {name.rpartition("/")[2] for name in contents_of(cache / "archives")} == {"new"}


def test_a_failure_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    path = write_archive(tmp_path / "a.tar", {"a": NOISE, "../b": b"1"})
    with pytest.raises(CheckpointError):
        unpacked(path)
    assert contents_of(cache / "archives") == {}
    # A process that is killed cannot tidy up; the next one does.
    home = next((cache / "archives").iterdir())
    (home / "unfinished-1").mkdir()
    write_archive(path, {"a": NOISE})
    assert [directory.name for directory in unpacked(path).parent.iterdir()] == [unpacked(path).name]


def _unpacked(path: Path) -> Files:
    return contents_of(unpacked(path))


def test_processes_at_once_see_whole_models(tmp_path: Path) -> None:
    files = {f"{i}": NOISE for i in range(40)}
    path = write_archive(tmp_path / "a.zip", files)
    with get_context("fork").Pool(4) as pool:
        assert pool.map(_unpacked, [path] * 4, chunksize=1) == [files] * 4


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_archive(tmp_path / "a.zip", {"a": b"1"})
    monkeypatch.setenv("SPACY_ELMO_CACHE", str(path / "below"))
    with pytest.raises(DiskError, match=r"could not be written .*SPACY_ELMO_CACHE"):
        unpacked(path)


# Archives that do harm


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tgz"])
@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/evil", "//evil", "C:/evil", "C:evil", "..\\evil", "a\\..\\..\\evil", "a:stream"],
)
def test_names_that_lead_out_are_refused(tmp_path: Path, ending: str, name: str) -> None:
    path = write_archive(tmp_path / f"a{ending}", {name: b"x"})
    assert "leads out of the archive" in refusal(path, tmp_path / "inner")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"]
)
def test_links_and_devices_in_tars_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("model.hdf5")
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(info)
    if kind != b"Z":  # unknown kinds count as files, as the format demands
        assert "a link or a device" in refusal(tmp_path / "a.tar", tmp_path / "inner")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_zips_are_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("model.hdf5")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert "a link or a device" in refusal(tmp_path / "a.zip", tmp_path / "inner")


@pytest.mark.parametrize("ending", [".zip", ".tgz", ".tar.bz2"])
def test_bombs_are_refused(tmp_path: Path, ending: str) -> None:
    path = write_archive(tmp_path / f"a{ending}", {f"{i}": bytes(1_000_000) for i in range(30)})
    assert "would unpack to more than" in refusal(path, tmp_path / "inner")
    limit = path.stat().st_size * archives.MAX_RATIO
    assert sum(map(len, contents_of(tmp_path / "inner").values())) <= limit


@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_too_many_files_are_refused(tmp_path: Path, ending: str) -> None:
    path = write_archive(tmp_path / f"a{ending}", {f"{i}": b"" for i in range(archives.MAX_FILES + 1)})
    assert "more than 200 files" in refusal(path, tmp_path / "inner")


def test_too_many_directories_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for i in range(archives.MAX_FILES + 1):
            info = tarfile.TarInfo(str(i))
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
    assert "more than 200 files" in refusal(path, tmp_path / "inner")


def test_more_than_any_model_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 30_000)
    path = write_archive(tmp_path / "a.tar", {"a": NOISE, "b": NOISE})
    assert "more than 30,000 bytes" in refusal(path, tmp_path / "inner")


def test_headers_that_fill_the_memory_are_refused(tmp_path: Path) -> None:
    """A name of 64 MB, of which the archive has 64 KB."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 64 * 1024**2
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    assert "a header of 67,108,864 bytes" in refusal(path, tmp_path / "inner")


def test_something_behind_the_last_file_is_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.tar", {"a": NOISE})
    with gzip.open(tmp_path / "a.tgz", "wb") as file:
        file.write(path.read_bytes() + bytes(2_000_000))
    assert "something behind its last file" in refusal(tmp_path / "a.tgz", tmp_path / "inner")


@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_two_files_of_one_name_are_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", b"1")
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("a", b"2")
    else:
        write_archive(path, {"a": b"1", "./a": b"2"})
    assert "holds two files" in refusal(path, tmp_path / "inner")


@pytest.mark.parametrize("names", [["a", "a/b"], ["a/b", "a"]])
def test_a_file_and_a_directory_of_one_name_are_refused(tmp_path: Path, names: list[str]) -> None:
    path = write_archive(tmp_path / "a.zip", dict.fromkeys(names, b"1"))
    assert "a file where there should be a directory" in refusal(path, tmp_path / "inner")


def test_a_password_is_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.zip", {"a": NOISE})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1  # the flag in the directory at the end
    data[6] |= 1
    path.write_bytes(data)
    assert "has a password. Unpack it yourself" in refusal(path, tmp_path / "inner")


# Damaged archives


def nothing(data: bytes) -> bytes:
    return b""


def text(data: bytes) -> bytes:
    return b"<html>404 Not Found</html>\n" * 100


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]


# A .tar has no sum of its contents, in which a wrong byte would show.
DAMAGES = [
    (ending, damage)
    for ending in (".zip", ".tar", ".tgz", ".tar.bz2")
    for damage in (nothing, text, half, flipped)
    if (ending, damage) != (".tar", flipped)
]


@pytest.mark.parametrize(("ending", "damage"), DAMAGES)
def test_a_damaged_archive(tmp_path: Path, ending: str, damage: Callable[[bytes], bytes]) -> None:
    path = write_archive(tmp_path / f"a{ending}", {"model.hdf5": NOISE})
    path.write_bytes(damage(path.read_bytes()))
    message = refusal(path, tmp_path / "inner")
    assert "not a whole archive" in message or "not readable" in message


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tgz"])
def test_random_damages_are_errors_of_checkpoints(tmp_path: Path, ending: str) -> None:
    """Whatever is damaged, it is refused, or what comes out is what was meant to."""
    path = write_archive(tmp_path / f"a{ending}", {"a/options.json": b"{}", "a/model.hdf5": NOISE[:3000]})
    whole, random = path.read_bytes(), Random(1)
    for i in range(150):
        data = bytearray(whole)
        for _ in range(random.choice([1, 3, 30])):
            data[random.randrange(len(data))] = random.randrange(256)
        path.write_bytes(data[: random.choice([len(data), random.randrange(len(data))])])
        directory = tmp_path / f"{i}"
        directory.mkdir()
        try:
            unpack(path, directory)
        except CheckpointError as error:
            assert str(path) in str(error)  # noqa: PT017
