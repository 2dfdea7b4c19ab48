"""A replica with a GPU runs as Container Apps runs it: a user without a name, who may write little."""

import os

import pytest
from tests.support.local_cloud import WEB_APP

from ai_toolkit.local_cloud.container_apps.unprivileged import unnamed_user

SCRIPT = f"""
{{
  id -u
  touch "$HOME/x" && echo wrote home
  touch here && echo wrote here
  touch "$TMPDIR/x" && echo wrote tmp
  mkdir -p /mount/given/new && touch /mount/given/new/file && echo wrote share
  echo more >> /mount/given/file && echo wrote file
  chmod 700 /mount/given && echo changed mode
  touch /usr/lib/x && echo wrote system
  command -v python3
}} > /mount/told 2>/dev/null
exec python3 {WEB_APP}
"""


@pytest.mark.skipif(unnamed_user() is None, reason="this process may not change users")
async def test_a_gpu_replica_has_no_name_and_writes_where_azure_lets_it(clients, deploy, group):
    """Not HOME and not the system: its working directory, its temporary folder and the share, whose modes stay."""
    first = await deploy(gpu=False, script=f"id -u > /mount/told; exec python3 {WEB_APP}")
    told = clients.status.home / "shares" / first.account / "models" / "told"
    without_gpu = told.read_text().split()
    keys = await clients.storage.storage_accounts.list_keys(group, first.account)
    async with (
        clients.share_service(first.account, keys["keys"][0]["value"]) as service,
        service.get_share_client(told.parent.name) as share,
    ):
        await share.create_directory("given")
        await share.get_file_client("given/file").upload_file(b"sent")
    told.unlink()
    await deploy("second", gpu=True, script=SCRIPT)
    user, *wrote, python = told.read_text().splitlines()

    assert without_gpu == [str(os.getuid())]
    assert int(user) == unnamed_user()
    assert wrote == ["wrote here", "wrote tmp", "wrote share", "wrote file"]
    assert python.startswith(str(clients.status.home))  # the shell finds programs in folders closed to others
