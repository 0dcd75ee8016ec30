"""Is the family in the programme?"""

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
