"""Which items are taken next: each once, whatever comes home early."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.flows.batches.lots import Lots


def over(lots, lot, left=()):
    """A lot is over, but for those at its end."""
    if left:
        lots.put_back(lot, left)
    else:
        lots.got_done(lot)
    lots.over()


@given(
    count=st.integers(0, 60),
    size=st.integers(1, 20),
    takers=st.integers(1, 5),
    gets=st.lists(st.integers(1, 8), min_size=1, max_size=10),
)
def test_each_item_is_done_once_by_however_many(count, size, takers, gets):
    """A taker has time for as many items of a lot as ``gets`` says in turn, and puts the others back."""
    lots, done, turns = Lots(range(count), size, takers), [], [0]

    async def taker():
        while lot := await lots.take():
            assert len(lot) <= size
            time_for = gets[turns[0] % len(gets)]
            turns[0] += 1
            await asyncio.sleep(0)
            done.extend(one.index for one in lot[:time_for])
            over(lots, lot, lot[time_for:])

    async def all_of_them():
        async with asyncio.timeout(10):
            await asyncio.gather(*(taker() for _ in range(takers)))

    asyncio.run(all_of_them())
    assert sorted(done) == list(range(count))
    if takers == 1:
        assert done == list(range(count))


async def test_slow_items_are_taken_in_ever_smaller_lots():
    lots = Lots(range(100), 25, 4)
    first = await lots.take()
    assert [one.index for one in first] == list(range(25))
    over(lots, first, first[3:])
    sizes = []
    while lot := await lots.take():
        sizes.append(len(lot))
        over(lots, lot, lot[3:])
    assert sizes[0] == 6, "twice what there was time for"
    assert sizes[-3:] == [1, 1, 1], "no more than a share of what is left"


async def test_who_finds_nothing_waits_for_what_others_may_put_back():
    lots = Lots(range(4), 4, 2)
    lot = await lots.take()
    waiting = asyncio.create_task(lots.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    over(lots, lot, lot[1:])
    rest = await waiting
    assert [one.index for one in rest] == [1, 2]
    over(lots, rest)
    last = await lots.take()
    assert [one.index for one in last] == [3]
    over(lots, last)
    assert await lots.take() == []
