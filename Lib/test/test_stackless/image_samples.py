"""Functions that images refer to (test_images.py)."""

import functools
import os
from os import system  # noqa: F401: what this module has from elsewhere
from typing import NamedTuple

import stackless

GREETING = "hello"
letters: list[str] = []


class Point(NamedTuple):
    x: int
    y: int


class Greeter:
    def __init__(self, name):
        self.name = name

    def greet(self):
        return GREETING, self.name

    _secret = os

    def _prefix(self):
        return f"Dear {self.name}"

    @classmethod
    def _make(cls, name):
        return cls(name)

    def _letter(self):
        letter = f"{self._prefix()}, {self._pause(GREETING)}"
        letters.append(letter)

    def _pause(self, text):
        stackless.schedule_remove()
        return text

    def later(self):
        return lambda: (GREETING, self.name)


def adder(n):
    return lambda x: x + n


def hidden(function):
    """A decorator that hides the function."""
    return [function]


@hidden
def not_to_be_found(n):
    return lambda: (n, "not to be found")


def wrapped(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


@wrapped
def decorated(n):
    return lambda: n


def by_name():
    return os.sep


def worker(n):
    total = 0
    for i in range(n):
        total += yield_here(i)
    return total


def yield_here(value):
    stackless.schedule_remove()
    return value


def finish(n, results):
    results.append(worker(n))
