"""What the real AllenNLP makes of the small model: run by `test_allennlp.py` in an environment that has it.

    python allennlp_peer.py TOOLS FOLDER

TOOLS has the module peer_allennlp, which imports AllenNLP. FOLDER has options.json, weights.hdf5 and batches.json; into
it go results.npz, with an array for each result under the name that the test asks for, and state.pt, the state dict of
a model with an `Elmo` inside.
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, sys.argv[1])

import torch
from peer_allennlp import Elmo, batch_to_ids

# isort: split
from allennlp.modules.token_embedders.elmo_token_embedder import ElmoTokenEmbedder

FOLDER = Path(sys.argv[2])
FILES = (str(FOLDER / "options.json"), str(FOLDER / "weights.hdf5"))
DATA = json.loads((FOLDER / "batches.json").read_text("utf8"))
BATCHES, VOCABULARY, MIXES = DATA["batches"], DATA["vocabulary"], DATA["mixes"]

results = {}


def new(n_representations=2, **settings):
    elmo = Elmo(*FILES, n_representations, dropout=0, **settings)
    if "scalar_mix_parameters" not in settings:
        for number in range(n_representations):
            mix = getattr(elmo, f"scalar_mix_{number}")
            mix.gamma.data.fill_(1.5)
            for parameter, weight in zip(mix.scalar_parameters, MIXES[number], strict=True):
                parameter.data.fill_(weight)
    return elmo


def keep(name, output):
    for number, representation in enumerate(output["elmo_representations"]):
        results[f"{name}_{number}"] = representation.detach().numpy()
    results[f"{name}_mask"] = output["mask"].numpy()


for number, batch in enumerate(BATCHES):
    results[f"ids_{number}"] = batch_to_ids(batch).numpy()
results["odd_ids"] = batch_to_ids(DATA["odd"]).numpy()

ids = batch_to_ids(BATCHES[1])
keep("plain", new()(ids))
keep("boundaries", new(keep_sentence_boundaries=True)(ids))
keep("norm", new(do_layer_norm=True)(ids))
keep("norm_boundaries", new(do_layer_norm=True, keep_sentence_boundaries=True)(ids))
keep("fixed", new(1, scalar_mix_parameters=MIXES[1])(ids))
keep("deep", new()(ids.view(2, 2, *ids.shape[1:])))
cached = new(vocab_to_cache=VOCABULARY)
numbers = torch.tensor(DATA["numbers"])
words = [[VOCABULARY[number] for number in row if number] for row in DATA["numbers"]]
keep("cached", cached(batch_to_ids(words), numbers))

stateful = new(1)
for number, batch in enumerate([*BATCHES, *BATCHES]):
    keep(f"stateful{number}", stateful(batch_to_ids(batch)))
mask = torch.tensor([True, False, False, True])
stateful._elmo_lstm._elmo_lstm.reset_states(mask)
keep("partly_reset", stateful(batch_to_ids(BATCHES[1])))
stateful._elmo_lstm._elmo_lstm.reset_states()
keep("reset", stateful(batch_to_ids(BATCHES[1])))
bilm = new(1)._elmo_lstm
for number, batch in enumerate(BATCHES):
    output = bilm(batch_to_ids(batch))
    results[f"layers{number}"] = torch.stack(output["activations"]).detach().numpy()
    results[f"layers{number}_mask"] = output["mask"].numpy()

trained = new(requires_grad=True).double()
for number, batch in enumerate(BATCHES[:-1]):
    trained.zero_grad()
    representations = torch.stack(trained(batch_to_ids(batch))["elmo_representations"])
    representations.flatten().dot(torch.sin(torch.arange(representations.numel(), dtype=torch.float64))).backward()
    for name, parameter in trained.named_parameters():
        results[f"gradient{number}_{name}"] = parameter.grad.numpy().copy()

trained = new(requires_grad=True)
optimizer = torch.optim.Adam(trained.parameters(), lr=0.01)
for step in range(2):
    if step == 1:
        torch.save({"model": trained.state_dict(), "optimizer": optimizer.state_dict()}, FOLDER / "training.pt")
    trained.zero_grad()
    trained._elmo_lstm._elmo_lstm.reset_states()
    trained(ids)["elmo_representations"][0].sum().backward()
    optimizer.step()
for name, tensor in trained.state_dict().items():
    results[f"trained_{name}"] = tensor.numpy()

embedder = ElmoTokenEmbedder(*FILES, dropout=0, projection_dim=3)
torch.save(embedder.state_dict(), FOLDER / "token_embedder.pt")
results["token_embedder"] = embedder(ids).detach().numpy()

inner = torch.nn.ModuleDict({"elmo": new(requires_grad=True), "out": torch.nn.Linear(12, 3)})
model = torch.nn.ModuleDict({"tagger": inner})
for parameter in model.parameters():
    parameter.data += 0.05 * torch.sin(torch.arange(parameter.numel(), dtype=torch.float32)).view(parameter.shape)
inner["elmo"]._elmo_lstm._token_embedder._char_embedding_weights.data[0] = 0
torch.save(model.state_dict(), FOLDER / "state.pt")
keep("loaded", inner["elmo"](ids))

np.savez(FOLDER / "results.npz", **results)
