"""`python -m spacy elmo …`: thin commands over the rest of the package.

spaCy imports this before it runs any command, its own ones too. So what is heavy (torch, h5py, our own rooms that need
them) is imported inside the functions of the commands, and not before.
"""

from typing import Annotated

import typer
from spacy.cli._util import app

from ..about import __version__
from . import configs, convert, download, embed, explain, info, init_config, neighbours, package, perplexity, pretrain

HELP = """Train spaCy components on ELMo vectors; train, measure, explain, convert and package ELMo models.

A biLM is the bidirectional language model that ELMo vectors come from. `python -m spacy elmo COMMAND --help` explains a
command.

\b
Examples:
  python -m spacy elmo init-config ner.cfg --lang en --pipeline ner
  python -m spacy elmo pretrain configs/pretrain_sm.cfg --output OUT --paths.train texts/
  python -m spacy elmo perplexity OUT/model-best heldout.txt
  python -m spacy elmo embed "texts/*.txt" OUT --model en_elmo_sm
  python -m spacy elmo info en_elmo_sm
  python -m spacy elmo download original
  python -m spacy elmo convert en_elmo_sm ./allennlp --to allennlp
  python -m spacy elmo package OUT/model-best packages --name elmo_news
  python -m spacy elmo explain senses match texts/ --output match.html
"""

elmo_cli = typer.Typer(name="elmo", help=HELP, no_args_is_help=True, rich_markup_mode=None)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"spacy-elmo {__version__}")
        raise typer.Exit


@elmo_cli.callback()
def _group(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit")
    ] = False,
) -> None:
    """The options of the group itself."""


elmo_cli.command("init-config")(init_config.init_config)
elmo_cli.command("configs")(configs.configs)
elmo_cli.command("embed")(embed.embed)
elmo_cli.command("neighbours")(neighbours.neighbours)
elmo_cli.command("info")(info.info)
elmo_cli.command("download")(download.download)
elmo_cli.command("convert")(convert.convert)
elmo_cli.command("package")(package.package)
elmo_cli.command("pretrain", context_settings=pretrain.CONTEXT)(pretrain.pretrain)
elmo_cli.command("perplexity")(perplexity.perplexity)
elmo_cli.add_typer(explain.explain_cli)
app.add_typer(elmo_cli)
