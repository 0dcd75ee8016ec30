"""What FastAPI cannot say of the back office's calls: bodies that are read by `office.py`, keys, and their problems."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from authz_service import problems as p
from authz_service.answers import Document
from authz_service.requests import Approval, NewVoucher, Revocation

INTRODUCTION: Final = """\
## Companions and operators

- Each has keys of its own and sends one as `Authorization: Bearer <key>`. No key, or one that nobody has (any more): \
401. A key that is not for this call, a terminal's too: 403. What is not the caller's own is not there: 404.
- Every POST needs an `Idempotency-Key`, as above. It belongs to the companion or operator, not to the key of the day. \
Kept and replayed: every 2xx, and the 409 and 422 that state or amount caused.
- Lists come in pages: the last `id` of one is the `after` of the next, until `has_more` is false. Filters are joined \
by AND, apply to what the caller may see, and to things as they are now: a hold that is over is `expired`, whether or \
not that was written yet.
- A voucher lifts one month's cap for one family. The ordinary allowance goes first, then vouchers, the one that ends \
first before the others; what comes back goes the other way. It never lifts the package value or the entitlement.
"""
BODIES: Final[Mapping[str, tuple[Any, bool]]] = {
    "vouch": (NewVoucher, True),
    "revoke_voucher": (Revocation, True),
    "approve_voucher": (Approval, False),
}
"""Calls that change something: what the body becomes, and whether there must be one."""

_REPLAYED: Final = {"schema": {"const": "true"}, "description": "Only where the answer was given before."}
_EVERY: Final = (p.KeyUnknown, p.NotForThisKey, p.MethodNotAllowed, p.InternalError, p.NotDecided)
_LISTED: Final = (*_EVERY, p.QueryInvalid)
_POSTED: Final = (
    *(*_EVERY, p.NotJson, p.BodyTooSlow, p.BodyTooLarge, p.Invalid, p.QueryInvalid, p.OutcomeUnknown),
    *(p.KeyMissing, p.KeyMalformed, p.InProgress, p.KeyReused),
)
OFFICE_PROBLEMS_OF: Final[Mapping[str, tuple[type[p.Problem], ...]]] = {
    "vouch": (
        *(*_POSTED, p.NoSuchFamily, p.MonthNotOpen, p.FamilyRemoved),
        *(p.VoucherLimitExceeded, p.VoucherMonthLimitExceeded),
    ),
    "list_vouchers": _LISTED,
    "get_voucher": (*_EVERY, p.NoSuchVoucher),
    "revoke_voucher": (*_POSTED, p.NoSuchVoucher, p.VoucherStateConflict),
    "approve_voucher": (*_POSTED, p.NoSuchVoucher, p.VoucherStateConflict, p.FamilyRemoved),
    "list_beneficiaries": _LISTED,
    "list_authorisations": _LISTED,
    "explain_authorisation": (*_EVERY, p.NoSuchAuthorisation),
}


def complete_requests(document: Document, key_pattern: str) -> None:
    """Each call that changes something says what its body is and that it needs an Idempotency-Key."""
    for operations in document["paths"].values():
        for operation in operations.values():
            if (name := operation.get("operationId")) in BODIES:
                kind, required = BODIES[name]
                schema = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}")
                document["components"]["schemas"][kind.__name__] = schema
                content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}
                for status, told in operation["responses"].items():
                    if status < "400":
                        told["headers"] = {"Idempotent-Replayed": _REPLAYED}
                operation["requestBody"] = {"content": content} | ({"required": True} if required else {})
                # FastAPI keeps the document that it is given back: a second reading must not add a second one.
                others = [each for each in operation.get("parameters", []) if each["in"] != "header"]
                operation["parameters"] = [*others, _key(key_pattern)]


def _key(pattern: str) -> Document:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "pattern": pattern},
        "description": "1 to 64 visible ASCII characters, bare or in double quotes.",
    }
