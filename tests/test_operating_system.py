"""What differs between systems, with Windows' rules for paths where this is another system."""

import os
import subprocess
import sys
import threading
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_toolkit import operating_system
from ai_toolkit.deploy.local_files import _check_names
from ai_toolkit.errors import ValueImpossible
from ai_toolkit.operating_system import LONGEST_WINDOWS_PATH, path_in, path_problem

NAMES = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Co"), blacklist_characters='"\\/:|<>*?%#\ufffe\uffff'),
                min_size=1, max_size=12).filter(lambda name: name == name.strip(". "))  # fmt: skip
PARTS = st.lists(NAMES, min_size=1, max_size=6)


@given(drive=st.sampled_from("cCdZ"), parts=PARTS, encoded=st.booleans())
def test_a_folder_on_a_drive_is_found_however_the_editor_writes_it(drive, parts, encoded):
    """`/c%3A/My%20files` of VS Code and `/C:/My%20files` of pathlib are C:\\My files."""
    colon = "%3A" if encoded else ":"
    found = path_in("", f"/{drive}{colon}/" + "/".join(map(quote, parts)), PureWindowsPath)

    assert found == PureWindowsPath(f"{drive.upper()}:\\", *parts)
    assert str(found)[0] == drive.upper()
    assert path_in("", found.as_uri().removeprefix("file://"), PureWindowsPath) == found


@given(parts=PARTS)
def test_a_folder_of_another_computer_keeps_its_host(parts):
    found = path_in("server", "/share/" + "/".join(map(quote, parts)), PureWindowsPath)

    assert found == PureWindowsPath("//server/share", *parts)


@given(parts=PARTS)
def test_elsewhere_a_colon_is_a_letter_like_others(parts):
    found = path_in("", "/c%3A/" + "/".join(map(quote, parts)), PurePosixPath)

    assert found == PurePosixPath("/c:", *parts)


@given(parts=st.lists(NAMES, min_size=1, max_size=60))
def test_a_path_that_windows_does_not_open_is_named_with_its_length(parts):
    """Whole or not at all: none is left out in silence."""
    path = PureWindowsPath("C:\\", *parts)
    problem = path_problem(path)

    assert (problem is None) == (len(str(path)) <= LONGEST_WINDOWS_PATH)
    assert problem is None or f"{len(str(path))} characters" in problem
    assert path_problem(PurePosixPath("/", *parts)) is None


@given(parts=PARTS.filter(lambda parts: parts[-1].swapcase().casefold() == parts[-1].casefold()))
def test_names_that_differ_by_case_alone_are_named(parts):
    """Windows and the share take them for one; what is on disk keeps its case on the way."""
    root = PureWindowsPath("C:\\work")
    one = root.joinpath(*parts).relative_to(root).as_posix()
    other = "/".join([*parts[:-1], parts[-1].swapcase()])

    assert one == "/".join(parts)
    if other != one:
        with pytest.raises(ValueImpossible):
            _check_names(root, [one, other])


def test_pieces_of_a_file_are_read_by_several_threads_at_once(tmp_path):
    """Each gets the bytes of its own place."""
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 256)
    found = {}
    with path.open("rb") as stream:
        readers = [
            threading.Thread(
                target=lambda at=at: found.update({at: operating_system.read_at(stream.fileno(), 256, at)})
            )
            for at in range(0, 65536, 256)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(10)

    assert set(found.values()) == {bytes(range(256))}
    assert len(found) == 256


ASKS_WINDOWS = """
import ctypes
from tests.support.as_on_windows import deceive
deceive()
RUNNING, ENDED, NOBODY, FOREIGN = 4, 8, 12, 16
class Function:
    def __init__(self, does):
        self.does = does
    def __call__(self, *given):
        return self.does(*given)
class Kernel:  # as Microsoft documents these functions
    opened = []
    def __init__(self, name, use_last_error):
        assert (name, use_last_error) == ("kernel32", True)
        self.OpenProcess = Function(self.open)
    def open(self, access, inherit, process):
        assert access == 0x1000  # PROCESS_QUERY_LIMITED_INFORMATION: more is refused for other users' processes
        ctypes.get_last_error = lambda: {NOBODY: 87, FOREIGN: 5}[process]
        if process in (NOBODY, FOREIGN):
            return None
        Kernel.opened.append(process)
        return (1 << 40) + process  # a handle is as long as a pointer
    def GetExitCodeProcess(self, handle, code):
        code._obj.value = {RUNNING: 259, ENDED: 1}[handle.value - (1 << 40)]
        return 1
    def CloseHandle(self, handle):
        Kernel.opened.remove(handle.value - (1 << 40))
ctypes.WinDLL = Kernel
from ai_toolkit.operating_system import has_ended
print([has_ended(one) for one in (RUNNING, ENDED, NOBODY, FOREIGN)], Kernel.opened)
"""


def test_windows_is_asked_whether_a_process_has_ended():
    """A deploy that was killed there holds the lock no longer than elsewhere; a foreign process counts as alive."""
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", ASKS_WINDOWS], cwd=root, capture_output=True, text=True, check=False)

    assert done.stdout == "[False, True, True, False] []\n", done.stderr


def test_this_system_is_asked_whether_a_process_has_ended():
    """Without a signal that would be heard."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    assert operating_system.has_ended(ended.pid)
    assert not operating_system.has_ended(os.getpid())
