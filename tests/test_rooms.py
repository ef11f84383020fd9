"""The rooms of the package stand in a row, and imports point one way. The rules are import-linter's contracts, in
pyproject.toml; here are those that it has no contract for, and that the contracts find what breaks them.
"""

import shutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from .conftest import REPOSITORY

# All that a room may import from outside the package, beside the standard library.
ONLY = {"disk": {"filelock"}, "bilm": {"numpy", "torch"}}


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    """As `lint-imports` does it, on the package and by the contracts that lie in a directory."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300, check=False)


def strangers(graph: grimp.ImportGraph, package: str) -> list[str]:
    """Imports from outside of what a room may not import."""
    return [
        f"{module} imports {imported}"
        for room, allowed in ONLY.items()
        for module in sorted({f"{package}.{room}"} | graph.find_descendants(f"{package}.{room}"))
        for imported in sorted(graph.find_modules_directly_imported_by(module))
        if graph.is_module_squashed(imported) and imported not in allowed | sys.stdlib_module_names
    ]


def cycle(graph: grimp.ImportGraph, package: str) -> list[str]:
    """The modules of an import cycle, empty where there is none."""
    modules = {package} | graph.find_descendants(package)
    try:
        TopologicalSorter({one: graph.find_modules_directly_imported_by(one) & modules for one in modules}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_contracts_are_kept() -> None:
    done = lint_imports(REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rooms_import_from_outside_only_what_they_may() -> None:
    graph = grimp.build_graph("spacy_elmo", include_external_packages=True, cache_dir=None)
    assert "torch" in graph.find_modules_directly_imported_by("spacy_elmo.bilm.model")
    assert strangers(graph, "spacy_elmo") == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions count; those for types alone do not."""
    graph = grimp.build_graph("spacy_elmo", exclude_type_checking_imports=True, cache_dir=None)
    assert "spacy_elmo.bilm" in graph.find_modules_directly_imported_by("spacy_elmo.checkpoints")
    assert cycle(graph, "spacy_elmo") == []


# The rules themselves, on a package of ours that is broken, and on one made up


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's code and the contracts."""
    folder = tmp_path_factory.mktemp("copied")
    shutil.copytree(REPOSITORY / "spacy_elmo", folder / "spacy_elmo", ignore=shutil.ignore_patterns("assets", "__py*"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    return folder


@pytest.mark.parametrize(
    ("file", "statement", "contract"),
    [
        ("bilm/model.py", "from ..checkpoints import load_bilm", "Rooms import those before them"),
        ("disk/digest.py", "def f():\n    from ..bilm.model import BiLM", "Rooms import those before them"),
        ("layers/shim.py", "if TYPE_CHECKING:\n    from ..pipeline import component", "Rooms import those before them"),
        ("pretraining/trainer.py", "import spacy_elmo.layers.shim", "Rooms import those before them"),
        ("tools.py", "", "Rooms import those before them"),
        ("bilm/model.py", "from .. import BiLMConfig as Config", "Nothing imports the package's own face"),
        ("checkpoints/native.py", "from thinc.api import Model", "Files and drop-ins know no spaCy"),
        ("allennlp/elmo.py", "def f():\n    import spacy", "Files and drop-ins know no spaCy"),
    ],
)
def test_the_contracts_find(copied: Path, file: str, statement: str, contract: str) -> None:
    path = copied / "spacy_elmo" / file
    before = path.read_text("utf8") if path.exists() else None
    path.write_text(f"{before or ''}\n{statement}\n", "utf8")
    try:
        done = lint_imports(copied)
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before, "utf8")
    assert done.returncode == 1, done.stderr
    assert f"{contract} BROKEN" in done.stdout


def made_up(directory: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> grimp.ImportGraph:
    """A package of these files, whose name is the directory's."""
    (directory / "disk").mkdir(parents=True)
    for name, content in {"__init__": "", "bilm": "", "disk/__init__": "", **files}.items():
        (directory / f"{name}.py").write_text(content, "utf8")
    monkeypatch.syspath_prepend(str(directory.parent))
    return grimp.build_graph(
        directory.name, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


def test_an_import_from_outside_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"bilm": "import json, torch.nn\ndef f():\n    import h5py.version", "disk/whole": "import os, numpy"}
    graph = made_up(tmp_path / "made_up_one", monkeypatch, **files)
    assert strangers(graph, "made_up_one") == ["made_up_one.disk.whole imports numpy", "made_up_one.bilm imports h5py"]


def test_a_cycle_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"a": "from .b import x", "b": "from . import c", "c": "def f():\n    from .a import y"}
    found = cycle(made_up(tmp_path / "made_up_two", monkeypatch, **files), "made_up_two")
    assert set(found) == {"made_up_two.a", "made_up_two.b", "made_up_two.c"}
    files["c"] = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import y"
    assert cycle(made_up(tmp_path / "made_up_three", monkeypatch, **files), "made_up_three") == []
    # A room's face, too, is a module that can be part of one.
    files = {"disk/__init__": "from .whole import x", "disk/whole": "from ..disk import y"}
    found = cycle(made_up(tmp_path / "made_up_four", monkeypatch, **files), "made_up_four")
    assert set(found) == {"made_up_four.disk", "made_up_four.disk.whole"}
