"""What happened, in figures that add up to the books: sales by day, shop, kecamatan and category, families that have
not shopped, and what would expire unused. Nothing here writes; `docs/decisions/0023` says what each figure is.
"""
