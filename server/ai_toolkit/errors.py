"""What can go wrong, said for a person.

AiToolkitError
├── UsageError                a question that no option answered, without a terminal
├── WorkspaceError            a file of the workspace
│   ├── FileMissing
│   ├── FileMalformed
│   ├── ValueImpossible
│   ├── NoFolderOpen
│   └── FolderNotTrusted
├── CloudError                Azure, or the local cloud in its place
│   ├── SignInNeeded
│   ├── SubscriptionUnknown
│   ├── SubscriptionDisabled
│   ├── ResourceMissing
│   ├── PreflightFailed
│   ├── DeploymentFailed
│   └── CloudUnreachable
├── NetworkProblem            a proxy or a certificate between this computer and what it asks
├── LocalCloudFailed          the local cloud's own process
├── ShareError                the content of the file share
│   ├── DeployRunning
│   ├── FileChanged
│   ├── PreviousMissing
│   └── ShareRefused
├── EndpointError             the running model
│   ├── ReplicaFailed
│   ├── RevisionFailed
│   ├── StartStalled
│   ├── EndpointNotReady
│   ├── EndpointForeign
│   ├── AppAtRest
│   ├── TrafficPinned
│   └── EndpointRefused
├── ToolMissing               a program or package that this computer lacks
├── Dismissed                 the person closed a question
└── Interrupted               the person, or the system, stopped the work on its way
"""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final

from ai_toolkit.known_causes import cause_in_log, cause_of_code
from ai_toolkit.two_faces import Do, to

_CORRECT_IT: Final = "Correct it and run the command again; nothing was changed."


class AiToolkitError(Exception):
    """One sentence that says what happened (`message`), what to do next (`advice`) and a stable `code`.

    `details` are lines that belong to it and that a notification has no room for, such as a log's last ones.
    """

    code: ClassVar[str] = "failed"

    def __init__(self, message: str, advice: str = "", details: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.details = tuple(details)

    @property
    def in_brief(self) -> str:
        """Message and advice in one line."""
        return f"{self.message} {self.advice}".strip()

    def __str__(self) -> str:
        lines = "".join(f"\n    {line}" for line in self.details)
        return f"{self.message}{lines}\n{self.advice}".strip() if lines else self.in_brief


class UsageError(AiToolkitError):
    code = "usage"


class WorkspaceError(AiToolkitError):
    code = "workspace"
    may_be_sent = False  # set where a deploy may send it all the same


class FileMissing(WorkspaceError):
    code = "file_missing"

    def __init__(self, path: Path, advice: str) -> None:
        self.path = path
        super().__init__(f"{path} does not exist.", advice)


class FileMalformed(WorkspaceError):
    """A file that cannot be read as what it should be; line and column count from 1."""

    code = "file_malformed"

    def __init__(self, path: Path, problem: str, *, line: int | None = None, column: int | None = None) -> None:
        place = f"{path}" if line is None else f"{path}, line {line}, column {column}"
        super().__init__(f"{place}: {problem}", _CORRECT_IT)


class ValueImpossible(WorkspaceError):
    code = "value_impossible"

    def __init__(
        self,
        path: Path,
        key: str,
        problem: str,
        place: tuple[int, int] | None = None,
        *,
        details: Iterable[str] = (),
    ) -> None:
        """`place`: line and column in the file, from 1."""
        self.key = key
        self.problem = problem
        where = f"{path}, line {place[0]}, column {place[1]}" if place else f"{path}"
        super().__init__(f"{where}: {key}: {problem}", _CORRECT_IT, details)


class NoFolderOpen(WorkspaceError):
    code = "no_folder_open"

    def __init__(self) -> None:
        super().__init__("No folder is open.", "Open the folder of your fine-tuning project first.")


class FolderNotTrusted(WorkspaceError):
    """An editor whose person has not trusted the folder."""

    code = "folder_not_trusted"

    def __init__(self) -> None:
        super().__init__(
            "This command runs code from the folder, or acts on what its files name, "
            "so the folder must be trusted first."
        )


class CloudError(AiToolkitError):
    code = "cloud"


class SignInNeeded(CloudError):
    """No account, or one that is refused; `reason` is the part of the message that says why, `ways` what was tried."""

    code = "sign_in_needed"

    def __init__(self, reason: str, ways: Iterable[str] = ()) -> None:
        self.reason = reason
        super().__init__(
            f"Azure did not accept the sign-in: {reason}",
            'Choose "Sign in to Azure…" in Provision, sign in with "az login" or "azd auth login", '
            "or choose This computer, which needs no account.",
            ways,
        )


class SubscriptionUnknown(CloudError):
    code = "subscription_unknown"

    def __init__(self, subscription: str, known: Iterable[str]) -> None:
        names = ", ".join(known) or "none"
        super().__init__(
            f"The subscription {subscription} is not among those that this sign-in can see ({names}).",
            "Name one of them, or sign in with another account.",
        )


class SubscriptionDisabled(CloudError):
    code = "subscription_disabled"

    def __init__(self, name: str, subscription: str) -> None:
        super().__init__(
            f"The subscription {name} ({subscription}) is disabled, so nothing can be created in it.",
            "Name another one, or enable it in the Azure portal.",
        )


class ResourceMissing(CloudError):
    code = "resource_missing"

    def __init__(self, kind: str, name: str, where: str) -> None:
        super().__init__(
            f"The {kind} {name} does not exist in {where}.",
            f"Run {to(Do.PROVISION)}, or correct the name in infra/inference.config.json.",
        )


class PreflightFailed(CloudError):
    """Checks that say, before anything is sent, that the deployment cannot succeed."""

    code = "preflight_failed"

    def __init__(self, problems: Iterable[tuple[str, str, str]]) -> None:
        """`problems`: each with the check's name, what it found, and what to do."""
        found = list(problems)
        said = " ".join(f"{name}: {says}" for name, says, _advice in found)
        super().__init__(f"Nothing was sent: {said}", " ".join(advice for _name, _says, advice in found if advice))


_MORE: Final = "More about such errors: https://aka.ms/arm-deployment-operations."


class DeploymentFailed(CloudError):
    """A template deployment that Azure ended; `reason_code` is Azure's own innermost code."""

    code = "deployment_failed"

    def __init__(self, deployment: str, reason_code: str, reason: str) -> None:
        self.reason_code = reason_code
        self.reason = reason
        cause = cause_of_code(reason_code) or cause_in_log([reason])
        likely = f" {cause.says}" if cause else ""
        named = f" ({reason_code})" if reason_code else ""
        super().__init__(
            f"The deployment {deployment} failed: {reason or 'Azure gave no reason'}{named}.{likely}",
            f"{cause.advice if cause else ''} {_MORE} What was created stays; run it again to continue.".strip(),
        )


class CloudUnreachable(CloudError):
    code = "cloud_unreachable"

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"{address} did not answer: {reason}.",
            "Check the network and run the command again; it goes on where it was.",
        )


class NetworkProblem(AiToolkitError):
    """A proxy or a certificate that keeps a connection from being made: waiting helps nothing."""

    code = "network"

    def __init__(self, address: str, problem: str, advice: str) -> None:
        """`problem` goes on from the address: "showed a certificate that is not trusted"."""
        super().__init__(f"{address} {problem}.", advice)


class LocalCloudFailed(AiToolkitError):
    code = "local_cloud"


class ShareError(AiToolkitError):
    code = "share"


class DeployRunning(ShareError):
    code = "deploy_running"

    def __init__(self, owner: str, since: str) -> None:
        super().__init__(
            f"{owner} has been deploying to this share since {since}.",
            "Wait for it, or run the command again in a few minutes: a deploy that died is detected after two minutes.",
        )


class FileChanged(ShareError):
    code = "file_changed"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} changed while it was being sent.",
            "Run the command again when it is finished; what runs now was not touched.",
        )


class PreviousMissing(ShareError):
    code = "previous_missing"

    def __init__(self) -> None:
        super().__init__("The share keeps no deploy before this one.", "Deploy the files that you want instead.")


class ShareRefused(ShareError):
    """What the file service refused; `reason_code` is its own code."""

    code = "share_refused"

    def __init__(self, what: str, reason_code: str, reason: str, advice: str) -> None:
        self.reason_code = reason_code
        super().__init__(f"Azure Files refused {what}: {reason.rstrip('.')} ({reason_code}).", advice)

    @classmethod
    def by_clock(cls, what: str, ahead: timedelta) -> "ShareRefused":
        """The refusal of signatures that this computer's wrong clock dates; `ahead` is negative for a slow one."""
        minutes, way = abs(ahead) // timedelta(minutes=1), "ahead of" if ahead > timedelta() else "behind"
        reason = f"this computer's clock is {minutes} minutes {way} Azure's, and what it signs is out of date"
        return cls(what, "AuthenticationFailed", reason, "Set the clock, and run the command again.")


class EndpointError(AiToolkitError):
    code = "endpoint"


class ReplicaFailed(EndpointError):
    """A replica that does not start; its details are the last lines of its log."""

    code = "replica_failed"

    def __init__(self, reason: str, log: Iterable[str]) -> None:
        lines = tuple(log)
        cause = cause_in_log([*lines, reason])
        likely = f"Likely cause: {cause.says} {cause.advice}" if cause else "Correct the cause and deploy again."
        told = f"The replica did not start: {reason}{' The last lines of its log:' if lines else ''}"
        super().__init__(told, f"{likely} Or bring the previous deploy back: {to(Do.BRING_BACK)}.", lines)


class RevisionFailed(EndpointError):
    """A revision that cannot serve; `problem` is the platform's own sentence, `log` a replica's last lines."""

    code = "revision_failed"

    def __init__(self, revision: str, state: str, problem: str, log: Iterable[str] = ()) -> None:
        lines = tuple(log)
        cause = cause_in_log([*lines, problem])
        likely = f" {cause.says}" if cause else ""
        super().__init__(
            f"The revision {revision} is {state}: {problem}{likely}{' The last lines of its log:' if lines else ''}",
            cause.advice if cause else "Correct the cause and run the command again.",
            lines,
        )


class StartStalled(EndpointError):
    code = "start_stalled"


class EndpointNotReady(EndpointError):
    code = "endpoint_not_ready"

    def __init__(self, url: str, stage: str, waited: timedelta) -> None:
        super().__init__(
            f"{url} was not ready after {waited.total_seconds():.0f} s (stage: {stage}).",
            f"It may still become ready: see {to(Do.STATUS)}.",
        )


class EndpointForeign(EndpointError):
    """An address that is not the app's own: signing in there would hand the key's signature to a stranger."""

    code = "endpoint_foreign"

    def __init__(self, path: Path, named: str, own: str) -> None:
        super().__init__(
            f"{path} names the endpoint {named}, but the container app answers at {own}. Nothing was sent there.",
            f"Write {own} to ACA_APP_ENDPOINT.",
        )


class AppAtRest(EndpointError):
    """An app that answers nobody because somebody wanted it so; asking it again is of no use."""

    code = "app_at_rest"


class TrafficPinned(EndpointError):
    """An app whose traffic weights name revisions, so that a new one would serve nobody."""

    code = "traffic_pinned"

    def __init__(self, app: str, revisions: Iterable[str]) -> None:
        names = ", ".join(revisions)
        super().__init__(
            f"{app} gives its requests to {names} by name, so a new revision would get none. Nothing was changed.",
            f"Give the latest revision the traffic (az containerapp ingress traffic set --name {app} "
            "--revision-weight latest=100), or end the multiple mode, and run the command again.",
        )


class EndpointRefused(EndpointError):
    code = "endpoint_refused"

    def __init__(self, url: str, status: int, reason: str, reason_code: str = "") -> None:
        """`status` is HTTP's, or 0 where there was no answer; `reason_code` the app's own, where it tells one."""
        self.status, self.reason, self.reason_code = status, reason, reason_code
        answered = f"answered {status}: {reason}" if status else f"gave {reason}"
        super().__init__(f"{url} {answered}", f"See {to(Do.STATUS)} for what runs there.")


class ToolMissing(AiToolkitError):
    code = "tool_missing"


class Dismissed(AiToolkitError):
    code = "cancelled"

    def __init__(self) -> None:
        super().__init__("Cancelled: nothing was changed.")


class Interrupted(AiToolkitError):
    """`state` says in a sentence what there is now."""

    code = "cancelled"

    def __init__(self, state: str = "Cancelled part of the way: what was done stays.") -> None:
        super().__init__(state, "Run the command again to continue.")
