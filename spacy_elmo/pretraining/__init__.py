"""From texts to a pretrained biLM."""
