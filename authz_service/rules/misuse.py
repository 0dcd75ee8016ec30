"""Was something seen at this terminal, this shop or with this card that the programme declines for?

What is looked at here was written beforehand, by `signals/`: a decision waits for no statistics.
"""

from collections.abc import Mapping

from authz_service.declines import DeclineReason
from authz_service.rules.facts import Facts, Mark

Marks = Mapping[str, tuple[Mark, ...]]
"""Terminal, shop or card → its marks."""


def no_misuse_is_suspected(facts: Facts) -> DeclineReason | None:
    """A mark that is over counts no more, whether or not anybody has removed it."""
    for mark in facts.marks:
        if facts.now < mark.until:
            return DeclineReason.SUSPECTED_MISUSE
    return None


def marks_on(marks: Marks, *subjects: str | None) -> tuple[Mark, ...]:
    """Those of the subjects, which are told apart by the prefixes of their ids."""
    return tuple(mark for subject in subjects if subject is not None for mark in marks.get(subject, ()))
