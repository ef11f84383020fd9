"""AllenNLP 0.9.0's command `elmo`, the last version that had it, on a current Python.

    pip install --no-deps --target DIR allennlp==0.9.0
    python allennlp_peer.py DIR INPUT OUTPUT --all --options-file FILE --weight-file FILE

Needs torch, numpy, h5py and what AllenNLP 2.10.1 needs. What the command imports and does not use is left empty.
"""

import argparse
import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

UNUSED = [
    "conllu", "editdistance", "flask", "flask_cors", "ftfy", "gevent", "jsonpickle", "numpydoc", "parsimonious",
    "pytorch_pretrained_bert", "pytorch_transformers", "sqlparse", "unidecode", "word2number",
]  # fmt: skip


class Empty(ModuleType):
    """A module in which each name is a class without content."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class Finder(MetaPathFinder, Loader):
    """Gives empty modules for what is not there and not used."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in UNUSED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Empty(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []


def main() -> None:
    directory, *arguments = sys.argv[1:]
    sys.path.insert(0, directory)
    sys.meta_path.insert(0, Finder())
    # Later versions of this decorator check what the earlier one let pass.
    overrides = ModuleType("overrides")
    overrides.overrides = lambda method: method
    sys.modules["overrides"] = overrides
    # Its own beginning would import all other commands.
    commands = ModuleType("allennlp.commands")
    commands.__path__ = [str(Path(directory, "allennlp", "commands"))]
    sys.modules["allennlp.commands"] = commands
    parser = argparse.ArgumentParser()
    import_module("allennlp.commands.elmo").Elmo().add_subparser("elmo", parser.add_subparsers())
    parsed = parser.parse_args(["elmo", *arguments])
    parsed.func(parsed)


if __name__ == "__main__":
    main()
