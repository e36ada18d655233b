"""The test extensions of Modules: _teststackless has each name of stackless_api.h, callable from Python."""

import importlib
import os
import sys

from . import interpreters


def load(name='_teststackless'):
    """The extension of that name: from the build folder, or from where it was installed."""
    if interpreters.BUILDDIR:
        sys.path.insert(0, os.path.join(interpreters.BUILDDIR, 'Modules'))
        try:
            return importlib.import_module(name)
        finally:
            del sys.path[0]
    return importlib.import_module(name)


api = load()
NULL = api.NULL


class ChecksErrors:
    """Assertions about functions that get what they cannot work with."""

    def refuses_other_types(self, function, kind, *args):
        """Its first argument must be a tasklet or channel; TypeError names the function, twins with _nr as one."""
        name = function.__name__.removesuffix('_nr')
        for wrong, word in ((NULL, 'NULL'), (None, 'NoneType'), (object, 'type')):
            with self.subTest(function=function.__name__, wrong=word):
                with self.assertRaisesRegex(TypeError, rf'^{name}\w*\(\): argument must be a {kind}, not {word}$'):
                    function(wrong, *args)
