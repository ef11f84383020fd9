import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spacy_elmo.disk import DiskError, directory, new_directory, settle, write_whole
from tests.disk.full import full_disk
from tests.disk.killed import kill_often


def fill(path: Path, value: str, n_files: int = 3) -> None:
    for i in range(n_files):
        (path / f"file-{i}").write_text(value)


def content(path: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in path.iterdir()}


def write(path: Path, value: str, *, overwrite: bool = False) -> None:
    with new_directory(path, overwrite=overwrite) as unfinished:
        fill(unfinished, value)


WRITER = """
import sys
from itertools import count
from pathlib import Path
from spacy_elmo.disk import directory, new_directory
if sys.argv[2] == "two renames":
    directory._exchange = lambda one, other: False
print("ready", flush=True)
for value in count():
    with new_directory(sys.argv[1], overwrite=True) as unfinished:
        for i in range(3):
            (unfinished / f"file-{i}").write_text(str(value))
"""


@pytest.mark.parametrize("way", ["exchange", "two renames"])
def test_a_killed_writer_leaves_the_old_directory_or_the_new_one(tmp_path: Path, way: str) -> None:
    path = tmp_path / "model"
    write(path, "first")
    leftovers = 0
    for _ in kill_often(WRITER, path, way, times=12):
        settle(path)
        values = content(path)
        assert sorted(values) == ["file-0", "file-1", "file-2"]
        assert len(set(values.values())) == 1
        leftovers += len(list(tmp_path.iterdir())) - 1
    assert leftovers  # some were killed on the way
    write(path, "last", overwrite=True)
    assert list(tmp_path.iterdir()) == [path]
    assert set(content(path).values()) == {"last"}


def test_a_directory_that_was_set_aside_gets_its_name_back(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write(path, "old")
    path.rename(tmp_path / ".model.0123abcd.old")
    settle(tmp_path / "mode")
    assert not path.exists()
    settle(path)
    assert set(content(path).values()) == {"old"}
    path.rename(tmp_path / ".model.0123abcd.old")
    with pytest.raises(FileExistsError):
        write(path, "new")
    path.rename(tmp_path / ".model.0123abcd.old")
    write(path, "new", overwrite=True)
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_is_at_work_keeps_what_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with new_directory(path) as unfinished:
        fill(unfinished, "slow")
        write(path, "quick")
        write_whole(tmp_path / "other", b"")
        assert len(content(unfinished)) == 3
        (path / "file-0").unlink()
        for left in list(path.iterdir()):
            left.unlink()
    assert set(content(path).values()) == {"slow"}


def test_of_two_writers_the_later_one_finds_the_name_taken(tmp_path: Path) -> None:
    path = tmp_path / "model"

    def write_slowly() -> None:
        with new_directory(path) as unfinished:
            fill(unfinished, "slow")
            write(path, "quick")

    with pytest.raises(FileExistsError, match="model is there already"):
        write_slowly()
    assert set(content(path).values()) == {"quick"}
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_there_is_replaced_only_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model"
    write(path, "old")
    with pytest.raises(FileExistsError, match="deep/model is there already and not empty; choose"):
        write(path, "new")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="file is a file, and a directory"):
        write(tmp_path / "file", "new", overwrite=True)
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", "new")
    assert set(content(tmp_path / "empty").values()) == {"new"}
    assert set(content(path).values()) == {"old"}


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write(path, "old")

    def fail() -> None:
        with new_directory(path, overwrite=True) as unfinished:
            fill(unfinished, "new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert set(content(path).values()) == {"old"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write(path, "old")
    with full_disk(10), pytest.raises(DiskError) as error:
        write(path, "new" * 100, overwrite=True)
    assert str(error.value).startswith(f"{path}: could not be written ([Errno 27] File too large). Free some space")
    assert set(content(path).values()) == {"old"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_fault_of_another_file_is_not_the_disks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_directory(tmp_path / "model"):
        (tmp_path / "model.txt").read_bytes()
    with pytest.raises(DiskError, match="model: could not be written"), new_directory(tmp_path / "model") as unfinished:
        (unfinished / "missing" / "file").write_text("")
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=r"File exists.*file.\)"), new_directory(tmp_path / "file" / "model"):
        pass


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o002, 0o775), (0o077, 0o700)])
def test_the_umask_is_honoured(tmp_path: Path, umask: int, mode: int) -> None:
    program = "import os, sys, pathlib; os.umask(int(sys.argv[2])); from tests.disk.test_directory import write\n"
    program += "write(pathlib.Path(sys.argv[1]), 'new')"
    subprocess.run([sys.executable, "-c", program, tmp_path / "model", str(umask)], check=True)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "model" / "file-0").stat().st_mode) == mode & 0o666


def test_what_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write(path, "old")
    path.chmod(0o710)
    write(path, "new", overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o710


def test_a_link_stays_one(tmp_path: Path) -> None:
    write(tmp_path / "model", "old")
    (tmp_path / "link").symlink_to("model")
    write(tmp_path / "link", "new", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert set(content(tmp_path / "model").values()) == {"new"}


def test_all_of_it_is_on_the_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    with new_directory(tmp_path / "model") as unfinished:
        (unfinished / "inner").mkdir()
        fill(unfinished / "inner", "new")
    inner = [str(unfinished / "inner" / f"file-{i}") for i in range(3)]
    assert sorted(synced[:3]) == inner
    assert synced[3:] == [str(unfinished / "inner"), str(unfinished), str(tmp_path)]


def test_an_exchange_is_one_step_here(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("other systems may have none")
    for name in ("one", "other"):
        write(tmp_path / name, name)
    assert directory._exchange(tmp_path / "one", tmp_path / "other")
    assert set(content(tmp_path / "one").values()) == {"other"}
    with pytest.raises(FileNotFoundError):
        directory._exchange(tmp_path / "one", tmp_path / "third")
