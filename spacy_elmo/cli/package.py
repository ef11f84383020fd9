"""`python -m spacy elmo package`: an installable pipeline of a biLM."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from wasabi import msg

from ..errors import ElmoError
from .arguments import SourceArgument, WeightsOption, source_of
from .failing import failing

if TYPE_CHECKING:
    from spacy import Language

    from ..checkpoints import Source


def package(
    source: SourceArgument,
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="The directory to build in; it is made if it does not exist")
    ],
    name: Annotated[str, typer.Option("--name", help="The package's name, without the language", show_default=False)],
    weights: WeightsOption = None,
    version: Annotated[str, typer.Option("--version", help="The package's version")] = "1.0.0",
    language: Annotated[
        str | None, typer.Option("--lang", help="The language, by spaCy's code; by default what the model says")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", "--licence", help="The weights' licence; by default what the model says")
    ] = None,
    author: Annotated[str | None, typer.Option("--author", help="The author; by default what the model says")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a package of this name and version that is there already")
    ] = False,
) -> None:
    """Make an installable package of a model.

    The package is a wheel with a pipeline. Its only component is "elmo", with the weights as float32. After `pip
    install`, `spacy.load("LANG_NAME")` gives the pipeline. A config gets the component from it with `source =
    "LANG_NAME"` under [components.elmo].

    Language, licence and author come from the model, if `pretrain` or the catalogue has set them.

    \b
    Examples:
      python -m spacy elmo package ./out/model-best packages --name elmo_news
      python -m spacy elmo package portuguese packages --name elmo_original --version 1.0.1
    """
    with failing():
        from spacy.cli.package import package as build_package

        from ..disk import TakenError, writing

        if not re.fullmatch(r"[A-Za-z](\w*[A-Za-z0-9])?", name, re.ASCII):
            raise ElmoError(
                f"--name is {name!r}, but must be letters, digits and _, with a letter first and no _ last."
            )
        model = source_of(source, weights)
        stated = _stated(model)
        language = language or stated["lang"]
        if not language:
            raise ElmoError(f"{source} does not say of what language it is. Say so, for instance: --lang en")
        name = name.removeprefix(f"{language}_")  # spaCy puts it before all names
        if (taken := output / f"{language}_{name}-{version}").exists() and not overwrite:
            raise TakenError(f"{taken} is there already. Give another --version, or replace it by --overwrite.")
        nlp = _blank(language)
        nlp.add_pipe("elmo", config={"model": {"source": model}})
        nlp.meta["license"] = licence or stated["license"]
        nlp.meta["author"] = author or stated["author"]
        nlp.meta["description"] = f"ELMo vectors of the biLM {source}, for spacy-elmo"
        with writing(output):
            output.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory() as directory:
            nlp.to_disk(directory)
            build_package(Path(directory), output, name=name, version=version, create_wheel=True, force=True)
    if not nlp.meta["license"]:
        msg.warn("The licence of the weights is not known, so the package states none. To state one: --license NAME")


def _blank(language: str) -> "Language":
    import spacy

    try:
        return spacy.blank(language)
    except ImportError:
        raise ElmoError(
            f"spaCy has no language {language!r}. Give one that it has by --lang, such as xx, which is none of its own."
        ) from None


def _stated(source: "Source") -> dict[str, str]:
    """What a model says of itself, or the catalogue of it, under the names in meta.json; "" for nothing."""
    from ..checkpoints.published import meant
    from ..checkpoints.source import locate
    from ..language import metadata

    facts = metadata.stated(locate(source))
    if (published := meant(source)) is not None:
        facts.setdefault("language", published.languages[0] if len(published.languages) == 1 else "")
        facts.setdefault("licence", published.licence or "")
    names = {"lang": "language", "license": "licence", "author": "author"}
    return {theirs: facts.get(ours, "") for theirs, ours in names.items()}
