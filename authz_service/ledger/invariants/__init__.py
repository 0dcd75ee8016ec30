"""What must be true of the books, each invariant once: a name, a sentence, and the query for the rows that break it.

A query gives one column, `what`: which row is wrong, by its id, and the figures that disagree; never a name or a number
of a person. `audit.py` puts GIVEN in front, counts, and shows the first. $1 is the programme, $2 the end of
the past. Each query reads its tables once and joins them by hash, so a million families cost minutes, not days. For
what was written lately the same queries are asked of the families concerned alone: `recent.py` narrows the tables.
"""

from typing import Final

from authz_service.ledger.invariants.decisions import DECISIONS
from authz_service.ledger.invariants.families import FAMILIES
from authz_service.ledger.invariants.holds import HOLDS
from authz_service.ledger.invariants.money import MONEY
from authz_service.ledger.invariants.months import MONTHS
from authz_service.ledger.invariants.settlement import SETTLEMENT
from authz_service.ledger.invariants.statements import STATEMENTS
from authz_service.ledger.invariants.the_end import THE_END

INVARIANTS: Final = (*MONEY, *FAMILIES, *HOLDS, *MONTHS, *DECISIONS, *SETTLEMENT, *STATEMENTS, *THE_END)
