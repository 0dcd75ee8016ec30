"""A list of families from outside becomes the roll: read, compared, approved by somebody else, applied whole."""
