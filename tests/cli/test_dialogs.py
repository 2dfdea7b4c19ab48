"""What a command says where nobody looks at a terminal."""

import pytest

from ai_toolkit.cli.dialogs import TerminalUi

UPLOADS = [f"uploading: {done} of 3 files" for done in range(1, 4)]


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, UPLOADS), (3600.0, UPLOADS[:1])])
def test_a_long_step_is_told_every_few_seconds(capsys, seconds, shown):
    """A log file gets a line per step, and of a long step one whenever so much time has passed."""
    with TerminalUi(quiet=False, tell_again_seconds=seconds) as ui:
        for message in ("reading the workspace", *UPLOADS, "loading weights"):
            ui.report(message, 10)

    said = capsys.readouterr().err.splitlines()
    assert said == ["… reading the workspace", *(f"… {one}" for one in shown), "… loading weights"]
