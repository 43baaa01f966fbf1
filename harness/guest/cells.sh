# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # load_cell sets CELL_*
# Reads harness/guest/cells.tsv; sourced after lib.sh.
#
#   load_cell NAME   sets CELL_<column> for each column (CELL_arch, CELL_qemu ...),
#                    "-" becoming empty, and the folders CELL_SRC (kernel source),
#                    CELL_KOUT (kernel build) and CELL_OUT (everything else).
#                    Dies on an unknown cell or an unreadable line.
#   cell_names       all names, in the order of the file
#   derive_cells FILE EDIT CELL...   writes a table of these cells, each as the function
#                    EDIT left its CELL_<column>, and selects it as CELLS_TSV
#   lock_kernel      nobody else builds, or drops, the kernel of the cell loaded
#   changed STAMP DIR...   is anything there younger than STAMP?
#
# Knobs:
#   CELLS_TSV   another file
#   TREE        another source
#   KOUT        another build folder; the rest then goes to a folder beside it,
#               KOUT.cell, so that the results of the real cell stay
#   PARTIAL=1   the tree may have only a part of the series: the suites and
#               selftests that it does not have yet are not expected

CELLS_TSV=${CELLS_TSV:-$HARNESS/guest/cells.tsv}
CELL_COLUMNS=(cell arch build cross fragments qemu append image virtio suites
	user timeout packages proof shows)
declare -A CELL_INDEX=()
for name in "${CELL_COLUMNS[@]}"; do
	CELL_INDEX[$name]=${#CELL_INDEX[@]}
done
unset name

cell_lines()
{
	grep -nv -e '^#' -e '^$' -e $'^cell\t' "$CELLS_TSV"
}

cell_names()
{
	cell_lines | cut -f1 | cut -d: -f2
}

# split_line NR LINE: the columns of one line into FIELDS. read(1) alone would
# not do: tabs are white space to it, so an empty column would shift the rest.
split_line()
{
	local at="$CELLS_TSV:$1" i

	mapfile -t -d $'\t' FIELDS <<<"$2"
	FIELDS[-1]=${FIELDS[-1]%$'\n'}
	((${#FIELDS[@]} == ${#CELL_COLUMNS[@]})) ||
		die "$at: ${#FIELDS[@]} columns instead of ${#CELL_COLUMNS[@]}: ${CELL_COLUMNS[*]}"
	for i in "${!FIELDS[@]}"; do
		[ -n "${FIELDS[i]}" ] ||
			die "$at: column ${CELL_COLUMNS[i]} is empty: write - for nothing"
	done
	match "$at" cell '^[a-z0-9][a-z0-9_-]*$' "a name of small letters, digits, - and _"
	match "$at" virtio '^(device|pci|ccw|-)(,[a-z]+=\w+)*$' "device, pci or ccw, with properties after it"
	match "$at" proof '^(-|\w+(=[^=, ]+|>=[0-9]+)?(,\w+(=[^=, ]+|>=[0-9]+)?)*)$' \
		"a list of KEY=VALUE, KEY>=NUMBER and tests"
	# What is only built never runs out of time.
	[ "${FIELDS[CELL_INDEX[qemu]]} ${FIELDS[CELL_INDEX[timeout]]}" = '- -' ] ||
		match "$at" timeout '^[1-9][0-9]*$' "a number of seconds"
}

# match WHERE COLUMN REGEX WHAT: the column has to look so.
match()
{
	local value=${FIELDS[CELL_INDEX[$2]]}

	[[ $value =~ $3 ]] || die "$1: column $2: '$value' is not $4"
}

# The whole file is checked, whichever cell is asked for: a bad line is most
# likely the one just edited.
load_cell()
{
	local line i found='' seen=' '

	[ -r "$CELLS_TSV" ] || die "$CELLS_TSV cannot be read"
	while IFS= read -r line; do
		split_line "${line%%:*}" "${line#*:}"
		[[ $seen != *" ${FIELDS[0]} "* ]] ||
			die "$CELLS_TSV:${line%%:*}: column cell: '${FIELDS[0]}' is there twice"
		seen+="${FIELDS[0]} "
		[ "${FIELDS[0]}" = "$1" ] || continue
		found=1
		for i in "${!FIELDS[@]}"; do
			[ "${FIELDS[i]}" != - ] || FIELDS[i]=
			printf -v "CELL_${CELL_COLUMNS[i]}" %s "${FIELDS[i]}"
		done
	done < <(cell_lines)
	[ -n "$found" ] ||
		die "unknown cell '$1': the known ones are $(cell_names | paste -sd' ')"
	cell_folders
}

lock_kernel()
{
	local name=${CELL_KOUT#"$BUILD/"}

	lock "${name//\//-}"
}

tabbed()
{
	local IFS=$'\t'

	echo "$*"
}

# EDIT sees empty what is - in the table, and may leave it so.
derive_cells()
{
	local file=$1 edit=$2 cell i columns=("${CELL_COLUMNS[@]/#/CELL_}")

	shift 2
	(
		tabbed "${CELL_COLUMNS[@]}"
		for cell; do
			load_cell "$cell"
			"$edit"
			for i in "${!columns[@]}"; do
				FIELDS[i]=${!columns[i]:--}
			done
			tabbed "${FIELDS[@]}"
		done
	) >"$file.new"
	mv "$file.new" "$file"
	export CELLS_TSV=$file
}

# A kernel of another base must not be built over one of the default base.
# shellcheck disable=SC2034 # for those who source this
cell_folders()
{
	local dir suffix

	# They are used from more than one folder.
	[ -z "${TREE:-}" ] || TREE=$(realpath -m "$TREE")
	[ -z "${KOUT:-}" ] || KOUT=$(realpath -m "$KOUT")
	dir=$(tree_dir)
	suffix=${dir#"$BUILD/tree"}
	CELL_SRC=${TREE:-$dir}
	CELL_KOUT=${KOUT:-$BUILD/kernel/$CELL_build$suffix}
	CELL_OUT=${KOUT:+$KOUT.cell}
	CELL_OUT=${CELL_OUT:-$BUILD/cells/$CELL_cell$suffix}
	[ -z "${PARTIAL:-}" ] || only_what_is_there
}

only_what_is_there()
{
	local name suites=() user=()

	for name in ${CELL_suites//,/ }; do
		! grep -qsr --include='*.c' "\.name = \"$name\"" \
			"$CELL_SRC/mm" "$CELL_SRC/lib" || suites+=("$name")
	done
	for name in ${CELL_user//,/ }; do
		[ ! -f "$CELL_SRC/tools/testing/selftests/mm/$name.c" ] ||
			user+=("$name")
	done
	CELL_suites=$(IFS=,; echo "${suites[*]}")
	CELL_user=$(IFS=,; echo "${user[*]}")
}

# changed STAMP DIR... [-FIND-TEST...]: is anything there younger than STAMP?
# ctime: it cannot be set back, and renames and deletions show in the folder's.
changed()
{
	local stamp=$1 dirs=()

	shift
	while [ $# -gt 0 ] && [ "${1:0:1}" != - ]; do
		dirs+=("$1")
		shift
	done
	[ -n "$(find "${dirs[@]}" -name .git -prune -o \
		-newercm "$stamp" "$@" -print -quit)" ]
}
