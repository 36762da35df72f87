"""Versions are ordered as SemVer says, and ranges take what people expect of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.core.versions import highest, precedence, version_range

KNOWN = ["0.1.0", "0.2.5", "1.0.0", "1.2.0", "1.2.9", "1.9.0", "2.0.0-rc.1", "2.0.0", "3.1.4"]


@pytest.mark.parametrize(
    ("wanted", "inside"),
    [
        ("^1.2", ["1.2.0", "1.2.9", "1.9.0"]),
        ("^0.1", ["0.1.0"]),
        ("~1.2", ["1.2.0", "1.2.9"]),
        ("1.x", ["1.0.0", "1.2.0", "1.2.9", "1.9.0"]),
        ("1", ["1.0.0", "1.2.0", "1.2.9", "1.9.0"]),
        (">=1,<2", ["1.0.0", "1.2.0", "1.2.9", "1.9.0"]),
        (">1", ["2.0.0", "3.1.4"]),
        ("<=1.2", ["0.1.0", "0.2.5", "1.0.0", "1.2.0", "1.2.9"]),
        ("=1.2.0", ["1.2.0"]),
        ("v1.2.0", ["1.2.0"]),
        (">=2.0.0-rc.1 <2.0.0", ["2.0.0-rc.1"]),
        ("~1.2 || ^3", ["1.2.0", "1.2.9", "3.1.4"]),
        ("*", [v for v in KNOWN if "-" not in v]),
        (">=9", []),
    ],
)
def test_ranges(wanted, inside):
    test = version_range(wanted)
    assert [version for version in KNOWN if test(version)] == inside
    assert highest(KNOWN, wanted) == (inside[-1] if inside else None)


@pytest.mark.parametrize("text", ["", "foo", "1.2.3.4", "^", "1..2", ">>1", "1.2.0foo", "||", "1 || "])
def test_what_is_no_range_is_said_to_be_none(text):
    with pytest.raises(ValueError, match=r"range"):
        version_range(text)


def test_the_highest_release_wins_over_a_later_pre_release():
    assert highest(["1.0.0", "2.0.0-rc.1"]) == "1.0.0"
    assert highest(["2.0.0-rc.1", "2.0.0-rc.2"]) == "2.0.0-rc.2"
    assert highest([]) is None


NUMBERS = st.integers(0, 12)
VERSIONS = st.builds(lambda a, b, c: f"{a}.{b}.{c}", NUMBERS, NUMBERS, NUMBERS)


@given(VERSIONS, VERSIONS)
def test_a_caret_keeps_the_first_number_that_is_not_zero(base, other):
    numbers = [int(n) for n in base.split(".")]
    first = next((i for i, n in enumerate(numbers) if n), 2)
    same = other.split(".")[: first + 1] == base.split(".")[: first + 1]
    assert version_range(f"^{base}")(other) == (same and precedence(other) >= precedence(base))
