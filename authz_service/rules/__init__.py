"""The rules of a programme: pure questions about facts, in an order that is written once (`decide.py`)."""
