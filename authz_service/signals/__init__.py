"""Signals of misuse: what hurts these families in real life, seen in what the tills ask and the books say.

    kinds.py, thresholds.py     the signals by name, in words, and where each begins to count
    facts.py                    a day of a programme, as plain facts
    cards.py, totals.py, baskets.py, prices.py, refunds.py, companions.py, sales.py
                                one question each: facts in, findings out
    judging.py                  all of them in order; what their evidence comes to for each purchase
    reading.py, keeping.py      facts from the books; findings, held settlements and marks into them
    rules.py, standing.py       how a programme sets them; who dismisses or confirms what was found
    watching.py                 new decisions, within seconds; and whole days, in the night after
    backtest.py                 what a setting would have touched in the past

A signal is never proof. What is found alone is flagged; where the evidence of a purchase adds up, its settlement is
held, not the groceries.
"""
