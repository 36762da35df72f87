"""Source text → plain CEL: people's operators become CEL's, references become variables, positions are kept.

The rewriting works on tokens, in one walk. It never evaluates anything. What it produces is a :class:`Rewritten`: CEL
text that a parser of CEL accepts, the references that must be bound, the parts that must be evaluated first because
their absence is forgiven (``default``, ``coalesce``), and a map from offsets in the CEL text to offsets in the source.
"""

from __future__ import annotations

from collections.abc import Callable

from .cursor import MAX_DEPTH, Cursor
from .errors import ExpressionError, did_you_mean
from .functions import FUNCTIONS, GLOBAL_NAMES, MACROS, METHOD_NAMES
from .references import WORDS, Reference
from .rewritten import Hoisted, Rewritten
from .spelling import (
    EQUALITY,
    HINTS,
    LITERALS,
    MISSPELT,
    RENAMED,
    RENAMED_FILTERS,
    RESERVED,
    TYPE_NAMES,
    list_of,
    mangled,
    quoted,
)
from .tokens import Token, is_name

MAX_GROWTH = 512
"""How many times its data an expression may grow text by ``+`` (estimated; counts nested macros)."""

_ARITIES: dict[tuple[str, bool], range] = {(f.name, f.member): f.arities for f in FUNCTIONS}


Namer = Callable[[Reference, int], str]
"""Names the variable of the n-th new reference. The checker gives typed names, evaluation numbered ones."""


def numbered(reference: Reference, index: int) -> str:
    """Variables by number: what evaluation uses."""
    return f"_r{index}"


def rewrite(expression: str, namer: Namer = numbered, *, one_number: bool = False) -> Rewritten:
    """``expression`` in plain CEL. Raises :class:`ExpressionError` for what CEL would not say as well.

    With ``one_number`` every number becomes a whole one, for a type checker that is not to tell them apart.
    """
    rewriter = _Rewriter(expression, namer, one_number)
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


def _too_long(number: str) -> bool:
    """Whether a number as written is a whole one beyond 64 bits."""
    if not number.isdecimal():
        return False
    return len(number.lstrip("0")) > 19 or int(number) > 2**63


class _Rewriter(Cursor):
    def __init__(self, expression: str, namer: Namer, one_number: bool) -> None:
        super().__init__(expression)
        self.namer = namer
        self.one_number = one_number
        self.renamed = RENAMED | {"double": "int", "uint": "int"} if one_number else RENAMED
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
            raise self.error(
                "it is nested too deeply", self.tokens[low], "compute the parts in control/set nodes", "limit"
            )
        index = low
        while index < high:
            token = self.tokens[index]
            if token.kind == "name" and not self.after_dot(index):
                index = self._name(index, high, bound)
            elif token.kind == "operator":
                index = self._operator(index, high, bound)
            else:
                if token.kind == "number" and _too_long(token.text):
                    hint = "write a decimal number such as 1e20, or compare texts"
                    raise self.error("a whole number has at most 64 bits", token, hint, "limit")
                text = (
                    "1"
                    if self.one_number and token.kind == "number"
                    else self.source[token.start : token.end]
                )
                self.write(text, token, spaced=True)
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
            hint = WORDS.get(word) or WORDS.get(self.tokens[index - 1].text)
            raise self.error(
                f"{word!r} does not belong here",
                token,
                hint or "write an operator such as && or == before it",
            )
        if word in ("and", "or", "is") and following.text not in (".", "["):
            raise self.error(f"{word!r} needs something before it", token, "write what it compares or joins")
        if following.text == "(" and following.kind == "operator":
            return self._call(index, bound)
        if word in LITERALS or (
            word in TYPE_NAMES and word not in bound and following.text not in (".", "[")
        ):
            self.write(word, token, spaced=True)
            return index + 1
        if word in bound:
            self.write(mangled(word), token, spaced=True)
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
        mode = "maybe" if self.compared_with_null(index, position) else "value"
        reference = Reference(root.text, tuple(path), mode, tuple(places), after.text, self.hyphened(index))
        return reference, position

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
        if text in EQUALITY:
            self.write(EQUALITY[text], token)
            return index + 1
        if text in MISSPELT:
            hint = self._filter_hint(index + 1) if text == "|" else None
            raise self.error(f"{text!r} is not an operator here", token, hint or MISSPELT[text])
        if self.compared_before(index):
            hint = "write a < b && b < c"
            raise self.error("comparisons cannot follow one another", token, hint)
        if text == "." and following.kind == "name":
            after = self.tokens[index + 2]
            if after.text == "(" and after.kind == "operator":
                return self._method(index + 1, bound)
            plain = following.text.isascii() and is_name(following.text) and following.text not in RESERVED
            self.write(f".{following.text}" if plain else f"[{quoted(following.text)}]", following)
            return index + 2
        if text == "." and following.kind != "name":
            place = following if following.kind != "end" else token
            raise self.error("a name must follow the dot", place, "write a.name, or a['any name']")
        self.write(text, token)
        return index + 1

    def _filter_hint(self, index: int) -> str | None:
        """What ``x | upper`` means, for who knows it from templates elsewhere."""
        name = RENAMED_FILTERS.get(self.tokens[index].text, self.tokens[index].text)
        more = self.is_operator(index + 1, "(") if self.tokens[index].kind == "name" else False
        if name in GLOBAL_NAMES:
            return f"there are no filters: write {name}(x{', …' if more else ''})"
        return (
            f"there are no filters: write x.{name}({'…' if more else ''})" if name in METHOD_NAMES else None
        )

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
            raise self.error("'not' needs something to negate", self.tokens[index], "write not x")
        self.write("!(", self.tokens[index])
        self.walk(index + 1, end, bound)
        self.write(")", self.tokens[end - 1])
        return end

    def _not_in(self, index: int, high: int, bound: frozenset[str]) -> int:
        relations = {"&&", "||", "?", ":", ",", "<", "<=", ">", ">=", *EQUALITY}
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
                "secrets are not readable in expressions",
                token,
                "name the secret in the node's own parameters",
                "name",
            )
        if name not in GLOBAL_NAMES:
            raise self._unknown_function(token, member=False)
        self._check_arity(token, len(arguments), member=False)
        if name == "has":
            self._has(token, *arguments[0], bound)
        elif name in ("default", "coalesce"):
            self._fallbacks(token, arguments, bound)
        else:
            self.write(self.renamed.get(name, name) + "(", token, spaced=True)
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
        self.write(f".{token.text}({mangled(variable.text)}, ", token)
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
            self.write(f"has_({mangled(found.root)}, {list_of(found.path)})", token, spaced=True)
        elif self.is_operator(high - 2, ".") and self.tokens[high - 1].kind == "name":
            # CEL's own macro knows plain names only; ours finds {'a-b': 1}.`a-b` too.
            self.write("has_(", token, spaced=True)
            self.walk(low, high - 2, bound)
            self.write(f", {list_of((self.tokens[high - 1].text,))})", self.tokens[high - 1])
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
                return f"reach_({mangled(found.root)}, {list_of(found.path)})"
            return self.variable(Reference(found.root, found.path, "maybe", found.places, ""))
        used = [
            t for i, t in enumerate(self.tokens[low:high], low) if t.text in bound and not self.after_dot(i)
        ]
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
                "it adds too often",
                token,
                "compute the parts in control/set nodes, or use join(list, '')",
                "limit",
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
        usage = f"{'x.' if member else ''}{token.text}({', '.join('yzabc' if member else 'xyzab')[: 3 * low - 2]})"
        raise self.error(
            f"{token.text} takes {wanted} argument{'' if wanted == '1' else 's'}, not {count - member}",
            token,
            f"write {usage}",
            "type",
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
