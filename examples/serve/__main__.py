"""Start the service.

    python -m examples.serve --model en_elmo_sm --port 8000

Stops on SIGTERM or Ctrl-C, when the requests that have come are answered.
"""

import argparse

import uvicorn

from spacy_elmo.embedding import Settings

from .app import Parts, create_app
from .models import Cloze, Entities, Neighbours, Vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="en_elmo_sm", help="what load_bilm loads")
    parser.add_argument("--language-model", help="a model with its softmax, for /cloze; such as en_elmo_sm")
    parser.add_argument("--pipeline", help="a trained pipeline, for /entities")
    parser.add_argument("--index", help="a directory that `embed --pool doc` wrote with MODEL, for /neighbours")
    parser.add_argument("--layers", default="average", help="as of `embed`")
    parser.add_argument("--wait-ms", type=float, default=5.0, help="how long a request waits for others")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    parts = Parts(
        Vectors(options.model, Settings(layers=options.layers)),
        options.pipeline and Entities(options.pipeline),
        options.index and Neighbours(options.index, options.model),
        options.language_model and Cloze(options.language_model),
    )
    uvicorn.run(create_app(parts, options.wait_ms / 1000), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
