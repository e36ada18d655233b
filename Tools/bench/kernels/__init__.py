"""Pure-Python kernels, by family.

A kernel is a function `NAME(loops)` that repeats one small workload `loops` times and returns a
checksum, which must be the same on every interpreter. Its row stands in catalogue.py.
"""
