"""Which role may open which address, in one table. An address that is not in it is not served at all."""

from collections.abc import Mapping
from typing import Final

from authz_service.people import Role

ANYBODY: Final = None
"""Also who has not signed in."""
EVERYBODY: Final = frozenset(Role)
FAMILIES: Final = frozenset({Role.CARD_DESK, Role.PROGRAMME_MANAGER, Role.AUDITOR})
"""Who may look a family up, with a reason."""
CARDS: Final = frozenset({Role.CARD_DESK, Role.PROGRAMME_MANAGER})
"""Who may change one."""
AUDIT: Final = frozenset({Role.AUDITOR})

PERMITTED: Final[Mapping[str, frozenset[Role] | None]] = {
    "GET /sign-in": ANYBODY,
    "POST /sign-in": ANYBODY,
    "POST /language": ANYBODY,
    "POST /sign-out": EVERYBODY,
    "GET /password": EVERYBODY,
    "POST /password": EVERYBODY,
    "GET /": EVERYBODY,
    "GET /families": FAMILIES,
    "POST /families": FAMILIES,
    "GET /families/{beneficiary_id}": FAMILIES,
    "POST /families/{beneficiary_id}/open": FAMILIES,
    "GET /families/{beneficiary_id}/purchases/{authorisation_id}": FAMILIES,
    "GET /families/{beneficiary_id}/do/{deed}": CARDS,
    "POST /families/{beneficiary_id}/do/{deed}": CARDS,
    "GET /families/{beneficiary_id}/cards/{card_id}/{deed}": CARDS,
    "POST /families/{beneficiary_id}/cards/{card_id}/{deed}": CARDS,
    "GET /audit": AUDIT,
}
"""Method and address below /console → the roles that may."""
BEFORE_THE_PASSWORD: Final = frozenset({"GET /password", "POST /password", "POST /sign-out", "POST /language"})
"""What is open to whoever came with a password for once, until there is another one."""
