"""What this room raises on purpose."""

from ..errors import ElmoError


class RecipeError(ElmoError, ValueError):
    """There is no such training config."""
