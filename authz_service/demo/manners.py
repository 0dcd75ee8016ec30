"""How the bank beside the quarter behaves, as its reader chooses. Pure."""

from enum import StrEnum
from typing import Final


class Manners(StrEnum):
    """How the bank beside the quarter behaves."""

    WELL = "well"
    """It pays and fails as when it behaves badly, and tells each payment once, at once and right."""
    AS_USUAL = "as-usual"
    """A bank as it is on ordinary days. All of it is healed by notices and statement: nobody has to look."""
    BADLY = "badly"
    """In every way that there is: people release what failed, and resolve the notices of a wrong amount."""


_OF_THE_PAYMENTS: Final = "pending=0.1,returns=0.02,fails=0.02"
MISBEHAVE: Final = {
    Manners.WELL: _OF_THE_PAYMENTS,
    Manners.AS_USUAL: (
        "late=0.05,twice=0.05,out-of-order=0.05,error-500=0.05,wrong-signature=0.02,silent=0.03,pending=0.1,"
        "returns=0.005"
    ),
    Manners.BADLY: (
        "late=0.2,twice=0.2,out-of-order=0.2,error-500=0.1,wrong-signature=0.1,wrong-amount=0.1,silent=0.05,"
        + _OF_THE_PAYMENTS
    ),
}
"""As `authz simulate bank --misbehave` takes it."""
