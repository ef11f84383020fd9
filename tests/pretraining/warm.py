"""What the command takes seconds to import. The processes of runs are forked from one that has done so."""

import spacy
import spacy.cli

import spacy_elmo.pretraining.run  # noqa: F401

spacy.blank("en").add_pipe("sentencizer")
