"""Every documented function of templates, with the examples of Microsoft's documentation and their results.

Where the documentation is older than Azure's engine (capitals after small letters, durations of 30 and 365 days), the
engine is right; `test_azure_engine.py` holds the functions against it.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions
"""

import contextlib
import random
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.local_cloud.plans import plan_of as planned

from ai_toolkit.local_cloud.core.arm_error import ArmError
from ai_toolkit.local_cloud.resource_manager.subscriptions import subscription_document
from ai_toolkit.local_cloud.template.evaluation import PLAIN_FUNCTIONS, evaluate
from ai_toolkit.local_cloud.template.functions.values import FunctionError
from ai_toolkit.local_cloud.template.lazy_functions import LAZY_FUNCTIONS
from ai_toolkit.local_cloud.template.scope_functions import SCOPE_FUNCTIONS

SUBSCRIPTION = subscription_document()["id"]
GROUP = {"id": f"{SUBSCRIPTION}/resourceGroups/examplegroup", "name": "examplegroup", "location": "westus3"}
DATA_URI = "data:text/plain;charset=utf8;base64,SGVsbG8="
OBJECT = "createObject('one', 'a', 'two', 'b')"
DOGS = 'json(\'[{"name":"Evie","age":5},{"name":"Casper","age":3}]\')'

# By the documentation's group: function, example, documented result.
STRING = [
    ("base64", "[base64('one, two, three')]", "b25lLCB0d28sIHRocmVl"),
    ("base64ToString", "[base64ToString(base64('one, two, three'))]", "one, two, three"),
    ("base64ToJson", "[base64ToJson(base64('{\"one\": \"a\", \"two\": \"b\"}'))]", {"one": "a", "two": "b"}),
    ("concat", "[concat('prefix', '-', 'rest')]", "prefix-rest"),
    ("contains", "[contains('OneTwoThree', 'e')]", True),
    ("contains", "[contains('OneTwoThree', 'z')]", False),
    ("dataUri", "[dataUri('Hello')]", "data:text/plain;charset=utf-8;base64,SGVsbG8="),
    ("dataUriToString", f"[dataUriToString('{DATA_URI}')]", "Hello"),
    ("dataUriToString", "[dataUriToString('data:;base64,SGVsbG8sIFdvcmxkIQ==')]", "Hello, World!"),
    ("empty", "[empty('')]", True),
    ("endsWith", "[endsWith('abcdef', 'ef')]", True),
    ("endsWith", "[endsWith('abcdef', 'F')]", True),
    ("endsWith", "[endsWith('abcdef', 'e')]", False),
    ("first", "[first('One Two Three')]", "O"),
    ("format", "[format('{0}, {1}. Formatted number: {2:N0}', 'Hello', 'User', 8175133)]",
     "Hello, User. Formatted number: 8,175,133"),
    ("indexOf", "[indexOf('test', 't')]", 0),
    ("indexOf", "[indexOf('abcdef', 'CD')]", 2),
    ("indexOf", "[indexOf('abcdef', 'z')]", -1),
    ("join", "[join(createArray('one', 'two', 'three'), ',')]", "one,two,three"),
    ("json", "[json('{\"a\":\"b\"}')]", {"a": "b"}),
    ("json", "[json('null')]", None),
    ("last", "[last('One Two Three')]", "e"),
    ("lastIndexOf", "[lastIndexOf('test', 't')]", 3),
    ("lastIndexOf", "[lastIndexOf('abcdef', 'AB')]", 0),
    ("length", "[length('One Two Three')]", 13),
    ("padLeft", "[padLeft('123', 10, '0')]", "0000000123"),
    ("replace", "[replace('123-123-1234', '-', '')]", "1231231234"),
    ("replace", "[replace('123-123-1234', '1234', 'xxxx')]", "123-123-xxxx"),
    ("skip", "[skip('one two three', 4)]", "two three"),
    ("split", "[split('one,two,three', ',')]", ["one", "two", "three"]),
    ("split", "[split('one;two,three', createArray(',', ';'))]", ["one", "two", "three"]),
    ("startsWith", "[startsWith('abcdef', 'AB')]", True),
    ("startsWith", "[startsWith('abcdef', 'e')]", False),
    ("string", "[string(createArray('a', 'b', 'c'))]", '["a","b","c"]'),
    ("string", "[string(5)]", "5"),
    ("substring", "[substring('one two three', 4, 3)]", "two"),
    ("take", "[take('one two three', 2)]", "on"),
    ("toLower", "[toLower('One Two Three')]", "one two three"),
    ("toUpper", "[toUpper('One Two Three')]", "ONE TWO THREE"),
    ("trim", "[trim('    one two three   ')]", "one two three"),
    ("uniqueString", "[uniqueString('test')]", "rbgf3xv4ufgzg"),
    ("uri", "[uri('http://contoso.org/firstpath/', 'myscript.sh')]", "http://contoso.org/firstpath/myscript.sh"),
    ("uri", "[uri('http://contoso.com/resources/', 'nested/azuredeploy.json')]",
     "http://contoso.com/resources/nested/azuredeploy.json"),
    ("uriComponent", "[uriComponent('http://contoso.com/resources/nested/azuredeploy.json')]",
     "http%3A%2F%2Fcontoso.com%2Fresources%2Fnested%2Fazuredeploy.json"),
    ("uriComponentToString", "[uriComponentToString('http%3A%2F%2Fcontoso.com%2Fa.json')]", "http://contoso.com/a.json"),
]  # fmt: skip
ARRAY = [
    ("array", "[array('efgh')]", ["efgh"]),
    ("array", "[array(1)]", [1]),
    ("concat", "[concat(createArray('1-1', '1-2'), createArray('2-1'))]", ["1-1", "1-2", "2-1"]),
    ("contains", "[contains(createArray('one', 'two', 'three'), 'two')]", True),
    ("createArray", "[createArray(1, 2, 3)]", [1, 2, 3]),
    ("createArray", "[createArray()]", []),
    ("empty", "[empty(createArray())]", True),
    ("first", "[first(createArray('one', 'two'))]", "one"),
    ("flatten", "[flatten(createArray(createArray('one', 'two'), createArray('three')))]", ["one", "two", "three"]),
    ("indexOf", "[indexOf(createArray('one', 'two', 'one'), 'one')]", 0),
    ("indexFromEnd", "[indexFromEnd(createArray('a', 'b', 'c'), 1)]", "c"),
    ("tryIndexFromEnd", "[tryIndexFromEnd(createArray('a'), 2)]", None),
    ("intersection", "[intersection(createArray('one', 'two', 'three'), createArray('two', 'three'))]",
     ["two", "three"]),
    ("last", "[last(createArray('one', 'two', 'three'))]", "three"),
    ("lastIndexOf", "[lastIndexOf(createArray('one', 'two', 'one'), 'one')]", 2),
    ("length", "[length(createArray('one', 'two', 'three'))]", 3),
    ("max", "[max(createArray(0, 3, 2, 5, 4))]", 5),
    ("min", "[min(createArray(0, 3, 2, 5, 4))]", 0),
    ("range", "[range(5, 3)]", [5, 6, 7]),
    ("skip", "[skip(createArray('one', 'two', 'three'), 2)]", ["three"]),
    ("take", "[take(createArray('one', 'two', 'three'), 2)]", ["one", "two"]),
    ("tryGet", "[tryGet(createArray('one'), 1)]", None),
    ("union", "[union(createArray('one', 'two'), createArray('two', 'three'))]", ["one", "two", "three"]),
]  # fmt: skip
LAMBDA = [
    ("filter", (f"[map(filter({DOGS}, lambda('dog', greaterOrEquals(lambdaVariables('dog').age, 5))), "
     "lambda('dog', lambdaVariables('dog').name))]"), ["Evie"]),
    ("groupBy", "[groupBy(createArray('foo', 'bar', 'baz'), lambda('x', substring(lambdaVariables('x'), 0, 1)))]",
     {"f": ["foo"], "b": ["bar", "baz"]}),
    ("map", f"[map({DOGS}, lambda('dog', lambdaVariables('dog').name))]", ["Evie", "Casper"]),
    ("mapValues", "[mapValues(createObject('foo', 'foo'), lambda('val', toUpper(lambdaVariables('val'))))]",
     {"foo": "FOO"}),
    ("reduce", (f"[reduce(map({DOGS}, lambda('dog', lambdaVariables('dog').age)), 0, "
     "lambda('cur', 'next', add(lambdaVariables('cur'), lambdaVariables('next'))))]"), 8),
    ("sort", ("[sort(createArray(8, 3, 10, -13, 5), lambda('x', 'y', less(lambdaVariables('x'), "
     "lambdaVariables('y'))))]"), [-13, 3, 5, 8, 10]),
    ("toObject", "[toObject(createArray(123, 456), lambda('i', string(lambdaVariables('i'))))]",
     {"123": 123, "456": 456}),
]  # fmt: skip
OBJECTS = [
    ("contains", f"[contains({OBJECT}, 'two')]", True),
    ("createObject", "[createObject('intProp', 1, 'arrayProp', createArray('a'), 'nested', createObject('x', null()))]",
     {"intProp": 1, "arrayProp": ["a"], "nested": {"x": None}}),
    ("empty", "[empty(createObject())]", True),
    ("intersection", f"[intersection({OBJECT}, createObject('two', 'b', 'three', 'c'))]", {"two": "b"}),
    ("items", f"[items({OBJECT})]", [{"key": "one", "value": "a"}, {"key": "two", "value": "b"}]),
    ("length", f"[length({OBJECT})]", 2),
    ("null", "[null()]", None),
    ("objectKeys", "[objectKeys(createObject('a', 1, 'b', 2))]", ["a", "b"]),
    ("shallowMerge", "[shallowMerge(createArray(createObject('a', 1), createObject('a', 2, 'b', 3)))]",
     {"a": 2, "b": 3}),
    ("tryGet", f"[tryGet({OBJECT}, 'three')]", None),
    ("union", f"[union({OBJECT}, createObject('three', 'c'))]", {"one": "a", "two": "b", "three": "c"}),
    ("union", "[union(createObject('p', createObject('one', 'a')), createObject('p', createObject('two', 'b')))]",
     {"p": {"one": "a", "two": "b"}}),
]  # fmt: skip
COMPARISON = [
    ("coalesce", "[coalesce(null(), null(), 'default')]", "default"),
    ("equals", "[equals(1, 1)]", True),
    ("equals", "[equals('a', 'A')]", False),
    ("equals", f"[equals({OBJECT}, {OBJECT})]", True),
    ("greater", "[greater(1, 2)]", False),
    ("greater", "[greater('A', 'a')]", True),
    ("greaterOrEquals", "[greaterOrEquals('a', 'A')]", False),
    ("less", "[less('a', 'A')]", True),
    ("lessOrEquals", "[lessOrEquals(2, 2)]", True),
]
LOGICAL = [
    ("and", "[and(bool('true'), bool('false'))]", False),
    ("bool", "[bool(1)]", True),
    ("bool", "[bool(0)]", False),
    ("false", "[false()]", False),
    ("if", "[if(equals('a', 'a'), 'yes', 'no')]", "yes"),
    ("not", "[not(bool('true'))]", False),
    ("or", "[or(bool('true'), bool('false'))]", True),
    ("true", "[true()]", True),
]
NUMERIC = [
    ("add", "[add(5, 3)]", 8),
    ("div", "[div(8, 3)]", 2),
    ("float", "[float('3.0')]", 3.0),
    ("int", "[int('4')]", 4),
    ("max", "[max(0, 3, 2, 5, 4)]", 5),
    ("min", "[min(0, 3, 2, 5, 4)]", 0),
    ("mod", "[mod(7, 3)]", 1),
    ("mul", "[mul(5, 3)]", 15),
    ("sub", "[sub(7, 3)]", 4),
]
RESOURCE = [
    ("extensionResourceId",
     "[extensionResourceId(resourceId('A.Storage/accounts', 'a'), 'Microsoft.Authorization/locks', 'l')]",
     f"{GROUP['id']}/providers/A.Storage/accounts/a/providers/Microsoft.Authorization/locks/l"),
    ("resourceId", "[resourceId('Microsoft.Storage/storageAccounts', 'examplestorage')]",
     f"{GROUP['id']}/providers/Microsoft.Storage/storageAccounts/examplestorage"),
    ("resourceId", "[resourceId('otherResourceGroup', 'Microsoft.Storage/storageAccounts', 'examplestorage')]",
     f"{SUBSCRIPTION}/resourceGroups/otherResourceGroup/providers/Microsoft.Storage/storageAccounts/examplestorage"),
    ("resourceId", ("[resourceId('11111111-1111-1111-1111-111111111111', 'otherResourceGroup', "
     "'Microsoft.Storage/storageAccounts', 'examplestorage')]"),
     ("/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/otherResourceGroup/providers/"
     "Microsoft.Storage/storageAccounts/examplestorage")),
    ("resourceId", "[resourceId('Microsoft.SQL/servers/databases', 'serverName', 'databaseName')]",
     f"{GROUP['id']}/providers/Microsoft.SQL/servers/serverName/databases/databaseName"),
    ("resourceGroup", "[resourceGroup().name]", "examplegroup"),
    ("subscription", "[subscription().id]", SUBSCRIPTION),
    ("subscriptionResourceId", "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'x')]",
     f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/x"),
    ("tenantResourceId", "[tenantResourceId('Microsoft.Authorization/roleDefinitions', 'x')]",
     "/providers/Microsoft.Authorization/roleDefinitions/x"),
    ("tenant", "[tenant().tenantId]", "00000000-0000-0000-0000-000000000000"),
]  # fmt: skip
DEPLOYMENT = [
    ("deployment", "[deployment().properties.mode]", "Incremental"),
    ("deployer", "[deployer().tenantId]", "00000000-0000-0000-0000-000000000000"),
    ("environment", "[environment().name]", "AzureCloud"),
    ("parameters", "[parameters('given')]", "value"),
    ("variables", "[variables('known')]", {"nested": "value"}),
    ("variables", "[variables('known').nested]", "value"),
]
DATES = [
    ("cidrHost", "[cidrHost('10.144.3.0/24', 4)]", "10.144.3.5"),
    ("cidrSubnet", "[cidrSubnet('10.144.0.0/20', 24, 15)]", "10.144.15.0/24"),
    ("parseCidr", "[parseCidr('10.144.0.0/20').lastUsable]", "10.144.15.254"),
    ("parseUri", "[parseUri('https://contoso.org:8443/a?x=1').port]", 8443),
    (
        "buildUri",
        "[buildUri(createObject('scheme', 'https', 'host', 'contoso.org', 'path', '/a'))]",
        "https://contoso.org/a",
    ),
    (
        "managementGroupResourceId",
        "[managementGroupResourceId('mg', 'Microsoft.A/b', 'p')]",
        "/providers/Microsoft.Management/managementGroups/mg/providers/Microsoft.A/b/p",
    ),
    ("dateTimeAdd", "[dateTimeAdd('2020-04-07 14:53:14Z', 'P3Y')]", "2023-04-07T14:53:14Z"),
    ("dateTimeAdd", "[dateTimeAdd('2020-04-07 14:53:14Z', '-P9D')]", "2020-03-29T14:53:14Z"),
    ("dateTimeAdd", "[dateTimeAdd('2020-04-07 14:53:14Z', 'PT1H')]", "2020-04-07T15:53:14Z"),
    ("dateTimeAdd", "[dateTimeAdd('2020-01-31 00:00:00Z', 'P1M')]", "2020-03-01T00:00:00Z"),
    ("dateTimeFromEpoch", "[dateTimeFromEpoch(1683040573)]", "2023-05-02T15:16:13Z"),
    ("dateTimeToEpoch", "[dateTimeToEpoch('2023-05-02T15:16:13Z')]", 1683040573),
]
EXAMPLES = [*STRING, *ARRAY, *LAMBDA, *OBJECTS, *COMPARISON, *LOGICAL, *NUMERIC, *RESOURCE, *DEPLOYMENT, *DATES]
# What an example in an output cannot show; each has a test of its own.
ELSEWHERE = {"fail",
    "guid", "newguid", "utcnow", "copyindex", "lambdavariables", "reference", "references", "resourceinfo",
}  # fmt: skip


def plan_of(parameters: dict[str, Any] | None = None, resources: Any = None) -> Any:
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "parameters": {"given": {"type": "string", "defaultValue": "value"}, **(parameters or {})},
        "variables": {"known": {"nested": "[parameters('given')]"}},
        "resources": resources or [],
    }
    return planned(template, {}, GROUP)


def value_of(expression: str) -> Any:
    return evaluate(expression, plan_of().scope, "outputs.x")


@pytest.mark.parametrize(("function", "expression", "expected"), EXAMPLES, ids=[one[1][:60] for one in EXAMPLES])
def test_a_documented_example_gives_its_documented_result(function: str, expression: str, expected: Any):
    """And of the same type: true is not 1."""
    found = value_of(expression)

    assert (found, type(found)) == (expected, type(expected))
    assert function in expression


def test_every_function_has_an_example():
    """No function is in the tables without being held to its documentation."""
    known = PLAIN_FUNCTIONS.keys() | LAZY_FUNCTIONS.keys() | SCOPE_FUNCTIONS.keys()
    shown = {function.lower() for function, _expression, _expected in EXAMPLES}

    assert known - shown - ELSEWHERE == set()


def test_a_guid_depends_on_its_arguments_only():
    """A version 5 UUID, the same each time, another for other arguments."""
    one, again, other = (value_of(f"[guid({given})]") for given in ("'a', 'b'", "'a', 'b'", "'b', 'a'"))

    assert one == again != other
    assert uuid.UUID(one).version == 5


def test_new_values_are_made_in_parameter_defaults_only():
    """newGuid and utcNow in a default; anywhere else they are InvalidTemplate with the place."""
    plan = plan_of(
        {
            "key": {"type": "securestring", "defaultValue": "[newGuid()]"},
            "now": {"type": "string", "defaultValue": "[utcNow()]"},
            "day": {"type": "string", "defaultValue": "[utcNow('yyyy-MM-dd')]"},
        }
    )
    with pytest.raises(ArmError) as refusal:
        value_of("[utcNow()]")
    now = datetime.strptime(plan.parameters["now"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    assert uuid.UUID(plan.parameters["key"]).version == 4
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", plan.parameters["day"])
    assert (refusal.value.code, refusal.value.target) == ("InvalidTemplate", "outputs.x")


def test_a_loop_counts_its_copies():
    """copyIndex with and without an offset, in a resource and in a property's loop."""
    resource = {
        "type": "Microsoft.Storage/storageAccounts",
        "apiVersion": "2025-08-01",
        "name": "[format('store{0}', copyIndex(1))]",
        "location": "westus3",
        "copy": {"name": "stores", "count": 2},
        "tags": {"copy": [{"name": "all", "count": 2, "input": "[copyIndex('all')]"}]},
    }
    plan = plan_of(resources=[resource])
    bodies = [evaluate(one.body, one.scope, one.place) for one in plan.resources]

    assert [one.id.name for one in plan.resources] == ["store1", "store2"]
    assert [body["tags"]["all"] for body in bodies] == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("[conct('a')]", "template function 'conct' is not valid"),
        ("[contoso.unique('a')]", "template function 'contoso.unique' is not valid"),
        ("[if(true(), 1, nothing())]", "template function 'nothing' is not valid"),
        ("[map(createArray(1), lambda('x', nothing(lambdaVariables('x'))))]", "template function 'nothing'"),
    ],
)
def test_an_unknown_function_is_named_with_its_place(expression: str, words: str):
    """Also where it would never be evaluated; found before anything is deployed."""
    resource = {
        "type": "Microsoft.Storage/storageAccounts",
        "apiVersion": "2025-08-01",
        "name": "store",
        "location": "westus3",
        "tags": {"a": expression},
    }
    with pytest.raises(ArmError) as refusal:
        plan_of(resources=[resource])

    assert refusal.value.code == "InvalidTemplate"
    assert words in refusal.value.message
    assert refusal.value.target == "resources[0].tags.a"


@pytest.mark.parametrize(
    "expression",
    [
        "[dateTimeAdd('yesterday', 'P1D')]",
        "[dateTimeAdd('2020-04-07 14:53:14Z', 'P')]",
        "[dateTimeAdd('9999-12-31 00:00:00Z', 'P1D')]",
        "[dateTimeAdd('9999-12-31 00:00:00Z', 'P1Y')]",
        "[dateTimeFromEpoch(99999999999999999)]",
        "[dateTimeToEpoch('x')]",
    ],
)
def test_impossible_dates_are_mistakes_of_the_template(expression: str):
    """InvalidTemplate rather than a failure of ours."""
    with pytest.raises(ArmError) as refusal:
        value_of(expression)

    assert refusal.value.code == "InvalidTemplate"


# One of each type, and what is at the edge of what a function can mean.
ODD = [
    None, True, 0, -1, 17, 2**63 - 1, -(2**63), 1.5, -0.0, 1e300, "", "a", "é", "😀", "\ud83d", "-7", "2024-01-01",
    "9999-12-31T23:59:59Z", "P1D", "-P9999Y", "P99999999999D", "dddd", "%", "'", "{0}", "{0:N2}", "{", "{0,5:X}",
    "{0:#,##0.0%;(0)}", "{0:D99}", "{0:'x}", "http://a.b/c", "http://[", "data:;base64,@", "10.0.0.0/8", "::/0", "[",
    '{"a":1', "1e400", [], [1, 2], ["a", "B"], [[1], [2]], [None], [{}], {}, {"a": {"b": 1}}, {"A": 2},
    {"scheme": "https", "host": "x", "port": 99999}, {"scheme": "http", "host": "a b", "path": "é"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("#,##0.00;(#,##0.00);none", 1234.5, "1,234.50"),
        ("#,##0.00;(#,##0.00);none", -1234.5, "(1,234.50)"),
        ("#,##0.00;(#,##0.00);none", 0, "none"),
        ("0.###", 1.5, "1.5"),
        ("000-000", 123456, "123-456"),
        ("0%", 0.5, "50%"),
        ("'n='0", 7, "n=7"),
        ("0.0E+00", 12345, "1.2E+04"),
        ("0,,", 12345678, "12"),
        ("C", -5, "(¤5.00)"),
        ("X2", -1, "FFFFFFFFFFFFFFFF"),
        ("G2", 12345, "1.2E+04"),
        ("E", 0, "0.000000E+000"),
    ],
)
def test_numbers_in_dotnets_formats(form, value, expected):
    """Standard and custom ones, with sections, literals, scaling and exponents."""
    assert PLAIN_FUNCTIONS["format"][0](f"{{0:{form}}}", value) == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("dddd, d MMM yy h:mm tt", "Monday, 1 Jan 24 12:30 AM"),
        ("D", "Monday, 01 January 2024"),
        ("s", "2024-01-01T00:30:05"),
        ("yyyy'T'fff", "2024T250"),
        ("%d", "1"),
        ("HH\\h", "00h"),
        ("yyyyMMddTHHmmssZ", "20240101T003005Z"),
    ],
)
def test_dates_in_dotnets_formats(form, expected):
    """Standard and custom ones, with names, literals and fractions."""
    assert PLAIN_FUNCTIONS["datetimeadd"][0]("2024-01-01T00:30:05.25Z", "PT0S", form) == expected


@pytest.mark.parametrize("name", sorted(PLAIN_FUNCTIONS))
def test_what_a_function_cannot_use_is_refused_in_one_way(name):
    """Whatever the arguments are: a value, or a refusal that names the function."""
    function, fewest, most = PLAIN_FUNCTIONS[name]
    draw = random.Random(7)
    refusals = set()
    for _ in range(400):
        count = draw.randint(fewest, min(most if most is not None else fewest + 3, fewest + 3))
        with contextlib.suppress(FunctionError):
            try:
                function(*(draw.choice(ODD) for _ in range(count)))
            except FunctionError as refusal:
                refusals.add(str(refusal))
                raise

    assert {one for one in refusals if name not in one.lower()} == set()
