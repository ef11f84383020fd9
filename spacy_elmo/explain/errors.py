"""What is wrong with what is to be explained."""

from ..errors import ElmoError


class ExplainError(ElmoError, ValueError):
    """There is nothing to show, or not with what was given."""


class MissingExtraError(ElmoError, ImportError):
    """A package is needed that is not installed with spacy-elmo itself."""

    def __init__(self, package: str, extra: str = "explain") -> None:
        super().__init__(f"This needs {package}, which is not installed: pip install 'spacy-elmo[{extra}]'")
