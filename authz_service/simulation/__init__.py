"""A bank to test against: it speaks Bank Indonesia's SNAP as Bankaltimtara would, with keys of its own.

identity.py         who it is: its partner id, its private key, the client secret we gave it
requests.py         what it sends, signed in either way; pure
line.py             over HTTP, with a token that is fetched and renewed

orders.py           what it is asked to pay; pure
misbehaviour.py     how badly it behaves, by seed; pure
telling.py          what becomes of one payment, and how it is told; pure
statement.py        its statement of the programme's account
bank.py             pays, tells until it is heard, keeps its statement
working.py          as a process: watches a directory for orders
play.py, end.py     beside the demo's quarter, a round a settlement day

checklist.py        what a bank's engineer makes sure of before the first notice; pure
certifying.py       asks a running service all of it
"""
