"""How far an enrolment is, for whoever watches."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from authz_service.enrolment.enrol import Progress as Told


@contextmanager
def enrolment_progress(console: Console) -> Iterator[Told]:
    """A bar while a programme is enrolled; on what is no terminal, nothing."""
    columns = (TextColumn("Enrolling {task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")

        def told(table: str, done: int, total: int) -> None:
            bar.update(task, description=table, completed=done, total=total)

        yield told
