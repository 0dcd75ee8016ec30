"""The quarter played for real: 987 families at 27 tills, over HTTP, on a clock that runs October to December 2024.

    baskets.json → goods.py      what lies on the counter, at each shop's own prices
    plan.py, purse.py            a quarter as data, and what a family may still spend by the programme's terms
    stories.py, shoppers.py      who buys what, where and when, and what goes wrong: pure, the same for the same seed
    tills.py, office.py          the two ways in: the terminals' HTTP calls, the operators' changes and vouchers
    quarter.py                   plays the plan, day by day, and compares every answer with what the terms say
    report.py                    what the database says about it afterwards
"""
