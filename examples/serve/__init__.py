"""A service that gives vectors, entities, neighbours and words for a gap: `python -m examples.serve --help`."""
