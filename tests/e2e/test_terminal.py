"""Every command in a real terminal, as wide as people have them: what they see when it has ended."""

import json
import re
import time

import pytest
from tests.support.road import AITK
from tests.support.small_app import THAT_LOADS
from tests.support.terminal import Terminal

from ai_toolkit.cli.commands import main

WIDTHS = (80, 200)
AT_ONCE_SECONDS = 30
"""The SDKs try again for longer than that where nobody tells them that it is of no use; a start takes most of it."""
LEFT_BY_A_BAR = re.compile(r"\b\d:\d\d:\d\d|[⠀-⣿━╸╺]")


def at_terminal(road, *arguments, columns=80, **options):
    return Terminal([*AITK, *arguments], road.environment, road.folder, columns=columns, **options)


@pytest.fixture(scope="module")
def small(small):
    """Its app answers a question, once it has loaded."""
    (small.folder / "inference/start.py").write_text(THAT_LOADS)
    return small


@pytest.fixture(scope="module", params=WIDTHS)
def seen(request, small):
    """Every command of the road by what the screen showed at its end, and its exit code."""
    found = {}
    for command in (
        "init",
        "provision --local --what-if",
        "provision --local",
        "provision --local --verbose",
        "deploy",
        "deploy --wake --restart",
        "deploy --dry-run",
        "status",
        "models",
        "logs",
        "logs --own",
        "key",
        "link",
        "chat Hello?",
        "local-cloud status",
        "schema status",
        "schema nonsense",
        "key --workspace nowhere",
        "down --dry-run",
        "stop --yes",
        "start",
    ):
        with at_terminal(small, *command.split(), columns=request.param) as terminal:
            code = terminal.end()
            found[command] = (code, terminal.screen, terminal.cursor_is_hidden)
            terminal.keep(f"terminal-{request.param}-{command}", f"aitk {command}")
    return request.param, found


def test_nothing_of_the_bar_is_left_and_no_line_is_broken_inside_a_word(seen):
    """At the end the screen has what the command said; the cursor is where it was, and visible."""
    width, found = seen
    wrong = [
        (command, line)
        for command, (_, screen, hidden) in found.items()
        for line in (*screen, "hidden cursor" if hidden else "")
        if LEFT_BY_A_BAR.search(line) or line == "hidden cursor" or ("Traceback" in line and command != "logs --own")
    ]

    assert wrong == []
    assert all(len(line) <= width for _, screen, _ in found.values() for line in screen)


def test_every_command_ends_as_it_should(seen):
    """0, or 2 for a command line that cannot be."""
    _, found = seen

    codes = {command: code for command, (code, _, _) in found.items()}

    assert codes == dict.fromkeys(found, 0) | {"schema nonsense": 2, "key --workspace nowhere": 2}


def test_the_key_stands_alone(seen):
    """One line, which can be copied: 43 characters and nothing beside them."""
    _, found = seen

    [line] = found["key"][1]

    assert re.fullmatch(r"[\w-]{43}", line)


def test_a_command_ends_with_what_is_true_and_what_comes_next(seen):
    """Deploy names revision and endpoint, Provision the endpoint; each the next command."""
    _, found = seen
    deployed, provisioned = found["deploy --wake --restart"][1], found["provision --local"][1]

    assert any(line.startswith("Deployed in ") for line in deployed)
    assert any(re.fullmatch(r"Revision: \S+", line) for line in deployed)
    assert any(line.startswith("Inference endpoint: http://127.0.0.1:") for line in deployed)
    assert any(line.startswith('Next: aitk chat "Hello!"') for line in deployed)
    assert provisioned[-1] == "Next: aitk deploy"
    assert found["provision --local --what-if"][1][-1] == "Next: aitk provision --local"
    assert any(line.startswith("Provisioned. Inference endpoint: http://127.0.0.1:") for line in provisioned)


def test_a_second_deploy_of_nothing_says_so(seen):
    """It is not called a deploy."""
    _, found = seen

    assert any(line.startswith("Nothing to do: what is here is deployed already") for line in found["deploy"][1]) or (
        "Deployed in" in "\n".join(found["deploy"][1])  # the first of the module
    )
    assert found["provision --local"][0] == 0


def test_provision_shows_what_differs_and_with_verbose_everything(seen):
    """On this computer Azure's questions are no concern of anybody."""
    _, found = seen
    told, all_of_it = ("\n".join(found[f"provision --local{option}"][1]) for option in ("", " --verbose"))

    assert "acaEnvironmentName" not in told
    assert "Azure" not in told
    assert "acaEnvironmentName" in all_of_it


def test_stdout_carries_the_result_alone(small):
    """What happens is told on stderr, also while a person looks at that."""
    with at_terminal(small, "deploy", "--restart", split=True) as terminal:
        assert terminal.end() == 0
    with at_terminal(small, "key", split=True) as key:
        assert key.end() == 0

    assert terminal.printed.splitlines()[0].startswith("Deployed in ")
    assert "Next:" not in terminal.printed
    assert re.fullmatch(r"[\w-]{43}\n", key.printed)
    assert not re.search(r"[\w-]{43}", key.shown)


def test_stop_start_and_down_print_what_is_true_now(small):
    """On stdout, as every command does; beside that, what comes next and what was asked about."""
    app = json.loads((small.folder / "infra/inference.config.json").read_text())["ACA_APP_NAME"]
    printed = []
    for command in ("stop --yes", "stop --yes", "start", "start", "down --dry-run"):
        done = small.run(*command.split())
        assert "Next: aitk" in done.stderr
        printed.append(done.stdout.splitlines())

    assert [one for [one] in printed[:2]] == [f"{app} is stopped.", f"{app} is stopped already: nothing runs."]
    assert printed[2][0].startswith(f"{app} is started: ")
    assert printed[3] == [f"{app} is not stopped."]
    assert f"    - container app {app}" in printed[4]
    assert (printed[4][0], printed[4][-1]) == ("Would be removed:", "This was a dry run: nothing was done.")


def test_stop_start_and_down_have_one_shape_of_json_each(small):
    """A dry run has that of the command; the schemas are published."""
    plan = small.json("down", "--dry-run")

    assert small.json("stop", "--yes")["stopped"]
    assert not small.json("start")["stopped"]
    assert plan["dryRun"]
    assert any(one.startswith("container app ") for one in plan["removed"])


def test_a_bar_is_shown_for_what_takes_long_and_not_for_the_rest(small):
    """Half a second is what it takes."""
    with at_terminal(small, "deploy", "--restart") as long, at_terminal(small, "schema", "status") as short:
        long.end()
        short.end()

    assert LEFT_BY_A_BAR.search(long.shown)
    assert not LEFT_BY_A_BAR.search(short.shown)


def test_a_conversation_goes_on_until_the_end_of_input(small):
    """Without a message `aitk chat` talks on; Ctrl+D ends it with 0."""
    with at_terminal(small, "chat") as terminal:
        terminal.wait_for("> ")
        for number in (1, 2):
            terminal.type(f"Hello {number}?\r")
            terminal.wait_for(f"Hello {number}?")
        terminal.wait_for("captain")
        terminal.type("\x04")

        assert terminal.end() == 0


OFFLINE = (
    ("provision --subscription 11111111-1111-1111-1111-111111111111 --resource-group mine --yes", 1),
    ("provision --local --what-if", 0),
    ("provision --local --yes", 0),
    ("deploy --yes", 0),
    ("status", 0),
    ("prices --refresh", 1),
)


def test_offline_azure_is_told_at_once_and_this_computer_works_as_ever(small):
    """With a proxy that nobody answers at: its host and its variable are named, and loopback is never asked by it."""
    nowhere = "http://127.0.0.1:1"  # nobody may listen there
    own = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}
    proxies = {name: nowhere for upper in ("HTTPS_PROXY", "HTTP_PROXY") for name in (upper, upper.lower())}
    cut_off = {**small.environment, **own, **proxies, "NO_PROXY": "", "no_proxy": ""}
    for command, code in OFFLINE:
        with Terminal([*AITK, *command.split()], cut_off, small.folder) as terminal:
            began = time.monotonic()
            ended = terminal.end()
            took = time.monotonic() - began
            terminal.keep(f"offline-{command[:24]}", f"aitk {command}")
        told = " ".join(terminal.screen)

        assert ended == code, told
        if code:
            assert "the proxy 127.0.0.1:1 does not answer" in told
            assert "HTTPS_PROXY" in told
            assert took < AT_ONCE_SECONDS


@pytest.mark.parametrize("columns", WIDTHS)
def test_help_is_whole_and_in_the_order_of_the_road(small, columns):
    """No sentence is cut; the commands stand in the order in which they are needed."""
    with at_terminal(small, "--help", columns=columns) as terminal:
        terminal.end()
    listed = [line.split()[0] for line in terminal.screen if re.match(r"  [a-z][a-z-]*  ", line)]

    assert "..." not in "\n".join(terminal.screen[1:])  # below the usage, which ends so
    assert listed[:4] == ["init", "provision", "deploy", "chat"]
    assert set(listed) == set(main.commands)


def test_reset_says_what_goes_and_asks(small):
    """The app's name and the files; with no, nothing is deleted."""
    with at_terminal(small, "local-cloud", "reset") as terminal:
        terminal.wait_for("Number: ")
        terminal.type("2\r")

        assert terminal.end() == 130
    app = json.loads((small.folder / "infra/inference.config.json").read_text())["ACA_APP_NAME"]
    assert f"the container app {app}" in terminal.shown
    assert small.json("local-cloud", "status")["running"]


def test_what_was_taken_down_is_the_result(small):
    """Removed and kept by name on stdout; a second time only what stays, though no file names its group any more."""
    done = small.run("down", "--yes")
    again = small.json("down", "--yes", "--local")

    assert done.stdout.startswith("Taken down. Nothing of it is left but what stays.\n    - container app ")
    assert "\nStays:\n    = file share " in done.stdout
    assert again["removed"] == []
    assert again["stays"]
