"""What people do with the switch, as locust plays it against a service that runs elsewhere.

people.py               whose keys and cards there are, and who comes to which till next
calls.py                a request and what its answer must be: status, schema, and the same bytes each time
till.py                 a terminal: sends, sends again under the same key, reverses what was never answered
pace.py                 how long people take, and how much faster a run plays it
counter.py              a family at the counter: its basket, the sale, and what the shop makes of it
shops_day.py, first_of_the_month.py, busy_shop.py, banks_night.py       the journeys
"""
