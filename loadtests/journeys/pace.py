"""How long people take at the counter. The seconds are a shop's; a run plays them TIMES_AS_FAST as fast.

Played as they are, a sale takes a minute, and 27 tills sell once in two seconds: no load. Fifteen times as fast they
do what 400 tills would, some six sales a second. AUTHZ_TIMES_AS_FAST=1 is a shop's own pace.
"""

import os
from typing import Final

Seconds = tuple[float, float]
"""At least and at most; all between them are as likely."""

# Estimates: nobody has stood beside a till with a watch.
PACKING_SECONDS: Final[Seconds] = (20.0, 60.0)
"""The cashier reads the basket in and the family looks for its card."""
HANDING_OVER_SECONDS: Final[Seconds] = (5.0, 20.0)
"""Between the answer and what follows it at the same counter: the capture, or the refund of what is spoilt."""
NEXT_IN_THE_QUEUE_SECONDS: Final[Seconds] = (5.0, 15.0)
"""Where others wait already."""
TIMES_AS_FAST: Final = float(os.environ.get("AUTHZ_TIMES_AS_FAST", "15"))


def played(seconds: Seconds) -> Seconds:
    """How long that takes in the run."""
    least, most = seconds
    return least / TIMES_AS_FAST, most / TIMES_AS_FAST
