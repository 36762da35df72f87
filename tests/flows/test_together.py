"""Tasks that are ended: once, and in order, whatever else happens inside them."""

import asyncio

import pytest

from mirror_realm.flows.together import ended, settled


async def undoing(said, seconds=0.05):
    """Something that takes a while to end in order."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(seconds)
        said.append("undone")
        raise


async def test_what_is_ended_twice_is_cancelled_once():
    said = []
    tasks = [asyncio.create_task(undoing(said)) for _ in range(2)]
    await asyncio.sleep(0)
    first = asyncio.create_task(ended(tasks))
    await asyncio.sleep(0.01)
    await ended(tasks)
    await first
    assert said == ["undone", "undone"]


async def test_what_ends_at_its_own_timeout_is_cancelled_all_the_same():
    said = []

    async def work():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await undoing(said)
        await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.03)
    assert task.cancelling()
    async with asyncio.timeout(5):
        await ended([task])
    assert task.cancelled()


async def test_an_error_is_told_before_a_cancellation_and_the_others_go_on():
    said = []

    async def fails():
        await asyncio.sleep(0.01)
        raise ValueError("first")

    tasks = [asyncio.create_task(one) for one in (undoing(said), fails(), asyncio.sleep(60))]
    await asyncio.sleep(0)
    tasks[2].cancel()
    with pytest.raises(ValueError, match="first"):
        await settled(tasks)
    assert not tasks[0].done()
    await ended(tasks)
    assert said == ["undone"]


async def test_who_waits_is_cancelled_and_the_tasks_are_not():
    said = []
    tasks = [asyncio.create_task(undoing(said))]
    waiting = asyncio.create_task(settled(tasks))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not tasks[0].done()
    await ended(tasks)
    await settled([])
