"""What the real ELMoForManyLangs makes of random models of its own classes: run by `test_elmoformanylangs.py` in an
environment that has it.

    python manylangs_peer.py FOLDER

FOLDER has models.json: the words and characters to know, the sentences, and the dimensions of each model. Into it go a
directory for each model, and results.npz, with an array for each sentence of each model and each output layer.
"""

import json
import logging
import random
import sys
from pathlib import Path

import numpy as np
import torch
from elmoformanylangs import Embedder
from elmoformanylangs.frontend import Model
from elmoformanylangs.modules.embedding_layer import EmbeddingLayer

logging.disable(logging.CRITICAL)
FOLDER = Path(sys.argv[1])
DATA = json.loads((FOLDER / "models.json").read_text("utf8"))
# How large the random numbers are; small ones would hide what is wrong.
SCALE = 0.5

results = {}


def write_lexicon(path, entries):
    random.shuffle(entries)
    path.write_text("".join(f"{entry}\t{number}\n" for number, entry in enumerate(entries)), "utf8", newline="\n")
    return {entry: number for number, entry in enumerate(entries)}


def write_model(directory, options):
    directory.mkdir()
    layers = []
    for name in ("word", "char"):
        dim, entries = options["token_embedder"][f"{name}_dim"], list(DATA[name])
        lexicon = write_lexicon(directory / f"{name}.dic", entries) if dim else None
        layers.append(EmbeddingLayer(dim, lexicon, fix_emb=False, embs=None) if dim else None)
    model = Model(options, *layers, use_cuda=False)
    for parameter in model.parameters():
        parameter.data.uniform_(-SCALE, SCALE)
    torch.save(model.token_embedder.state_dict(), directory / "token_embedder.pkl")
    torch.save(model.encoder.state_dict(), directory / "encoder.pkl")
    (directory / "cnn.json").write_text(json.dumps(options), "utf8")
    (directory / "config.json").write_text(json.dumps({"config_path": "/elsewhere/cnn.json"}), "utf8")


for name, options in DATA["models"].items():
    random.seed(0)
    torch.manual_seed(0)
    write_model(FOLDER / name, options)
    for output_layer in (-2, -1, 0, 1, 2):
        # A fresh one, and one batch: the states of the ones before would go on.
        embedder = Embedder(str(FOLDER / name), batch_size=len(DATA["sentences"]))
        with torch.no_grad():
            arrays = embedder.sents2elmo(DATA["sentences"], output_layer)
        for number, array in enumerate(arrays):
            results[f"{name}/{output_layer}/{number}"] = array

np.savez(FOLDER / "results.npz", **results)
