"""The yardstick of the switching figures: a call of an empty function, the loop included."""

from itertools import repeat
from time import process_time


def call(count):
    def f():
        pass

    start = process_time()
    for _ in repeat(None, count):
        f()
    return process_time() - start
