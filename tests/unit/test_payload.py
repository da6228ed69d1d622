"""What a payload can carry, what it refuses and in which words, and what it believes."""

from __future__ import annotations

import datetime as dt
import enum
import hmac
import io
import json
import random
import sys
import types
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.local import LocalProxy

from scheduler_app.errors import (
    MalformedPayloadError,
    PayloadTooDeepError,
    PayloadTooLargeError,
    PayloadTypeError,
    PayloadValueError,
    ResultError,
    SigningKeyError,
)
from scheduler_app.payload import (
    Signer,
    Verdict,
    decode_call,
    decode_result,
    derive_key,
    encode_call,
    encode_result,
)
from scheduler_app.payload.tags import CONTAINERS, READERS

LIMIT = 100_000


class Colour(enum.Enum):
    RED = "r"
    CRIMSON = "r"  # noqa: PIE796 - an alias of RED
    BLUE = ("b", 2)


class Paint:
    class Shade(enum.IntEnum):
        DARK = 1


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


Pair = namedtuple("Pair", "left right")


class Name(str):
    __slots__ = ()


@dataclass
class Point:
    x: int


def mine(module: str) -> bool:
    return module == __name__


def encode(*args: Any, **kwargs: Any) -> str:
    return encode_call(args, kwargs, max_bytes=LIMIT, allowed=mine)


def through(value: Any) -> Any:
    """Return the value after it was stored and read back, as an argument and as a result."""
    text = encode(value)
    assert text.isascii()
    back = decode_call(text, allowed=mine).args[0]
    result = decode_result(encode_result(value, max_bytes=LIMIT, allowed=mine), allowed=mine)
    assert result == back
    return back


# -- what passes -----------------------------------------------------------------------------------


def test_plain_arguments_are_stored_as_compact_plain_json() -> None:
    text = encode_call((1, "é"), {"b": [None, True]}, {"rid": "x"}, max_bytes=LIMIT, allowed=mine)
    assert text == '{"a":[1,"\\u00e9"],"k":{"b":[null,true]},"c":{"rid":"x"}}'
    assert decode_call(text, allowed=mine)[:3] == ((1, "é"), {"b": [None, True]}, {"rid": "x"})


def test_a_call_without_context_has_an_empty_one() -> None:
    assert decode_call('{"a":[],"k":{}}', allowed=mine).context == {}


@pytest.mark.parametrize(
    "value",
    [
        dt.datetime(2026, 3, 1, 4, 5, 6, 7),
        dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
        dt.datetime(2026, 3, 1, tzinfo=dt.timezone(-dt.timedelta(hours=3, minutes=30, seconds=1))),
        dt.datetime.min,
        dt.datetime.max,
        dt.date(2026, 3, 1),
        dt.time(4, 5, 6, 7),
        dt.time(4, tzinfo=dt.UTC),
        dt.timedelta(days=-3, microseconds=1),
        dt.timedelta.max,
        UUID(int=7),
        Decimal("-1.10"),
        Decimal("1E+1000"),
        b"\x00\xff",
        {1, 2},
        frozenset({(1, "a"), frozenset({2})}),
        (1, (2, [3])),
        10**600,
        -(10**600),
        -0.0,
        {"$": "datetime", "v": "not one"},
        {"$": {"$": 1}, "x": (1,)},
        {"": {"v": 1}},
        "\U0001f600 \x00 é",
        Colour.RED,
        Colour.CRIMSON,
        Colour.BLUE,
        Paint.Shade.DARK,
        Permission.READ,
        Permission.READ | Permission.WRITE,
    ],
    ids=lambda value: type(value).__name__,  # not its repr: that of a set differs from process to process
)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    back = through(value)
    assert (type(back), back, repr(back)) == (type(value), value, repr(value))


def test_a_named_time_zone_and_the_fold_come_back() -> None:
    oslo = ZoneInfo("Europe/Oslo")
    for fold in (0, 1):
        value = dt.datetime(2025, 10, 26, 2, 30, tzinfo=oslo, fold=fold)
        back = through(value)
        assert (back.tzinfo, back.fold, back.utcoffset()) == (oslo, fold, value.utcoffset())
    assert through(dt.datetime(2025, 10, 26, 2, 30, fold=1)).fold == 1
    assert through(dt.time(4, tzinfo=oslo, fold=1)) == dt.time(4, tzinfo=oslo)


def test_an_instant_is_kept_when_the_rules_of_its_zone_have_changed() -> None:
    stored = '{"$":"datetime","v":"2026-01-01T12:00:00+05:00[Europe/Oslo]"}'
    back = decode_result(stored, allowed=mine)
    assert back == dt.datetime(2026, 1, 1, 7, tzinfo=dt.UTC)
    assert back.tzinfo is ZoneInfo("Europe/Oslo")


def test_a_zone_that_is_no_zoneinfo_keeps_its_offset() -> None:
    class Odd(dt.tzinfo):
        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta | None:
            return dt.timedelta(hours=2) if when else None

        def dst(self, when: dt.datetime | None) -> None:
            return None

    assert through(dt.datetime(2026, 1, 1, tzinfo=Odd())).utcoffset() == dt.timedelta(hours=2)
    with pytest.raises(PayloadValueError) as refusal:
        encode(dt.time(4, tzinfo=Odd()))
    assert str(refusal.value) == (
        "args[0] has a time zone without a fixed offset or name, which cannot be stored:"
        " pass it with a zoneinfo.ZoneInfo."
    )


def test_datetimes_made_under_freezegun_are_stored_as_real_ones() -> None:
    with freeze_time("2026-03-01 04:00:00"):
        text = encode(dt.datetime.now(), dt.date.today())
    assert decode_call(text, allowed=mine).args == (dt.datetime(2026, 3, 1, 4), dt.date(2026, 3, 1))


def _plain() -> st.SearchStrategy[Any]:
    text = st.text(st.characters(codec="utf-8"), max_size=20)
    return (
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | text | st.binary(max_size=20) | st.datetimes(timezones=st.none() | st.timezones()) | st.dates()
        | st.times() | st.timedeltas() | st.uuids() | st.decimals(allow_nan=False, allow_infinity=False)
        | st.sampled_from(list(Colour))
    )  # fmt: skip


def _values() -> st.SearchStrategy[Any]:
    keys = st.sampled_from(["$", "v", "a"]) | st.text(st.characters(codec="utf-8"), max_size=5)
    return st.recursive(
        _plain(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.lists(inner, max_size=4).map(tuple)
            | st.dictionaries(keys, inner, max_size=4)
            | st.frozensets(st.integers() | st.text("ab"), max_size=4)
        ),
        max_leaves=12,
    )


def _exactly(value: Any) -> Any:
    """Return something that is equal only for equal values of equal types, zones, folds and signs of zero."""
    if type(value) in (list, tuple):
        return type(value), [_exactly(item) for item in value]
    if type(value) is dict:
        return [(key, _exactly(item)) for key, item in value.items()]
    return type(value), value if type(value) is frozenset else repr(value)


@settings(max_examples=150, deadline=None)
@given(args=st.lists(_values(), max_size=3).map(tuple), kwargs=st.dictionaries(st.sampled_from("$abc"), _values()))
def test_whatever_can_be_stored_comes_back_equal_and_of_the_same_types(args: Any, kwargs: Any) -> None:
    back = decode_call(encode(*args, **kwargs), allowed=mine)
    assert _exactly([back.args, back.kwargs]) == _exactly([args, kwargs])


# -- what is refused, in which words ---------------------------------------------------------------


class _Mapped:
    """Stands for an instance of an ORM's class, which SQLAlchemy marks so."""

    def __init__(self) -> None:
        self._sa_instance_state = object()


def _yields() -> Any:
    yield 1


async def _awaits() -> None: ...


def _unresolvable() -> Any:
    raise AssertionError("the proxy was resolved")


PREFIX = __name__
REFUSED: list[tuple[Any, str]] = [
    (
        LocalProxy(_unresolvable),
        "is of type 'werkzeug.local.LocalProxy', which cannot be stored:"
        " it belongs to one request; pass the values it holds, e.g. its id.",
    ),
    (
        _Mapped(),
        f"is of type '{PREFIX}._Mapped', which cannot be stored:"
        " it belongs to one database session; pass its primary key and load it again in the function.",
    ),
    (
        io.BytesIO(),
        "is of type '_io.BytesIO', which cannot be stored:"
        " an open file cannot outlive its process; save it and pass its path.",
    ),
    (_yields(), "is of type 'generator', which cannot be stored: it can be read only once; pass list(...) of it."),
    (iter([1]), "is of type 'list_iterator', which cannot be stored: it can be read only once; pass list(...) of it."),
    (range(3), "is of type 'range', which cannot be stored: pass list(...) of it."),
    ({}.keys(), "is of type 'dict_keys', which cannot be stored: pass list(...) of it."),
    (_yields, "is of type 'function', which cannot be stored: pass its name and look the function up by that."),
    (
        print,
        "is of type 'builtin_function_or_method', which cannot be stored:"
        " pass its name and look the function up by that.",
    ),
    (Point, "is of type 'type', which cannot be stored: pass its name and look the class up by that."),
    (Point(1), f"is of type '{PREFIX}.Point', which cannot be stored: pass dataclasses.asdict(...) of it."),
    (json, "is of type 'module', which cannot be stored: pass its name."),
    (bytearray(b"x"), "is of type 'bytearray', which cannot be stored: pass bytes(...) of it."),
    (1j, "is of type 'complex', which cannot be stored: pass str(...) of it."),
    (ValueError("x"), "is of type 'ValueError', which cannot be stored: pass its text, str(...)."),
    (
        Pair(1, 2),
        f"is of type '{PREFIX}.Pair', which cannot be stored: a namedtuple loses its class; pass tuple(...) of it.",
    ),
    (Name("x"), f"is of type '{PREFIX}.Name', which cannot be stored: pass a plain str made of it, str(...)."),
    (
        OrderedDict(),
        "is of type 'collections.OrderedDict', which cannot be stored: pass a plain dict made of it, dict(...).",
    ),
    (object(), "is of type 'object', which cannot be stored: pass the plain values it holds, or its id."),
    (
        Path("x"),
        f"is of type '{type(Path()).__module__}.{type(Path()).__qualname__}', which cannot be stored:"
        " pass str(...) of it.",
    ),
]


@pytest.mark.parametrize(("value", "sentence"), REFUSED, ids=[type(value).__name__ for value, _ in REFUSED])
def test_a_value_that_cannot_be_carried_is_refused_with_its_path_and_what_to_pass(value: Any, sentence: str) -> None:
    with pytest.raises(PayloadTypeError) as refusal:
        encode(1, {"items": [0, {"user": value}]})
    assert str(refusal.value) == f"args[1]['items'][1]['user'] {sentence}"


def test_a_coroutine_is_refused_with_what_to_pass() -> None:
    coroutine = _awaits()
    with pytest.raises(PayloadTypeError) as refusal:
        encode(when=[1, 2, coroutine])
    coroutine.close()
    assert str(refusal.value) == (
        "kwargs['when'][2] is of type 'coroutine', which cannot be stored: await it and pass what it returns."
    )


def test_the_path_goes_through_tuples_sets_and_long_keys() -> None:
    with pytest.raises(PayloadTypeError) as refusal:
        encode(({frozenset({object}): 1}.keys(),), {"k" * 99: ({object},)})
    assert refusal.value.path == "args[0][0]"
    with pytest.raises(PayloadTypeError) as refusal:
        encode({"k" * 99: ({object},)})
    assert refusal.value.path == f"args[0]['{'k' * 56}...][0]{{...}}"


def test_a_bad_value_in_the_context_is_named_as_such() -> None:
    with pytest.raises(PayloadTypeError) as refusal:
        encode_call((), {}, {"user": object()}, max_bytes=LIMIT, allowed=mine)
    assert refusal.value.path == "context['user']"


def test_a_dict_with_other_than_text_keys_is_refused() -> None:
    with pytest.raises(PayloadTypeError) as refusal:
        encode({"a": {1: 2}})
    assert str(refusal.value) == (
        "A key of args[0]['a'] is of type 'int', which cannot be stored: pass a dict with str keys."
    )


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (float("nan"), "args[0] is nan, which cannot be stored: pass a finite number or None."),
        (float("-inf"), "args[0] is -inf, which cannot be stored: pass a finite number or None."),
        (Decimal("NaN"), "args[0] is NaN, which cannot be stored: pass a finite number or None."),
        (Decimal("sNaN"), "args[0] is sNaN, which cannot be stored: pass a finite number or None."),
        (
            10**640,
            "args[0] is an integer of more than 640 digits, which cannot be stored: pass it as text, e.g. hex(...).",
        ),
        (
            "a\ud800",
            "args[0] holds a lone surrogate, which cannot be stored: pass it as bytes (a file's name by os.fsencode).",
        ),
        (
            {"\ud83d": 1},
            "args[0] has a key that holds a lone surrogate, which cannot be stored:"
            " pass it as bytes (a file's name by os.fsencode).",
        ),
    ],
    ids=ascii,
)
def test_a_value_that_json_would_change_is_refused(value: Any, sentence: str) -> None:
    with pytest.raises(PayloadValueError) as refusal:
        encode(value)
    assert str(refusal.value) == sentence


def test_a_member_of_an_enum_outside_the_app_is_refused() -> None:
    with pytest.raises(PayloadTypeError) as refusal:
        encode_call((Colour.RED,), {}, max_bytes=LIMIT, allowed=lambda module: False)
    assert str(refusal.value) == (
        f"args[0] is of type '{PREFIX}.Colour', which cannot be stored:"
        " its module is not one of the app's, nor in SCHEDULER_TASK_MODULES; pass its value."
    )


def test_a_member_of_an_enum_that_its_name_does_not_lead_to_is_refused() -> None:
    class Hidden(enum.Enum):
        A = 1

    with pytest.raises(PayloadTypeError) as refusal:
        encode(Hidden.A)
    assert refusal.value.hint == f"it cannot be found by its name in {__name__!r}; pass its value"


def test_a_member_of_an_enum_in_the_main_file_is_refused() -> None:
    kind = enum.Enum("Main", "A", module="__main__")
    with pytest.raises(PayloadTypeError) as refusal:
        encode_call((kind.A,), {}, max_bytes=LIMIT, allowed=lambda module: True)
    assert refusal.value.hint == (
        "its class is in the program's main file, which other processes import under another name;"
        " move it to a module of its own, or pass its value"
    )


# -- bounds ----------------------------------------------------------------------------------------


def test_arguments_beyond_the_size_limit_are_refused_with_their_size() -> None:
    with pytest.raises(PayloadTooLargeError) as refusal:
        encode_call(("é" * 20,), {}, max_bytes=100, allowed=mine)
    assert str(refusal.value) == (
        "The arguments take 137 bytes as JSON, more than the 100 that SCHEDULER_MAX_PAYLOAD_BYTES allows."
        " Store the data elsewhere and pass its key, or raise the setting."
    )


def test_the_size_limit_is_exact() -> None:
    text = encode("x", (1,))
    for limit in (len(text), len(text) + 1):
        assert encode_call(("x", (1,)), {}, max_bytes=limit, allowed=mine) == text
    with pytest.raises(PayloadTooLargeError):
        encode_call(("x", (1,)), {}, max_bytes=len(text) - 1, allowed=mine)


@pytest.mark.parametrize("leaf", [0, (), b""], ids=repr)
def test_a_small_value_that_is_huge_as_json_is_refused_at_once(leaf: Any) -> None:
    for _ in range(25):
        leaf = [leaf] * 10
    with pytest.raises(PayloadTooLargeError) as refusal:
        encode(leaf)
    assert str(refusal.value).startswith("The arguments take more bytes as JSON than the 100000 that ")


def _nested(levels: int, inner: Any = 0) -> Any:
    for _ in range(levels):
        inner = [inner]
    return inner


def test_nesting_is_bounded_and_said() -> None:
    assert through(_nested(32)) == _nested(32)
    with pytest.raises(PayloadTooDeepError) as refusal:
        encode(0, _nested(33))
    assert str(refusal.value) == (
        "args[1] is nested more than 32 levels deep, or contains itself."
        " Pass a flatter value, or store the data elsewhere and pass its key."
    )
    with pytest.raises(PayloadTooDeepError):
        encode_call((_nested(101, ()),), {}, max_bytes=LIMIT, max_depth=10_000, allowed=mine)


def test_the_deepest_value_that_can_be_stored_can_be_read() -> None:
    value: Any = {"$": 0}
    for level in range(99):
        value = (value,) if level % 2 else {"$": value}
    text = encode_call((value,), {}, max_bytes=LIMIT, max_depth=10_000, allowed=mine)
    assert decode_call(text, allowed=mine).args == (value,)


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_a_value_that_contains_itself_is_refused(kind: str) -> None:
    loop: Any = [] if kind == "list" else {}
    loop.append(loop) if kind == "list" else loop.update(me=loop)
    with pytest.raises(PayloadTooDeepError) as refusal:
        encode(loop=loop)
    assert refusal.value.path == "kwargs['loop']"


# -- reading ---------------------------------------------------------------------------------------

MALFORMED: list[tuple[Any, str]] = [
    (None, "they are not text"),
    ("", "they are not JSON (Expecting value: line 1 column 1 (char 0))"),
    ("[1]", "they are not an object of arguments, keyword arguments and context"),
    ('{"a":[]}', "they are not an object of arguments, keyword arguments and context"),
    ('{"a":{},"k":{}}', "they are not an object of arguments, keyword arguments and context"),
    ('{"a":[],"k":{},"c":[]}', "they are not an object of arguments, keyword arguments and context"),
    ('{"a":[],"k":{},"x":{}}', "they are not an object of arguments, keyword arguments and context"),
    ('{"a":[NaN],"k":{}}', "they are not JSON (NaN is not a finite number)"),
    ('{"a":[1e999],"k":{}}', "they are not JSON (1e999 is not a finite number)"),
    ('{"a":["\\ud800"],"k":{}}', "a text holds a lone surrogate"),
    ('{"a":["\\uDc00"],"k":{}}', "a text holds a lone surrogate"),
    ('{"a":[{"$":"pickle","v":""}],"k":{}}', "the tag 'pickle' is unknown"),
    ('{"a":[{"\\u0024":"pickle","v":""}],"k":{}}', "the tag 'pickle' is unknown"),
    ('{"a":[{"$":"date"}],"k":{}}', "an object with the key '$' is not a tag and its value"),
    ('{"a":[{"$":[],"v":1}],"k":{}}', "an object with the key '$' is not a tag and its value"),
    ('{"a":[{"$":"date","v":1,"w":2}],"k":{}}', "an object with the key '$' is not a tag and its value"),
    (
        '{"a":[{"$":"date","v":"soon"}],"k":{}}',
        "the value of a 'date' is not valid (ValueError: Invalid isoformat string: 'soon')",
    ),
    (
        '{"a":[{"$":"datetime","v":"2026-01-01T00:00:00+01:00[No/Where]"}],"k":{}}',
        "the value of a 'datetime' is not valid (ZoneInfoNotFoundError: 'No time zone found with key No/Where')",
    ),
    (
        '{"a":[{"$":"timedelta","v":[1,2,true]}],"k":{}}',
        "the value of a 'timedelta' is not valid (TypeError: not three integers)",
    ),
    (
        '{"a":[{"$":"decimal","v":"Infinity"}],"k":{}}',
        "the value of a 'decimal' is not valid (ValueError: not a finite number)",
    ),
    ('{"a":[{"$":"tuple","v":"ab"}],"k":{}}', "the value of a 'tuple' is not valid (TypeError: not a list)"),
    ('{"a":[{"$":"set","v":[[]]}],"k":{}}', "the value of a 'set' is not valid (TypeError: unhashable type: 'list')"),
    (
        '{"a":[{"$":"enum","v":["os:environ","A"]}],"k":{}}',
        "the value of a 'enum' is not valid (ValueError: the module 'os' is not an allowed one)",
    ),
    (
        f'{{"a":[{{"$":"enum","v":["{__name__}:Point","A"]}}],"k":{{}}}}',
        f"the value of a 'enum' is not valid (ValueError: '{__name__}:Point' is not an Enum)",
    ),
    (
        f'{{"a":[{{"$":"enum","v":["{__name__}:Colour","GREEN"]}}],"k":{{}}}}',
        "the value of a 'enum' is not valid (KeyError: 'GREEN')",
    ),
    ('{"a":[' + "[" * 101 + "]" * 101 + '],"k":{}}', "they are nested more than 100 levels deep"),
]


@pytest.mark.parametrize(("text", "reason"), MALFORMED, ids=[str(text)[:40] for text, _ in MALFORMED])
def test_a_malformed_payload_is_refused_with_its_reason(text: Any, reason: str) -> None:
    with pytest.raises(MalformedPayloadError) as refusal:
        decode_call(text, allowed=mine)
    assert str(refusal.value) == f"The stored arguments cannot be read: {reason}. Nothing was run with them."


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "Europe", "", "\x00", "é"])
def test_a_time_zone_that_is_no_zones_name_is_malformed(key: str) -> None:
    stored = {"$": "time", "v": f"04:00:00[{key}]"}
    with pytest.raises(MalformedPayloadError, match=r"^The stored arguments cannot be read: the value of a 'time' is"):
        decode_call(json.dumps({"a": [stored], "k": {}}), allowed=mine)


def test_text_nested_beyond_the_interpreters_stack_is_malformed() -> None:
    for text in ("[" * 200_000, '{"$":' * 200_000):
        with pytest.raises(MalformedPayloadError):
            decode_call(text, allowed=mine)


def test_reading_imports_no_module_that_is_not_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "payload_trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    text = '{"a":[{"$":"enum","v":["payload_trap:A","B"]}],"k":{}}'
    with pytest.raises(MalformedPayloadError, match="'payload_trap' is not an allowed one"):
        decode_call(text, allowed=mine)
    with pytest.raises(MalformedPayloadError, match="SystemExit: imported"):
        decode_call(text, allowed=lambda module: True)


def test_an_enum_is_read_from_the_running_main_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "payload_main.py"
    file.write_text("raise RuntimeError('imported a second time')")
    main = types.ModuleType("__main__")
    main.__file__ = str(file)
    kind = enum.Enum("Kind", "A", module="__main__")
    main.Kind = kind  # type: ignore[attr-defined]
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert decode_result('{"$":"enum","v":["payload_main:Kind","A"]}', allowed=lambda module: True) is kind.A


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.fixed_dictionaries(
            {
                "$": st.sampled_from([*READERS, *CONTAINERS.values(), "dict", "enum", "x"]),
                "v": inner
                | st.text("0123456789-:+.TZ[]=", max_size=30)
                | st.just([f"{__name__}:Permission", 9])
                | st.lists(st.integers(), min_size=3, max_size=3),
            }
        )
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(value=_JSON)
def test_no_json_makes_reading_raise_anything_else(value: Any) -> None:
    for text in (json.dumps({"a": [value], "k": {}}), json.dumps(value)):
        try:
            decode_call(text, allowed=mine)
        except MalformedPayloadError:
            pass
        try:
            decode_result(text, allowed=mine)
        except ResultError:
            pass


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=50) | st.text('{}[]":,$avk1eNd\\u', max_size=50))
def test_no_text_makes_reading_raise_anything_else(text: str) -> None:
    try:
        decode_call(text, allowed=mine)
    except MalformedPayloadError:
        pass


# -- results ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            {"rows": iter(())},
            "result['rows'] is of type 'tuple_iterator', which cannot be stored:"
            " it can be read only once; return list(...) of it.",
        ),
        (
            "x" * 99,
            "it takes 101 bytes as JSON, more than the 100 that SCHEDULER_MAX_RESULT_BYTES allows."
            " Store the data elsewhere and return its key, or raise the setting.",
        ),
        (
            ["x"] * 99,
            "it takes more bytes as JSON than the 100 that SCHEDULER_MAX_RESULT_BYTES allows."
            " Store the data elsewhere and return its key, or raise the setting.",
        ),
        (_nested(33), "it is nested more than 32 levels deep, or contains itself. Return a flatter value."),
    ],
    ids=["type", "size", "early", "depth"],
)
def test_a_result_that_cannot_be_stored_is_said(value: Any, reason: str) -> None:
    with pytest.raises(ResultError) as refusal:
        encode_result(value, max_bytes=100, allowed=mine)
    assert str(refusal.value) == f"The result of the function cannot be stored: {reason}"


def test_a_result_that_cannot_be_read_is_said() -> None:
    with pytest.raises(ResultError) as refusal:
        decode_result('{"$":"x","v":1}', allowed=mine)
    assert str(refusal.value) == "The result of the function cannot be read: the tag 'x' is unknown."


# -- signing ---------------------------------------------------------------------------------------

OLD, NEW = derive_key("old"), derive_key("new")


def test_a_signature_names_its_key_and_is_of_fixed_length() -> None:
    signature = Signer([NEW]).sign("id", "task")
    version, key_id, mac = signature.split(":")
    assert (version, len(key_id), len(bytes.fromhex(mac)), len(signature)) == ("v1", 8, 32, 76)


@pytest.mark.parametrize("length", [16, 64, 65, 200])
def test_the_mac_is_that_of_the_standard_library(length: int) -> None:
    key = bytes(range(256))[:length]
    mac = Signer([key]).sign("id", "v\u00e6rsgod", "").split(":")[2]
    assert mac == hmac.digest(key, "2:id7:v\u00e6rsgod0:".encode(), "sha256").hex()


def test_every_key_verifies_and_the_first_one_signs() -> None:
    both = Signer([NEW, OLD])
    assert both.verify(Signer([OLD]).sign("a"), "a") is Verdict.VALID
    assert Signer([NEW]).verify(both.sign("a"), "a") is Verdict.VALID
    assert Signer([OLD]).verify(both.sign("a"), "a") is Verdict.UNKNOWN_KEY


def test_parts_cannot_slide_into_one_another() -> None:
    signer = Signer([NEW])
    calls = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("1:a1:b",), ("a", "b"), ("1:a", "b")]
    assert len({signer.sign(*parts) for parts in calls}) == len(calls)
    assert signer.verify(signer.sign("ab", "c"), "a", "bc") is Verdict.FORGED


@pytest.mark.parametrize("signature", [None, "", "v1", "v2:00000000:" + "a" * 64, "v1:0000000g:" + "a" * 64, "é" * 76])
def test_what_is_no_signature_is_malformed(signature: str | None) -> None:
    assert Signer([NEW]).verify(signature, "a") is Verdict.MALFORMED


def test_no_flipped_bit_of_a_signature_or_a_payload_is_believed() -> None:
    signer, chance = Signer([NEW, OLD]), random.Random(7)
    payload = encode("hello", dt.date(2026, 3, 1), n=[1, 2, 3])
    signature = signer.sign("id", "task", "queue", payload)
    assert signer.verify(signature, "id", "task", "queue", payload) is Verdict.VALID
    for turn in range(10_000):
        flipped = bytearray((signature if turn % 2 else payload).encode())
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        text = flipped.decode("latin-1")
        pair = (text, payload) if turn % 2 else (signature, text)
        assert signer.verify(pair[0], "id", "task", "queue", pair[1]) is not Verdict.VALID


def test_a_weak_or_missing_key_is_refused() -> None:
    advice = (
        " Make a key with 'python -c \"import secrets; print(secrets.token_hex(32))\"'"
        " and set it as SCHEDULER_SIGNING_KEY."
    )
    with pytest.raises(SigningKeyError) as refusal:
        Signer([NEW, b"short"])
    assert str(refusal.value) == f"A signing key of 5 bytes is too short; it needs 16.{advice}"
    with pytest.raises(ValueError) as refused:
        Signer([])
    assert str(refused.value) == f"There is no signing key.{advice}"
    with pytest.raises(SigningKeyError) as refusal:
        derive_key("")
    assert str(refusal.value) == f"An empty secret cannot sign.{advice}"


def test_a_derived_key_is_stable_and_is_not_the_secret() -> None:
    assert derive_key("secret") == derive_key(b"secret")
    assert derive_key("secret").hex() == "ce45b1182d41336614009ac99178baa76336027013a7acd9918fc8ff740ef689"
    assert len({derive_key("secret"), derive_key("secret2"), b"secret"}) == 3
