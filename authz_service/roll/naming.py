"""Families are found by their names: the digests of the words, for those that came before there were any."""

from typing import Final

from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.names import name_digests
from authz_service.vocabulary import ProgrammeId

FAMILIES_AT_ONCE: Final = 1_000
_WITHOUT: Final = """
-- The next families without an index, after the id $2.
SELECT beneficiary_id, name_sealed FROM beneficiary
 WHERE programme_id = $1 AND beneficiary_id > $2 AND name_words IS NULL
 ORDER BY beneficiary_id LIMIT $3
"""
_FILL: Final = """
-- Raises no wallet's version: no decision reads it. Who was faster, as a corrected name, is left as it is.
UPDATE beneficiary SET name_words = $3
 WHERE programme_id = $1 AND beneficiary_id = $2 AND name_words IS NULL AND name_sealed = $4
"""


async def fill_name_words(connection: Connection, keys: Keys, programme_id: ProgrammeId) -> int:
    """Every family of the programme is found by its name; how many were not before. May be repeated, or cut short."""
    after, filled = "", 0
    while rows := await connection.fetch(_WITHOUT, programme_id, after, FAMILIES_AT_ONCE):
        await connection.executemany(
            _FILL,
            [
                (
                    *(programme_id, row["beneficiary_id"]),
                    name_digests(keys, programme_id, _name(keys, row["beneficiary_id"], row["name_sealed"])),
                    row["name_sealed"],
                )
                for row in rows
            ],
        )
        after, filled = rows[-1]["beneficiary_id"], filled + len(rows)
    return filled


def _name(keys: Keys, beneficiary_id: str, sealed: bytes) -> str:
    return keys.open_field(sealed, f"beneficiary.name_sealed:{beneficiary_id}")
