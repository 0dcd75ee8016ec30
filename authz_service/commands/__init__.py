"""What operators type, noun by noun; `cli.py` puts the nouns together."""
