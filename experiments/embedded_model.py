"""Put a pretrained model into the package, as the embedded en_elmo_sm, with its card.

    python -m experiments.embedded_model model RUN
    python -m experiments.embedded_model card

RUN is the directory of a finished `python -m spacy elmo pretrain configs/pretrain_sm.cfg`.

`model` replaces spacy_elmo/assets/en_elmo_sm: the biLM and the softmax as float16, the config and facts of the
training, the manifest of the texts, and the held-out curve. The card goes, for it tells of the model before.
`card` writes the new one, README.md, with the tables that the workflows and probes have left in metrics/: run them
between the two. Figures that stand in card.md itself are of the model there is: measure them again, by the commands
that it names.
"""

import argparse
import json
import re
from pathlib import Path
from string import Template
from typing import Any

import srsly
from thinc.api import Config

from spacy_elmo import load_bilm, load_language_model
from spacy_elmo.language import save_language_model
from spacy_elmo.language.metadata import CONFIG_FILE, read_facts

from . import report

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "spacy_elmo" / "assets" / "en_elmo_sm"
CARD = Path(__file__).with_name("card.md")
METRICS = ROOT / report.METRICS
CURVE_FILE = "curve.jsonl"
PERPLEXITIES = ("forward_perplexity", "backward_perplexity", "perplexity")


def write_model(run: Path) -> None:
    last = run / "model-last"
    if not last.exists():
        raise SystemExit(f"{run} holds no finished run: there is no model-last.")
    config = Config().from_disk(last / CONFIG_FILE)
    config["paths"] = {"train": None, "heldout": None}
    training = read_facts(last) or {}
    # The target is replaced as a whole.
    save_language_model(load_language_model(last, "cpu"), TARGET, config, training, dtype="float16")
    write_json(TARGET / "corpus.json", manifest(run))
    (TARGET / CURVE_FILE).write_text("".join(f"{json.dumps(row)}\n" for row in curve_of(run)), "utf8")


def curve_of(run: Path) -> list[dict[str, Any]]:
    """Its evaluations. One that was made again, after the run was killed, counts as it was the last time."""
    lines = {line["step"]: line for line in srsly.read_jsonl(run / "log.jsonl") if "perplexity" in line}
    return [{key: line[key] for key in ("tokens", *PERPLEXITIES)} for line in lines.values()]


def manifest(run: Path) -> dict[str, Any]:
    """That of the run's corpus, without what it says of the machine."""
    found: dict[str, Any] = srsly.read_json(run / "corpus" / "manifest.json")
    for source in [source for part in found["sources"].values() for source in part or ()]:
        source["path"] = Path(source["path"]).name
        source.pop("mtime_ns")
    return found


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", "utf8")


def facts() -> dict[str, str]:
    """What the card's template asks for."""
    training = read_facts(TARGET) or {}
    curve = list(srsly.read_jsonl(TARGET / CURVE_FILE))
    bilm = load_bilm(TARGET, "cpu")
    config = bilm.config
    forward, backward, both = (f"{curve[-1][key]:.0f}" for key in PERPLEXITIES)
    return {
        "filters": ", ".join(f"{width}\u00d7{count}" for width, count in config.filters),
        "char_dim": str(config.char_dim),
        "n_highway": str(config.n_highway),
        "max_characters": str(config.max_characters),
        "longest": str(config.max_characters - 2),
        "n_layers": str(config.n_layers),
        "layers": str(config.n_layers + 1),
        "cell": str(config.cell_dim),
        "projection": str(config.projection_dim),
        "width": str(config.width),
        "clip": f"{config.cell_clip:g}",
        "parameters": f"{sum(parameter.numel() for parameter in bilm.parameters()) / 1e6:.1f} million",
        "megabytes": f"{(TARGET / 'model.safetensors').stat().st_size / 1e6:.1f} MB",
        "softmax_megabytes": f"{(TARGET / 'softmax.safetensors').stat().st_size / 1e6:.1f} MB",
        "tokens": f"{curve[-1]['tokens'] / 1e6:.1f} million",
        "epochs": f"{training['epoch']:.1f}",
        "negatives": f"{Config().from_disk(TARGET / CONFIG_FILE)['training']['negatives']:,}",
        "corpus_words": f"{training['corpus_words'] / 1e6:.1f} million",
        "vocabulary": f"{training['vocabulary']:,}",
        "forward": forward,
        "backward": backward,
        "perplexity": both,
        "curve": curve_table(curve),
    }


def curve_table(curve: list[dict[str, Any]]) -> str:
    rows = [[f"{row['tokens'] / 1e6:.1f}", *(f"{row[key]:.1f}" for key in PERPLEXITIES)] for row in curve]
    return report.table(["tokens seen (millions)", "forward", "backward", "average"], rows).strip()


def card() -> str:
    text = Template(CARD.read_text("utf8")).substitute(facts())

    def metric(match: re.Match[str]) -> str:
        path = METRICS / f"{match[1]}.md"
        if not path.exists():
            raise SystemExit(f"{path} is missing: run the workflow that makes it, see project.yml.")
        return path.read_text("utf8").strip()

    return re.sub(r"\{\{(.*?)\}\}", metric, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("model", help="the weights and what lies beside them").add_argument("run", type=Path)
    commands.add_parser("card", help="README.md, from the model and metrics/")
    arguments = parser.parse_args()
    if arguments.command == "model":
        write_model(arguments.run)
    else:
        (TARGET / "README.md").write_text(card(), "utf8")


if __name__ == "__main__":
    main()
