"""Top-level request parameters as a table: one row says what a field may hold and what becomes of it.

A dialect lists its fields as `Field` rows; `read` walks a body with them. The rows are the documentation of how each
parameter is treated, and the tests are generated from them:

    honoured    the dialect reads the checked value out of `Fields.values` and acts on it
    emulated    the same, by other means than the API that the field comes from
    passed      goes on in `CanonicalRequest.parameters`; an upstream that cannot take it is named to the caller
    refused     400 with the reason, for every value that would have an effect

`null` is the same as absent. A field that has an effect is *asked* for: `Fields.asked` maps its canonical name to the
caller's, and what the upstream does not accept of these is named in `x-gateway-ignored`. Values that change nothing
(`temperature: 1`, `store: false`) are not asked for, and neither are fields that the gateway serves by itself.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from string import ascii_letters, digits
from typing import Any

import msgspec

from lib.canonical.request import CanonicalRequest
from lib.errors import InvalidRequest

MAX_UNKNOWN_FIELDS = 50
"""Unknown fields are named in a response header, which has to stay small."""

NAME_CHARS = frozenset(ascii_letters + digits + "_.-")
MAX_NAME = 64
_CONTROL = frozenset(map(chr, (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)))
_SHOWN = 64
_TYPED = frozenset(CanonicalRequest.__struct_fields__)


class Treatment(enum.Enum):
    """What becomes of a field; the module's docstring explains each."""

    HONOURED = "honoured"
    EMULATED = "emulated"
    PASSED = "passed"
    REFUSED = "refused"


class Check(msgspec.Struct, frozen=True):
    """What a value must be. Calling it returns the value (`convert`ed) or raises InvalidRequest for `param`."""

    expected: str
    """For the message: "a number between 0 and 2"."""
    types: tuple[type, ...]
    """Exact Python types of decoded JSON: a boolean is no integer."""
    valid: Callable[[Any], bool] | None = None
    convert: Callable[[Any], Any] | None = None
    keywords: Mapping[str, Any] = {}
    """What `valid` allows, as far as JSON Schema has words for it: for the documentation."""

    def __call__(self, value: Any, param: str) -> Any:
        if type(value) not in self.types:
            raise wrong_type(param, self.expected, value)
        if self.valid is not None and not self.valid(value):
            raise wrong_value(param, self.expected, value)
        return value if self.convert is None else self.convert(value)


class Field(msgspec.Struct, frozen=True):
    """One top-level parameter.

    target: its canonical name. For `passed` fields None means the same name; for the others None means that the
        gateway serves the field by itself, so that no upstream has to accept it.
    neutral: values without an effect, compared after the check's conversion.
    reason: for `refused` fields, ends the sentence "'n' is not supported: …".
    """

    name: str
    check: Check
    target: str | None = None
    neutral: Collection[Any] = ()
    treatment: Treatment = Treatment.HONOURED
    reason: str = ""
    required: bool = False

    @property
    def canonical(self) -> str | None:
        """The name under which the field is asked for, None if it never is."""
        return self.target or self.name if self.treatment is Treatment.PASSED else self.target


class Table(dict[str, Field]):
    """Rows by name; a name stands once."""

    def __init__(self, *rows: Field) -> None:
        super().__init__((row.name, row) for row in rows)
        if len(self) != len(rows):
            raise ValueError("a field stands twice in the table")
        self.required = [row.name for row in rows if row.required]


class Fields(msgspec.Struct, frozen=True):
    """A body, walked."""

    values: dict[str, Any]
    """Every known field that is set, checked, under the caller's name for it."""
    parameters: dict[str, Any]
    """For `CanonicalRequest.parameters`: the `passed` fields under their canonical names."""
    asked: dict[str, str]
    """For `CanonicalRequest.asked`."""


def read(rows: Table, body: Mapping[str, Any]) -> Fields:
    """Check a body against a table and sort its fields. Raises InvalidRequest at the first field that is wrong."""
    fields = Fields({}, {}, {})
    unknown = []
    for name, value in body.items():
        row = rows.get(name)
        if value is None:
            continue
        if row is None:
            unknown.append(name)
        else:
            _take(row, row.check(value, name), fields)
    _name_unknown(unknown, rows, fields.asked)
    for name in rows.required:
        if name not in fields.values:
            raise missing(name)
    return fields


def _take(row: Field, value: Any, fields: Fields) -> None:
    has_effect = value not in row.neutral
    if row.treatment is Treatment.REFUSED:
        if has_effect:
            raise unsupported(row.name, row.reason, value_only=bool(row.neutral))
        return
    fields.values[row.name] = value
    canonical = row.canonical
    if canonical is None:
        return
    if row.treatment is Treatment.PASSED:
        fields.parameters[canonical] = value
    if has_effect:
        ask(fields.asked, canonical, row.name)


def ask(asked: dict[str, str], canonical: str, name: str) -> None:
    """Note that the caller asked for a canonical field; two names for one field are both kept."""
    already = asked.get(canonical)
    asked[canonical] = name if already is None else f"{already}, {name}"


def _name_unknown(names: list[str], rows: Table, asked: dict[str, str]) -> None:
    if not names:
        return
    if len(names) > MAX_UNKNOWN_FIELDS:
        raise InvalidRequest(
            f"The request has {len(names)} unknown parameters; at most {MAX_UNKNOWN_FIELDS} are ignored.",
            code="unknown_parameter",
        )
    taken = _TYPED.union(row.canonical for row in rows.values() if row.canonical is not None)
    for name in names:
        if not 0 < len(name) <= MAX_NAME or not NAME_CHARS.issuperset(name):
            raise InvalidRequest(f"Unknown parameter: {shown(name)}.", code="unknown_parameter")
        # Another field's canonical name may be accepted by an upstream that never gets to see this one.
        asked[f"unknown.{name}" if name in taken else name] = name


# --- Checks ---------------------------------------------------------------------------------------------------------

boolean = Check("a boolean", (bool,))
string = Check("a string", (str,))
array = Check("an array", (list,))
object_ = Check("an object", (dict,))
anything = Check("a value", (bool, int, float, str, list, dict))
string_map = Check(
    "an object of at most 16 string values",
    (dict,),
    lambda value: len(value) <= 16 and all(type(each) is str for each in value.values()),
    keywords={"maxProperties": 16, "additionalProperties": {"type": "string"}},
)
string_list = Check(
    "an array of strings",
    (list,),
    lambda value: all(type(each) is str for each in value),
    keywords={"items": {"type": "string"}},
)


def integer(low: int | None = None, high: int | None = None) -> Check:
    """A whole number from `low` to `high`, both included."""
    return Check(f"an integer{_range(low, high)}", (int,), _within(low, high), None, _bounds(low, high))


def number(low: float | None = None, high: float | None = None) -> Check:
    """Any number from `low` to `high`, both included."""
    return Check(f"a number{_range(low, high)}", (int, float), _within(low, high), None, _bounds(low, high))


def one_of(*values: str, **aliases: str) -> Check:
    """One of some strings; an alias is converted to the value that it stands for."""
    expected = "one of " + ", ".join(f"'{value}'" for value in values)
    allowed = frozenset(values).union(aliases)
    convert = (lambda value: aliases.get(value, value)) if aliases else None
    return Check(expected, (str,), allowed.__contains__, convert, {"enum": [*values, *aliases]})


def identifier(max_length: int, *, min_length: int = 0) -> Check:
    """A string without control characters: safe in a header and in a log line."""
    length = f"{min_length} to" if min_length else "at most"
    return Check(
        f"a string of {length} {max_length} characters without control characters",
        (str,),
        lambda value: min_length <= len(value) <= max_length and _CONTROL.isdisjoint(value),
        keywords={"minLength": min_length, "maxLength": max_length},
    )


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f" of at most {high}"
    return f" of at least {low}" if high is None else f" between {low} and {high}"


def _bounds(low: float | None, high: float | None) -> dict[str, float]:
    return {name: bound for name, bound in (("minimum", low), ("maximum", high)) if bound is not None}


def _within(low: float | None, high: float | None) -> Callable[[Any], bool] | None:
    if low is None and high is None:
        return None
    return lambda value: (low is None or value >= low) and (high is None or value <= high)


# --- Errors ---------------------------------------------------------------------------------------------------------


def wrong_type(param: str, expected: str, value: Any) -> InvalidRequest:
    """A value of the wrong JSON type."""
    return InvalidRequest(
        f"Invalid type for '{param}': expected {expected}, but got {_kind(value)} instead.",
        param=param,
        code="invalid_type",
    )


def wrong_value(param: str, expected: str, value: Any) -> InvalidRequest:
    """A value of the right type that is out of bounds."""
    return InvalidRequest(
        f"Invalid value for '{param}': expected {expected}, but got {shown(value)}.", param=param, code="invalid_value"
    )


def missing(param: str) -> InvalidRequest:
    """A required parameter is not there."""
    return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def unsupported(param: str, reason: str, *, value_only: bool = False) -> InvalidRequest:
    """A parameter, or this value of it, that nothing behind the gateway can serve."""
    what = f"This value of '{param}'" if value_only else f"'{param}'"
    return InvalidRequest(
        f"{what} is not supported: {reason}",
        param=param,
        code="unsupported_value" if value_only else "unsupported_parameter",
    )


def shown(value: Any) -> str:
    """A value for a message: short, and without line ends or control characters."""
    if type(value) is str:
        cut = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
        return "'" + "".join("�" if char in _CONTROL else char for char in cut) + "'"
    if type(value) is int:
        return str(value) if value.bit_length() <= 64 else "a very large number"
    return str(value) if type(value) in (bool, float) else _kind(value)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "an array"}
    return names.get(type(value), "an object")
