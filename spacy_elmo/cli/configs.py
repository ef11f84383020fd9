"""`python -m spacy elmo configs`: where the configs are that come with the package."""

from pathlib import Path

from wasabi import msg

_PACKAGE = Path(__file__).parent.parent


def configs() -> None:
    """List the configs that come with this package.

    Copy one for `spacy train`, and change it. `pretrain` also finds its configs by their names.

    \b
    Examples:
      python -m spacy elmo configs
      python -m spacy elmo pretrain pretrain_sm -o OUT --paths.train texts/
    """
    msg.text(f"In {directory()}:")
    msg.table([(path.name, _first_sentence(path)) for path in sorted(directory().glob("*.cfg"))], max_col=100)


def directory() -> Path:
    """Where the configs are: in the installed package, or beside it in the repository."""
    packaged = _PACKAGE / "configs"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "configs"


def find(named: Path) -> Path:
    """A config of one's own, or else the one of this name that comes with the package."""
    shipped = directory() / named.with_suffix(".cfg").name
    is_name = named.parent in (Path(), Path("configs"))
    return shipped if is_name and not named.exists() and shipped.is_file() else named


def _first_sentence(path: Path) -> str:
    """Of the comment that a config begins with."""
    lines = path.read_text("utf8").partition("\n\n")[0].splitlines()
    return " ".join(line.lstrip("# ") for line in lines).partition(". ")[0].partition(": ")[0]
