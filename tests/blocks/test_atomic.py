"""Whole files only: also where many write the same one at once."""

import multiprocessing
import sys
import threading

import pytest

from mirror_realm.blocks.atomic import atomic_file

SIZE = 50_000


def write_often(target, letter, times):
    for _ in range(times):
        with atomic_file(target) as file:
            file.write(letter * SIZE)


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be replaced there")
def test_many_writers_of_one_file_at_once(tmp_path):
    """Each is complete, none fails, and what is read meanwhile is one of them whole."""
    target = tmp_path / "here" / "目标.bin"
    target.parent.mkdir()
    target.write_bytes(b"0" * SIZE)
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=write_often, args=(target, letter, 60)) for letter in (b"a", b"b")]
    for one in others:
        one.start()
    failures = []

    def mine(letter):
        try:
            write_often(target, letter, 60)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=mine, args=(letter,)) for letter in (b"c", b"d")]
    for one in threads:
        one.start()
    while any(one.is_alive() for one in (*threads, *others)):
        content = target.read_bytes()
        assert len(content) == SIZE
        assert len(set(content)) == 1
    for one in (*threads, *others):
        one.join()
    assert not failures
    assert [one.exitcode for one in others] == [0, 0]
    assert [one.name for one in target.parent.iterdir()] == [target.name]
