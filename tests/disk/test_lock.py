import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spacy_elmo.disk import DiskError, lock

HOLDER = """
import sys
from pathlib import Path
from spacy_elmo.disk import lock
with lock(Path(sys.argv[1]), "the work"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_keeps_other_processes_out_and_goes_with_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["spacy_elmo.disk.lock"], "SILENT", 0.0)
    path = tmp_path / "deep" / "work.lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with lock(tmp_path / "other.lock", "other work"):
            pass
        with (
            pytest.raises(DiskError, match=f"^the work is in use by another process, which holds {path}"),
            lock(path, "the work"),
        ):
            pass
        threading.Timer(0.2, holder.kill).start()
        with pytest.warns(UserWarning, match=r"^the work is in use .* waits"), lock(path, "the work", wait=True):
            pass
    with lock(path, "the work"):
        pass


def test_a_lock_is_free_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), lock(tmp_path / "lock", "the work"):
            _ = 1 / 0


def test_a_lock_that_cannot_be_made_is_a_fault_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "lock"
    with pytest.raises(DiskError, match=r"could not be written .*\. Choose another place\.$"), lock(path, "the work"):
        pass
