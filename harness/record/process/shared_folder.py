"""Lets processes of the run that have dropped their privileges write into its record.

A worker that changes its user (``gunicorn --user``, ``setpriv``) could not create its files in folders that
the user who started the run owns. The folders for what processes write get an access control list that names
that one user; others gain nothing. Where the file system has none, the folders become writable for all, but
not readable, and nobody can remove another's file (as in ``/tmp``).
"""

from __future__ import annotations

import os
import struct

# What processes of the target create files in; see `run.py`.
FOLDERS = ("processes", "events", "loops", "artefacts")
_ACL = "system.posix_acl_access"
_VERSION, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NOBODY = 0xFFFFFFFF
_ALL = 0o7


def admit(folder: str, uid: int) -> None:
    """Let user *uid* create files in the record's folders at *folder*; whatever fails is left as it is."""
    for name in FOLDERS:
        try:
            _admit(f"{folder}/{name}", uid)
        except OSError:
            continue


def _admit(path: str, uid: int) -> None:
    found = os.stat(path)
    if found.st_uid == uid:
        return
    entries = _entries(path, found.st_mode)
    entries[_USER, uid] = _ALL
    entries[_MASK, _NOBODY] = _ALL
    raw = _VERSION.pack(2) + b"".join(
        _ENTRY.pack(tag, allowed, who) for (tag, who), allowed in sorted(entries.items())
    )
    try:
        os.setxattr(path, _ACL, raw)
    except OSError:
        os.chmod(path, 0o1733)  # noqa: S103


def _entries(path: str, mode: int) -> dict[tuple[int, int], int]:
    """The list as it is, by tag and user or group."""
    try:
        raw = os.getxattr(path, _ACL)
    except OSError:  # none yet: the file's mode
        parts = ((_USER_OBJ, mode >> 6), (_GROUP_OBJ, mode >> 3), (_OTHER, mode))
        return {(tag, _NOBODY): bits & _ALL for tag, bits in parts}
    return {(tag, who): allowed for tag, allowed, who in _ENTRY.iter_unpack(raw[_VERSION.size :])}
