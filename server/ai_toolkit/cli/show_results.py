"""What a command did, as a person reads it: what is true now on stdout, and what comes next on stderr."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ai_toolkit.ui import Tone

if TYPE_CHECKING:
    from ai_toolkit.cli.demo import Shown
    from ai_toolkit.cli.dialogs import TerminalUi
    from ai_toolkit.deploy.deployed import Deployed
    from ai_toolkit.endpoint.stop_start import Switched
    from ai_toolkit.provision.preview import Preview
    from ai_toolkit.provision.run import Provisioned
    from ai_toolkit.take_down.run import TakenDown
    from ai_toolkit.workspace.create import Created

_MARKS = (("+", "added", Tone.GOOD), ("~", "changed", Tone.WARNING), ("-", "removed", Tone.BAD))


def show_created(done: "Created", ui: "TerminalUi") -> None:
    """How many files were added, and where to go on."""
    files = f"{len(done.added)} files added" if len(done.added) != 1 else "1 file added"
    ui.result(f"{done.directory}: {files if done.added else 'nothing was missing'}", Tone.GOOD)
    there = "" if done.directory == Path.cwd() else f"cd {shlex.quote(str(done.directory))} && "
    ui.next(
        f"{there}aitk provision --local   (on this computer)",
        f"{there}aitk provision           (on Azure)",
    )


def show_provisioned(done: "Provisioned | Preview", ui: "TerminalUi", *, local: bool) -> None:
    """The endpoint, and Deploy as what comes next; of a preview, which was told before, how much would change."""
    from ai_toolkit.provision.preview import Preview  # noqa: PLC0415  (loaded by then)

    if isinstance(done, Preview):
        counted = f"{len(done.create)} to create, {len(done.modify)} to change, {len(done.no_change)} unchanged"
        ui.result("What would change is not known." if done.unknown else f"{counted}. Nothing was done.")
        ui.next("aitk provision --local" if local else "aitk provision")
        return
    ui.result(f"Provisioned. Inference endpoint: {done.endpoint or 'none, the app has no ingress'}", Tone.GOOD)
    ui.next("aitk deploy")


def show_deployed(done: "Deployed", ui: "TerminalUi") -> None:
    """What serves now: revision, base model, adapters with their hashes, the seconds that it took, the endpoint."""
    seconds = f"{done.seconds:.0f} s" if done.seconds >= 1 else f"{done.seconds:.1f} s"
    if done.did_nothing:
        ui.result(f"Nothing to do: what is here is deployed already ({seconds}).", Tone.GOOD)
    else:
        sent = f"{_files(done.uploaded)} sent, {done.bytes / 1e6:.1f} MB" if done.uploaded else "no file sent"
        ui.result(f"Deployed in {seconds}: {sent}; then: {done.action}.", Tone.GOOD)
    serving = done.serving
    for name, value in (
        ("Revision", serving.revision),
        ("Base model", serving.base_model),
        *(("Adapter", one.in_words()) for one in serving.adapters),
        ("Inference endpoint", done.endpoint),
    ):
        if value:
            ui.result(f"{name}: {value}")
    ui.next('aitk chat "Hello!"', "aitk link   (opens the chat page, signed in)")


def show_planned(planned: "Deployed", ui: "TerminalUi") -> None:
    """The files by what would happen to them, and the action."""
    files = planned.files
    for mark, kind, tone in _MARKS:
        for path in getattr(files, kind):
            ui.result(f"{mark} {path}", tone)
    for path in files.conflicting:
        ui.result(f"! {path}", Tone.WARNING)
    counts = f"{len(files.added)} added, {len(files.changed)} changed, {len(files.removed)} removed"
    conflicts = f", {len(files.conflicting)} in conflict" if files.conflicting else ""
    size = f"{files.bytes / 1e6:.1f} MB to send"
    ui.result(f"{counts}{conflicts}, {files.unchanged} unchanged; {size}. Then: {planned.action}.")
    ui.result("This was a dry run: nothing was done.")
    ui.next("aitk deploy")


def show_switched(done: "Switched", ui: "TerminalUi") -> None:
    """Whether the app is stopped now, and what it costs so."""
    name = done.app
    if done.stopped:
        billed = "" if done.local else " No GPU is billed."
        ui.result(
            f"{name} is stopped.{billed}" if done.changed else f"{name} is stopped already: nothing runs.", Tone.GOOD
        )
        ui.next("aitk start")
        return
    answers = f"{name} is started: {done.revision} answers, and sleeps again when nobody asks."
    ui.result(answers if done.changed else f"{name} is not stopped.", Tone.GOOD)
    ui.next("aitk status")


def show_taken_down(done: "TakenDown", ui: "TerminalUi") -> None:
    """What is gone and what stays, each with its reason; of a dry run, what would be."""
    if done.dry_run:
        ui.result("Would be removed:" if done.removed else "Nothing would be removed.")
    elif done.removed:
        ui.result(f"Taken down. Nothing of it is left{' but what stays' if done.stays else ''}.", Tone.GOOD)
    else:
        ui.result("Nothing that a Provision of this workspace made is there to remove.")
    for one in done.removed:
        ui.result(f"    - {one}")
    if done.stays:
        ui.result("Stays:")
    for one in done.stays:
        ui.result(f"    = {one}")
    if done.dry_run:
        ui.result("This was a dry run: nothing was done.")
        ui.next(*(["aitk down"] if done.removed else []))
    elif done.can_be_made:
        ui.announce("The files here are as they were; Provision makes it anew.")


def show_demo(shown: "Shown", ui: "TerminalUi") -> None:
    """Both answers, the link to the chat page, and how to end it all."""
    ui.result(f"\nQuestion:    {shown.question}")
    ui.result(f"Base model:  {shown.base}")
    ui.result(f"Fine-tuned:  {shown.fine_tuned}\n")
    if shown.link is None:
        return
    command = own_command()
    ui.result(f"Chat with it, signed in for 12 hours (the link is valid for 5 minutes): {shown.link}")
    ui.result(f"The workspace is {shown.directory}: open it in VS Code, or ask it here:")
    ui.result(f"    {command} chat 'Hello!' --workspace {shlex.quote(str(shown.directory))}")
    ui.result(f"Stop everything: {command} local-cloud stop")


def own_command() -> str:
    """What to type for this program from the current folder: `scripts/demo` leaves no `aitk` on the PATH."""
    beside = Path(sys.executable).with_name("aitk")
    if beside.is_relative_to(Path.cwd()):
        return shlex.quote(str(beside.relative_to(Path.cwd())))
    return "aitk" if shutil.which("aitk") else shlex.quote(str(beside))


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
