"""Thinc models, one file a layer: the encoder around the biLM, the layer mix, the two together, the listener."""
