"""Make an installable package of a biLM: a blank pipeline with the component "elmo", ready with its weights.

    python scripts/package_model.py MODEL OUTPUT --name elmo_md [--lang en] [--version 1.0.0] [--licence MIT]

MODEL is whatever a `source` may be, such as the model-best of a pretraining run. What comes out is a wheel below
OUTPUT; after `pip install` of it, `spacy.load("en_elmo_md")` gives the pipeline, and a config takes the component from
it by `source = "en_elmo_md"` under [components.elmo]. Weights are stored as float32.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import spacy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("output", type=Path)
    parser.add_argument("--name", required=True, help="without the language, which spaCy puts before it")
    parser.add_argument("--lang", default="en")
    parser.add_argument("--version", default="1.0.0")
    parser.add_argument("--licence", default="MIT", help="of the weights")
    parser.add_argument("--description", default="A pretrained ELMo for spacy-elmo")
    arguments = parser.parse_args()
    nlp = spacy.blank(arguments.lang)
    nlp.add_pipe("elmo", config={"model": {"source": arguments.model}})
    nlp.meta.update({"license": arguments.licence, "description": arguments.description})
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        nlp.to_disk(folder)
        command = [
            sys.executable,
            "-m",
            "spacy",
            "package",
            folder,
            str(arguments.output),
            "--build",
            "wheel",
            "--force",
        ]
        command += ["--name", arguments.name, "--version", arguments.version]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
