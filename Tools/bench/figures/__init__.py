"""Switching figures, by the system they are measured on.

A figure is a function `NAME(count)` in each `on_SYSTEM.py` that can express it. It sets up, performs
`count` operations, and returns the CPU seconds they took (`blocked`: the bytes of resident memory
they cost). A system that has no natural form of a figure leaves it out. The rows stand in catalogue.py.
"""
