"""How definitions get damaged by hand and by programs. Every mutation is a function of a ``random.Random``.

``damaged_text`` treats a definition as text, ``damaged_tree`` as a tree of values, ``damaged_expressions`` changes the
expressions in it, ``damaged_keys`` what its keys are, ``nested`` puts nodes inside nodes.
"""

import copy
import json
import re
from collections.abc import Iterator
from random import Random
from typing import Any

CHARACTERS = list("abz019 -_:,.'\"{}[]()#&*!|>%@`~?\\/\t\n照😀\u200b\u2028\u0301\ufeff\x00\x85\ud800=<")
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**30,
    1e308,
    "",
    "x",
    "?0",
    "else",
    "1h",
    "{{ 1 +",
    "{{ input.x }}",
    "{{ nodes.x.y[0] }}",
    "照片",
    "a/b",
    "\ud800",
    "\x00",
    [],
    [1],
    ["x", "x"],
    {},
    {"a": None},
    {"": ""},
    {"{{ x }}": "{{ y }}"},
    [[[]]],
]
_VOCABULARY = (
    "( ) [ ] { } , . : ? ! + - * / % < > <= >= == != && || and or not in is null empty true false input nodes vars"
    " trigger item loop default( has( size( sort( map(x, filter(x, x .a .b() [0] ['a'] 'text' \" ' 1 -1 1.5 1e999"
    " 9223372036854775808 0x {{ }} \\{{ 照片 `a b` $ ; .. ?? => \ud800 \x00 \n // #"
)
WORDS = _VOCABULARY.split(" ")
KEYS = (
    "1",
    "true",
    "null",
    "1.5",
    "2026-01-01",
    '""',
    "<<",
    "? [a]\n",
    "[a, b]",
    "*a",
    "&a x",
    "!t x",
    '"a\\0"',
    "~",
)
_KEY = re.compile(r"^([ \t]*(?:- )?)([\w.-]+):", re.MULTILINE)
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
FORKS = ("control/foreach", "control/loop", "control/transaction", "control/parallel")


def damaged_text(text: str, chance: Random) -> str:
    """Lines lost, doubled, moved, indented otherwise, cut; characters typed wrong; words exchanged."""
    lines = text.split("\n")
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines))
        match chance.randrange(10):
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
                lines[at] = lines[at][: chance.randint(0, len(lines[at]))]
            case 8:
                words = lines[at].split(" ")
                chance.shuffle(words)
                lines[at] = " ".join(words)
            case 9:
                name, colon, value = lines[at].partition(": ")
                lines[at] = f"{name}{colon}{chance.choice(['&a ', '*a ', '!t ', '| ', '> '])}{value}"
        if not lines:
            return ""
    return "\n".join(lines)


def damaged_keys(text: str, chance: Random) -> str:
    """Keys that are no texts, or aliases, anchors, merges."""
    found = list(_KEY.finditer(text))
    for match in sorted(
        chance.sample(found, k=min(len(found), chance.randint(1, 2))), key=lambda m: -m.start()
    ):
        text = text[: match.start(2)] + chance.choice(KEYS) + text[match.end(2) :]
    return text


def damaged_tree(tree: Any, other: Any, chance: Random) -> Any:
    """Values lost, doubled, exchanged, of another type, wrapped, or taken from the definition ``other``."""
    tree = copy.deepcopy(tree)
    places, donors = list(_places(tree)), list(_places(other))
    for holder, key in chance.sample(places, k=min(len(places), chance.randint(1, 3))):
        if not _there(holder, key):
            continue
        match chance.randrange(9):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[f"{key}x"] = holder.pop(key)
            case 1:
                holder.insert(key, copy.deepcopy(holder[key]))
            case 2:
                source, at = chance.choice(places)
                if _there(source, at):
                    holder[key] = copy.deepcopy(source[at])
            case 3:
                source, at = chance.choice(places)
                if _there(source, at):
                    holder[key], source[at] = copy.deepcopy(source[at]), copy.deepcopy(holder[key])
            case 4 | 5 if donors:
                source, at = chance.choice(donors)
                if isinstance(holder, dict) and isinstance(source, dict):
                    holder[at] = copy.deepcopy(source[at])
                else:
                    holder[key] = copy.deepcopy(source[at])
            case 6:
                holder[key] = [holder[key]] if chance.random() < 0.5 else {"value": holder[key]}
            case _:
                holder[key] = copy.deepcopy(chance.choice(VALUES))
    return tree


def damaged_expressions(tree: Any, chance: Random) -> Any:
    """Tokens of expressions lost, doubled, exchanged or brought in."""
    tree = copy.deepcopy(tree)
    found = [(holder, key) for holder, key in _places(tree) if _is_expression(holder[key], key)]
    for holder, key in chance.sample(found, k=min(len(found), 2)):
        tokens = _TOKEN.findall(holder[key])
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(tokens) + 1)
            match chance.randrange(4):
                case 0:
                    del tokens[at : at + 1]
                case 1 if tokens:
                    tokens.insert(at, chance.choice(tokens))
                case _:
                    tokens.insert(at, chance.choice(WORDS))
        holder[key] = "".join(tokens)
    return tree


def nested(tree: Any, chance: Random) -> Any:
    """The definition with its nodes (or those of one of its parts) put into 1 to 60 constructs, one inside another."""
    tree = copy.deepcopy(tree)
    parts = [tree, *(holder[key] for holder, key in _places(tree) if key == "body")]
    part = chance.choice([one for one in parts if isinstance(one, dict)])
    for depth in range(chance.choice((1, 2, 3, 5, 8, 13, 20, 40, 60))):
        inner = {key: part.pop(key) for key in ("nodes", "edges") if key in part}
        kind = chance.choice(FORKS)
        parameters: dict[str, Any] = {}
        if kind == "control/foreach":
            parameters = {
                "items": chance.choice(["{{ input.items }}", [1, 2], "{{ item }}"]),
                "item": f"i{depth}",
            }
        elif kind == "control/loop":
            parameters = {"condition": "loop.index < 3"}
        holder = (
            {"branches": [inner, copy.deepcopy(inner)]}
            if kind == FORKS[-1] and depth < 4
            else {"body": inner}
        )
        part["nodes"] = [{"node_id": f"n{depth}", "type": kind, "parameters": parameters, **holder}]
    return tree


def mutation(text: str, tree: Any, other: Any, chance: Random) -> tuple[str, str]:
    """One damaged definition, and the suffix of a file that would hold it."""
    match chance.randrange(8):
        case 0 | 1:
            return damaged_text(text, chance), ".yaml"
        case 2:
            return damaged_keys(text, chance), ".yaml"
        case 3 | 4:
            tree = damaged_tree(tree, other, chance)
        case 5 | 6:
            tree = damaged_expressions(tree, chance)
        case _:
            tree = nested(tree, chance)
            if chance.random() < 0.5:
                tree = damaged_tree(tree, other, chance)
    return json.dumps(tree, ensure_ascii=chance.random() < 0.5, indent=1), chance.choice((".json", ".yaml"))


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a tree, as what holds it and its key or index there."""
    stack = [tree]
    while stack:
        value = stack.pop()
        keys = (
            list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        )
        yield from ((value, key) for key in keys)
        stack += [value[key] for key in keys]


def _there(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _is_expression(value: Any, key: Any) -> bool:
    return isinstance(value, str) and (
        "{{" in value or key in ("condition", "when", "expression", "filter", "items")
    )
