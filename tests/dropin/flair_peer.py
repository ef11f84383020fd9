"""What Flair's `ELMoEmbeddings` makes of our `ElmoEmbedder`: run by `test_flair.py` in an environment that has Flair.

    python flair_peer.py FOLDER

FOLDER has page.py, the lines of docs/howto/migrate.md that put our class in AllenNLP's place, and data.json; into it
goes results.npz. Flair 0.15.1 needs `pip install flair==0.15.1` beside what our package needs.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(sys.argv[1])
exec((FOLDER / "page.py").read_text("utf8"))
os.environ["SPACY_ELMO_CACHE"] = str(FOLDER / "cache")

from flair.data import Sentence  # noqa: E402
from flair.embeddings.legacy import ELMoEmbeddings  # noqa: E402


def error_of(name: str) -> str:
    """Of a model that was not downloaded."""
    try:
        ELMoEmbeddings(name)
    except Exception as error:
        return str(error)
    return ""


data = json.loads((FOLDER / "data.json").read_text("utf8"))
results = {}
for mode in ("all", "top", "average"):
    options, weights = data["files"]
    embeddings = ELMoEmbeddings(options_file=options, weight_file=weights, embedding_mode=mode)
    for number, words in enumerate(data["sentences"]):
        sentence = Sentence(words)
        embeddings.embed(sentence)
        results[f"{mode}_{number}"] = np.stack([token.embedding.cpu().numpy() for token in sentence])
for name in ("small", "medium", "original", "large", "pubmed"):
    results[f"error_{name}"] = np.array(error_of(name))
np.savez(FOLDER / "results.npz", **results)
