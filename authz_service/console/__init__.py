"""The console: what the people at Dinsos and at the card desk see and do, in pages that the server draws.

    app.py           the pages put together, and the headers of every answer
    permissions.py   which role may open which address, in one table
    visit.py         one request of somebody: who it is, in which language, what stands in the form
    sessions.py      signing in, and staying so
    pages/           a module for each part of the menu, with a router and templates of its own
    words/           every sentence, in Indonesian and in English

A page that is added: a module in `pages/` with a `router`, named in `pages/__init__.py`; its addresses in
`permissions.py`; a line in `menu.py` if it is to be found there; its words in `words/`.
"""
