"""Every error is one of a drawn tree, speaks in sentences, and is translated once."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from ai_toolkit import errors
from ai_toolkit.azure.explain import first_of, for_people
from ai_toolkit.errors import (
    AiToolkitError,
    CloudError,
    CloudUnreachable,
    DeploymentFailed,
    Dismissed,
    EndpointNotReady,
    EndpointRefused,
    FileMalformed,
    FileMissing,
    ReplicaFailed,
    ResourceMissing,
    SignInNeeded,
    SubscriptionUnknown,
    ValueImpossible,
    WorkspaceError,
)

PATH = Path("infra/inference.config.json")


def tree(kind, depth=0):
    yield depth, kind.__name__
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child, depth + 1)


def drawn():
    for line in errors.__doc__.splitlines()[2:]:
        found = re.match(r"(?P<lead>[│├└─ ]*)(?P<name>\w+)", line)
        yield len(found["lead"]) // 4, found["name"]


def test_drawing_at_the_top_is_the_tree():
    """The picture that a reader starts with shows every class in its place."""
    assert sorted(drawn()) == sorted(tree(AiToolkitError))
    assert next(name for _depth, name in drawn()) == "AiToolkitError"


def test_codes_are_stable_words():
    """Programs read the code from JSON: lower-case words, and only what ends in cancellation shares one."""
    kinds = [getattr(errors, name) for _depth, name in drawn()]
    codes = [kind.code for kind in kinds]

    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)
    assert sorted(code for code in set(codes) if codes.count(code) > 1) == ["cancelled"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileMissing(PATH, "Run aitk init."), "infra/inference.config.json does not exist."),
        (
            FileMalformed(PATH, "not JSON.", line=3, column=9),
            "infra/inference.config.json, line 3, column 9: not JSON.",
        ),
        (FileMalformed(PATH, "not UTF-8."), "infra/inference.config.json: not UTF-8."),
        (ValueImpossible(PATH, "ACA_APP_NAME", "missing"), "infra/inference.config.json: ACA_APP_NAME: missing"),
        (SubscriptionUnknown("one", ["two", "three"]), "one is not among those that this sign-in can see (two, three)"),
        (SubscriptionUnknown("one", []), "(none)"),
        (ResourceMissing("file share", "s", "account a"), "The file share s does not exist in account a."),
        (DeploymentFailed("d", "QuotaExceeded", "no GPU"), "no GPU (QuotaExceeded)"),
        (ReplicaFailed("it ended.", ["first", "last"]), "The replica did not start: it ended."),
        (EndpointNotReady("http://e", "loading weights", timedelta(minutes=30)), "1800 s (stage: loading weights)"),
        (EndpointRefused("http://e", 401, "no key"), "http://e answered 401: no key"),
    ],
)
def test_error_says_what_happened_and_what_to_do(error, said):
    """Both halves, of the values at hand; never an empty advice."""
    assert said in error.message
    assert error.advice.endswith(".")
    assert error.in_brief == f"{error.message} {error.advice}"
    assert str(error).replace("\n", " ").startswith(error.message)
    assert str(error).endswith(error.advice)


def test_a_log_s_last_lines_are_apart_from_the_sentence():
    """A notification shows the sentence, the output channel the lines too, and nobody takes them for one another."""
    error = ReplicaFailed("it ended.", ["first", "    last, indented"])

    assert "first" not in error.in_brief
    assert str(error).splitlines()[1:3] == ["    first", "        last, indented"]
    assert error.details == ("first", "    last, indented")


def test_closed_question_changed_nothing():
    """Whoever closes a question learns that it had no effect."""
    assert Dismissed().message == "Cancelled: nothing was changed."


def test_known_error_is_told_as_it_is():
    """An error of the tree needs no translation."""
    error = FileMissing(PATH, "")

    assert for_people(error) is error


def test_first_error_of_tasks_that_ran_together_is_told():
    """Uploads go side by side and fail together: one reason is enough."""
    error = FileMissing(PATH, "")
    group = BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [error, ValueError()])])

    assert first_of(group) is error
    assert for_people(group) is error


def test_unreadable_file_is_named(tmp_path):
    """The system's own reason, with the path."""
    with pytest.raises(IsADirectoryError) as raised:
        tmp_path.read_text()
    told = for_people(raised.value)

    assert isinstance(told, WorkspaceError)
    assert told.message == f"{tmp_path}: Is a directory."


@pytest.mark.parametrize("error", [KeyError("secret-value"), RuntimeError("secret-value"), OSError("secret-value")])
def test_unforeseen_error_shows_no_inside(error):
    """A short sentence with the kind, and the way to the log; the text of the error may hold anything."""
    told = for_people(error)

    assert type(error).__name__ in told.message
    assert "secret-value" not in str(told)
    assert "log" in told.advice


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ClientAuthenticationError("AADSTS700082: expired\nTrace ID: 1"), SignInNeeded),
        (ServiceRequestError("Cannot connect to host\nmore"), CloudUnreachable),
        (ServiceResponseError("Connection reset"), CloudUnreachable),
        (HttpResponseError("Conflict\nmore"), CloudError),
    ],
)
def test_sdk_error_becomes_a_sentence(error, kind):
    """The SDK's own kinds, judged by type; one line of their text."""
    told = for_people(error)

    assert type(told) is kind
    assert "\n" not in told.message
