"""What the reference says of commands, settings and configs, read from the code that has them.

A page has it by the directive `generated`, with the name of one of the functions here:

    ```{generated} commands
    ```

Each gives Markdown, so that headings come into the page's own table of contents.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import spacy
import typer
from docutils import nodes
from spacy.language import Language
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

REPOSITORY = Path(__file__).parents[2]
ROOMS = [
    "spacy_elmo",
    "spacy_elmo.similarity",
    "spacy_elmo.explain",
    "spacy_elmo.embedding",
    "spacy_elmo.allennlp",
    "spacy_elmo.elmoformanylangs",
    "spacy_elmo.simple_elmo",
]


def commands() -> Iterator[str]:
    """Each command of `python -m spacy elmo`: its help, its arguments and options."""
    from spacy_elmo.cli import elmo_cli

    group: Any = typer.main.get_command(elmo_cli)
    for name, command in sorted(_all_commands(group)):
        yield f"## {name}"
        yield from _help(command.help or "")
        yield from _table("argument or option", list(_parameters(command)))


def _all_commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Those of groups within it, too."""
    for name, command in group.commands.items():
        yield f"{prefix}{name}", command
        yield from _all_commands(command, f"{prefix}{name} ") if hasattr(command, "commands") else ()


def _help(text: str) -> Iterator[str]:
    """The paragraphs of a help; what follows a backspace is printed as it stands."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            heading, _, lines = paragraph.removeprefix("\b\n").partition("\n")
            yield heading
            yield f"```text\n{inspect.cleandoc(lines)}\n```"
        else:
            yield _escaped(paragraph)


def _parameters(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            names = parameter.metavar or parameter.name.upper()
        else:
            names = ", ".join([*parameter.opts, *parameter.secondary_opts])
        default = "required" if parameter.required else _default(parameter.default)
        yield f"| `{names}` | {default} | {_cell(parameter.help or '')} |"


def _default(value: Any) -> str:
    value = getattr(value, "value", value)  # that of an enumeration
    return "" if value in (None, False, "", ()) or callable(value) else f"`{value}`"


def registered() -> Iterator[str]:
    """Each name that a config can have, with its settings."""
    for group, name, function in _registered():
        key = "factory" if group == "factories" else f"@{group}"
        yield f'## {name}\n\n`{key} = "{name}"`'
        yield from _described(function, _given_by_the_factory(name) if group == "factories" else None)


def _given_by_the_factory(name: str) -> dict[str, Any]:
    """A component's settings with their defaults, which the factory keeps and the function does not."""
    spacy.blank("en")  # which loads the factories
    return Language.get_factory_meta(name).default_config or {}


def _registered() -> Iterator[tuple[str, str, Callable[..., Any]]]:
    points = distribution("spacy-elmo").entry_points
    for point in sorted(points, key=lambda point: (point.group != "spacy_factories", point.group, point.name)):
        if point.value.startswith("spacy_elmo.") and point.group != "spacy_cli":
            yield point.group.removeprefix("spacy_"), point.name, point.load()


def _described(function: Callable[..., Any], given: dict[str, Any] | None) -> Iterator[str]:
    """The docstring's text, and a table of its `Args`, each of which has to be described."""
    text, _, arguments = inspect.cleandoc(function.__doc__ or "").partition("\nArgs:\n")
    yield _escaped(text)
    arguments = re.split(r"\n(?:Returns|Raises|Yields):", arguments)[0]
    found = _described_names(arguments)
    defaults = given
    if defaults is None:
        defaults = {name: each.default for name, each in inspect.signature(function).parameters.items()}
    rows = [f"| `{name}` | {_setting(default)} | {_cell(found[name])} |" for name, default in defaults.items()]
    yield from _table("setting", rows)


def _setting(default: Any) -> str:
    """A default as a config has it."""
    if isinstance(default, dict):
        return f"`{next(iter(default.values()))}`"
    return "required" if default is inspect.Parameter.empty else f"`{json.dumps(default, default=repr)}`"


def public() -> Iterator[str]:
    """What each room shows to the outside, by its `__all__`."""
    for room in ROOMS:
        module = import_module(room)
        yield f"## {room}\n\n```{{eval-rst}}\n.. automodule:: {room}\n```"
        for name in sorted(name for name in module.__all__ if not name.startswith("__")):
            yield f"```{{eval-rst}}\n{_automatic(room, name, getattr(module, name))}\n```"


def _automatic(room: str, name: str, value: object) -> str:
    if inspect.isclass(value):
        return f".. autoclass:: {room}.{name}\n   :members:"
    kind = "function" if inspect.isfunction(value) else "data"
    return f".. auto{kind}:: {room}.{name}"


def mark_code(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """What is indented in a docstring's text, ahead of `Args` and the like, is code."""
    for number in range(len(lines) - 1, 0, -1):
        begins = lines[number].startswith("    ") and not lines[number - 1].strip()
        if begins and not any(re.match(r"[A-Z]\w+:$", line) for line in lines[:number]):
            lines[number:number] = ["::", ""]


def configs() -> Iterator[str]:
    """Each config that comes with the package, with the comment that it begins with."""
    for path in sorted((REPOSITORY / "configs").glob("*.cfg")):
        text = path.read_text("utf8")
        comment = "\n".join(line.removeprefix("#").strip() for line in text.partition("\n\n")[0].splitlines())
        told, _, command = comment.partition("\n\n")
        yield f"## {path.name}\n\n{_escaped(told)}"
        yield f"```text\n{command.strip()}\n```"


def pretraining() -> Iterator[str]:
    """Each section of a config for `pretrain`, with its settings."""
    from spacy_elmo.bilm.config import BiLMConfig, LexiconConfig
    from spacy_elmo.pretraining.config import PretrainingConfig

    yield from _sections("", PretrainingConfig)
    yield from _section("model", BiLMConfig)
    yield from _section("model.lexicon", LexiconConfig)


def _sections(name: str, section: Any) -> Iterator[str]:
    """A section and those within it; the outermost has settings in these alone."""
    if name:
        yield from _section(name, section)
    for key, field in section.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from _sections(f"{name}.{key}".lstrip("."), field.annotation)


def _section(name: str, section: Any) -> Iterator[str]:
    """What the docstring says of a section, and a table of its `Attributes`."""
    text, _, attributes = inspect.cleandoc(section.__doc__ or "").partition("\nAttributes:\n")
    told = _described_names(re.split(r"\n(?:Returns|Raises|Yields):", attributes)[0])
    defaults = {key: parameter.default for key, parameter in inspect.signature(section).parameters.items()}
    yield f"## [{name}]\n\n{_escaped(text)}"
    rows = [f"| `{key}` | {_setting(defaults[key])} | {_cell(said)} |" for key, said in told.items()]
    yield from _table("setting", rows)


def _described_names(text: str) -> dict[str, str]:
    """The names of a docstring's section with what it says of each."""
    return dict(re.findall(r"^    (\w+): (.*(?:\n     .*)*)", text, flags=re.MULTILINE))


def _table(head: str, rows: list[str]) -> Iterator[str]:
    if rows:
        yield "\n".join([f"| {head} | default | |", "|---|---|---|", *rows])


def _escaped(text: str) -> str:
    """What Markdown would take for marks, outside of code."""
    return re.sub(r"`[^`]*`|([*_<\[])", lambda found: f"\\{found[1]}" if found[1] else found[0], text)


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


class Generated(SphinxDirective):
    """`{generated} NAME`: what the function of that name gives."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # Sphinx looks at the page's file alone, and what it shows lies in others
        text = "\n\n".join(globals()[self.arguments[0]]())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("generated", Generated)
    app.connect("autodoc-process-docstring", mark_code, priority=400)  # before napoleon takes the sections
    return {"parallel_read_safe": True}
