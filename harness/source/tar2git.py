#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Turn a tar stream of a Linux source tree into one commit for git fast-import.

usage: tar2git.py REF ORIGIN [VERSION] <TAR >STREAM

REF is the ref that gets the commit, ORIGIN a word or two on where the source comes from, for
the message. With VERSION, such as 7.3, the Makefile must say that, and the first directory of
each name is dropped, as in a tarball. The author is fixed and the date is that of the newest
file, so that the same source gives the same commit id on every machine. The stream ends with
"done": fast-import refuses one that was cut short, and creates no ref.

Exit code: 0, or 1 with one line on stderr (not a tar file, cut short, not a kernel tree).
"""

import re
import sys
import tarfile
from typing import BinaryIO

AUTHOR = b"Linux <linux@base.invalid>"


def quote(path: str) -> bytes:
    """A path as fast-import reads it."""
    path = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{path}"'.encode("utf-8", "surrogateescape")


def linux_version(makefile: bytes) -> str:
    """The version in the text of the top Makefile, such as 7.3.4 or 7.4-rc1."""
    head = "\n".join(makefile.decode("utf-8", "replace").splitlines()[:12])
    value = dict(re.findall(
        r"(?m)^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *= *(\S*)", head))
    if not value.get("VERSION") or not value.get("PATCHLEVEL"):
        raise ValueError("its Makefile names no kernel version")
    version = f"{value['VERSION']}.{value['PATCHLEVEL']}"
    if value.get("SUBLEVEL", "0") != "0":
        version += "." + value["SUBLEVEL"]
    return version + value.get("EXTRAVERSION", "")


def plain_gitignore(text: bytes) -> bytes:
    """Debian's copy ignores everything at the top, and lacks the exceptions for
    dot files that the kernel's has: git add would leave out what is new."""
    return re.sub(rb"(?m)^/\*$", b"!.gitignore\n!.kunitconfig", text)


def put_data(out: BinaryIO, data: bytes) -> None:
    out.write(b"data %d\n" % len(data))
    out.write(data)
    out.write(b"\n")


def convert(source: BinaryIO, out: BinaryIO, ref: str, origin: str, want: str = "") -> None:
    """Blobs as they come, then the commit that names them."""
    entries: dict[str, tuple[bytes, bytes]] = {}
    version = ""
    newest = 0
    out.write(b"feature done\n")
    with tarfile.open(fileobj=source, mode="r|") as tar:
        for mark, member in enumerate(tar, 1):
            path = member.name.removeprefix("./")
            if want:
                path = path.partition("/")[2]
            tar.members = []  # tarfile keeps every header otherwise
            if not path or member.isdir():
                continue
            newest = max(newest, int(member.mtime))
            if member.islnk():
                target = member.linkname.removeprefix("./")
                entries[path] = entries[target.partition("/")[2] if want else target]
                continue
            if member.issym():
                mode, data = b"120000", member.linkname.encode("utf-8", "surrogateescape")
            elif member.isreg():
                mode = b"100755" if member.mode & 0o100 else b"100644"
                body = tar.extractfile(member)
                data = body.read() if body else b""
                if len(data) != member.size:
                    raise EOFError("unexpected end of data")
            else:
                continue
            if path == "Makefile":
                version = linux_version(data)
                if want and not re.match(re.escape(want) + r"\b", version):
                    raise ValueError(f"it is Linux {version}, not {want}: give its BASE=")
            if path == ".gitignore":
                data = plain_gitignore(data)
            out.write(b"blob\nmark :%d\n" % mark)
            put_data(out, data)
            entries[path] = (mode, b":%d" % mark)
    if not version:
        raise ValueError("it has no top Makefile")
    date = b"%d +0000" % newest
    out.write(b"commit %s\n" % ref.encode())
    out.write(b"author %s %s\ncommitter %s %s\n" % (AUTHOR, date, AUTHOR, date))
    put_data(out, f"Linux {version} ({origin})\n".encode())
    for path, (mode, blob) in entries.items():
        out.write(b"M %s %s %s\n" % (mode, blob, quote(path)))
    out.write(b"\ndone\n")
    out.flush()


def main() -> None:
    try:
        convert(sys.stdin.buffer, sys.stdout.buffer, *sys.argv[1:])
    except BrokenPipeError:
        sys.exit(1)  # fast-import says why
    except (tarfile.TarError, ValueError, EOFError, KeyError, OSError) as error:
        sys.exit(f"tar2git: not a whole source tree of Linux: {error}")


if __name__ == "__main__":
    main()
