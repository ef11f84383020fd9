"""What the real simple_elmo makes of the small model: run by `test_simple_elmo.py` in an environment that has it.

    python simple_elmo_peer.py FOLDER

FOLDER has options.json, weights.hdf5 and texts.json; into it go facts.json and results.npz. simple_elmo 0.9.2 needs a
TensorFlow before 2.16:

    pip install "tensorflow-cpu==2.15.1" "pandas<3" simple_elmo==0.9.2
"""

import inspect
import json
import logging
import sys
from pathlib import Path

import numpy as np
from simple_elmo import ElmoModel

logging.disable(logging.CRITICAL)
FOLDER = Path(sys.argv[1])
TEXTS = json.loads((FOLDER / "texts.json").read_text("utf8"))
ATTRIBUTES = ("batch_size", "max_chars", "vector_size", "n_layers", "vocab", "session")
METHODS = ("load", "warmup", "get_elmo_vectors", "get_elmo_vector_average")

model = ElmoModel()
facts = {
    "loaded": model.load(str(FOLDER)),
    "attributes": {name: getattr(model, name) for name in ATTRIBUTES},
    "arguments": {name: list(inspect.signature(getattr(ElmoModel, name)).parameters) for name in METHODS},
}
results = {}
for layers in ("average", "top", "all"):
    results[f"vectors_{layers}"] = model.get_elmo_vectors(TEXTS, warmup=False, layers=layers)
    # Each text alone, so that there is no padding.
    means = [model.get_elmo_vector_average([text], warmup=False, layers=layers)[0] for text in TEXTS]
    results[f"means_{layers}"] = np.stack(means)
    results[f"padded_means_{layers}"] = model.get_elmo_vector_average(TEXTS, warmup=False, layers=layers)

(FOLDER / "facts.json").write_text(json.dumps(facts), "utf8")
np.savez(FOLDER / "results.npz", **results)
