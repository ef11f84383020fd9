"""What a job is to do, apart from which files and which model."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..bilm.inference import PRECISIONS
from ..corpus.formats import FORMATS, Format
from .errors import EmbeddingError

Pool = Literal["none", "sentence", "doc"]
Dtype = Literal["float16", "float32"]

# Some hundred thousand tokens: minutes of work, and so much is lost at most when a job is killed.
PART_CHARACTERS = 2_000_000


@dataclass(frozen=True)
class Settings:
    """How documents become vectors.

    Attributes:
        layers: "average" of all, "top", "all", or the number of one as text; 0 is the word encoder's.
        pool: A vector for each token ("none"), or the mean of a sentence's or of a document's tokens.
        dtype: How vectors are written. They are computed in float32.
        format: What a line of text, or a text in a table, is: a document; one sentence; or "tokens", one sentence with
            blanks between its words.
        field: The key or column of texts, in JSON lines and Parquet.
        id_field: The key or column of ids there. Where it is missing, a document's id is its file and its number.
        nlp: A config with the sections "nlp" and "components": the tokenizer, and what finds sentences. None for how
            the model's own texts were read.
        precision: Of the biLM, see `BiLM`.
        part_characters: A part is finished with the document that makes it so long.
    """

    layers: str = "average"
    pool: Pool = "none"
    dtype: Dtype = "float32"
    format: Format = "documents"
    field: str = "text"
    id_field: str = "id"
    nlp: dict[str, Any] | None = None
    precision: str = "float32"
    part_characters: int = PART_CHARACTERS

    def __post_init__(self) -> None:
        for name, choices in (
            ("pool", get_args(Pool)),
            ("dtype", get_args(Dtype)),
            ("format", FORMATS),
            ("precision", tuple(PRECISIONS)),
        ):
            if getattr(self, name) not in choices:
                raise EmbeddingError(f"{name} is {getattr(self, name)!r}, but must be one of {', '.join(choices)}.")
        if self.layers not in ("all", "average", "top") and not self.layers.isdecimal():
            raise EmbeddingError(
                f"layers is {self.layers!r}, but must be all, average, top, or the number of a layer: 0, 1, …"
            )
        if self.part_characters < 1:
            raise EmbeddingError(f"part_characters is {self.part_characters}, but must be 1 or more.")

    def check_model(self, n_layers: int) -> None:
        """Raises EmbeddingError where the model, with so many layers, has none of the number that is asked for."""
        if self.layers.isdecimal() and int(self.layers) >= n_layers:
            raise EmbeddingError(f"layers is {self.layers}, but the model's are 0 to {n_layers - 1}.")
