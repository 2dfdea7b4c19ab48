import pytest
from tests.support.azure_files import put


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "workspace"
    put(folder, **{"inference/start.py": "start 1", "inference/settings.toml": ""})
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Hashes are remembered in the user's cache folder: each test has its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
