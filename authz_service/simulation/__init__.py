"""A bank to test against: it speaks Bank Indonesia's SNAP as Bankaltimtara would, with keys of its own.

identity.py     who it is: its partner id, its private key, the client secret we gave it
requests.py     what it sends, signed in either way; pure
line.py         over HTTP, with a token that is fetched and renewed

checklist.py    what a bank's engineer makes sure of before the first notice; `authz certify bank`
certifying.py   asks a running service all of it
"""
