# SPDX-License-Identifier: GPL-2.0
"""A scratch repository whose kernels and guests are toys, for what builds and boots.

The kernel is mm/memory.c of the tree, and QEMU a script that does what that says:
`break` does not build, `panic` panics, `fail_CASE` has the KUnit case CASE fail. The
programs in the initramfs are run here, with that text in the variable KERNEL."""

from __future__ import annotations

import json
from typing import Any

from common import Repo, kunit_folder, script

KERNEL_SH = """#!/bin/bash
. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"
load_cell "$1"
mkdir -p "$CELL_SRC/tools/testing" "$(dirname "$CELL_KOUT/$CELL_image")"
ln -sfn KUNIT "$CELL_SRC/tools/testing/kunit"
echo /tools >"$(pgit -C "$CELL_SRC" rev-parse --git-common-dir)/info/exclude"
echo "$1 $(pgit -C "$CELL_SRC" log -1 --format=%s)" >>"$BUILD/kernels"
! grep -q break "$CELL_SRC/mm/memory.c" || die "it does not compile"
cp "$CELL_SRC/mm/memory.c" "$CELL_KOUT/$CELL_image"
"""

USER_SH = """#!/bin/bash
. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/prove/pair.sh"
load_cell "$1"
LOG=$BUILD/user.log
scratch "$BUILD/root"
guest_root "$BUILD/root"
"""

QEMU = """
[ "$1" != --version ] || { echo "toy 1.0"; exit; }
while [ $# -gt 0 ]; do
	case $1 in
	file:*) console=${1#file:} ;;
	file,id=result,path=*) port=${1##*path=} ;;
	-kernel) kernel=$2 ;;
	-initrd) initrd=$2 ;;
	esac
	shift
done
root=$(mktemp -d)
cd "$root"
trap 'rm -rf "$root"' EXIT
export KERNEL=$(<"$kernel")
cpio -id --quiet <"$initrd"
echo "Linux version 7.3" >"$console"
: >"$port"
! grep -q panic "$kernel" || { echo "Kernel panic - not syncing: toy" >>"$console"; exit; }
for name in $(grep -o 'fail_[a-z]*' "$kernel"); do
	echo "    # ${name#fail_}: EXPECTATION FAILED at mm/toy.c:1" >>"$console"
	echo "    Expected a == b, but" >>"$console"
done
{
	while read -r name; do
		[ -z "$name" ] || printf 'guest: kunit %s\\nKTAP version 1\\n1..1\\n' "$name"
		[ -z "$name" ] || printf '    KTAP version 1\\n    1..1\\n    ok 1 x\\nok 1 %s\\n' "$name"
	done <suites
	while read -r name seconds command; do
		[ -n "$name" ] || continue
		echo "guest: selftest $name"
		timeout -s KILL "${seconds:-60}" bin/${command:-$name} 2>&1
		status=$?
		[ $status != 137 ] || echo "guest: timeout $name"
		echo "guest: exit $name $status"
	done <selftests
	echo "guest: tainted 0"
	echo "guest: success"
} >"$port"
"""


class Guests(Repo):
    begins = ("tree.sh",)

    def setUp(self) -> None:
        super().setUp()
        for name, text in (("kernel.sh", KERNEL_SH), ("user.sh", USER_SH)):
            script(self.root, name).write_text(text.replace("KUNIT", str(kunit_folder())))
        script(self.root, "deps.sh").write_text("#!/bin/bash\n")
        self.shim("qemu-system-x86_64", QEMU)
        self.shim("make", "exit 0\n")
        for name in ("CELLS", "TREE", "KOUT", "AS", "SIDE", "SERIES", "ALL", "BOOT", "AGAIN"):
            self.env.pop(name, None)
        self.env["ACCEL"] = "tcg"

    def kernels(self) -> list[str]:
        """What was built since it was asked last: the cell and the last commit."""
        log = self.root / "build/kernels"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def records(self, experiment: str) -> dict[str, dict[str, Any]]:
        """By the name of the file."""
        folder = self.root / "build/records" / experiment
        return {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}
