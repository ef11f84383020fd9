"""Complete training configs for spaCy's components on ELMo vectors, as `spacy init config` writes them without.

`choices.py` is what was chosen by measurement, `tok2vec.py` the layers between ELMo and a component, `recipe.py` puts a
config together, and `text.py` writes it with comments.
"""

from .choices import COMPONENTS
from .errors import RecipeError
from .recipe import Recipe
from .text import as_text, train_command

__all__ = ["COMPONENTS", "Recipe", "RecipeError", "as_text", "train_command"]
