"""Charts say in words what they show, and nothing in them is run or loaded."""

import re
from xml.etree import ElementTree as ET

from authz_service.console.charts import bar, columns


def test_a_bar_is_as_long_as_its_share_and_for_the_eye_alone() -> None:
    assert 'width="25.0"' in bar(1, 4)
    assert 'width="100.0"' in bar(9, 4)
    assert 'width="0.0"' in bar(-1, 4)
    assert 'width="0.0"' in bar(3, 0)
    assert 'aria-hidden="true"' in bar(1, 4)


def test_columns_are_a_picture_with_a_title_a_summary_and_each_figure() -> None:
    hours = [(f"{hour:02}", hour * 1_000, f"Rp{hour}.000") for hour in range(24)]
    drawn = columns(hours, name="hours", title="Per <jam>", summary="Paling banyak & banyak", most_said="Rp23.000")
    picture = ET.fromstring(drawn)
    assert (picture.get("role"), picture.get("aria-labelledby")) == ("img", "hours-title hours-desc")
    assert [each.text for each in picture if each.tag in {"title", "desc"}] == ["Per <jam>", "Paling banyak & banyak"]
    bars = picture.findall("rect")
    assert [each.findtext("title") for each in bars][-1] == "23: Rp23.000"
    heights = [float(each.get("height") or 0) for each in bars]
    assert (heights[0], max(heights)) == (0, heights[23])
    assert abs(heights[10] * 23 - heights[23] * 10) < 23
    assert not re.search(r"style=|<script|href|url\(", drawn)


def test_a_day_without_a_sale_is_drawn_too() -> None:
    assert ET.fromstring(columns([], name="none", title="t", summary="s", most_said="Rp0")).tag == "svg"
