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
OFFICE: Final = frozenset({Role.PROGRAMME_MANAGER, Role.AUDITOR})
"""Who may see vouchers, settlement, what the bank told, and the books."""
MANAGERS: Final = frozenset({Role.PROGRAMME_MANAGER})
"""Who may give orders about them."""

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
    "GET /today": EVERYBODY,
    "GET /shops": EVERYBODY,
    "GET /shops/{merchant_id}/{deed}": MANAGERS,
    "POST /shops/{merchant_id}/{deed}": MANAGERS,
    "GET /terminals/{terminal_id}/{deed}": MANAGERS,
    "POST /terminals/{terminal_id}/{deed}": MANAGERS,
    "GET /vouchers": OFFICE,
    "GET /vouchers/{voucher_id}/{deed}": MANAGERS,
    "POST /vouchers/{voucher_id}/{deed}": MANAGERS,
    "GET /settlement": OFFICE,
    "GET /settlement/batches/{batch_id}": OFFICE,
    "GET /settlement/payouts/{instruction_id}/release": MANAGERS,
    "POST /settlement/payouts/{instruction_id}/release": MANAGERS,
    "GET /settlement/purchases/{authorisation_id}/unwait": MANAGERS,
    "POST /settlement/purchases/{authorisation_id}/unwait": MANAGERS,
    "GET /settlement/accounts/{account_ref}/approve": MANAGERS,
    "POST /settlement/accounts/{account_ref}/approve": MANAGERS,
    "GET /inbox": OFFICE,
    "GET /inbox/{notice_id}/{deed}": MANAGERS,
    "POST /inbox/{notice_id}/{deed}": MANAGERS,
    "GET /exceptions": OFFICE,
    "GET /exceptions/{exception_id}/{deed}": MANAGERS,
    "POST /exceptions/{exception_id}/{deed}": MANAGERS,
    "GET /roll": OFFICE,
    "GET /roll/{import_id}/{deed}": MANAGERS,
    "POST /roll/{import_id}/{deed}": MANAGERS,
    "GET /signals": OFFICE,
    "GET /signals/{finding_id}": OFFICE,
    "GET /signals/{finding_id}/{deed}": MANAGERS,
    "POST /signals/{finding_id}/{deed}": MANAGERS,
    "GET /books": OFFICE,
    "GET /audit": AUDIT,
}
"""Method and address below /console → the roles that may."""
BEFORE_THE_PASSWORD: Final = frozenset({"GET /password", "POST /password", "POST /sign-out", "POST /language"})
"""What is open to whoever came with a password for once, until there is another one."""
