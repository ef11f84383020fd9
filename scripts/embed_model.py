"""Put a pretrained model into the package, as the embedded en_elmo_sm, with its card.

    python scripts/embed_model.py RUN

RUN is the directory of a finished `python -m spacy elmo pretrain configs/pretrain_sm.cfg`. Writes spacy_elmo/assets/
en_elmo_sm: the weights as float16, the config and the manifest of the texts they were trained on, and README.md, the
card, with the run's held-out curve and with every table that the workflows and probes have left in metrics/. Run it
again when those have been run on the new model.
"""

import argparse
import json
import re
from pathlib import Path
from string import Template
from typing import Any

from thinc.api import Config

from spacy_elmo import load_bilm, save_bilm

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "spacy_elmo" / "assets" / "en_elmo_sm"
CARD = Path(__file__).with_name("card.md")
METRICS = ROOT / "metrics"


def write_model(run: Path) -> None:
    save_bilm(load_bilm(run / "model-last", "cpu"), TARGET, dtype="float16", overwrite=True)
    config = Config().from_disk(run / "model-last" / "pretraining.cfg")
    config["paths"] = {"train": None, "heldout": None}
    config.to_disk(TARGET / "pretraining.cfg")
    manifest = json.loads((run / "corpus" / "manifest.json").read_text("utf8"))
    for source in [source for part in manifest["sources"].values() for source in part or ()]:
        source["path"] = Path(source["path"]).name
        source.pop("mtime_ns")
    write_json(TARGET / "corpus.json", manifest)
    write_json(TARGET / "training.json", json.loads((run / "model-last" / "training.json").read_text("utf8")))


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", "utf8")


def facts(run: Path) -> dict[str, str]:
    """What the card's template asks for."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text("utf8").splitlines()]
    evaluations = list({line["step"]: line for line in lines if "perplexity" in line}.values())
    last = json.loads((run / "model-last" / "training.json").read_text("utf8"))
    training = Config().from_disk(run / "model-last" / "pretraining.cfg")["training"]
    bilm = load_bilm(TARGET, "cpu")
    config = bilm.config
    final = evaluations[-1]
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
        "steps": str(last["step"]),
        "tokens": f"{last['tokens'] / 1e6:.1f} million",
        "epochs": f"{last['epoch']:.2f}",
        "negatives": f"{training['negatives']:,}",
        "corpus_words": f"{last['corpus_words'] / 1e6:.1f} million",
        "vocabulary": f"{last['vocabulary']:,}",
        "hours": f"{lines[-1]['seconds'] / 3600:.1f}",
        "perplexity": f"{final['perplexity']:.0f}",
        "forward": f"{final['forward_perplexity']:.0f}",
        "backward": f"{final['backward_perplexity']:.0f}",
        "curve": curve(evaluations),
    }


def curve(evaluations: list[dict[str, Any]]) -> str:
    lines = ["| tokens seen (millions) | forward | backward | average |", "|---|---|---|---|"]
    for one in evaluations:
        values = (one["forward_perplexity"], one["backward_perplexity"], one["perplexity"])
        lines.append(f"| {one['tokens'] / 1e6:.1f} | {' | '.join(f'{value:.1f}' for value in values)} |")
    return "\n".join(lines)


def card(run: Path) -> str:
    text = Template(CARD.read_text("utf8")).substitute(facts(run))

    def metric(match: re.Match[str]) -> str:
        path = METRICS / f"{match[1]}.md"
        if not path.exists():
            raise SystemExit(f"{path} is missing: run the workflow that makes it, see project.yml.")
        return path.read_text("utf8").strip()

    return re.sub(r"\{\{(.*?)\}\}", metric, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--card-only", action="store_true", help="leave the weights as they are")
    arguments = parser.parse_args()
    if not (arguments.run / "model-last").exists():
        raise SystemExit(f"{arguments.run} holds no finished run: there is no model-last.")
    if not arguments.card_only:
        write_model(arguments.run)
    (TARGET / "README.md").write_text(card(arguments.run), "utf8")


if __name__ == "__main__":
    main()
