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
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

REPOSITORY = Path(__file__).parents[2]


def commands() -> Iterator[str]:
    """Each command of `python -m spacy elmo`: its help, its arguments and options."""
    from spacy_elmo.cli import elmo_cli

    group: Any = typer.main.get_command(elmo_cli)
    for name, command in sorted(group.commands.items()):
        yield f"## {name}"
        yield from _help(command.help or "")
        yield "| argument or option | default | |\n|---|---|---|\n" + "\n".join(_parameters(command))


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
    return "" if value in (None, False, "", ()) or callable(value) else f"`{value}`"


def registered() -> Iterator[str]:
    """Each name that a config can have, with its settings."""
    for group, name, function in _registered():
        yield f"## {name}\n\n`{group}`"
        yield from _described(function)


def _registered() -> Iterator[tuple[str, str, Callable[..., Any]]]:
    for point in sorted(distribution("spacy-elmo").entry_points, key=lambda point: (point.group, point.name)):
        if point.value.startswith("spacy_elmo.") and point.group != "spacy_cli":
            yield point.group.removeprefix("spacy_"), point.name, point.load()


def _described(function: Callable[..., Any]) -> Iterator[str]:
    """The docstring's text, and a table of its `Args`."""
    text, _, arguments = inspect.cleandoc(function.__doc__ or "").partition("\nArgs:\n")
    yield _escaped(text)
    arguments = re.split(r"\n(?:Returns|Raises|Yields):", arguments)[0]
    found = dict(re.findall(r"^    (\w+): (.*(?:\n     .*)*)", arguments, flags=re.MULTILINE))
    parameters = inspect.signature(function).parameters.values()
    rows = [f"| `{each.name}` | {_setting(each)} | {_cell(found.get(each.name, ''))} |" for each in parameters]
    yield "| setting | default | |\n|---|---|---|\n" + "\n".join(rows)


def _setting(parameter: inspect.Parameter) -> str:
    """A default as a config has it."""
    return "" if parameter.default is parameter.empty else f"`{json.dumps(parameter.default, default=repr)}`"


def configs() -> Iterator[str]:
    """Each config that comes with the package, with the comment that it begins with."""
    for path in sorted((REPOSITORY / "configs").glob("*.cfg")):
        text = path.read_text("utf8")
        comment = "\n".join(line.removeprefix("#").strip() for line in text.partition("\n\n")[0].splitlines())
        told, _, command = comment.partition("\n\n")
        yield f"## {path.name}\n\n{_escaped(told)}"
        yield f"```text\n{command.strip()}\n```"


def _escaped(text: str) -> str:
    return re.sub(r"([*_<\[])", r"\\\1", text)


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


class Generated(SphinxDirective):
    """`{generated} NAME`: what the function of that name gives."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        text = "\n\n".join(globals()[self.arguments[0]]())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True}
