"""What holds of template functions whatever they are given: what one does another undoes, and orders are orders."""

import json
import string
import urllib.parse

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.local_cloud.plans import plan_of

from ai_toolkit.local_cloud.resource_manager.subscriptions import subscription_document
from ai_toolkit.local_cloud.template.evaluation import PLAIN_FUNCTIONS, evaluate
from ai_toolkit.local_cloud.template.functions.collation import compare, ordered
from ai_toolkit.local_cloud.template.functions.values import FunctionError, equals, units, upper

GROUP = {"id": f"{subscription_document()['id']}/resourceGroups/g", "name": "g", "location": "westus3"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WORDS = st.text("aAbBéÉ -_1", max_size=6)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-20, 20)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(WORDS, VALUES, max_size=5)
SCOPE = plan_of(
    {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [],
    },
    {},
    GROUP,
).scope


def call(name, *arguments):
    return PLAIN_FUNCTIONS[name.lower()][0](*arguments)


def evaluated(expression):
    return evaluate(f"[{expression}]", SCOPE, "outputs.x")


def literal(value):
    """The value as an expression: whatever it is, by way of JSON."""
    return "json('" + json.dumps(value).replace("'", "''") + "')"


@given(TEXTS)
@settings(max_examples=60)
def test_what_is_encoded_is_decoded_to_the_same(text):
    """base64, URI components, data URIs, and a string in JSON."""
    assert call("base64ToString", call("base64", text)) == text
    assert call("uriComponentToString", call("uriComponent", text)) == text
    assert call("dataUriToString", call("dataUri", text)) == text
    assert call("json", call("string", [text])) == [text]
    assert urllib.parse.unquote(call("uriComponent", text)) == text


@given(VALUES)
@settings(max_examples=60)
def test_a_value_survives_its_text(value):
    """What `string` writes of an array or object `json` reads, and `equals` says so."""
    found = call("json", call("string", [value]))

    assert equals(found, [value])
    assert evaluated(literal([value])) == [value]


@given(TEXTS, SMALL)
@settings(max_examples=60)
def test_take_and_skip_share_a_string_out(text, count):
    """By units of UTF-16: none is lost, none doubled."""
    taken, skipped = units(call("take", text, count)), units(call("skip", text, count))

    assert taken + skipped == units(text)
    assert len(taken) == min(max(count, 0), call("length", text))


@given(st.lists(VALUES, max_size=6), SMALL)
@settings(max_examples=60)
def test_take_and_skip_share_an_array_out(items, count):
    """And `first`, `last` and `indexFromEnd` are at its ends."""
    assert call("concat", call("take", items, count), call("skip", items, count)) == items
    assert call("first", items) == (items[0] if items else None)
    if items:
        assert call("last", items) == call("indexFromEnd", items, 1)
        assert call("tryIndexFromEnd", items, len(items) + 1) is None


@given(st.lists(WORDS, min_size=1, max_size=5), st.sampled_from([",", "--", "😀"]))
@settings(max_examples=60)
def test_what_is_split_is_joined_to_the_same(words, separator):
    """Whatever the parts are."""
    joined = call("join", words, separator)

    assert call("join", call("split", joined, separator), separator) == joined
    assert call("split", joined, [separator]) == call("split", joined, separator)


@given(TEXTS, TEXTS, TEXTS)
@settings(max_examples=60)
def test_what_is_found_is_where_it_is_said_to_be(before, part, after):
    """`indexOf` without regard to case; `contains` with."""
    text = before + part + after
    at = call("indexOf", text, part)

    assert at >= 0
    assert upper(units(text)[at : at + len(units(part))]) == upper(units(part))
    assert call("lastIndexOf", text, part) >= at or not part
    assert call("contains", text, part)
    assert call("startsWith", text, before)
    assert call("endsWith", text, after)


@given(WORDS, WORDS, WORDS)
@settings(max_examples=100)
def test_text_has_an_order(one, two, three):
    """Of any two strings one comes first, and of three the order holds; `less` and its family agree."""
    assert compare(one, two) == -compare(two, one)
    assert compare(one, one) == 0
    if compare(one, two) <= 0 and compare(two, three) <= 0:
        assert compare(one, three) <= 0
    assert call("less", one, two) == call("greater", two, one)
    assert call("lessOrEquals", one, two) == (not call("greater", one, two))


@given(st.lists(WORDS, max_size=6))
@settings(max_examples=60)
def test_sorting_by_less_is_the_order_of_keys(words):
    """`sort`, `objectKeys` and `items` order alike."""
    unique = list({upper(word): word for word in words}.values())
    sorted_ones = evaluated(
        f"sort({literal(unique)}, lambda('a', 'b', less(lambdaVariables('a'), lambdaVariables('b'))))"
    )
    keys = call("objectKeys", dict.fromkeys(unique, 1))

    assert sorted_ones == keys == ordered(unique)
    assert [one["key"] for one in call("items", dict.fromkeys(unique, 1))] == keys


@given(OBJECTS, OBJECTS)
@settings(max_examples=60)
def test_merged_objects_have_the_keys_of_both(one, other):
    """Without regard to case; the later one wins; an object merged with itself stays."""
    merged = call("union", one, other)

    assert {upper(key) for key in merged} == {upper(key) for key in (*one, *other)}
    assert all(call("contains", merged, key.swapcase()) for key in (*one, *other))
    assert len(merged) == len({upper(key) for key in merged})
    if len({upper(key) for key in one}) == len(one):
        assert equals(call("union", one, one), one) or any(isinstance(value, dict) for value in one.values())
        assert equals(call("intersection", one, one), one)


@given(st.lists(VALUES, max_size=5), st.lists(VALUES, max_size=5))
@settings(max_examples=60)
def test_sets_of_items_are_sets(one, other):
    """Each item once, in the order of the first; an intersection is in both."""
    union, both = call("union", one, other), call("intersection", one, other)

    assert call("union", union, union) == union
    assert all(call("contains", union, item) for item in one + other)
    assert all(call("contains", one, item) and call("contains", other, item) for item in both)
    assert call("intersection", one, union) == call("union", one)


@given(OBJECTS)
@settings(max_examples=60)
def test_items_make_the_object_again(value):
    """`toObject` of `items`, where no two keys differ in case alone."""
    unique = {key: value[key] for key in {upper(key): key for key in value}.values()}
    made = evaluated(
        f"toObject(items({literal(unique)}), lambda('x', lambdaVariables('x').key), "
        "lambda('x', lambdaVariables('x').value))"
    )

    assert equals(made, unique)
    for key, item in unique.items():
        assert equals(call("tryGet", unique, key), item)


@given(st.lists(st.integers(-50, 50), max_size=8), st.integers(1, 4))
@settings(max_examples=60)
def test_groups_hold_every_item_once(numbers, kinds):
    """`groupBy` shares out, `filter` finds a group, `reduce` sums, `map` keeps the length."""
    text = literal(numbers)
    groups = evaluated(f"groupBy({text}, lambda('x', string(mod(lambdaVariables('x'), {kinds}))))")
    sums = evaluated(f"reduce({text}, 0, lambda('a', 'b', add(lambdaVariables('a'), lambdaVariables('b'))))")

    assert sorted(item for group in groups.values() for item in group) == sorted(numbers)
    assert sums == sum(numbers)
    assert evaluated(f"map({text}, lambda('x', 'i', lambdaVariables('i')))") == list(range(len(numbers)))
    for kind, group in groups.items():
        same = f"equals(string(mod(lambdaVariables('x'), {kinds})), '{kind}')"
        assert evaluated(f"filter({text}, lambda('x', {same}))") == group


@given(INTEGERS, INTEGERS)
@settings(max_examples=100)
def test_whole_numbers_are_those_of_64_bits(one, other):
    """A result that 64 bits hold is right, another is refused; quotient and remainder belong together."""
    exact = {"add": one + other, "sub": one - other, "mul": one * other}
    for name, wanted in exact.items():
        try:
            assert call(name, one, other) == wanted
        except FunctionError:
            assert not -(2**63) <= wanted < 2**63
    if other not in {0, -1}:
        assert call("div", one, other) * other + call("mod", one, other) == one
        assert abs(call("mod", one, other)) < abs(other)
    assert call("min", one, other) <= call("max", [one, other])


@given(INTEGERS)
@settings(max_examples=60)
def test_a_formatted_integer_is_read_again(number):
    """In the formats that lose nothing."""
    assert call("int", call("string", number)) == number
    assert call("int", call("format", "{0:D25}", number)) == number
    assert call("int", call("format", "{0:N0}", number).replace(",", "")) == number
    assert call("int", call("format", "{0:0}", number)) == number
    assert int(call("format", "{0:X}", number), 16) == number % 2**64
    assert call("format", "{0,30}", number).strip() == call("format", "{0}", number) == str(number)


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=60)
def test_a_fraction_is_read_again(number):
    """What `format` and `string` write of it is the shortest text that says it."""
    assert float(call("format", "{0}", number)) == number
    assert call("json", call("string", [number])) == [number]
    assert call("float", call("format", "{0:R}", number)) == number


@given(st.text(string.ascii_letters + "{}0,: -", max_size=14))
@settings(max_examples=100)
def test_any_format_is_text_or_refused(form):
    """Never another error."""
    try:
        found = call("format", form, 5, "a")
    except FunctionError as refusal:
        found = str(refusal)
    assert isinstance(found, str)


@given(st.integers(-62135596800, 253402300799))
@settings(max_examples=60)
def test_a_moment_comes_back_from_its_text(seconds):
    """As seconds since 1970, and moved there and back."""
    moment = call("dateTimeFromEpoch", seconds)

    assert call("dateTimeToEpoch", moment) == seconds
    assert call("dateTimeAdd", moment, "PT0S") == moment
    assert call("dateTimeToEpoch", call("dateTimeAdd", moment, "PT0S", "u")) == seconds
    if 0 < seconds < 253402300799 - 10**6:
        assert call("dateTimeAdd", call("dateTimeAdd", moment, "P1DT2H3M4S"), "-P1DT2H3M4S") == moment


@given(st.ip_addresses(), st.data())
@settings(max_examples=60)
def test_a_subnet_is_in_its_network(address, data):
    """Its prefix is the one asked for, its first address is where it should be, and its hosts are in it."""
    most = address.max_prefixlen
    prefix = data.draw(st.integers(0, most))
    longer = data.draw(st.integers(prefix, min(most, prefix + 16)))
    number = data.draw(st.integers(0, 2 ** (longer - prefix) - 1))
    whole = f"{address}/{prefix}"
    part = call("parseCidr", call("cidrSubnet", whole, longer, number))

    assert part["cidr"] == longer
    assert call("cidrSubnet", f"{part['network']}/{prefix}", longer, number) == f"{part['network']}/{longer}"
    if longer <= most - 2:
        assert call("cidrHost", f"{part['network']}/{longer}", 0) == part["firstUsable"]


@given(
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[a-z][a-z0-9]{0,8}\.org", fullmatch=True),
    st.none() | st.integers(1, 65535),
    st.lists(
        st.text(string.ascii_letters + " é-._~", min_size=1, max_size=5).filter(lambda one: one.strip(". ")), max_size=3
    ),
)
@settings(max_examples=60)
def test_a_built_uri_is_parsed_again(scheme, host, port, steps):
    """Its parts are those that it was built of; a default port is not written."""
    path = "/" + "/".join(steps)
    parts = {"scheme": scheme, "host": host, "path": path, "query": "a=1"} | ({"port": port} if port else {})
    built = call("buildUri", parts)
    found = call("parseUri", built)

    assert (found["scheme"], found["host"], found["query"]) == (scheme, host, "?a=1")
    assert found["port"] == (port or {"http": 80, "https": 443}[scheme])
    assert urllib.parse.unquote(found["path"]) == path.rstrip(" ") or path.endswith(" ")
    assert call("uri", built, "/x") == built.split(host)[0] + host + built.split(host)[1].split("/")[0] + "/x"
