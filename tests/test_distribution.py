"""What is installed, and what a source distribution holds."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def git_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git repository")
    return [name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).exists()]


def build(kind: str, source: Path, target: Path) -> Path:
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution of the files in git, unpacked."""
    pytest.importorskip("setuptools", "77", reason="building takes setuptools 77")
    source, target = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("sdist")
    for name in git_files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, source / name)
    with tarfile.open(build("sdist", source, target)) as archive:
        archive.extractall(target)
    (directory,) = (path for path in target.iterdir() if path.is_dir())
    return directory


def test_a_source_distribution_has_all_that_is_in_git(unpacked: Path) -> None:
    found = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert set(git_files()) - found == set()
    added = found - set(git_files())
    assert {name for name in added if "egg-info" not in name} == {"PKG-INFO", "setup.cfg"}


def test_a_source_distribution_tests_itself(unpacked: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/corpus/test_files.py"]
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout


def test_a_wheel_made_of_it_has_the_package_with_its_configs(unpacked: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(build("wheel", unpacked, tmp_path)) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = (".cpp", ".hpp", ".inc")
    package = {name for name in git_files() if name.startswith("spacy_elmo/") and not name.endswith(sources)}
    # Where there is a compiler.
    library = {name for name in names if name.startswith("spacy_elmo/bilm/native/_kernel.")}
    assert len(library) <= 1
    configs = {f"spacy_elmo/{name}" for name in git_files() if name.startswith("configs/")}
    assert len(configs) > 10
    assert names == package | configs | library
