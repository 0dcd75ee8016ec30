"""The quarter played for real: 987 families at 27 tills, over HTTP, on a clock that runs October to December 2024.

    baskets.json, goods.py      what lies on the counter, at each shop's own prices
    town.py, market.py          the programme's terms, its shops and its families
    plan.py, purse.py           a quarter as data; what a family may still spend by the programme's terms
    misuse.py, suspected.py     what hurts families, as a few shops do it; and what the signals found of it
    teller.py, stories.py       what goes wrong beside the shopping: cards, families, shops, hours
    habits.py, customer.py      how often what happens; one family at the till
    shoppers.py                 who buys where and when
    tills.py, office.py         the two ways in: the terminals' HTTP calls; the operators' changes and vouchers
    quarter.py, progress.py     plays the plan, day by day, and compares every answer with what the terms say
    bank.py, settling.py        the bank beside it, and how the shops are paid through it
    last_day.py, show.py        the end of the programme; all of it, from an empty machine
    figures.py, report.py, settled.py   what the database says about it afterwards

All down to `shoppers.py` is pure, and the same for the same seed.
"""
