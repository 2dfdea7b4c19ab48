"""Security descriptors as text (SDDL), and the keys that stand for them."""

import hashlib
import re

from ai_toolkit.local_cloud.files.storage_error import StorageError

SDDL = re.compile(r"(O:\S+)?(G:\S+)?(D:\S*)?(S:\S*)?")


def permission_key(permission: object) -> str:
    """The key of a descriptor, always the same; StorageError for what is none."""
    if not isinstance(permission, str) or not permission or not SDDL.fullmatch(permission):
        raise StorageError("FileInvalidPermission")
    digest = hashlib.sha256(permission.encode()).digest()
    return f"{int.from_bytes(digest[:8])}*{int.from_bytes(digest[8:16])}"
