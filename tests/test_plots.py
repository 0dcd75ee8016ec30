"""What a growth run measured can be drawn, and what is drawn without a name is what the pages quote."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from loadtests import plots
from loadtests.growth_report import write
from tests.test_growth import a_growth, a_round


@pytest.mark.parametrize("disturbed", [(), ("the load average was 3.0 when the run began",)])
def test_every_drawing_of_a_run_comes_out_as_png_and_svg(tmp_path: Path, disturbed: Sequence[str]) -> None:
    sizes = [[a_round(number, families, 1000.0) for number in (1, 2, 3)] for families in (10_000, 1_000_000)]
    plots.draw(write(a_growth(*sizes, disturbed=disturbed), tmp_path), tmp_path)
    drawn = {file.name for file in tmp_path.glob("growth-*") if file.stat().st_size > 1_000}
    assert drawn == {f"growth-{name}.{kind}" for name in plots.DRAWINGS for kind in ("png", "svg")}
    svg = (tmp_path / "growth-rate.svg").read_text(encoding="utf-8")
    assert ("a disturbed run" in svg) is bool(disturbed)


def test_the_run_that_is_drawn_is_the_one_that_the_pages_quote(tmp_path: Path) -> None:
    """Also when it was measured before pages written whole were counted."""
    plots.draw(plots.quoted(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 * len(plots.DRAWINGS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file or directory."),
        ("{", "is no raw file of a growth run."),
        ("[]", "is no raw file of a growth run."),
        ("7", "is no raw file of a growth run."),
        ("{}", "is no raw file of a growth run."),
        ('{"sizes": [], "disturbed": []}', "is no raw file of a growth run."),
        ('{"sizes": [{"rounds": []}], "disturbed": []}', "is no raw file of a growth run."),
    ],
)
def test_a_file_that_is_no_run_is_a_sentence_and_draws_nothing(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "file.json").write_text(text)
    with pytest.raises(SystemExit, match=f"^{tmp_path}/file.json {said}$"):
        plots.draw(tmp_path / "file.json", tmp_path)
    assert not list(tmp_path.glob("growth-*"))


def test_a_run_of_another_benchmark_or_half_a_run_draws_nothing(tmp_path: Path) -> None:
    half = write(a_growth([a_round(1, 10, 1000.0)]), tmp_path)
    half.write_bytes(half.read_bytes().replace(b'"memory"', b'"forgotten"'))
    for file in (half, next((plots.DOCS.parent / "loadtests/results").glob("*-bench.json"))):
        with pytest.raises(SystemExit, match=r"is no raw file of a growth run\.$"):
            plots.draw(file, tmp_path / "drawn")


def test_numbers_are_written_as_on_the_pages() -> None:
    assert (plots._number(1_000_001), plots._number(0.9, 1), plots._number(12_345.67, 1)) == (
        "1 000 001",
        "0,9",
        "12 345,7",
    )
