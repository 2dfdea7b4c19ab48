"""Which files of a workspace belong on the share, and which names it cannot hold."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.azure_files import put

from ai_toolkit.deploy.local_files import local_files
from ai_toolkit.deploy.manifest import Entry
from ai_toolkit.errors import FileMalformed, ValueImpossible


def paths_of(folder):
    return set(local_files(folder))


def test_code_adapters_and_base_models_belong_on_the_share(workspace):
    """Everything below inference/ and model-cache/, and of models/ the folders that hold an adapter."""
    put(
        workspace,
        **{
            "inference/engine/deep/model.py": "",
            "models/qlora/adapter/adapter_config.json": "{}",
            "models/qlora/adapter/adapter_model.safetensors": "weights",
            "models/qlora/training.log": "not part of an adapter",
            "model-cache/org/name/model.safetensors": "weights",
            "infra/inference.config.json": "{}",
            "notes.md": "",
        },
    )

    assert paths_of(workspace) == {
        "inference/start.py",
        "inference/settings.toml",
        "inference/engine/deep/model.py",
        "models/qlora/adapter/adapter_config.json",
        "models/qlora/adapter/adapter_model.safetensors",
        "model-cache/org/name/model.safetensors",
    }


TRAINED = {
    "models/run/adapter_config.json": "{}",
    "models/run/adapter_model.safetensors": "weights",
    "models/run/chat_template.jinja": "template",
    "models/run/checkpoint-5/adapter_config.json": "{}",
    "models/run/checkpoint-5/adapter_model.safetensors": "weights",
    "models/merged/config.json": "{}",
    "models/merged/model-00001-of-00001.safetensors": "weights",
    "models/merged/tokenizer.json": "{}",
    "model-cache/org/name/config.json": "{}",
    "model-cache/org/name/model.safetensors": "weights",
    "model-cache/org/alone/consolidated.safetensors": "weights",
}
LEFT_BY_TRAINERS = (
    "models/run/optimizer.pt",
    "models/run/checkpoint-5/optimizer.pt",
    "models/run/checkpoint-5/scheduler.pt",
    "models/run/checkpoint-5/rng_state.pth",
    "models/run/checkpoint-5/training_args.bin",
    "models/run/checkpoint-5/global_step5/zero_pp_rank_0_optim_states.pt",
    "models/run/runs/events.out.tfevents.1",
    "models/run/adapter.gguf",
    "models/merged/optimizer.bin",
    "models/merged/pytorch_model_fsdp_0/__0_0.distcp",
    "models/merged/merged.Q4_K_M.gguf",
    "models/merged/pytorch_model-00001-of-00002.bin",
    "model-cache/org/name/consolidated.safetensors",
    "model-cache/org/name/consolidated.00.pth",
    "model-cache/org/name/name.gguf",
    "model-cache/org/name/pytorch_model.bin",
)


def test_what_only_serves_training_is_neither_read_nor_sent(workspace):
    """Adapters and whole models go; optimizer states, GGUFs and second copies of weights are not even opened."""
    put(workspace, **TRAINED, **dict.fromkeys(LEFT_BY_TRAINERS, ""))
    for path in LEFT_BY_TRAINERS:
        os.truncate(workspace / path, 1 << 40)  # a terabyte of nothing: whoever reads it does not end

    assert paths_of(workspace) == {"inference/start.py", "inference/settings.toml", *TRAINED}


def test_what_training_left_can_be_taken_back(workspace):
    """`.aitkignore` has the last word."""
    put(workspace, **TRAINED, **{"models/run/voices.pt": "own", ".aitkignore": "!/models/run/voices.pt"})

    assert "models/run/voices.pt" in paths_of(workspace)


@pytest.mark.parametrize(
    "path",
    [
        "inference/__pycache__/start.cpython-311.pyc",
        "inference/left.pyc",
        "inference/.git/config",
        "inference/.venv/bin/python",
        "inference/venv/bin/python",
        "inference/node_modules/x.js",
        "inference/.vscode/settings.json",
        "inference/.env",
        "inference/server.pem",
        "inference/server.key",
        "inference/identity.pfx",
        "model-cache/org/.env",
    ],
)
def test_leftovers_and_secrets_stay_here(workspace, path):
    """What other programs leave, and what looks like a secret, is never sent."""
    before = paths_of(workspace)
    put(workspace, **{path: "x"})

    assert paths_of(workspace) == before


def test_file_is_known_by_size_and_hash(workspace):
    """The content decides whether it is sent again, not its time."""
    [entry] = [file.entry for path, file in local_files(workspace).items() if path == "inference/start.py"]

    assert entry == Entry(7, hashlib.sha256(b"start 1").hexdigest())


def test_workspace_without_folders_has_no_files(tmp_path):
    """Nothing to send is no error here; the use-case says what is missing."""
    assert local_files(tmp_path) == {}


def test_link_within_the_workspace_is_followed(workspace):
    """A file or folder that is shared between projects of one workspace goes along."""
    put(workspace, **{"shared/prompts/one.txt": "1"})
    (workspace / "inference" / "prompts").symlink_to(workspace / "shared" / "prompts")
    (workspace / "inference" / "again.py").symlink_to("start.py")

    assert paths_of(workspace) >= {"inference/prompts/one.txt", "inference/again.py"}


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("inference/out", "secret"),
        ("model-cache/out", "secret"),
        ("models/a/out", "secret"),
        ("inference/out", ""),
        ("model-cache/out", ""),
        ("models/a/out", ""),
        ("inference", ""),
    ],
)
def test_link_out_of_the_workspace_is_refused_by_name(tmp_path, link, target):
    """Nothing outside the workspace is sent, and the link that would is named."""
    put(tmp_path, **{"outside/secret": "s", "workspace/models/a/adapter_config.json": "{}"})
    place = tmp_path / "workspace" / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(tmp_path / "outside" / target)

    with pytest.raises(ValueImpossible, match="symbolic link: it leads out of the workspace") as raised:
        local_files(tmp_path / "workspace")
    assert str(place) in raised.value.message


def test_link_to_the_whole_disk_is_refused_before_it_is_walked(workspace):
    """The refusal costs no look at what lies behind the link."""
    (workspace / "inference" / "disk").symlink_to("/")

    with pytest.raises(ValueImpossible, match="inference/disk: symbolic link"):
        local_files(workspace)


@pytest.mark.parametrize("target", [".", "..", "../../inference"])
def test_link_back_to_a_folder_above_is_refused(workspace, target):
    """A circle has no end."""
    (workspace / "inference" / "engine").mkdir()
    (workspace / "inference" / "engine" / "circle").symlink_to(target)

    with pytest.raises(ValueImpossible, match=r"circle.*: symbolic link: it is a link to a folder that contains it"):
        local_files(workspace)


def test_dangling_link_is_left_out(workspace):
    """Editors lock files with links that lead nowhere."""
    (workspace / "inference" / ".#start.py").symlink_to("someone@somewhere.123")
    (workspace / "inference" / "self").symlink_to("self")

    assert paths_of(workspace) == {"inference/start.py", "inference/settings.toml"}


def test_workspace_reached_through_a_link_is_a_workspace(workspace, tmp_path):
    """The folder that the person opened may itself be a link."""
    (tmp_path / "link").symlink_to(workspace)

    assert paths_of(tmp_path / "link") == {"inference/start.py", "inference/settings.toml"}


def test_hash_is_of_the_content_of_a_large_file(tmp_path):
    """Files are hashed in pieces; the result is that of the whole."""
    content = "0123456789" * 300_000
    put(tmp_path, **{"model-cache/o/n/model.safetensors": content})
    [file] = local_files(tmp_path).values()

    assert file.entry == Entry(len(content), hashlib.sha256(content.encode()).hexdigest())
    assert file.source == Path(tmp_path / "model-cache/o/n/model.safetensors")


def test_includes_and_ignores_are_the_workspaces_own(workspace):
    """`.aitkinclude` adds paths of the workspace, `.aitkignore` takes some away and takes back what is left out."""
    put(
        workspace,
        **{
            ".aitkinclude": "/data/\n",
            ".aitkignore": "*.log\n!inference/keep.pyc\n",
            "data/questions.txt": "?",
            "data/run.log": "noise",
            "inference/keep.pyc": "kept",
            "notes.md": "",
        },
    )

    assert paths_of(workspace) == {
        "inference/start.py",
        "inference/settings.toml",
        "inference/keep.pyc",
        "data/questions.txt",
    }


@pytest.mark.parametrize("path", ["infra/inference.config.json", ".aitk/manifest.json", ".git/config", ".aitkignore"])
def test_some_folders_never_go(workspace, path):
    """Whatever the two lists say, the configuration, git's own files and our bookkeeping stay here."""
    put(workspace, **{".aitkinclude": "*\n", path: "x"})
    if path != ".aitkignore":
        put(workspace, **{".aitkignore": f"!{path}\n"})

    assert path not in paths_of(workspace)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a:b", "':'"),
        ('a"b', "'\"'"),
        ("a|b", "'|'"),
        ("a?b", "'?'"),
        ("a*b", "'*'"),
        ("a<b", "'<'"),
        ("a\\b", "'\\\\'"),
        ("a\nb", "'\\n'"),
        ("dot.", "ends with a dot"),
        ("space ", "ends with a dot or a space"),
        ("n" * 256, None),
    ],
)
def test_name_that_a_share_cannot_hold_is_named(workspace, name, told):
    """Azure's forbidden characters, trailing dots and lengths are found before anything is sent."""
    place = workspace / "inference" / name
    try:
        place.write_text("")
    except OSError:
        place = workspace / "inference" / ("n" * 200 + "/") / ("é" * 100 + "/") / "x"
        assert len(name) > 255  # this file system cannot hold it either, so no deploy can meet it
        return

    with pytest.raises(ValueImpossible, match="file name") as raised:
        local_files(workspace)
    assert told in raised.value.message


def test_names_that_differ_in_case_alone_clash(workspace):
    """A share does not tell them from each other, so both are named."""
    put(workspace, **{"inference/Model.py": "", "inference/model.py": ""})

    with pytest.raises(ValueImpossible, match=r"model\.py.*takes it for the same name as inference/Model\.py"):
        local_files(workspace)


def test_folders_that_differ_in_case_alone_clash(workspace):
    """Their files would be mixed."""
    put(workspace, **{"inference/Engine/a.py": "", "inference/engine/b.py": ""})

    with pytest.raises(ValueImpossible, match="Engine"):
        local_files(workspace)


@given(st.text(min_size=1, max_size=20).filter(lambda name: "/" not in name and "\0" not in name))
def test_any_name_either_goes_or_is_refused_with_a_sentence(tmp_path_factory, name):
    """No name crashes the selection."""
    folder = tmp_path_factory.mktemp("names")
    put(folder, **{"inference/start.py": ""})
    try:
        (folder / "inference" / name).write_text("x")
    except (OSError, UnicodeEncodeError):
        return
    try:
        local_files(folder)
    except ValueImpossible as error:
        assert "file name" in error.message  # noqa: PT017  (a name may also pass)


def test_hashes_are_remembered_until_the_file_changes(workspace, tmp_path):
    """The second look reads no content: a file whose time and size are the same keeps its hash."""
    place = workspace / "inference/start.py"
    os.utime(place, (1, 1))
    before = local_files(workspace)["inference/start.py"]
    place.write_text("START 1")
    os.utime(place, (1, 1))
    remembered = local_files(workspace)["inference/start.py"]
    os.utime(place, (2, 2))
    read_again = local_files(workspace)["inference/start.py"]

    assert remembered.entry == before.entry
    assert read_again.entry == Entry(7, hashlib.sha256(b"START 1").hexdigest())


def test_file_that_was_just_written_is_read_every_time(workspace):
    """A change within the clock's grain must not hide behind an equal time."""
    place = workspace / "inference/start.py"
    local_files(workspace)
    stamp = place.stat()
    place.write_text("START 1")
    os.utime(place, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    assert local_files(workspace)["inference/start.py"].entry.sha256 == hashlib.sha256(b"START 1").hexdigest()


SAVED = pytest.mark.parametrize(
    ("encoding", "ends"),
    [("utf-8-sig", "\n"), ("utf-8-sig", "\r\n"), ("utf-16", "\r\n"), ("utf-8", "\r"), ("utf-32", "\n")],
)


@SAVED
def test_patterns_count_however_their_file_was_saved(workspace, encoding, ends):
    """A mark before the first pattern, CRLF, UTF-16: a private file stays here, an included one goes."""
    put(workspace, **{"inference/private.txt": "mine", "inference/b.txt": "mine", "notes/read.md": ""})
    (workspace / ".aitkignore").write_bytes(ends.join(["private.txt", "b.txt", ""]).encode(encoding))
    (workspace / ".aitkinclude").write_bytes(ends.join(["notes/", ""]).encode(encoding))

    assert paths_of(workspace) == {"inference/start.py", "inference/settings.toml", "notes/read.md"}


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("inference\\private.txt", "divided by /"),
        ("./inference/private.txt", "begins with ./"),
        ("../inference/private.txt", "begins with ./ or ../"),
        ("C:/work/inference/private.txt", "drive"),
        ('"private.txt"', "quotation marks"),
        ("private.txt # mine", "line of its own"),
        ("private\u200b.txt", "cannot be seen"),
        ("private\u2028.txt", "cannot be seen"),
        ("private\x0c.txt", "cannot be seen"),
        (" private.txt", "beginning or end"),
        ("! private.txt", "beginning or end"),
        ("private.txt\u00a0", "beginning or end"),
        ("~/inference/private.txt", "home folder"),
        ("$HOME/inference/private.txt", "home folder"),
        ("${HOME}/private.txt", "home folder"),
        ("%USERPROFILE%/private.txt", "home folder"),
        ("file:///work/inference/private.txt", "no path of the workspace"),
        ("https://example.com/private.txt", "no path of the workspace"),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error_with_its_line(workspace, pattern, said):
    """Passed over, it would send what it was written for."""
    put(workspace, **{"inference/private.txt": "mine"})
    (workspace / ".aitkignore").write_text(f"# what stays here\n{pattern}\n", encoding="utf-8")

    with pytest.raises(ValueImpossible, match=r"\.aitkignore, line 2") as raised:
        paths_of(workspace)
    assert said in raised.value.problem


def test_a_pattern_that_names_the_workspace_s_own_folder_is_an_error(workspace):
    """As a path is copied from a file manager."""
    put(workspace, **{"inference/private.txt": "mine", ".aitkignore": f"{workspace}/inference/private.txt"})

    with pytest.raises(ValueImpossible, match="the workspace itself; write the path below it"):
        paths_of(workspace)


@pytest.mark.parametrize(
    "pattern",
    [
        "   ",
        "private.txt  ",
        "a~/b",
        "price$/b",
        "\\#private.txt",
        "\\!private.txt",
        "private\\ .txt",
        "a\\*b",
        "# a # b",
        "!a",
    ],
)
def test_a_pattern_as_git_reads_it_is_taken(workspace, pattern):
    """What a backslash may stand before, and comments."""
    put(workspace, **{".aitkignore": pattern})

    assert "inference/start.py" in paths_of(workspace)


@pytest.mark.parametrize("name", [".aitkignore.txt", ".aitkinclude.txt"])
def test_patterns_under_another_name_are_not_passed_over(workspace, name):
    """As an editor of Windows saves them."""
    put(workspace, **{name: "private.txt"})

    with pytest.raises(ValueImpossible, match="rename it to"):
        paths_of(workspace)


def test_patterns_that_are_no_text_are_named(workspace):
    """Latin-1 is not Unicode: the line and the column are said, and nothing is sent."""
    (workspace / ".aitkignore").write_bytes("ok.txt\ngr\u00fc\u00df.txt\n".encode("latin-1"))

    with pytest.raises(FileMalformed, match="line 2, column 3: it is not UTF-8"):
        paths_of(workspace)


@pytest.mark.parametrize("name", ["aux", "inference/CON/x.py", "inference/nul", "inference/com1", "inference/clock$"])
def test_names_that_the_service_keeps_are_found_first(workspace, name):
    """The service's own list, in any case, anywhere in a path."""
    put(workspace, **{name: "x", ".aitkinclude": "aux"})

    with pytest.raises(ValueImpossible, match="keeps the name"):
        paths_of(workspace)


@pytest.mark.parametrize("sign", ["\u0081", "\ue000", "\ufffe", "\x07", "\u009f"])
def test_signs_that_the_service_refuses_are_found_first(workspace, sign):
    """Control characters of both kinds, private use, and what is no character."""
    put(workspace, **{f"inference/a{sign}b/deep/x.py": "x"})

    with pytest.raises(ValueImpossible, match="forbids"):
        paths_of(workspace)


def test_a_submodule_s_git_file_is_not_sent(workspace):
    """In a submodule and a worktree `.git` is a file, which names a folder of this computer."""
    put(workspace, **{"inference/sub/.git": "gitdir: /home/me/.git/modules/sub", "inference/sub/x.py": ""})

    assert paths_of(workspace) == {"inference/start.py", "inference/settings.toml", "inference/sub/x.py"}


def test_a_hub_s_cache_is_sent_once(workspace):
    """Its snapshots are links to its blobs: files go under their names, not a second time under their hashes."""
    cache = workspace / "model-cache/models--org--name"
    put(cache, **{"blobs/abc": "weights", "refs/main": "1", ".no_exist/1/x.json": ""})
    (cache / "snapshots/1").mkdir(parents=True)
    (cache / "snapshots/1/model.safetensors").symlink_to("../../blobs/abc")
    put(workspace / "model-cache", **{".locks/models--org--name/abc.lock": ""})

    sent = {path for path in paths_of(workspace) if path.startswith("model-cache/")}
    assert sent == {
        "model-cache/models--org--name/refs/main",
        "model-cache/models--org--name/snapshots/1/model.safetensors",
    }
