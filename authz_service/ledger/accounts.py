"""The accounts of a programme.

`fund` is an asset: the money at the bank. All others say whose that money is: `unallocated` (nobody's yet), one per
beneficiary, one per merchant (payable, may go below zero), `clearing` (payouts under way), `sponsor` (returned).
So at any time fund = unallocated + beneficiaries + merchants + clearing + sponsor.
"""

from typing import Final

from authz_service.vocabulary import AccountId

FUND: Final = AccountId("fund")
SPONSOR: Final = AccountId("sponsor")
UNALLOCATED: Final = AccountId("unallocated")
CLEARING: Final = AccountId("clearing")
PROGRAMME_ACCOUNTS: Final = (FUND, SPONSOR, UNALLOCATED, CLEARING)
