"""Sphinx configuration.  Build with `make docs`, or `sphinx-build -W -b html Doc build/doc`."""

project = "Stackless Python"
author = "the Stackless Python authors"
copyright = f"2026, {author}"
version = "3.11"
release = version

root_doc = "index"
# What `make bench-report` writes is included by pages, and no page itself.
exclude_patterns = ["figures"]
# Literal blocks are pictures, tables and terminal sessions; Python code says so.
highlight_language = "none"
nitpicky = True
# Names that CPython's documentation describes.
nitpick_ignore = [("c:identifier", name) for name in ("PyObject", "PyTypeObject", "PyMethodDef", "PyModuleDef",
                                                      "size_t")]
nitpick_ignore += [("py:exc", name) for name in ("TypeError",)]

html_theme = "alabaster"
html_theme_options = {
    "description": "CPython 3.11 with tasklets",
    "fixed_sidebar": True,
    "page_width": "1100px",
}
html_show_sourcelink = False
