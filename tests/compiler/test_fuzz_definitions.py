"""Thousands of damaged definitions: never an exception, never a hang, and every error has a line.

The mutations are those that people and programs make: a line lost, doubled, moved or indented otherwise, a character
typed wrong, words exchanged, a bracket or quote too many; and, on the tree, a value of another type.
"""

import copy
import json
import random
import time
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze, emit

VALID = sorted((Path(__file__).parent / "fixtures" / "valid").iterdir())
LONGEST = 10.0
"""Seconds for one small file: a bound on hanging, with room for a busy machine."""

CHARACTERS = list("abz019 -_:,.'\"{}[]()#&*!|>%@`~?\\/\t\n照😀\u200b\u2028\u0301\ufeff\x00\x85=<")
VALUES = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "{{ 1 +",
    "{{ input.x }}",
    "照片",
    [],
    [1],
    {},
    {"a": None},
    [[[]]],
]


def damaged_text(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines))
        match chance.randrange(9):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[at])
            case 2:
                lines[at] = " " * chance.randint(1, 5) + lines[at]
            case 3:
                lines[at] = lines[at].removeprefix(" " * chance.randint(1, 4))
            case 4:
                other = chance.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 5 | 6:
                where = chance.randint(0, len(lines[at]))
                lines[at] = (
                    lines[at][:where] + chance.choice(CHARACTERS) + lines[at][where + chance.randint(0, 1) :]
                )
            case 7:
                where = chance.randint(0, len(lines[at]))
                lines[at] = lines[at][:where]
            case 8:
                words = lines[at].split(" ")
                chance.shuffle(words)
                lines[at] = " ".join(words)
        if not lines:
            return ""
    return "\n".join(lines)


def damaged_tree(tree: object, chance: random.Random) -> object:
    tree = copy.deepcopy(tree)
    places: list[tuple[object, object]] = []
    stack = [tree]
    while stack:
        value = stack.pop()
        keys = (
            list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        )
        places += [(value, key) for key in keys]
        stack += [value[key] for key in keys]
    for holder, key in chance.sample(places, k=min(len(places), chance.randint(1, 3))):
        match chance.randrange(5):
            case 0 if isinstance(holder, dict):
                holder.pop(key, None)
            case 1 if isinstance(holder, dict) and key in holder:
                holder[f"{key}x"] = holder.pop(key)
            case 2:
                other, at = chance.choice(places)
                if isinstance(other, dict) and at in other:
                    holder[key] = copy.deepcopy(other[at])
            case _:
                holder[key] = copy.deepcopy(chance.choice(VALUES))
    return tree


def survives(text: str, name: str) -> None:
    began = time.monotonic()
    analysis = analyze(name, text=text)
    for finding in analysis.diagnostics:
        assert finding.line is not None
        assert finding.column is not None
        assert 1 <= finding.line <= text.count("\n") + text.count("\r") + 1
    for form in ("text", "json", "sarif", "github"):
        analysis.render(form)
    if analysis.ok:
        compile(emit(analysis), name, "exec")
    assert time.monotonic() - began < LONGEST


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_damaged_text_is_diagnosed(path):
    text = path.read_text(encoding="utf-8")
    for seed in range(200):
        damaged = damaged_text(text, random.Random(seed))
        try:
            survives(damaged, path.name)
        except Exception as error:  # to name the input
            raise AssertionError(f"seed {seed}:\n{damaged}") from error


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_damaged_trees_are_diagnosed(path):
    document = analyze(path).document
    assert document is not None
    for seed in range(200):
        damaged = json.dumps(damaged_tree(document.tree, random.Random(seed)), ensure_ascii=False, indent=1)
        try:
            survives(damaged, f"{path.stem}.json")
        except Exception as error:  # to name the input
            raise AssertionError(f"seed {seed}:\n{damaged}") from error


def test_any_bytes_are_diagnosed():
    chance = random.Random(0)
    for _ in range(300):
        raw = bytes(chance.randrange(256) for _ in range(chance.randint(0, 60)))
        for name in ("w.yaml", "w.json", None):
            assert all(d.line is not None for d in analyze(name, text=raw).diagnostics)
