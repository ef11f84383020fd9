"""What can stand beside ELMo in a pipeline: GloVe's static vectors, and MiniLM, a small transformer.

    python -m experiments.beside [--words 100000]

Both come from PyPI, see `experiments.peers`. GloVe's most frequent words go the way that any text file of word2vec,
fastText or GloVe goes, through `spacy init vectors`, by lower-cased forms, as GloVe's are, to training/glove; MiniLM to
training/all-MiniLM-L6-v2.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from .peers import Glove, minilm_folder
from .training import GLOVE, MINILM


def write_text(path: Path, words: int) -> None:
    """A line for each word: it, and its numbers."""
    glove = Glove()
    with path.open("w", encoding="utf8") as file:
        for word, row in list(glove.rows.items())[:words]:
            file.write(f"{word} {' '.join(f'{number:.5g}' for number in glove.table[row])}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=100_000)
    arguments = parser.parse_args()
    Path(GLOVE).parent.mkdir(exist_ok=True)  # as `init vectors` makes the last folder alone
    with TemporaryDirectory() as folder:
        text = Path(folder) / "glove.txt"
        write_text(text, arguments.words)
        command = ["spacy", "init", "vectors", "en", str(text), GLOVE, "--attr", "LOWER"]
        subprocess.run([sys.executable, "-m", *command], check=True)
    assert minilm_folder("training") == MINILM


if __name__ == "__main__":
    main()
