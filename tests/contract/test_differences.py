"""The list of differences, the tests, and the guide say the same."""

from contract.differences import GUIDE, in_guide, listed, rows_in_tests, table


def test_every_difference_is_a_row_that_a_test_marks() -> None:
    rows = [row for difference in listed() for row in difference.rows]
    assert len(rows) == len(set(rows))
    assert set(rows) <= rows_in_tests()["row"]


def test_every_difference_is_brought_back_or_has_a_reason_not_to_be() -> None:
    for difference in listed():
        assert difference.compat != bool(difference.never), difference.was


def test_what_compat_brings_back_is_shown_by_a_test_of_the_old() -> None:
    old = rows_in_tests()["old"]
    brought_back = [difference for difference in listed() if difference.compat]
    for difference in brought_back:
        assert old.intersection(difference.rows), difference.was
    assert old <= {row for difference in brought_back for row in difference.rows}


def test_the_guide_holds_the_list() -> None:
    _, made, _ = in_guide(GUIDE.read_text())
    assert made == table(), "python tests/contract/differences.py writes the table again"
