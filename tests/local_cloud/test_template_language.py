"""The expression language of templates."""

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.local_cloud.plans import plan_of as planned

from ai_toolkit.local_cloud.core.arm_error import ArmError
from ai_toolkit.local_cloud.resource_manager.subscriptions import subscription_document
from ai_toolkit.local_cloud.template import syntax
from ai_toolkit.local_cloud.template.evaluation import PLAIN_FUNCTIONS, evaluate
from ai_toolkit.local_cloud.template.functions.unique_string import unique_string
from ai_toolkit.local_cloud.template.lazy_functions import LAZY_FUNCTIONS
from ai_toolkit.local_cloud.template.scope import NotYetKnownError
from ai_toolkit.local_cloud.template.scope_functions import SCOPE_FUNCTIONS

GROUP = {
    "id": f"{subscription_document()['id']}/resourceGroups/my-rg",
    "name": "my-rg",
    "location": "westus3",
}
NAMES = st.text(string.ascii_letters + "_", min_size=1, max_size=8)


def expressions() -> st.SearchStrategy[syntax.Expression]:
    leaves = st.text(max_size=8).map(syntax.Text) | st.integers(-(10**18), 10**18).map(syntax.Number)

    def larger(inner: st.SearchStrategy[syntax.Expression]) -> st.SearchStrategy[syntax.Expression]:
        calls = st.builds(syntax.Call, NAMES, st.lists(inner, max_size=3).map(tuple))
        return (
            calls
            | st.builds(syntax.Member, calls, NAMES, st.booleans())
            | st.builds(syntax.Element, calls, inner, st.booleans())
        )

    return st.recursive(leaves, larger, max_leaves=12)


@given(st.text() | st.text("[]()'.,? abc01-", max_size=60))
@settings(max_examples=500)
def test_any_text_parses_or_says_where_it_does_not(text: str):
    """Never a crash or a hang: an expression, or an error with a position inside the text."""
    try:
        parsed = syntax.parse(f"[{text}]")
    except syntax.ExpressionSyntaxError as error:
        outcome = 0 <= error.position <= len(text)
    else:
        outcome = syntax.parse(f"[{syntax.write(parsed)}]") == parsed

    assert outcome


@given(expressions())
def test_what_is_written_parses_to_the_same(expression: syntax.Expression):
    """write and parse are each other's inverse."""
    assert syntax.parse(f"[{syntax.write(expression)}]") == expression


ARITIES = {
    name: (entry[1], entry[2] if entry[2] is not None else entry[1] + 2)
    for name, entry in {**PLAIN_FUNCTIONS, **LAZY_FUNCTIONS, **SCOPE_FUNCTIONS}.items()
}
TEXTS = [
    "",
    "a",
    "{0}",
    "{0:Q}",
    "{0:D99999999999}",
    "{0,99999999999}",
    "{",
    "1",
    "1.5",
    "P1D",
    "P99999999999Y",
    "2020-01-01T00:00:00Z",
    "data:;base64,é",
    "data:;base64,/w==",
    "/w==",
    "[",
    "http://[",
    "A.B/c",
    "ﬃ",
]
LEAVES = (
    st.sampled_from(TEXTS).map(syntax.Text)
    | st.sampled_from([-1, 0, 1, 2, 10**6, 10**12, 10**18, -(10**18)]).map(syntax.Number)
    | st.sampled_from(["createArray", "createObject", "null", "true", "false"]).map(lambda n: syntax.Call(n, ()))
)
VALUES = (
    LEAVES
    | st.lists(LEAVES, max_size=2).map(lambda items: syntax.Call("createArray", tuple(items)))
    | LEAVES.map(lambda item: syntax.Call("createObject", (syntax.Text("a"), item)))
    | LEAVES.map(lambda item: syntax.Call("lambda", (syntax.Text("x"), item)))
    | LEAVES.map(lambda item: syntax.Call("float", (item,)))
)


@pytest.mark.parametrize("function", sorted(ARITIES))
@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_call_has_a_value_or_is_a_mistake_with_its_place(function: str, data: st.DataObject):
    """InvalidTemplate, or not known before the deployment runs; never a failure of ours, nor endless work."""
    fewest, most = ARITIES[function]
    arguments = data.draw(st.lists(VALUES, min_size=fewest, max_size=most))
    try:
        value_of(f"[{syntax.write(syntax.Call(function, tuple(arguments)))}]")
    except ArmError as error:
        outcome = error.code == "InvalidTemplate" and error.target is not None
    except NotYetKnownError:
        outcome = True
    else:
        outcome = True

    assert outcome


@pytest.mark.parametrize(
    "expression",
    [
        "[padLeft('a', 1000000000000)]",
        "[padLeft('a', 3, 'bc')]",
        "[format('{0,99999999999}', 'a')]",
        "[format('{0:D99999999999}', 1)]",
        "[range(0, 1000000000000)]",
        "[float(createArray())]",
        "[dataUriToString('data:;base64,é')]",
        "[items(1)]",
        "[uri('', 'http://[')]",
    ],
)
def test_what_would_take_all_memory_or_fail_is_a_mistake(expression: str):
    """InvalidTemplate with the place, at once."""
    with pytest.raises(ArmError) as refusal:
        value_of(expression)

    assert (refusal.value.code, refusal.value.target) == ("InvalidTemplate", "outputs.x")


def test_deep_nesting_is_an_error():
    """A thousand brackets are refused rather than exhausting the stack."""
    with pytest.raises(syntax.ExpressionSyntaxError):
        syntax.parse("[" + "a(" * 1000 + ")" * 1000 + "]")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("test",), "rbgf3xv4ufgzg"),
        (("abc",), "cgtzqvhu4i23s"),
        (("hello", "world"), "a7wkljktk6wne"),
        (("foo", "bar", "baz"), "xzi4ioaxtmth4"),
        ((GROUP["id"].replace("my-rg", "myRg"),), "js26ofeqkqeve"),
        ((GROUP["id"],), "bmg7c6xu4tw46"),
    ],
)
def test_unique_string_gives_azures_values(parts: tuple[str, ...], expected: str):
    """The published vectors."""
    assert unique_string(*parts) == expected


def value_of(expression: Any, **parameters: Any) -> Any:
    """What a template's output of that value is."""
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "parameters": {
            name: {"type": {str: "string", int: "int", list: "array", dict: "object", bool: "bool"}[type(value)]}
            for name, value in parameters.items()
        },
        "variables": {"greeting": "[concat('hello ', variables('who'))]", "who": "world",
                      "copy": [{"name": "squares", "count": 4,
                                "input": "[mul(copyIndex('squares'), copyIndex('squares'))]"}]},
        "resources": [],
    }  # fmt: skip
    given_values = {name: {"value": value} for name, value in parameters.items()}
    plan = planned(template, given_values, GROUP)
    return evaluate(expression, plan.scope, "outputs.x")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[[not an expression]", "[not an expression]"),
        ("plain", "plain"),
        ("['it''s']", "it's"),
        ("[variables('greeting')]", "hello world"),
        ("[variables('squares')]", [0, 1, 4, 9]),
        ("[format('{0}-{1:D3}-{{}}', 'a', 7)]", "a-007-{}"),
        ("[join(concat(createArray('a'), createArray('b', 'c')), '\n')]", "a\nb\nc"),
        ("[take(uniqueString(resourceGroup().id), 5)]", "bmg7c"),
        ("[if(equals(1, 1), 'yes', div(1, 0))]", "yes"),
        ("[coalesce(null(), 'x')]", "x"),
        ("[map(range(0, 3), lambda('i', add(lambdaVariables('i'), 1)))]", [1, 2, 3]),
        ("[filter(createArray(1, 5, 3), lambda('n', greater(lambdaVariables('n'), 2)))]", [5, 3]),
        ("[reduce(range(1, 4), 0, lambda('sum', 'n', add(lambdaVariables('sum'), lambdaVariables('n'))))]", 10),
        ("[sort(createArray(3, 1, 2), lambda('a', 'b', less(lambdaVariables('a'), lambdaVariables('b'))))]", [1, 2, 3]),
        ("[toObject(createArray('a', 'b'), lambda('k', lambdaVariables('k')), lambda('k', 1))]", {"a": 1, "b": 1}),
        ("[union(createObject('a', 1), createObject('b', 2))]", {"a": 1, "b": 2}),
        ("[intersection(createArray(1, 2, 3), createArray(2, 3, 4))]", [2, 3]),
        ("[contains(createObject('Key', 1), 'key')]", True),
        ("[empty('')]", True),
        ("[equals(1, true())]", False),
        ("[json('{\"a\": [1, {\"b\": 2}]}').a[1].b]", 2),
        ("[json('{}').?a]", None),
        ("[tryGet(createObject('a', createArray(1)), 'a', 0)]", 1),
        ("[resourceId('Microsoft.App/containerApps', 'x')]", f"{GROUP['id']}/providers/Microsoft.App/containerApps/x"),
        ("[resourceId('g', 'A.B/c/d', 'x', 'y')]",
         f"{GROUP['id'].replace('my-rg', 'g')}/providers/A.B/c/x/d/y"),
        ("[split('a,b;c', createArray(',', ';'))]", ["a", "b", "c"]),
        ("[toLower(substring('ABCDEF', 1, 3))]", "bcd"),
        ("[div(-7, 2)]", -3),
        ("[mod(-7, 2)]", -1),
        ("[string(createObject('a', true()))]", '{"a":true}'),
        ("[base64ToString(base64('å'))]", "å"),
        ("[indexOf('Hello', 'L')]", 2),
        ("[last(createArray(1, 2))]", 2),
        ("[indexOf(createArray('a', 'b', 'a'), 'a')]", 0),
        ("[lastIndexOf(createArray('a', 'b', 'a'), 'a')]", 2),
        ("[indexOf(createArray('a'), 'A')]", -1),
        ("[extensionResourceId('/x', 'A.B/c', 'd')]", "/x/providers/A.B/c/d"),
        ("[padLeft('7', 3, '0')]", "007"),
        ("[uriComponentToString(uriComponent('a b/å'))]", "a b/å"),
        ("[base64ToJson(base64('{\"a\":1}')).a]", 1),
        ("[dataUriToString(dataUri('hi'))]", "hi"),
        ("[skip(createArray(1, 2, 3), 1)]", [2, 3]),
        ("[flatten(createArray(createArray(1), createArray(2, 3)))]", [1, 2, 3]),
        ("[items(createObject('b', 1, 'a', 2))]", [{"key": "a", "value": 2}, {"key": "b", "value": 1}]),
        ("[max(createArray(3, 9, 2))]", 9),
        ("[bool('true')]", True),
        ("[and(true(), not(false()))]", True),
        ("[or(false(), true())]", True),
        ("[lessOrEquals('a', 'b')]", True),
        ("[sub(int('7'), mul(2, 3))]", 1),
        ("[resourceGroup().location]", "westus3"),
        ("[subscription().subscriptionId]", "00000000-0000-0000-0000-000000000000"),
        ("[deployment().name]", "test"),
        ("[guid('a')]", "1cd5d1a1-1cc4-5eb3-bb4a-c6c9b4e5a4e4"),
    ],
)  # fmt: skip
def test_functions_give_what_is_documented(expression: str, expected: Any):
    """Documented functions, with documented results."""
    if expression.startswith("[guid("):
        assert value_of(expression) == value_of(expression)
        return
    assert value_of(expression) == expected


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("[unknown('a')]", "template function 'unknown' is not valid"),
        ("[parameters('missing')]", "parameter 'missing' is not found"),
        ("[variables('missing')]", "variable 'missing' is not found"),
        ("[concat('a'", None),
        ("[concat('a' 'b')]", "at position 11"),
        ("[add(1, 'a')]", "expects an integer"),
        ("[createArray(1)[3]]", "out of bounds"),
        ("[resourceGroup().nothing]", "property 'nothing' doesn't exist"),
        ("[newGuid()]", "only valid in a parameter's default value"),
        ("[take('a')]", "1 arguments but takes 2"),
    ],
)
def test_mistakes_are_named_with_their_place(expression: str, words: str | None):
    """InvalidTemplate says what is wrong and where."""
    if words is None:
        assert value_of(expression) == expression  # not closed: plain text, as on Azure
        return
    with pytest.raises(ArmError) as refusal:
        value_of(expression)

    assert refusal.value.code == "InvalidTemplate"
    assert words in refusal.value.message
    assert "outputs.x" in refusal.value.message
