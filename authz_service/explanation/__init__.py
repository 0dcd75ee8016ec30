"""Why a purchase was answered as it was, for an operator, years later.

`explain.py` reads, in one snapshot, what was written at the decision and what was in force at its version of the
reference data. `recorded.py` makes the rules' facts of the two and decides again; `checks.py` says how each check came
out, `figures.py` by which figures; `questions.py`, `paragraphs.py` and `then.py` have the words, the facts and the
settings; `document.py` puts it together. All but the reading is pure.
"""
