"""Any error as one for people: a sentence and what to do next."""

from ai_toolkit.errors import AiToolkitError, LocalCloudFailed, WorkspaceError
from ai_toolkit.local_cloud.control import LocalCloudError


def first_of(error: BaseException) -> BaseException:
    """The first error of a task group, which raises those of its tasks together; any other error as it is."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def for_people(error: BaseException, log_at: str = "the log") -> AiToolkitError:
    """The error as one of this tree; one that nobody foresaw becomes a short sentence that points to `log_at`."""
    error = first_of(error)
    if isinstance(error, AiToolkitError):
        return error
    if isinstance(error, LocalCloudError):
        return LocalCloudFailed(error.message, error.advice)
    from ai_toolkit.azure.failures import as_cloud_error  # noqa: PLC0415  (loads azure.core)

    known = as_cloud_error(error)
    if known is not None:
        return known
    if isinstance(error, OSError) and error.filename is not None:
        return WorkspaceError(f"{error.filename}: {error.strerror or error}.", "Check that it can be read and written.")
    return AiToolkitError(
        f"Something went wrong that was not foreseen ({type(error).__name__}).", f"The details are in {log_at}."
    )
