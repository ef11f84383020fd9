import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from spacy_elmo.disk import DiskError, digest, leftovers, new_directory, new_file, write_whole
from tests.disk.full import full_disk
from tests.disk.killed import kill_often

WRITER = """
import sys
from itertools import cycle
from spacy_elmo.disk import write_whole
print("ready", flush=True)
for letter in cycle(b"abc"):
    write_whole(sys.argv[1], bytes([letter]) * 1_000_000)
"""


def test_a_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"a" * 1_000_000)
    leftovers = 0
    for _ in kill_often(WRITER, path, times=12):
        data = path.read_bytes()
        assert data == data[:1] * 1_000_000
        leftovers += len(list(tmp_path.iterdir())) - 1
    assert leftovers
    write_whole(path, b"last")
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"old")
    with full_disk(10), pytest.raises(DiskError, match=r"file: could not be written \(.* File too large\)"):
        write_whole(tmp_path / "file", bytes(100))
    assert (tmp_path / "file").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_file_written_piece_by_piece_takes_its_name_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with pytest.raises(TypeError), new_file(path) as unfinished:
        unfinished.write_bytes("half")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with new_file(path) as unfinished:
        for piece in (b"n", b"ew"):
            with unfinished.open("ab") as file:
                file.write(piece)
            assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_other_names_are_let_be(tmp_path: Path) -> None:
    others = [".file.0123abcd.news", ".file.txt.0123abcd.new", ".file.0123ABCD.new", "file.0123abcd.new"]
    for name in [*others, ".file.0123abcd.new", ".file.4567abcd.old"]:
        (tmp_path / name).touch()
    write_whole(tmp_path / "file", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["file", *others])


def test_permissions_are_the_umasks_or_those_of_what_is_replaced(tmp_path: Path) -> None:
    write_whole(tmp_path / "deep" / "file", b"new")
    (tmp_path / "plain").write_bytes(b"new")
    usual = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "deep" / "file").stat().st_mode) == usual
    (tmp_path / "plain").chmod(0o600)
    write_whole(tmp_path / "plain", b"newer")
    assert stat.S_IMODE((tmp_path / "plain").stat().st_mode) == 0o600


def test_a_digest_is_that_of_the_files_as_one(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"a")
    (tmp_path / "other").write_bytes(b"bc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", as FIPS 180-2 has it
    assert digest(tmp_path / "one", tmp_path / "other") == known


def test_nothing_is_opened_where_there_are_no_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, which opens no directory, and renames nothing that is open."""

    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(leftovers, "fcntl", None)
    monkeypatch.setattr(leftovers, "os", SimpleNamespace(**{**vars(os), "open": refuse}))
    for text in ("one", "other"):
        write_whole(tmp_path / "file", text.encode())
        with new_directory(tmp_path / "directory", overwrite=True) as unfinished:
            (unfinished / "file").write_text(text)
        assert (tmp_path / "file").read_text() == (tmp_path / "directory" / "file").read_text() == text
