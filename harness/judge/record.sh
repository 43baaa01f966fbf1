# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2120 # load_cell sets CELL_*; FILEs are optional
# The record that an experiment leaves, see records.py; sourced after lib.sh, or by cells.sh.
#
#   RECORDS              the folder of all records
#   begin_record [FILE...]   before the run: remembers the time and what it will be of:
#                        the tree, the cell loaded, its fragments, the scripts, the FILEs
#   record EXPERIMENT NAME RESULT DETAIL [--side SIDE] [--checks TSV] [--figures TSV]
#                        writes it, after the run; not if the inputs changed meanwhile
#   still_good EXPERIMENT NAME [SIDE]   is a pass of just these inputs there? Not with
#                        AGAIN=1. The FILEs are those of the last begin_record
#   recorded EXPERIMENT NAME [SIDE]   the detail of that record
#
# Reads TREE_ID, the content of the stack, where it is known; RUN, the run of matrix.sh.

RECORDS=${RECORDS:-$BUILD/records$SUFFIX}
TREE_ID=${TREE_ID:-}
INPUT_FILES=()
INPUT_KEY=

# tree_id: the content of the tree, work that is not committed included. Not the
# commit: that has the name of the person who composed it.
tree_id()
{
	local dir=${CELL_SRC:-${TREE:-$TREE_DIR}} id
	local git=(pgit --no-optional-locks -C "$dir")

	id=$("${git[@]}" rev-parse -q --verify 'HEAD^{tree}') || id=none
	if [ -n "$("${git[@]}" status --porcelain 2>/dev/null | head -n 1)" ]; then
		id+=+$({
			"${git[@]}" diff HEAD
			cd "$dir" && "${git[@]}" ls-files -z --others --exclude-standard |
				xargs -0r sha256sum
		} | sha256sum | cut -c-12)
	fi
	echo "$id"
}

# What the cell shows in words changes no result.
input_key()
{
	local name files=(guest/{init.c,kernel.sh,root.sh,user.sh,boot.sh,qemu.sh}
		judge/{verdict.py,known-races.tsv})

	{
		echo "${TREE_ID:-$(tree_id)}"
		if [ -n "${CELL_cell:-}" ]; then
			echo "${ACCEL:-auto}"
			for name in "${!CELL_@}"; do
				[[ $name = CELL_shows || $name = CELL_[A-Z]* ]] || echo "$name=${!name}"
			done
			for name in $CELL_fragments; do
				files+=("guest/config/$name.config")
				[ ! -f "$HARNESS/guest/config/$name.h" ] || files+=("guest/config/$name.h")
			done
			for name in $CELL_user; do
				[ ! -f "$HARNESS/guest/user/$name.c" ] || files+=("guest/user/$name.c")
				[ ! -f "$HARNESS/guest/user/$name.sh" ] || files+=("guest/user/$name.sh")
			done
			(cd "$HARNESS" && sha256sum "${files[@]}")
		fi
		[ ${#INPUT_FILES[@]} = 0 ] || sha256sum "${INPUT_FILES[@]}"
	} | sha256sum | cut -c-16
}

# tools: the inputs that only this machine can tell, as arguments of records.py.
tools()
{
	[ -n "${CELL_cell:-}" ] || return 0
	echo "compiler=$("${CELL_cross}gcc" --version 2>/dev/null | head -n 1)"
	echo "qemu=$("${CELL_qemu%% *}" --version 2>/dev/null | head -n 1)"
}

begin_record()
{
	INPUT_FILES=("$@")
	RECORD_BEGIN=$SECONDS
	INPUT_KEY=$(input_key)
}

record()
{
	local tools
	local TREE_ID=${TREE_ID:-$(tree_id)}	# once, for both

	if [ "$(input_key)" != "$INPUT_KEY" ]; then
		note "$2: the tree or harness/ was changed while it ran: not recorded, run it again"
		return 0
	fi
	mapfile -t tools < <(tools)
	[ -z "${CELL_cell:-}" ] ||
		set -- "$@" cell="$CELL_cell" in.accel="$(cat "$CELL_OUT/accel" 2>/dev/null)" \
			time.build="$(cat "$CELL_KOUT/.cold-seconds" 2>/dev/null)" \
			time.guest="$(cat "$CELL_OUT/seconds" 2>/dev/null)"
	"$HARNESS/judge/records.py" put "$RECORDS" experiment="$1" name="$2" result="$3" \
		detail="$4" "${@:5}" "${tools[@]/#/in.}" run="${RUN:-}" \
		seconds=$((SECONDS - RECORD_BEGIN)) in.key="$INPUT_KEY" in.tree="$TREE_ID" \
		in.tip="$(pgit -C "${CELL_SRC:-$TREE_DIR}" log -1 --format=%h 2>/dev/null)" \
		in.base="$(bgit log -1 --format=%s "refs/tags/base/$BASE_NAME" 2>/dev/null)"
}

# record_file EXPERIMENT NAME [SIDE]: where that of the cell loaded is.
record_file()
{
	local file=$2

	[ "${CELL_cell:-$2}" = "$2" ] || file+=,$CELL_cell
	echo "$RECORDS/$1/${file//\//-}${3:+,$3}.json"
}

still_good()
{
	local tools

	! on AGAIN || return
	mapfile -t tools < <(tools)
	"$HARNESS/judge/records.py" good "$(record_file "$@")" key="$(input_key)" "${tools[@]}"
}

recorded()
{
	"$HARNESS/judge/records.py" get "$(record_file "$@")" detail
}
