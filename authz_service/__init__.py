"""A switch for restricted social-assistance cards: may this family buy these goods, here, now, for this much?

A request comes in at `api/`, waits in `waiting.py`, and is taken with all others that wait by one of the `lanes.py`:
one read of the facts, `authorisation.py` decides each by the `rules/`, one guarded write into the books (`ledger/`),
and only then the answers go out. `holds.py` is the later life of what was approved. Imports only go down.
"""

__version__ = "0.1.0"
