# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # load_cell sets CELL_*
# What a result in build/cells/ is a result of; sourced after cells.sh, for the cell
# that load_cell loaded.
#
#   inputs           one word for all that the result depends on: the tree's content,
#                    the cell's line, its fragments, init.c and the scripts
#   fact NAME        a line of build/cells/CELL/run.tsv: name, tab, value
#   begin_run        before the run: keeps in mind what it will be of
#   record OUTCOME [WHERE]   writes run.tsv, after it; OUTCOME is pass or FAIL, WHERE
#                    the step that failed. Not if the inputs changed meanwhile
#   still_good       is there a pass, of just these inputs?
#   drop_kernel      removes the kernel's build folder
#
# Knob: ACCEL, as boot.sh has it.

TREE_ID=	# where it is known, nobody has to look again
INPUTS=

# tree_id: the content of the tree, work that is not committed included. Not the
# commit: that has the name of whoever composed it.
tree_id()
{
	local git=(pgit --no-optional-locks -C "$CELL_SRC") id

	id=$("${git[@]}" rev-parse -q --verify 'HEAD^{tree}') || id=none
	if [ -n "$("${git[@]}" status --porcelain 2>/dev/null | head -n 1)" ]; then
		id+=+$({
			"${git[@]}" diff HEAD
			cd "$CELL_SRC" && "${git[@]}" ls-files -z --others --exclude-standard |
				xargs -0r sha256sum
		} | sha256sum | cut -c-12)
	fi
	echo "$id"
}

# What the cell shows in words changes no result.
inputs()
{
	local column name=CELL_shows
	local files=(guest/{init.c,kernel.sh,user.sh,boot.sh} judge/{verdict.py,known-races.tsv})

	{
		echo "${TREE_ID:-$(tree_id)}"
		echo "${ACCEL:-auto}"
		for column in "${CELL_COLUMNS[@]/#/CELL_}"; do
			[ "$column" = "$name" ] || echo "$column=${!column}"
		done
		for name in ${CELL_fragments//,/ }; do
			files+=("guest/config/$name.config")
			[ ! -f "$HARNESS/guest/config/$name.h" ] || files+=("guest/config/$name.h")
		done
		(cd "$HARNESS" && sha256sum "${files[@]}")
	} | sha256sum | cut -c-16
}

compiler()
{
	"${CELL_cross}gcc" --version 2>/dev/null | head -n 1
}

emulator()
{
	if [ -n "$CELL_qemu" ]; then
		"${CELL_qemu%% *}" --version 2>/dev/null | head -n 1
	fi
}

fact()
{
	sed -n "s/^$1	//p" "$CELL_OUT/run.tsv" 2>/dev/null || true
}

# A result.tsv of which run.tsv knows nothing is not believed.
result_sum()
{
	sha256sum 2>/dev/null <"$CELL_OUT/result.tsv" | cut -c-16 || true
}

begin_run()
{
	TREE_ID=$(tree_id)
	INPUTS=$(inputs)
}

record()
{
	local base

	TREE_ID=$(tree_id)
	if [ "$(inputs)" != "$INPUTS" ]; then
		note "$CELL_cell: the tree or harness/ was changed while it ran: not recorded, run it again"
		return 0
	fi
	base=$(bgit log -1 --format=%s "refs/tags/base/$(base_name)" 2>/dev/null) || base=
	printf '%s\t%s\n' \
		inputs "$INPUTS" \
		outcome "$1" \
		failed "${2:--}" \
		result "$(result_sum)" \
		run "${RUN:--}" \
		date "$(date -u '+%F %H:%M')" \
		host "$(uname -n)" \
		base "${base:--}" \
		tree "$TREE_ID" \
		tip "$(pgit -C "$CELL_SRC" log -1 --format=%h 2>/dev/null || echo -)" \
		compiler "$(compiler)" \
		qemu "$(emulator)" \
		accel "$(cat "$CELL_OUT/accel" 2>/dev/null || true)" \
		build "$(cat "$CELL_KOUT/.cold-seconds" 2>/dev/null || echo -)" \
		guest "$(cat "$CELL_OUT/seconds" 2>/dev/null || echo -)" |
		put "$CELL_OUT/run.tsv"
}

# The tools of another machine cannot be asked here; those of this one may be newer.
same_tools()
{
	[ "$(fact host)" != "$(uname -n)" ] ||
		[ "$(fact compiler)|$(fact qemu)" = "$(compiler)|$(emulator)" ]
}

still_good()
{
	[ "$(fact outcome)" = pass ] && [ "$(fact inputs)" = "$(inputs)" ] &&
		[ "$(fact result)" = "$(result_sum)" ] && same_tools
}

# Not under the feet of one who builds in it.
drop_kernel()
{
	[[ -d $CELL_KOUT && $CELL_KOUT = "$BUILD"/kernel/?* ]] || return 0
	(
		lock_kernel
		rm -rf "$CELL_KOUT"
	)
}
