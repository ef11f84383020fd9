"""Other programs that write or give vectors of a text, beside `embed`, on the same tokens.

    python -m bench.peers TEXT --peers PYTHON --tools DIR --package DIR --minilm PYTHON [--tokens 100000]

TEXT has a sentence a line, its words separated by blanks; .gz is read too. Each is a whole run in a process of its own,
with the loading of the model and what it writes. `--peers` has AllenNLP 2.10.1 and ELMoForManyLangs, `--tools` what
makes models for them (see bench.inference), `--package` AllenNLP 0.9.0 (see tests/embedding/allennlp_peer.py),
`--minilm` sentence-transformers. All models but en_elmo_sm have random weights: for AllenNLP, and `embed` beside it,
the shapes of the published `small`; for MiniLM those of all-MiniLM-L6-v2. Only the times mean anything.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.embedding import prepared, seconds

REPOSITORY = Path(__file__).parents[1]
# all-MiniLM-L6-v2 without its weights and its vocabulary: words are cut into pieces by a tokenizer made of the text.
MINILM = """
import sys
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertModel, BertTokenizerFast
text, folder = sys.argv[1:]
tokenizer = BertWordPieceTokenizer(lowercase=True)
tokenizer.train([text], vocab_size=30522, show_progress=False)
BertTokenizerFast(tokenizer_object=tokenizer._tokenizer).save_pretrained(folder)
config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
BertModel(config).save_pretrained(folder)
"""
MINILM_RUN = """
import sys, numpy
from sentence_transformers import SentenceTransformer, models
text, folder = sys.argv[1:]
word = models.Transformer(folder, max_seq_length=256)
model = SentenceTransformer(modules=[word, models.Pooling(word.get_word_embedding_dimension())], device="cpu")
numpy.save("minilm.npy", model.encode(open(text, encoding="utf8").read().splitlines(), batch_size=32))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--peers", metavar="PYTHON", required=True)
    parser.add_argument("--tools", metavar="DIR", type=Path, required=True)
    parser.add_argument("--package", metavar="DIR", required=True)
    parser.add_argument("--minilm", metavar="PYTHON", required=True)
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    with TemporaryDirectory() as name:
        folder = Path(name)
        text, _, n_tokens = prepared(options, folder)

        def run(*command: object, place: Path = folder) -> float:
            return seconds(lambda: subprocess.run(list(map(str, command)), check=True, cwd=place, capture_output=True))

        def tell(who: str, *command: object, place: Path = folder) -> None:
            took = run(*command, place=place)
            print(f"{who}: {n_tokens / took:,.0f} tokens/s ({took:.1f} s, {n_tokens:,} tokens)", flush=True)

        ours = [sys.executable, "-m", "spacy", "elmo", "embed", text]
        plain = ["--format", "tokens", "--device", "cpu"]
        run(sys.executable, options.tools / "random_elmo.py", "small", folder / "small")
        options_file, weights_file = folder / "small_options.json", folder / "small_weights.hdf5"
        program = REPOSITORY / "tests" / "embedding" / "allennlp_peer.py"
        allennlp = [options.peers, program, options.package, text, folder / "theirs.hdf5", "--all"]
        many = folder / "many"
        run(options.peers, options.tools / "peer_manylangs.py", "make", many, text)
        manylangs = [options.peers, "-m", "elmoformanylangs", "test", "--input", text, "--input_format", "plain"]
        manylangs += ["--model", many, "--output_format", "hdf5", "--output_layer", "-1", "--output_prefix", "out"]
        minilm = folder / "minilm"
        run(options.minilm, "-c", MINILM, text, minilm)

        small = ["--model", options_file, "--weights", weights_file, "--layers", "all"]
        tell("embed, small, all layers to .h5", *ours, folder / "ours.h5", *small, *plain)
        files = ["--options-file", options_file, "--weight-file", weights_file]
        tell("AllenNLP's command elmo, small, all layers to .hdf5", *allennlp, *files)
        tell("embed, en_elmo_sm, average", *ours, folder / "ours", "--model", "en_elmo_sm", *plain)
        tell("ELMoForManyLangs' command, 256 cells, average", *manylangs, place=many)
        pooled = ["--model", "en_elmo_sm", "--pool", "sentence"]
        tell("embed, en_elmo_sm, a vector a sentence", *ours, folder / "pooled", *plain, *pooled)
        tell("sentence-transformers, MiniLM, a vector a sentence", options.minilm, "-c", MINILM_RUN, text, minilm)


if __name__ == "__main__":
    main()
