"""The rooms of the package stand in a row, and imports point one way."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import spacy_elmo

PACKAGE = Path(spacy_elmo.__file__).parent

# A room may import those above it. Rooms in one line stand side by side, and do not import each other.
ROWS = [
    {"about", "errors"},
    {"disk"},
    {"bilm"},
    {"checkpoints", "corpus"},
    {"language"},
    {"pretraining", "layers", "allennlp", "elmoformanylangs", "simple_elmo"},
    {"pipeline"},
    {"explain", "embedding"},
    {"cli"},
    {""},  # the package's own __init__.py, its face to users
]
LEVELS = {room: level for level, rooms in enumerate(ROWS) for room in rooms}

# What a room may import from outside the package, beside the standard library; or what it may not.
ONLY = {"disk": {"filelock"}, "bilm": {"numpy", "torch"}}
_SPACY = {"spacy", "thinc", "spacy_transformers", "transformers"}
NOT = dict.fromkeys(("checkpoints", "allennlp", "elmoformanylangs", "simple_elmo"), _SPACY)


@dataclass(frozen=True)
class Import:
    """That a module imports another; both by their dotted names."""

    module: str
    imported: str
    line: int
    for_types_only: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.imported}"


@dataclass(frozen=True)
class Tree:
    """A package's modules and the imports in them, also those inside functions and under TYPE_CHECKING."""

    name: str
    modules: frozenset[str]
    imports: tuple[Import, ...]

    @classmethod
    def of(cls, directory: Path) -> "Tree":
        files = {_module_name(path, directory): path for path in sorted(directory.rglob("*.py"))}
        modules = frozenset(files)
        imports = [found for module, path in files.items() for found in _imports(module, path, modules)]
        return cls(directory.name, modules, tuple(imports))

    def room(self, module: str) -> str | None:
        """The room that a module is in; None where it is not in the package."""
        package, _, rest = module.partition(".")
        return rest.split(".")[0] if package == self.name else None


def _module_name(path: Path, directory: Path) -> str:
    parts = [directory.name, *path.relative_to(directory).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(module: str, path: Path, modules: frozenset[str]) -> Iterator[Import]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    syntax = ast.parse(path.read_text("utf8"), str(path))
    for_types = {id(node) for block in ast.walk(syntax) if _is_type_checking(block) for node in _body(block)}
    for node in ast.walk(syntax):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for imported in sorted(_imported(node, package, modules)):
                yield Import(module, imported, node.lineno, id(node) in for_types)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _body(block: ast.AST) -> Iterator[ast.AST]:
    assert isinstance(block, ast.If)
    for statement in block.body:
        yield from ast.walk(statement)


def _imported(node: ast.Import | ast.ImportFrom, package: str, modules: frozenset[str]) -> set[str]:
    """The modules that a statement imports: of `from a import b` a.b where that is a module, else a."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    base = node.module or ""
    if node.level:
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, base] if base else above)
    members = {f"{base}.{alias.name}" for alias in node.names}
    return {member if member in modules else base for member in members}


def strangers(tree: Tree) -> list[str]:
    """Modules in no known room."""
    return sorted(module for module in tree.modules if tree.room(module) not in LEVELS)


def upward_imports(tree: Tree) -> list[str]:
    faults = []
    for found in tree.imports:
        own, other = tree.room(found.module), tree.room(found.imported)
        if own in LEVELS and other in LEVELS and own != other and LEVELS[own] <= LEVELS[other]:
            faults.append(str(found))
    return faults


def unwanted_imports(tree: Tree) -> list[str]:
    faults = []
    for found in tree.imports:
        room, root = tree.room(found.module) or "", found.imported.split(".")[0]
        foreign = root != tree.name and root not in sys.stdlib_module_names
        if foreign and (root in NOT.get(room, set()) or (room in ONLY and root not in ONLY[room])):
            faults.append(str(found))
    return faults


def cycle(tree: Tree) -> list[str]:
    """The modules of an import cycle, empty where there is none. Imports for types alone do not count."""
    graph: dict[str, set[str]] = {module: set() for module in tree.modules}
    for found in tree.imports:
        if found.imported in tree.modules and not found.for_types_only:
            graph[found.module].add(found.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree.of(PACKAGE)


def test_the_package_was_read(tree: Tree) -> None:
    assert {"spacy_elmo", "spacy_elmo.bilm.engine", "spacy_elmo.checkpoints.native"} <= tree.modules
    pairs = {(found.module, found.imported): found for found in tree.imports}
    assert pairs["spacy_elmo.bilm.engine", "spacy_elmo.bilm.model"].for_types_only
    assert not pairs["spacy_elmo.bilm.model", "spacy_elmo.bilm.engine"].for_types_only
    assert ("spacy_elmo.checkpoints.allennlp", "h5py") in pairs


def test_every_module_is_in_a_known_room(tree: Tree) -> None:
    assert strangers(tree) == []


def test_no_room_imports_a_higher_one(tree: Tree) -> None:
    assert upward_imports(tree) == []


def test_rooms_import_from_outside_only_what_they_may(tree: Tree) -> None:
    assert unwanted_imports(tree) == []


def test_no_modules_import_each_other_in_a_circle(tree: Tree) -> None:
    assert cycle(tree) == []


# The checks themselves, on made-up packages


def made_up(directory: Path, files: dict[str, str]) -> Tree:
    """A package "house" of these files."""
    house = directory / "house"
    for name, content in files.items():
        path = house / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(content, encoding="utf8")
    (house / "__init__.py").touch()
    return Tree.of(house)


@pytest.mark.parametrize(
    ("file", "statement", "imported"),
    [
        ("bilm/model.py", "from ..checkpoints import load", "house.checkpoints"),
        ("bilm/model.py", "from ..checkpoints.native import read", "house.checkpoints.native"),
        ("bilm/model.py", "from .. import layers", "house.layers"),
        ("bilm/model.py", "from .. import BiLM", "house"),
        ("bilm/model.py", "import house.pipeline", "house.pipeline"),
        ("checkpoints/native.py", "def f():\n    from house.layers import shim", "house.layers.shim"),
        ("checkpoints/__init__.py", "from ..layers import shim", "house.layers.shim"),
        ("checkpoints/native.py", "if TYPE_CHECKING:\n    from ..cli import app", "house.cli"),
        ("layers/shim.py", "from ..pretraining import trainer", "house.pretraining"),
        ("pretraining/trainer.py", "from ..layers.shim import Shim", "house.layers.shim"),
        ("layers/shim.py", "class A:\n    try:\n        import house.cli as c\n    finally: pass", "house.cli"),
        ("layers/shim.py", "from .. import pipeline", "house.pipeline"),
        ("pipeline/component.py", "from ..explain import plot", "house.explain"),
        ("explain/plot.py", "from ..cli import app", "house.cli"),
    ],
)
def test_an_upward_import_is_found(tmp_path: Path, file: str, statement: str, imported: str) -> None:
    files = {"checkpoints/native.py": "", "layers/shim.py": "", "pipeline/component.py": "", file: statement}
    (fault,) = upward_imports(made_up(tmp_path, files))
    assert fault.endswith(f" imports {imported}")


def test_a_downward_import_is_none(tmp_path: Path) -> None:
    files = {
        "bilm/model.py": "from . import engine\nfrom .engine import run\nfrom ..about import version",
        "bilm/engine.py": "import torch",
        "checkpoints/native.py": "from ..bilm import model\nfrom house.bilm.engine import run",
        "layers/shim.py": "import house.bilm.model\nfrom ..checkpoints import native",
        "pipeline/extensions.py": "from ..layers import shim",
        "pipeline/component.py": "from . import extensions\nfrom ..layers import shim",
        "cli/app.py": "from .. import pipeline\nfrom ..explain import plot",
        "about.py": "version = '1'",
    }
    tree = made_up(tmp_path, files)
    assert upward_imports(tree) == unwanted_imports(tree) == cycle(tree) == strangers(tree) == []


def test_a_module_in_no_room_is_found(tmp_path: Path) -> None:
    tree = made_up(tmp_path, {"bilm/model.py": "", "util.py": "", "tools/help.py": ""})
    assert strangers(tree) == ["house.tools", "house.tools.help", "house.util"]


@pytest.mark.parametrize(
    ("file", "statement", "n_faults"),
    [
        ("bilm/model.py", "import torch.nn.functional as F\nimport numpy as np\nimport os, json", 0),
        ("bilm/model.py", "import spacy", 1),
        ("bilm/model.py", "def f():\n    from safetensors.torch import load", 1),
        ("bilm/model.py", "if TYPE_CHECKING:\n    import h5py", 1),
        ("checkpoints/native.py", "import h5py\nimport safetensors", 0),
        ("checkpoints/native.py", "from thinc.api import Model\nimport json, spacy.tokens", 2),
        ("layers/shim.py", "from thinc.api import Model\nimport spacy", 0),
    ],
)
def test_an_unwanted_import_from_outside_is_found(tmp_path: Path, file: str, statement: str, n_faults: int) -> None:
    assert len(unwanted_imports(made_up(tmp_path, {file: statement}))) == n_faults


def test_a_cycle_is_found(tmp_path: Path) -> None:
    files = {
        "bilm/a.py": "from .b import x",
        "bilm/b.py": "from . import c",
        "bilm/c.py": "def f():\n    from .a import y",
    }
    found = cycle(made_up(tmp_path / "function", files))
    assert set(found) == {"house.bilm.a", "house.bilm.b", "house.bilm.c"}
    files["bilm/c.py"] = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import y"
    assert cycle(made_up(tmp_path / "types", files)) == []
    files["bilm/c.py"] += "\nelse:\n    from .a import y"
    assert cycle(made_up(tmp_path / "else", files)) != []
