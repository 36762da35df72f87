"""Source text → plain CEL: people's operators become CEL's, references become variables, positions are kept.

The rewriting works on tokens, in one walk. It never evaluates anything. What it produces is a :class:`Rewritten`: CEL
text that a parser of CEL accepts, the references that must be bound, the parts that must be evaluated first because
their absence is forgiven (``default``, ``coalesce``), and a map from offsets in the CEL text to offsets in the source.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

from .cursor import MAX_DEPTH, Cursor
from .errors import ExpressionError, did_you_mean
from .functions import FUNCTIONS, GLOBAL_NAMES, HINTS, MACROS, METHOD_NAMES
from .references import WORDS, Reference
from .tokens import Token, is_name

MAX_GROWTH = 512
"""How many times its data an expression may grow text by ``+`` (estimated; counts nested macros)."""

LITERALS = frozenset({"true", "false", "null"})
TYPE_NAMES = frozenset({"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type"})
RESERVED = frozenset(
    "in as break const continue else for function if import let loop package namespace return var void while "
    "true false null".split()
)
RENAMED = {"timestamp": "timestamp_", "duration": "duration_"}
"""CEL has functions of these names that accept less than ours."""

_EQUALITY = {"==": "==", "!=": "!=", "===": "==", "!==": "!="}
_MISSPELT = {
    "=": "write == to compare",
    "&": "write && or and",
    "|": "write || or or",
    "<>": "write !=",
    "**": "write x * x",
    "=>": "write list.map(x, …), or >= to compare",
    "..": "write range(a, b)",
    ".?": "write default(a.b, …)",
    "?.": "write default(a.b, …)",
    "[?": "write default(a[b], …)",
    "??": "write default(a, b)",
}
_ARITIES: dict[tuple[str, bool], range] = {(f.name, f.member): f.arities for f in FUNCTIONS}


@dataclass(frozen=True, slots=True)
class Hoisted:
    """A part that is evaluated on its own, before the rest; null if something in it is absent."""

    variable: str
    text: str
    start: int


@dataclass(slots=True)
class Rewritten:
    """An expression in plain CEL. ``variables`` maps names in ``text`` to the references they stand for."""

    source: str
    text: str
    variables: dict[str, Reference]
    hoisted: list[Hoisted]
    tokens: list[Token]
    _targets: list[int] = field(default_factory=list)
    _sources: list[int] = field(default_factory=list)

    def origin(self, offset: int) -> int:
        """The offset in the source that ``offset`` in :attr:`text` comes from."""
        index = max(bisect_right(self._targets, offset) - 1, 0)
        return self._sources[index] if self._sources else 0

    def token_at(self, offset: int) -> Token:
        """The source token at or after the source offset ``offset``."""
        return next((token for token in self.tokens if token.end > offset), self.tokens[-1])


Namer = Callable[[Reference, int], str]
"""Names the variable of the n-th new reference. The checker gives typed names, evaluation numbered ones."""


def numbered(reference: Reference, index: int) -> str:
    """Variables by number: what evaluation uses."""
    return f"_r{index}"


def rewrite(expression: str, namer: Namer = numbered) -> Rewritten:
    """``expression`` in plain CEL. Raises :class:`ExpressionError` for what CEL would not say as well."""
    rewriter = _Rewriter(expression, namer)
    rewriter.walk(0, len(rewriter.tokens) - 1, frozenset())
    return Rewritten(
        source=expression,
        text="".join(rewriter.out),
        variables=rewriter.variables,
        hoisted=rewriter.hoisted,
        tokens=rewriter.tokens,
        _targets=rewriter.targets,
        _sources=rewriter.sources,
    )


class _Rewriter(Cursor):
    def __init__(self, expression: str, namer: Namer) -> None:
        super().__init__(expression)
        self.namer = namer
        self.depth = 0
        self.out: list[str] = []
        self.length = 0
        self.targets: list[int] = []
        self.sources: list[int] = []
        self.variables: dict[str, Reference] = {}
        self.names: dict[Reference, str] = {}
        self.hoisted: list[Hoisted] = []
        self.growth = 1
        self._grow(0, len(self.tokens), self.tokens[0])

    # --- the walk -----------------------------------------------------------------------------------------------

    def walk(self, low: int, high: int, bound: frozenset[str]) -> None:
        """Write the tokens from ``low`` up to ``high``; ``bound`` are the variables of the macros around them."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error("it is nested too deeply", self.tokens[low], "compute the parts in control/set nodes", "limit")
        index = low
        while index < high:
            token = self.tokens[index]
            if token.kind == "name" and not self.after_dot(index):
                index = self._name(index, high, bound)
            elif token.kind == "operator":
                index = self._operator(index, high, bound)
            else:
                self.write(self.source[token.start : token.end], token, spaced=True)
                index += 1
        self.depth -= 1

    def write(self, text: str, origin: Token, *, spaced: bool = False) -> None:
        """Append ``text``, which stands for ``origin``."""
        if spaced and self.out and (self.out[-1][-1:].isalnum() or self.out[-1][-1:] in "_'\"`"):
            text = " " + text
        self.targets.append(self.length)
        self.sources.append(origin.start)
        self.out.append(text)
        self.length += len(text)

    # --- names --------------------------------------------------------------------------------------------------

    def _name(self, index: int, high: int, bound: frozenset[str]) -> int:
        token, following = self.tokens[index], self.tokens[index + 1]
        operand = self.ends_operand(index - 1)
        word = token.text
        if operand and word in ("and", "or"):
            self.write(" && " if word == "and" else " || ", token)
            return index + 1
        if operand and word == "is":
            return self._is(index)
        if operand and word == "not" and following.text == "in":
            return self._not_in(index, high, bound)
        if operand and word == "in":
            self.write(" in ", token)
            return index + 1
        if not operand and word == "not":
            return self._not(index, high, bound)
        if operand:
            raise self.error(
                f"{word!r} does not belong here", token, WORDS.get(word) or "write an operator such as && or =="
            )
        if following.text == "(" and following.kind == "operator":
            return self._call(index, bound)
        if word in LITERALS or (word in TYPE_NAMES and word not in bound and following.text not in (".", "[")):
            self.write(word, token, spaced=True)
            return index + 1
        if word in bound:
            self.write(_mangled(word), token, spaced=True)
            return index + 1
        reference, after = self._chain(index, high)
        self.write(self.variable(reference), token, spaced=True)
        return after

    def _chain(self, index: int, high: int) -> tuple[Reference, int]:
        """The longest reference that begins at ``index``, and the index after it."""
        root = self.tokens[index]
        path: list[str | int] = []
        places = [(root.start, root.end)]
        position = index + 1
        while position < high:
            token, following = self.tokens[position], self.tokens[position + 1]
            if token.text == "." and token.kind == "operator" and following.kind == "name":
                if self.is_operator(position + 2, "("):
                    break
                path.append(following.text)
                places.append((following.start, following.end))
                position += 2
            elif token.text == "[" and token.kind == "operator" and self.partner[position] == position + 2:
                key = following.literal()
                if key is None and not (following.kind == "number" and following.text.isdecimal()):
                    break
                path.append(int(following.text) if key is None else key)
                places.append((token.start, self.tokens[position + 2].end))
                position += 3
            else:
                break
        after = self.tokens[position]
        if root.kind == "name" and after.text == "{" and after.kind == "operator":
            raise self.error(f"{root.text!r} cannot be built here", root, "write a map: {'key': value}")
        mode = "maybe" if self._compared_with_null(index, position) else "value"
        reference = Reference(root.text, tuple(path), mode, tuple(places), after.text)
        return reference, position

    def _compared_with_null(self, index: int, after: int) -> bool:
        following, then = self.tokens[after], self.tokens[min(after + 1, len(self.tokens) - 1)]
        if following.text == "is" and following.kind == "name":
            return True
        if following.text in _EQUALITY and then.text == "null":
            return True
        return index >= 2 and self.tokens[index - 1].text in _EQUALITY and self.tokens[index - 2].text == "null"

    def variable(self, reference: Reference) -> str:
        """The CEL variable that stands for ``reference``."""
        if (name := self.names.get(reference)) is None:
            name = self.namer(reference, len(self.variables))
            self.names[reference] = name
            self.variables.setdefault(name, reference)
        return name

    # --- operators ----------------------------------------------------------------------------------------------

    def _operator(self, index: int, high: int, bound: frozenset[str]) -> int:
        token, following = self.tokens[index], self.tokens[index + 1]
        text = token.text
        if text in _EQUALITY:
            self.write(_EQUALITY[text], token)
            return index + 1
        if text in _MISSPELT:
            raise self.error(f"{text!r} is not an operator here", token, _MISSPELT[text])
        if text == "." and following.kind == "name":
            after = self.tokens[index + 2]
            if after.text == "(" and after.kind == "operator":
                return self._method(index + 1, bound)
            plain = following.text.isascii() and is_name(following.text) and following.text not in RESERVED
            self.write(f".{following.text}" if plain else f"[{_quoted(following.text)}]", following)
            return index + 2
        if text == "." and following.kind != "name":
            raise self.error("a name must follow the dot", following if following.kind != "end" else token)
        self.write(text, token)
        return index + 1

    def _is(self, index: int) -> int:
        token = self.tokens[index]
        position = index + 1
        negated = self.tokens[position].text == "not"
        position += negated
        word = self.tokens[position].text
        if word in ("null", "none", "None"):
            self.write(" != null" if negated else " == null", token)
        elif word == "empty":
            self.write(" in [null, '', [], {}]" + (" == false" if negated else ""), token)
        else:
            raise self.error(f"'is {word}' is not known", token, "write == …, is null, is not null, is empty")
        return position + 1

    def _not(self, index: int, high: int, bound: frozenset[str]) -> int:
        end = self.extent(index + 1, high, {"&&", "||", "?", ":", ","}, {"and", "or"})
        if end == index + 1:
            raise self.error("'not' needs something to negate", self.tokens[index])
        self.write("!(", self.tokens[index])
        self.walk(index + 1, end, bound)
        self.write(")", self.tokens[end - 1])
        return end

    def _not_in(self, index: int, high: int, bound: frozenset[str]) -> int:
        relations = {"&&", "||", "?", ":", ",", "<", "<=", ">", ">=", *_EQUALITY}
        end = self.extent(index + 2, high, relations, {"and", "or", "in", "is", "not"})
        self.write(" in ", self.tokens[index])
        self.walk(index + 2, end, bound)
        self.write(" == false", self.tokens[end - 1])
        return end

    # --- calls --------------------------------------------------------------------------------------------------

    def _call(self, index: int, bound: frozenset[str]) -> int:
        token = self.tokens[index]
        name, close = token.text, self.partner[index + 1]
        arguments = self.arguments(index + 1)
        if name == "secret":
            raise self.error(
                "secrets are not readable in expressions", token, "name the secret in the node's own parameters", "name"
            )
        if name not in GLOBAL_NAMES:
            raise self._unknown_function(token, member=False)
        self._check_arity(token, len(arguments), member=False)
        if name == "has":
            self._has(token, *arguments[0], bound)
        elif name in ("default", "coalesce"):
            self._fallbacks(token, arguments, bound)
        else:
            self.write(RENAMED.get(name, name) + "(", token, spaced=True)
            self.walk(index + 2, close, bound)
            self.write(")", self.tokens[close])
        return close + 1

    def _method(self, index: int, bound: frozenset[str]) -> int:
        token = self.tokens[index]
        name, close = token.text, self.partner[index + 1]
        if name not in METHOD_NAMES:
            raise self._unknown_function(token, member=True)
        if name in MACROS:
            self._macro(index, close, bound)
        else:
            self._check_arity(token, len(self.arguments(index + 1)) + 1, member=True)
            self.write(f".{name}(", token)
            self.walk(index + 2, close, bound)
            self.write(")", self.tokens[close])
        return close + 1

    def _macro(self, index: int, close: int, bound: frozenset[str]) -> None:
        token, variable = self.tokens[index], self.tokens[index + 2]
        arguments = self.arguments(index + 1)
        usage = f"write list.{token.text}(x, …) with a name for each item"
        if len(arguments) not in ((2, 3) if token.text == "map" else (2,)) or variable.kind != "name":
            raise self.error(f"{token.text} takes a name and an expression", token, usage)
        if arguments[0] != (index + 2, index + 3) or variable.text in LITERALS:
            raise self.error(f"the first argument of {token.text} must be a plain name", variable, usage)
        self._grow(index + 3, close, token)
        self.write(f".{token.text}({_mangled(variable.text)}, ", token)
        self.walk(index + 4, close, bound | {variable.text})
        self.write(")", self.tokens[close])

    def _has(self, token: Token, low: int, high: int, bound: frozenset[str]) -> None:
        if self._is_chain(low, high) and self.tokens[low].text not in bound:
            found, _ = self._chain(low, high)
            self.write(
                self.variable(Reference(found.root, found.path, "has", found.places, "")), token, spaced=True
            )
        elif self._is_chain(low, high):
            found, _ = self._chain(low, high)
            self.write(f"has_({_mangled(found.root)}, {_list(found.path)})", token, spaced=True)
        else:
            self.write("has(", token, spaced=True)
            self.walk(low, high, bound)
            self.write(")", self.tokens[high])

    def _fallbacks(self, token: Token, arguments: list[tuple[int, int]], bound: frozenset[str]) -> None:
        """``default(a, b)`` and ``coalesce(a, b, …)``: the first that is there and not null."""
        for position, (low, high) in enumerate(arguments):
            if position == len(arguments) - 1:
                self.write("(", token)
                if token.text == "default":
                    self.walk(low, high, bound)
                else:
                    self.write(self._forgiving(low, high, bound), self.tokens[low])
                self.write(")" * len(arguments), self.tokens[high])
            else:
                value = self._forgiving(low, high, bound)
                self.write(f"({value} != null ? dyn({value}) : ", self.tokens[low], spaced=True)

    def _forgiving(self, low: int, high: int, bound: frozenset[str]) -> str:
        """CEL text that is null where the tokens from ``low`` to ``high`` name something absent."""
        first = self.tokens[low]
        if self._is_chain(low, high):
            found, _ = self._chain(low, high)
            if found.root in bound:
                return f"reach_({_mangled(found.root)}, {_list(found.path)})"
            return self.variable(Reference(found.root, found.path, "maybe", found.places, ""))
        used = [t for i, t in enumerate(self.tokens[low:high], low) if t.text in bound and not self.after_dot(i)]
        if used:
            raise self.error(
                f"this reads {used[0].text!r}, the item of a list, in a way that default cannot follow",
                first,
                f"put default around the field itself: default({used[0].text}.field, …)",
            )
        name = f"_h{first.start}"
        if all(part.variable != name for part in self.hoisted):
            end = self.tokens[high - 1].end
            self.hoisted.append(Hoisted(name, self.source[first.start : end], first.start))
        return name

    def _grow(self, low: int, high: int, token: Token) -> None:
        self.growth *= 1 + sum(t.text == "+" and t.kind == "operator" for t in self.tokens[low:high])
        if self.growth > MAX_GROWTH:
            raise self.error(
                "it adds too often", token, "compute the parts in control/set nodes, or use join(list, '')", "limit"
            )

    def _is_chain(self, low: int, high: int) -> bool:
        token = self.tokens[low]
        if token.kind != "name" or token.text in LITERALS or token.text == "not":
            return False
        if self.is_operator(low + 1, "("):
            return False
        # A chain that ends early is followed by an operator, a call or a computed index.
        _, after = self._chain(low, high)
        return after == high

    def _check_arity(self, token: Token, count: int, *, member: bool) -> None:
        arities = _ARITIES.get((token.text, member))
        if not member and token.text in ("has", "default", "coalesce"):
            arities = {"has": range(1, 2), "default": range(2, 3)}.get(token.text, range(1, 17))
        if arities is None or count in arities:
            return
        low, high = arities.start - member, arities.stop - 1 - member
        wanted = str(low) if low == high else f"{low} to {high}"
        raise self.error(
            f"{token.text} takes {wanted} argument{'' if wanted == '1' else 's'}, not {count - member}", token, kind="type"
        )

    def _unknown_function(self, token: Token, *, member: bool) -> ExpressionError:
        name = token.text
        names, others = (METHOD_NAMES, GLOBAL_NAMES) if member else (GLOBAL_NAMES, METHOD_NAMES)
        if name in others:
            hint = f"write {name}(x)" if member else f"write x.{name}(…)"
        else:
            hint = HINTS.get(name) or did_you_mean(name, sorted(names)) or did_you_mean(name, sorted(others))
        what = "method" if member else "function"
        hint = hint or f"the {what}s are listed in docs/expressions.md"
        return self.error(f"unknown {what} {name!r}", token, hint, "function")


def _mangled(name: str) -> str:
    """A macro's variable as an ASCII name that shadows nothing of ours."""
    return "v_" + (name if name.isascii() and is_name(name) else "_".join(f"{ord(c):x}" for c in name))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _list(path: tuple[str | int, ...]) -> str:
    return "[" + ", ".join(_quoted(part) if isinstance(part, str) else str(part) for part in path) + "]"
