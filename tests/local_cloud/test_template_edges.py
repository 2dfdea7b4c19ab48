"""Edges of template functions that .NET's documentation settles, beside what Azure's engine was asked about.

Sources: https://learn.microsoft.com/dotnet/standard/base-types/composite-formatting and the pages beside it,
https://www.newtonsoft.com/json, https://github.com/Azure/bicep/pull/9368 (safe dereference).
"""

import json

import pytest
from tests.local_cloud.test_template_functions import value_of

from ai_toolkit.local_cloud.core.arm_error import ArmError

VALUES = [
    # Composite formats: a brace of a format item ends it, and the exponent has the format's case.
    ("format('{0:0}}}', 7)", "7}"),
    ("format('{{{0}}}', 1)", "{1}"),
    ("format('{0 , -4 :N0}|', 1)", "1   |"),
    ("format('{0:g2}', 123456)", "1.2e+05"),
    ("format('{0:G3}', 123456)", "1.23E+05"),
    ("format('{0:r}', json('1e20'))", "1e+20"),
    ("format('{0:N1}', json('0.25'))", "0.2"),  # an exact tie goes to the even digit since .NET Core 2.1
    ("format('{0:F0}', json('2.5'))", "2"),
    ("format('{0:N2}', 'abc')", "abc"),
    ("format('{0:#;neg;zero}', 0)", "zero"),
    ("format('{0:(###) ###-####}', 1234567890)", "(123) 456-7890"),
    ("format('{0:0.00e+0}', 12345)", "1.23e+4"),
    ("format('{0:B8}', 5)", "00000101"),
    # Characters are mapped one to one.
    ("toUpper('ᾳ')", "ᾼ"),
    ("toUpper('𐐨')", "𐐀"),
    # The first step of a path may find nothing; behind it nothing may lack.
    ("tryGet(createObject('a', createObject('b', 1)), 'x', 'y')", None),
    ("tryGet(createObject('a', json('null')), 'a', 'y')", None),
    ("tryGet(createObject('a', createArray(1, 2)), 'a', createObject('value', 1, 'fromEnd', true()))", 2),
    ("tryIndexFromEnd(createArray(createObject('a', 1)), 1, 'A')", 1),
    ("tryIndexFromEnd(json('null'), 1)", None),
    # URIs: only what means nothing is unescaped, and a space is no plus sign.
    ("uri('http://a.b/c/d?x', '#f')", "http://a.b/c/d?x#f"),
    ("uri('http://user:p%40w@A.B:80/c/', 'd e/%C3%A9/%2F')", "http://user:p%40w@a.b/c/d e/é/%2F"),
    ("uri('http://a.b/c/d', '?x=a+b%20c%26')", "http://a.b/c/d?x=a+b c%26"),
    ("uri(' http://a.b/c/', '../../d')", "http://a.b/d"),
    ("buildUri(createObject('scheme', 'https', 'host', 'h', 'query', '?y=a b%26+c'))", "https://h/?y=a b%26+c"),
    ("buildUri(createObject('scheme', 'https', 'host', 'h', 'path', 'a?b#c', 'port', 443))", "https://h/a%3Fb%23c"),
    # JSON as Newtonsoft reads it.
    ("json('{a:1, ''b'': 2,}')", {"a": 1, "b": 2}),
    ("json('[0x1F, 010, .5]')", [31, 8, 0.5]),
    ("json('9223372036854775808')", 2**63),
    ("dateTimeAdd('2024/01/31', 'P1D')", "2024-02-01T00:00:00Z"),
    # Dates as DateTimeOffset.Parse reads them without a language.
    ("dateTimeAdd('January 1, 2024', 'P1D')", "2024-01-02T00:00:00Z"),
    ("dateTimeAdd('Monday, 1 Jan 2024 12:30 am', 'PT0S')", "2024-01-01T00:30:00Z"),
    ("dateTimeAdd('1-Jan-2024 10:00:01 PM +02:00', 'PT0S')", "2024-01-01T20:00:01Z"),
    ("dateTimeAdd('2024.01.02', 'PT0S')", "2024-01-02T00:00:00Z"),
    ("dateTimeToEpoch('1/2/24')", 1704153600),
    ("dateTimeToEpoch('12/31/69')", -86400),
    ("cidrHost('fd00::/64', 4)", "fd00::4"),
    ("cidrHost('::ffff:10.0.0.0/120', 5)", "::ffff:10.0.0.5"),
    ("cidrSubnet('::1:0/112', 128, 3)", "::0.1.0.3/128"),
    ("cidrHost('fe80::5efe:10.0.0.0/120', 1)", "fe80::5efe:10.0.0.1"),
    ("parseCidr('64:ff9b::10.0.0.0/104').network", "64:ff9b::a00:0"),
    ("parseUri('urn:a:b').port", -1),
    ("parseUri('ldap://a').port", 389),
    ("environment().suffixes.storage", "core.windows.net"),
    ("environment().authentication.audiences[1]", "https://management.azure.com/"),
    ("parseCidr('::/0').lastUsable", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
]
REFUSED = [
    "format('{ 0}', 1)",
    "format('{0:{{x}}}', 1)",
    "format('{0,+5}', 1)",
    "format('{', 1)",
    "format('{a}', 1)",
    "format('{0:Z}', 5)",
    "format('{0:x}', json('1.5'))",
    "substring('abc', 1, json('null'))",
    "dateTimeAdd('2024-01-01', 'P1D', json('null'))",
    "dateTimeAdd('Tue, 01 Jan 2024 00:00:00 GMT', 'P1D')",  # it was a Monday
    "dateTimeAdd('2024-01-01 13:00 PM', 'P1D')",
    "dateTimeAdd('Foo 1, 2024', 'P1D')",
    "mod(-9223372036854775808, -1)",
    "div(-9223372036854775808, -1)",
    "9223372036854775808",
    "float('1e400')",
    "json('1e400')",
    "json('NaN')",
    "json('')",
    "tryGet(createObject('a', createObject('b', 1)), 'a', 'c')",
    "tryGet(createArray(createArray(1)), 0, 1)",
    "uri('mailto:a@b', 'c')",
]


@pytest.mark.parametrize(("expression", "expected"), VALUES)
def test_an_edge_gives_what_dotnet_gives(expression, expected):
    """Equal as JSON, 1 and 1.0 told apart."""
    assert json.dumps(value_of(f"[{expression}]")) == json.dumps(expected)


@pytest.mark.parametrize("expression", REFUSED)
def test_beyond_the_edge_is_refused(expression):
    """As a mistake of the template, with its place."""
    with pytest.raises(ArmError, match=r"outputs\.x") as refusal:
        value_of(f"[{expression}]")
    assert refusal.value.code == "InvalidTemplate"
