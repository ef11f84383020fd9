"""The ELMo classes of AllenNLP, which is archived, under their names and with their arguments, on our biLM.

Replace `from allennlp.modules.elmo import Elmo, batch_to_ids` and `from allennlp.commands.elmo import ElmoEmbedder` by
imports from here; the rest of a program can stay. Vectors equal AllenNLP's first call's: neither class remembers the
sentences of earlier calls, unless it is made with `stateful=True`.
"""

from .character_ids import batch_to_ids
from .elmo import Elmo
from .elmo_bilm import _ElmoBiLm
from .embedder import DEFAULT_OPTIONS_FILE, DEFAULT_WEIGHT_FILE, ElmoEmbedder
from .token_embedder import ElmoTokenEmbedder

__all__ = [
    "DEFAULT_OPTIONS_FILE",
    "DEFAULT_WEIGHT_FILE",
    "Elmo",
    "ElmoEmbedder",
    "ElmoTokenEmbedder",
    "_ElmoBiLm",
    "batch_to_ids",
]
