import stat
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from spacy_elmo.checkpoints.cache import Output, cache_directory, exclusive
from spacy_elmo.disk import DiskError


def test_the_cache_is_where_the_environment_says(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_directory() == cache
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("SPACY_ELMO_CACHE", "~/elmo")
    assert cache_directory() == Path("/home/somebody/elmo")
    monkeypatch.delenv("SPACY_ELMO_CACHE")
    assert cache_directory() == Path("/home/somebody/.cache/spacy-elmo")
    monkeypatch.setenv("SPACY_ELMO_CACHE", "")
    assert cache_directory() == Path("/home/somebody/.cache/spacy-elmo")


@pytest.mark.parametrize(("start", "content"), [(0, b"xyz"), (2, b"01xyz"), (10, b"0123456789xyz")])
def test_output_takes_the_place_of_what_was_there(tmp_path: Path, start: int, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    output = Output(path, start)
    output.write(b"xyz")
    output.close()
    assert path.read_bytes() == content


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
@pytest.mark.parametrize("n_bytes", [1, 1_000_000])
def test_a_full_disk_shows_in_the_end_at_the_latest(n_bytes: int) -> None:
    def fill() -> None:
        with closing(Output(Path("/dev/full"))) as output:
            output.write(bytes(n_bytes))

    with pytest.raises(DiskError, match=r"/dev/full: could not be written .*SPACY_ELMO_CACHE"):
        fill()
    assert issubclass(DiskError, OSError)


HOLDER = """
import sys
from spacy_elmo.checkpoints.cache import exclusive
with exclusive("work"):
    print("held", flush=True)
    sys.stdin.read()
    print("done", flush=True)
"""


def test_a_lock_waits_for_another_process_and_goes_with_it(cache: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with exclusive("other work"):
            pass
        with pytest.raises(Timeout):
            FileLock(cache / "locks" / "work.lock").acquire(timeout=0)
        holder.kill()
        with exclusive("work"):
            pass


NO_HOME = """
import os, pwd, sys
def unknown(number):
    raise KeyError(number)
pwd.getpwuid = unknown
os.environ.pop("HOME", None)
os.environ.pop("SPACY_ELMO_CACHE", None)
from spacy_elmo.checkpoints import download_model, load_bilm
from spacy_elmo.checkpoints.published import catalogue, downloaded
assert load_bilm("en_elmo_sm").config.n_layers == 2
assert not any(downloaded(name) for name in catalogue())
for call in (download_model, load_bilm):
    try:
        call(sys.argv[1])
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_a_user_without_a_home_is_told_what_to_set(tmp_path: Path) -> None:
    """As in a container that runs under a number of its own."""
    (tmp_path / "a.zip").write_bytes(b"")
    run = subprocess.run([sys.executable, "-c", NO_HOME, "small"], capture_output=True, text=True, check=True)
    download, load = run.stdout.splitlines()
    assert download.startswith("DiskError There is no home directory to keep models in. Set the environment variable")
    assert load.startswith("CheckpointError 'small' is a published model that is not on this machine yet.")


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_what_is_unpacked_can_be_shared_as_the_umask_has_it(tmp_path: Path, cache: Path, umask: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("deep/a", b"x")
    program = "import os, sys; os.umask(int(sys.argv[1])); from pathlib import Path; "
    program += "from spacy_elmo.checkpoints.archives import unpacked; unpacked(Path(sys.argv[2]))"
    subprocess.run([sys.executable, "-c", program, str(umask), tmp_path / "a.zip"], check=True)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in cache.rglob("*")}
    assert len(modes) == 7
    for path, mode in modes.items():
        assert mode == (0o777 if path.is_dir() else 0o666) & ~umask, path
