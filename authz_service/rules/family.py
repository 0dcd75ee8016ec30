"""Is the family in the programme?"""

from datetime import datetime
from typing import assert_never

from authz_service.declines import DeclineReason
from authz_service.rules.facts import Facts
from authz_service.vocabulary import BeneficiaryStatus


def family_is_active(facts: Facts) -> DeclineReason | None:
    if facts.family is None:
        return None
    match facts.family.status:
        case BeneficiaryStatus.ACTIVE:
            return None
        case BeneficiaryStatus.SUSPENDED:
            return DeclineReason.BENEFICIARY_SUSPENDED
        case BeneficiaryStatus.REMOVED:
            return DeclineReason.BENEFICIARY_REMOVED
        case unreachable:
            assert_never(unreachable)


def status_at(
    instant: datetime,
    status: BeneficiaryStatus,
    next_status: BeneficiaryStatus | None,
    next_status_at: datetime | None,
) -> BeneficiaryStatus:
    """A dated change holds from its instant on, whether or not anybody has written it."""
    is_due = next_status_at is not None and next_status_at <= instant
    return next_status if is_due and next_status is not None else status
