#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Turns a tar stream of a Linux source tree into one commit for git fast-import.

usage: tar2git.py REF ORIGIN [VERSION] <TAR >STREAM
exit:  0; 1 with one line on stderr (not a tar file, cut short, not a kernel tree)

REF gets the commit, ORIGIN says in its message where the source comes from. With VERSION,
such as 7.3, the Makefile must say that, and the first directory of each name is dropped, as
in a tarball. The author is fixed and the date is that of the newest file: the same source
gives the same commit id everywhere. fast-import creates no ref without the last line, "done".
"""

import re
import sys
import tarfile
from typing import BinaryIO

VERSION = re.compile(r"(?m)^VERSION *= *(\d+)\nPATCHLEVEL *= *(\d+)\nSUBLEVEL *= *(\d*)\n"
                     r"EXTRAVERSION *= *(\S*)$")
UTF8 = ("utf-8", "surrogateescape")


def linux_version(makefile: bytes) -> str:
    """That of the top Makefile, such as 7.3.4 or 7.4-rc1."""
    found = VERSION.search(makefile.decode(*UTF8))
    if not found:
        raise ValueError("its Makefile names no kernel version")
    major, minor, sublevel, extra = found.groups()
    return f"{major}.{minor}" + f".{sublevel}" * (sublevel not in ("", "0")) + extra


def data(text: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(text), text)


def convert(source: BinaryIO, out: BinaryIO, ref: str, origin: str, want: str = "") -> None:
    """Blobs as they come, then the commit that names them."""
    def path_of(name: str) -> str:
        name = name.removeprefix("./")
        return name.partition("/")[2] if want else name

    entries: dict[str, str] = {}  # mode and mark, by path
    version, newest = "", 0
    out.write(b"feature done\n")
    with tarfile.open(fileobj=source, mode="r|") as tar:
        for mark, member in enumerate(tar, 1):
            tar.members = []  # type: ignore[attr-defined]  # it keeps every header otherwise
            path = path_of(member.name)
            if not path or member.isdir():
                continue
            newest = max(newest, int(member.mtime))
            if member.islnk():
                entries[path] = entries[path_of(member.linkname)]
                continue
            if member.issym():
                mode, text = "120000", member.linkname.encode(*UTF8)
            elif file := tar.extractfile(member):
                mode, text = "100755" if member.mode & 0o100 else "100644", file.read()
            else:
                continue
            if path == "Makefile":
                version = linux_version(text)
                if want and not re.match(re.escape(want) + r"\b", version):
                    raise ValueError(f"it is Linux {version}, not {want}: give its BASE=")
            if path == ".gitignore":
                # Debian's ignores everything at the top, and lacks the kernel's exceptions
                # for dot files: git add would leave out what is new.
                text = re.sub(rb"(?m)^/\*$", b"!.gitignore\n!.kunitconfig", text)
            out.write(b"blob\nmark :%d\n" % mark + data(text))
            entries[path] = f"{mode} :{mark}"
    if not version:
        raise ValueError("it has no top Makefile")
    who = f"Linux <linux@base.invalid> {newest} +0000"
    out.write(f"commit {ref}\nauthor {who}\ncommitter {who}\n".encode())
    out.write(data(f"Linux {version} ({origin})\n".encode()))
    quoted = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
    for path, blob in entries.items():
        out.write(f'M {blob} "{path.translate(quoted)}"\n'.encode(*UTF8))
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
