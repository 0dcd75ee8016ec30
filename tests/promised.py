"""What alerts, panels and runbooks ask for before it is counted: the tests let it pass, and nothing else."""

from typing import Final

PROMISED: Final = {
    "authz_sealed_head_age_seconds": ("programme", "chain"),
    "authz_sealed_rows": ("programme", "chain"),
    "authz_signals_total": ("signal", "action"),
    "authz_merchants_silent": ("programme",),
}
"""Named here before they are counted. Whoever defines one in metrics.py takes it out of this list."""
PROMISED_VALUES: Final = {"suspected_misuse"}
"""Likewise: a reason that comes with the signals."""
PROMISED_COMMANDS: Final = {"signals", "report"}
"""`authz signals …`, `authz report …`: as soon as there is such a group, each of its commands is looked at."""
PROMISED_EVENTS: Final = {"not_sealed", "sealed_late"}
"""What the log says of the sealer."""
