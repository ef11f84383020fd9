"""A transformer that stands beside ELMo and is not trained."""

from dataclasses import dataclass
from typing import Any

from spacy import Language

from ..errors import ElmoError


class FrozenError(ElmoError, ValueError):
    """What is to be loaded is not there."""


@dataclass(frozen=True)
class LoadTransformer:
    """The callback "spacy-elmo.load_transformer.v1", for `before_init` in [initialize].

    It loads a transformer that is among frozen_components. spaCy does not initialize such components, since it takes
    them to be trained already. But it is the initialization that loads a transformer by its name, and that tells the
    layers which listen to it how wide it is.

    Args:
        component: The name of the transformer component.
    """

    component: str = "transformer"

    def __call__(self, nlp: Language) -> None:
        """Load it.

        Args:
            nlp: The pipeline that is about to be trained.

        Raises:
            FrozenError: There is no component of this name that others listen to.
        """
        transformer: Any = nlp.get_pipe(self.component) if self.component in nlp.component_names else None
        if not hasattr(transformer, "find_listeners"):
            raise FrozenError(
                f"spacy-elmo.load_transformer.v1 found no transformer '{self.component}'. Name one in "
                f"[initialize.before_init]."
            )
        transformer.initialize(lambda: [])
        for _, reader in nlp.components:
            transformer.find_listeners(reader)
