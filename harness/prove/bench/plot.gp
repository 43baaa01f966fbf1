# SPDX-License-Identifier: GPL-2.0
# The plots of bench.py, of bench.tsv (cell and operation, per cent, colour) and scale.tsv
# (cell, processes, tables, base, series) in the current folder.
set datafile separator tab
stats 'bench.tsv' using 2 nooutput
rows = STATS_records
most = STATS_max > -STATS_min ? STATS_max : -STATS_min
# What is beyond 10 per cent ends there, and says by how much it is.
cut = most > 10 ? 10.0 : most < 1 ? 1.0 : most
at(x) = x > cut ? cut : x < -cut ? -cut : x
set terminal svg size 860, 90 + 16 * rows font 'sans-serif,11' background 'white'
set output 'bench.svg'
set title 'Instructions an operation, series against base, per cent'
set style fill solid noborder
set xrange [-cut * 1.2 : cut * 1.2]
set yrange [-1 : rows]
set arrow from 0, graph 0 to 0, graph 1 nohead lc rgb '#888888'
set ytics scale 0 noenhanced
plot 'bench.tsv' using (at($2) / 2):0:(abs(at($2)) / 2):(0.35):3:ytic(1) \
	with boxxyerror lc rgb variable notitle, \
	'' using ($2 < 0 ? NaN : at($2) + cut / 100):0:(sprintf('%+.2f', $2)) with labels left notitle, \
	'' using ($2 < 0 ? at($2) - cut / 100 : NaN):0:(sprintf('%+.2f', $2)) with labels right notitle

cells = system("cut -f1 scale.tsv | uniq")
if (words(cells) == 0) exit
processes = system("cut -f2 scale.tsv | sort -nu")
across = words(cells) < 4 ? words(cells) : 4
down = (words(cells) + across - 1) / across
reset
set datafile separator tab
set terminal svg size 240 * across, 60 + 220 * down font 'sans-serif,10' background 'white'
set output 'scale.svg'
set multiplot layout down, across \
	title 'Instructions to retract a page table, by the number of tables (dashed: base)'
set logscale x 2
set yrange [0 : *]
set xtics 8
set key left top samplen 1
do for [cell in cells] {
	set title cell noenhanced
	plot for [i = 1 : words(processes)] 'scale.tsv' \
		using (strcol(1) eq cell && strcol(2) eq word(processes, i) ? $3 : NaN):4 \
		with lines lc i dt 2 notitle, \
		for [i = 1 : words(processes)] 'scale.tsv' \
		using (strcol(1) eq cell && strcol(2) eq word(processes, i) ? $3 : NaN):5 \
		with lines lc i title 'processes: '.word(processes, i)
}
unset multiplot
