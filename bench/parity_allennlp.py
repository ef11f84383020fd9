"""How far our vectors are from the real AllenNLP's, on real sentences.

    python -m bench.parity_allennlp MODEL [MODEL …] --peer-python PEERS/bin/python --peer-tools DIR --text FILE

MODEL is a directory with options.json and weights.hdf5, or a size ("small", "medium", "original") for random weights
of that shape. PEERS is an environment with AllenNLP; DIR holds random_elmo.py (writes a model of random weights in the
published format) and peer_allennlp.py (embeds with AllenNLP, each batch from a zero state). FILE has a sentence a line.

Prints a Markdown table: for each model and layer the greatest absolute difference of any number between ours and
AllenNLP's, and between either and the same model computed in float64. The latter two are rounding errors, and tell what
agreement float32 can give: random recurrent weights amplify them from step to step, trained ones much less.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from spacy_elmo import load_bilm


def differences(model: str, sentences: list[list[str]], arguments: argparse.Namespace) -> dict[str, list[float]]:
    """The greatest difference in each layer, between each two of ours, AllenNLP's and float64."""
    with tempfile.TemporaryDirectory() as folder:
        text, out = Path(folder) / "text.txt", Path(folder) / "layers.npz"
        text.write_text("\n".join(map(" ".join, sentences)) + "\n", "utf8")
        if Path(model).is_dir():
            pair = [f"{model}/options.json", f"{model}/weights.hdf5"]
        else:
            pair = [f"{folder}/{model}_options.json", f"{folder}/{model}_weights.hdf5"]
            subprocess.run(
                [sys.executable, arguments.peer_tools / "random_elmo.py", model, f"{folder}/{model}"], check=True
            )
        peer = [arguments.peer_python, arguments.peer_tools / "peer_allennlp.py", *pair, text, "--out", out]
        subprocess.run(peer, check=True, stdout=subprocess.DEVNULL)
        loaded = np.load(out)
        theirs = [loaded[str(i)] for i in range(len(sentences))]
        bilm = load_bilm(pair, device="cpu")
        ours = bilm.embed(sentences)
        with torch.no_grad():
            exact = [layers.numpy() for layers in bilm.double()(sentences)]
    pairs = {
        "ours to AllenNLP": (ours, theirs),
        "ours to float64": (ours, exact),
        "AllenNLP to float64": (theirs, exact),
    }
    return {name: _greatest(*both) for name, both in pairs.items()}


def _greatest(a: list[np.ndarray], b: list[np.ndarray]) -> list[float]:
    return np.max([np.abs(x - y).max(axis=(1, 2)) for x, y in zip(a, b, strict=True)], axis=0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--peer-python", type=Path, required=True)
    parser.add_argument("--peer-tools", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--max-words", type=int, default=60)
    arguments = parser.parse_args()
    lines = [line.split() for line in arguments.text.read_text("utf8").splitlines() if line.strip()]
    sentences = [words for words in lines if len(words) <= arguments.max_words][: arguments.sentences]
    print(f"{len(sentences)} sentences, {sum(map(len, sentences))} tokens\n")
    print("| model | greatest difference | layer 0 | layer 1 | layer 2 |\n|---|---|---|---|---|")
    for model in arguments.models:
        for name, gaps in differences(model, sentences, arguments).items():
            print(f"| {Path(model).name} | {name} | " + " | ".join(f"{gap:.1e}" for gap in gaps) + " |", flush=True)


if __name__ == "__main__":
    main()
