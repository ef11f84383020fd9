"""`nlp.pipe(n_process=2)`. In a process of its own, so that one that waits forever fails instead."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

from .helpers import blank

SCRIPT = """
import pickle
import sys
import numpy as np
import spacy
import torch
from tests.pipeline.helpers import TEXTS, annotated, assert_same_predictions, blank, pipeline, train

torch.set_num_threads(4)

# The tiny model with listeners, in training before.
nlp = pipeline(sys.argv[1], "tagger", "ner", "textcat", keep_layers=True)
train(nlp, 15)
texts = [*TEXTS, "", "a  b", "the " * 500]
one = list(nlp.pipe(texts))
two = list(nlp.pipe(texts, n_process=2, batch_size=4))
assert any(doc.ents for doc in one)
for a, b in zip(one, two, strict=True):
    assert [token.text for token in a] == [token.text for token in b]
    assert isinstance(b.tensor, np.ndarray)
    np.testing.assert_allclose(b.tensor, a.tensor, atol=1e-6)
    np.testing.assert_allclose(b._.elmo_layers, a._.elmo_layers, atol=1e-6)
    np.testing.assert_allclose(b._.elmo, a._.elmo, atol=1e-6)
assert_same_predictions(map(annotated, two), map(annotated, one))

# A model large enough for torch to have used all four threads in this process.
nlp = spacy.blank("en")
nlp.add_pipe("elmo")
texts = ["word and more words " * 60, "short text"]
one = [doc.tensor for doc in nlp.pipe(texts)]
two = [doc.tensor for doc in nlp.pipe(texts, n_process=2, batch_size=1)]
for a, b in zip(one, two, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)
assert torch.get_num_threads() == 4

# spaCy's own similarity by ELMo, on Docs and on Docs with a context.
nlp = blank(sys.argv[1])
nlp.add_pipe("elmo_similarity")
texts = ["he struck a match", "the match is over"]
docs = list(nlp.pipe(texts, n_process=2, batch_size=1))
with_context = [doc for doc, _ in nlp.pipe([(text, 0) for text in texts], as_tuples=True, n_process=2, batch_size=1)]
for a, b in (docs, with_context):
    assert a[3].similarity(b[1]) == a[3]._.elmo_similarity(b[1]) < 0.999
    assert a.similarity(b) == a._.elmo_similarity(b)

# A pipeline that another process has pickled is none of a fork, and leaves the threads alone.
with open(sys.argv[2], "rb") as file:
    pickle.load(file)("a b")
assert torch.get_num_threads() == 4
print("same")
"""


def test_two_processes_give_what_one_does(tiny_source: str, tmp_path: Path) -> None:
    """Also after the biLM ran here with several threads: workers are forked, and a fork has none of these threads."""
    nlp = blank(tiny_source)
    nlp("loads the weights")
    (tmp_path / "nlp.pickle").write_bytes(pickle.dumps(nlp))
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tiny_source, str(tmp_path / "nlp.pickle")],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout.strip() == "same", done.stderr
    assert "W109" not in done.stderr
    assert done.returncode == 0
