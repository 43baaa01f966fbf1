#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# try.sh: runs C programs in guests, on base and series, beside each other.
#
# in:   PROG="A.c B.c ...", each file a program, anywhere; CELLS, SIDE; TIMEOUT=60
# out:  build/try/PROGRAM/CELL-SIDE/ (console.log, port.log, verdict.log), the records; a
#       table, and of those that failed the last lines that they printed
# exit: 0 when none failed on the series (SIDE=base: on the base); 1 otherwise, also when
#       a file does not compile: then nothing is booted
#
# A program is judged by its exit status, 0 pass, 4 skip, else fail, by its KTAP if it prints
# any, and by what the kernel says meanwhile. It is linked statically, with the headers of the
# series, and runs alone in a guest, as root, in /mnt, an empty ext4, with some swap.

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/prove/pair.sh"

OUT=$BUILD/try$SUFFIX
read -ra CELLS <<<"${CELLS:-x86_64}"
export AS=try TIMEOUT=${TIMEOUT:-60} PROGRAM=
SIDE=${SIDE:-both}
FILES=() NAMES=() BAD='' TEXT=''

# programs: FILES and NAMES from PROG. Words that only together are a file have spaces
# between them.
programs()
{
	local word words path='' name

	read -ra words <<<"${PROG:-}"
	[ ! -f "${PROG:-}" ] || words=("$PROG")
	for word in "${words[@]}"; do
		path+=${path:+ }$word
		[ -f "$path" ] || continue
		[[ $path = *.c ]] || die "PROG=$PROG: $path is no .c file"
		name=$(basename "$path" .c)
		name=${name//[^A-Za-z0-9_.-]/-}
		[[ " ${NAMES[*]} " != *" $name "* ]] || die "PROG=$PROG: two are called $name"
		FILES+=("$(realpath "$path")") NAMES+=("$name")
		path=
	done
	[ -z "$path" ] || die "PROG=$PROG: there is no $path"
	[ ${#FILES[@]} -gt 0 ] || die "give PROG=FILE.c, a program to run"
}

# kernel_of SIDE CELL: selects the kernel; that of the series is the one of make cell.
kernel_of()
{
	unset TREE KOUT PARTIAL
	load_cell "$2"
	CELL_cell=$2
	[ "$1" != base ] || side base "$2"
}

# compile: all of them for the cell loaded.
compile()
{
	local i uapi=$BUILD/uapi/$CELL_arch$SUFFIX

	mkdir -p "$uapi" "${NAMES[@]/#/$OUT/}"
	LOG=$OUT/compile.log
	: >"$LOG"
	make_headers "$uapi"
	for i in "${!NAMES[@]}"; do
		"${CELL_cross}gcc" -static -O2 -pthread -isystem "$uapi/usr/include" \
			-I "$CELL_SRC/tools/testing/selftests" \
			-o "$OUT/${NAMES[i]}/$CELL_cell" "${FILES[i]}" >"$LOG" 2>&1 ||
			die "${FILES[i]} does not compile for $CELL_cell: $(
				grep -m1 -E 'error:|undefined reference' "$LOG" || head -n1 "$LOG")"
	done
}

# attempt I SIDE: boots it; sets SAID: pass, skip or fail, and why.
attempt()
{
	local name=${NAMES[$1]} dir=$OUT/${NAMES[$1]}/$CELL_cell-$2 result detail headers
	local TREE_ID=

	[ "$2" != base ] || TREE_ID=$SERIES_ID
	mapfile -t headers < <(compgen -G "${FILES[$1]%/*}/*.h")
	begin_record "${FILES[$1]}" "${headers[@]}"
	scratch "$OUT/rootfs"
	mkdir -p "$dir" "$OUT/rootfs/bin"
	LOG=$dir/user.log
	: >"$LOG"
	cp "$OUT/$name/$CELL_cell" "$OUT/rootfs/bin/$name"
	echo "$name $TIMEOUT" >"$OUT/rootfs/selftests"
	guest_root "$OUT/rootfs"
	make_disks 64
	# It is not one of those that PARTIAL looks for.
	PARTIAL='' PROGRAM=$name boot_to "$dir" "$CELL_cell" || true
	IFS=$'\t' read -r result detail < <(awk -F'\t' '
		$1 == "selftest" { said = $3 "\t" $4 }
		$3 == "fail" { said = "fail\t" ($1 == "console" ? $2 ": " : "") $4; exit }
		END { print said }' "$CELL_OUT/result.tsv")
	record try "$name" "$result" "$detail" --side "$2" --checks "$CELL_OUT/result.tsv"
	SAID=$result${detail:+: $detail}
	[ "$result" = fail ] || return 0
	[ "$2" != "${SIDES_OF[-1]}" ] || BAD=1
	TEXT+="$name, $CELL_cell, $2: $detail: see ${dir#"$ROOT/"}/"$'\n'
	TEXT+=$(sed '/^guest: /d; s/^/    /' "$dir/port.log" | tail -n 12)$'\n'
}

no_arguments "$@"
[[ $SIDE =~ ^(base|series|both)$ ]] || die "SIDE=$SIDE: it is base, series or both"
read -ra SIDES_OF <<<"${SIDE/both/base series}"
programs
load_cells "${CELLS[@]}"
lock try
"$HARNESS/gate/deps.sh" "${CELLS[@]}"
the_tree work
SERIES_ID=$(tree_id)	# what the base is compared with
[ "$SIDE" = series ] || make_sides '' base
for cell in "${CELLS[@]}"; do
	kernel_of series "$cell"
	compile
done
printf '%-20s %-16s' program cell
printf ' %-40s' "${SIDES_OF[@]}"
echo
for cell in "${CELLS[@]}"; do
	for name in "${SIDES_OF[@]}"; do
		kernel_of "$name" "$cell"
		"$HARNESS/guest/kernel.sh" "$cell"
	done
	for i in "${!NAMES[@]}"; do
		row=
		for name in "${SIDES_OF[@]}"; do
			say try "${NAMES[i]}, $cell, $name"
			kernel_of "$name" "$cell"
			attempt "$i" "$name"
			row+=$(printf ' %-40.40s' "$SAID")
		done
		printf '%-20s %-16s%s\n' "${NAMES[i]}" "$cell" "$row"
	done
done
printf %s "${TEXT:+$'\n'$TEXT}"
[ -z "$BAD" ]
