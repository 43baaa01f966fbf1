# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The kernels without the stack and with it, beside each other; sourced after lib.sh. The side
# base is the base alone, any other has the stack.
#
#   SIDES        the folder of all: build/sides, unless it is set before
#   make_sides [EDIT [SIDE...]]   after the_tree: the trees of base and series, or of those
#                SIDEs; EDIT SIDE REV, a function, changes the index of each (see variant)
#   side SIDE CELL   exports TREE and KOUT of that kernel, and loads the cell, with AS=NAME as
#                the section [as NAME] has it; its name stays
#   boot_to DIR CELL   boots the cell loaded; the logs go to DIR. Its status is the verdict's
#   run, make_headers, guest_root, make_disks   see guest/root.sh

. "$HARNESS/guest/cells.sh"
. "$HARNESS/guest/root.sh"

SIDES=${SIDES:-$BUILD/sides$SUFFIX}

make_sides()
{
	local edit=${1:-} name rev

	shift $(($# > 0))
	[ $# -gt 0 ] || set -- base series
	mkdir -p "$SIDES"
	composed ""
	for name; do
		rev=$TREE_REV
		[ "$name" != base ] || rev=$BASE_REV
		[ -z "$edit" ] || rev=$(variant "$rev" "$edit" "$name" "$rev")
		walk_tree "$rev" "$SIDES/$name/tree" >/dev/null
	done
}

# A cell as the matrix has it asks for what only the stack has: PARTIAL drops that on base. A
# section that changes the kernel has seen to it.
side()
{
	unset KOUT PARTIAL
	export TREE=$SIDES/$1/tree
	load_cell "$2"
	export KOUT=$SIDES/$1/kernel/$CELL_build
	if [ "$1" = base ] && [[ -z ${AS:-} || $CELL_build != *-$AS ]]; then
		export PARTIAL=1
	fi
	cell_folders
	CELL_cell=$2
}

boot_to()
{
	local status=0

	mkdir -p "$1"
	"$HARNESS/guest/boot.sh" "$2" >"$1/verdict.log" 2>&1 || status=$?
	cp "$CELL_OUT"/{console,port}.log "$1/" ||
		die "$2: the guest did not start: see $1/verdict.log"
	return "$status"
}
