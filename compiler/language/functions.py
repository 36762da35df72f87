"""The functions and methods of expressions, as an editor shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Signature:
    """How a function is called, and what it gives."""

    usage: str
    about: str


FUNCTIONS: Mapping[str, Signature] = {
    "abs": Signature("abs(x)", "The number without its sign"),
    "avg": Signature("avg(list)", "The mean; null for an empty list"),
    "basename": Signature("basename(path)", "The last part of a path, a URI or a file reference"),
    "bool": Signature("bool(text)", "true or false from text"),
    "bytes": Signature("bytes(text)", "The text's bytes; base64 in a result"),
    "ceil": Signature("ceil(x)", "The next whole number above"),
    "coalesce": Signature("coalesce(a, b, …)", "The first that is there and not null"),
    "default": Signature("default(a, b)", "a; b where a is absent, null, or of a node that was skipped"),
    "dirname": Signature("dirname(path)", "A path without its last part"),
    "distinct": Signature("distinct(list)", "Each item once, in order"),
    "double": Signature("double(x)", "A decimal number from a number or text"),
    "duration": Signature("duration(x)", "A duration from 300s, 5m, 1h30m, or seconds"),
    "dyn": Signature("dyn(x)", "x, of any type to the checker"),
    "ext": Signature("ext(path)", "The ending, in lower case and without its dot"),
    "flatten": Signature(
        "flatten(list, depth?)", "Lists within the list, opened; one level unless depth says more"
    ),
    "floor": Signature("floor(x)", "The next whole number below"),
    "format_time": Signature("format_time(time, format?, zone?)", "A time as text, by strftime's directives"),
    "from_json": Signature("from_json(text)", "The value that a JSON text says"),
    "has": Signature("has(a.b)", "Whether the field is there"),
    "int": Signature("int(x)", "A whole number from a number or text"),
    "join": Signature("join(list, separator?)", "The items as one text"),
    "keys": Signature("keys(map)", "The keys, sorted"),
    "matches": Signature("matches(text, pattern)", "Whether a regular expression (RE2) is found in the text"),
    "max": Signature("max(list) or max(a, b, …)", "The largest; null for an empty list"),
    "merge": Signature("merge(map, …)", "One map of all; a later one's fields win, null is as an empty one"),
    "min": Signature("min(list) or min(a, b, …)", "The smallest; null for an empty list"),
    "now": Signature("now()", "The time at which it is evaluated"),
    "range": Signature("range(end) or range(start, end, step?)", "Whole numbers; the end is not among them"),
    "round": Signature("round(x, digits?)", "Rounded, halves away from zero; whole without digits"),
    "sha256": Signature("sha256(x)", "The digest of a text, or of a value's JSON, in hexadecimal"),
    "size": Signature("size(x)", "Characters of a text, items of a list, entries of a map"),
    "sort": Signature("sort(list, field?)", "In order; by a field of the items, '-field' the largest first"),
    "split": Signature(
        "split(text, separator?, limit?)", "The parts of a text; at blanks without a separator"
    ),
    "stem": Signature("stem(path)", "The last part of a path without its ending"),
    "string": Signature("string(x)", "The value as text"),
    "sum": Signature("sum(list)", "The sum; 0 for an empty list"),
    "timestamp": Signature("timestamp(x)", "A time from RFC 3339 text, a date, or seconds since 1970"),
    "to_json": Signature("to_json(x)", "The value as JSON text"),
    "type": Signature("type(x)", "The value's type, to compare with int, string, …"),
    "uint": Signature("uint(x)", "An unsigned whole number"),
    "uuid": Signature("uuid()", "A new random identifier"),
    "values": Signature("values(map)", "The values, in the order of their keys"),
}

METHODS: Mapping[str, Signature] = {
    "all": Signature("list.all(x, condition)", "Whether the condition holds for every item"),
    "charAt": Signature("text.charAt(index)", "The character there, from 0; '' at the end"),
    "contains": Signature("text.contains(part)", "Whether the text, or the list, holds it"),
    "endsWith": Signature("text.endsWith(part)", "Whether the text ends so"),
    "exists": Signature("list.exists(x, condition)", "Whether the condition holds for some item"),
    "exists_one": Signature("list.exists_one(x, condition)", "Whether it holds for exactly one item"),
    "filter": Signature("list.filter(x, condition)", "The items for which it holds"),
    "getDate": Signature("time.getDate(zone?)", "The day of the month, from 1"),
    "getDayOfMonth": Signature("time.getDayOfMonth(zone?)", "The day of the month, from 0"),
    "getDayOfWeek": Signature("time.getDayOfWeek(zone?)", "The day of the week; Sunday is 0"),
    "getDayOfYear": Signature("time.getDayOfYear(zone?)", "The day of the year, from 0"),
    "getFullYear": Signature("time.getFullYear(zone?)", "The year"),
    "getHours": Signature("time.getHours(zone?)", "The hour; all the hours of a duration"),
    "getMilliseconds": Signature("time.getMilliseconds(zone?)", "The milliseconds"),
    "getMinutes": Signature("time.getMinutes(zone?)", "The minute; all the minutes of a duration"),
    "getMonth": Signature("time.getMonth(zone?)", "The month, from 0"),
    "getSeconds": Signature("time.getSeconds(zone?)", "The second; all the seconds of a duration"),
    "indexOf": Signature("text.indexOf(part, from?)", "Where the part begins, from 0; -1 where it is not"),
    "join": Signature("list.join(separator?)", "The items as one text"),
    "lastIndexOf": Signature(
        "text.lastIndexOf(part, before?)", "Where the part begins the last time; -1 where it is not"
    ),
    "lower": Signature("text.lower()", "In lower case"),
    "lowerAscii": Signature("text.lowerAscii()", "Its letters A to Z in lower case"),
    "map": Signature("list.map(x, expression)", "The expression's value for every item"),
    "matches": Signature("text.matches(pattern)", "Whether a regular expression (RE2) is found in it"),
    "replace": Signature(
        "text.replace(old, new, count?)", "With new for every old, or the first count of them"
    ),
    "size": Signature("x.size()", "Characters of a text, items of a list, entries of a map"),
    "split": Signature(
        "text.split(separator?, limit?)", "The parts of a text; at blanks without a separator"
    ),
    "startsWith": Signature("text.startsWith(part)", "Whether the text begins so"),
    "substring": Signature("text.substring(start, end?)", "The characters from start up to end, from 0"),
    "trim": Signature("text.trim()", "Without blanks at both ends"),
    "upper": Signature("text.upper()", "In upper case"),
    "upperAscii": Signature("text.upperAscii()", "Its letters a to z in upper case"),
}


def signature(name: str) -> Signature | None:
    """The function, or else the method, of that name."""
    return FUNCTIONS.get(name) or METHODS.get(name)
