"""What other systems are told of exceptions: ids, codes and rupiah; no words of the bank."""

from authz_service.events.kinds import Event, ExceptionOpened
from authz_service.reconciliation.findings import Finding


def told_of_exception(exception_id: str, finding: Finding) -> Event:
    return ExceptionOpened(
        exception_id=exception_id,
        kind=finding.state,
        instruction_id=ours(finding.reference),
        our_amount=finding.ours_rupiah,
        their_amount=finding.theirs_rupiah,
        since_on=finding.since_on,
    )


def ours(reference: str) -> str | None:
    """What a bank calls a payment is told only where it is a payout of ours: else it is somebody's free text."""
    is_ours = reference.startswith("pay_") and reference.removeprefix("pay_").isalnum() and reference.isascii()
    return reference if is_ours else None
