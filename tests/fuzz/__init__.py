"""Fuzz of all programs: `python -m tests.fuzz --cases 2000 --seed 1`.

A case is one call of a program with something wrong, or something odd, in its options, run
directories, data files, weights, input file or disk. It is a fault where a program ends in a
traceback, by a signal, not at all, in more than one line or with another exit code than 0, 1, 2 or
130; where it takes what is certainly wrong, refuses what is certainly right, or changes a run that
it refuses. Every fault is a line with the number by which `--case` repeats it.
"""
