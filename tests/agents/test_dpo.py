from tests.agents.test_scalars import assert_copies_are_what_they_are_alone


def test_rounding_decides_nothing_where_the_drift_begins():
    """At a ratio of 1, two programs of one run round otherwise, and might take another branch for each term."""
    assert_copies_are_what_they_are_alone("dpo")
