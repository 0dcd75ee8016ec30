"""The door: bytes become requests, answers and problems become bytes."""
