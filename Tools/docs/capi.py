"""The reference of the C API in Doc/reference/c-*.rst, made of the comments in the public headers.

    capi.py HEADER PAGE            write what lies between the two marks of the page
    capi.py --check HEADER PAGE    only say whether it is up to date: exit status 1 if it is not

A section of the header is a comment /* --- Title --- */.  What stands in it is a comment, followed by one
declaration: a function, datum, macro or type.
"""

import argparse
import os
import re
import sys
import textwrap

COLUMNS = 118

BEGIN = '.. begin: made by Tools/docs/capi.py from Include/%s\n'
END = '.. end: made by Tools/docs/capi.py\n'

SECTION = re.compile(r'/\* --- (.*) --- \*/\n')
ITEM = re.compile(r'(?s)/\* ((?:(?!\*/).)*?) \*/\n'
                  r'(PyAPI_(FUNC|DATA)\((?P<result>[^)]*)\) (?P<name>\w+)(?P<parameters>\([^;]*\))?;'
                  r'|#define (?P<macro>\w+)(?P<arguments>\([^)]*\))? [^\n]*'
                  r'|typedef struct (?P<opaque>\w+) \w+;'
                  r'|typedef struct (?P<struct>\w+) \{\n(?P<members>.*?)\n\} \w+;'
                  r'|typedef (?P<hook>\w+[\s*]*\(\w+\)\([^;]*\));)')
MEMBER = re.compile(r' +(.*?);\s*/\* (.*?) \*/')


class HeaderError(Exception):
    """The header is not as it should be; the text says where."""


def markup(text, indent):
    """A comment as reStructuredText, names of the API as references."""
    text = ' '.join(re.sub(r'\n \*', '\n', text).split())
    # What has a * is code: callable(*args, **kwargs), *value.
    text = re.sub(r'(?<![`\w.])[\w.]*\([^()`]*\*[^()`]*\)|(?<![`\w*(])\*\w+', r'``\g<0>``', text)
    text = re.sub(r'\b(Py(?:Tasklet|Channel|Stackless)_\w+)\(\)', r':c:func:`\1`', text)
    text = re.sub(r'(?<![:`\w])((?:Py|PY)_WATCHDOG_[A-Z_]*[A-Z]|PyStackless_BUDGET_REMOVE)\b', r':c:macro:`\1`', text)
    text = re.sub(r'(?<!`)\b(Py_WATCHDOG_|_nr)(?=[ .,])', r'``\1``', text)
    return textwrap.fill(text, COLUMNS, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False,
                         break_long_words=False)


def entry(match):
    """One declaration as a directive of Sphinx."""
    found = match.groupdict()
    members = []
    if found['name']:
        kind = 'function' if found['parameters'] else 'var'
        result = found['result'] + ('' if found['result'].endswith('*') else ' ')
        what = result + found['name'] + (found['parameters'] or '')
    elif found['macro']:
        kind, what = 'macro', found['macro'] + (found['arguments'] or '')
    elif found['opaque']:
        kind, what = 'type', found['opaque']
    elif found['hook']:
        kind, what = 'type', found['hook']
    else:
        kind, what = 'struct', found['struct']
        for line in found['members'].removeprefix('    PyObject_HEAD\n').split('\n'):
            member = MEMBER.fullmatch(line)
            if member is None:
                raise HeaderError('no comment for %r' % line)
            members += ['', '   .. c:member:: ' + member[1], '', markup(member[2], ' ' * 6)]
    return '\n'.join(['.. c:%s:: %s' % (kind, ' '.join(what.split())), '', markup(match[1], ' ' * 3), *members])


def reference(header):
    """The text between the marks."""
    parts = SECTION.split(header)
    lines = []
    for title, body in zip(parts[1::2], parts[2::2]):
        entries = [entry(match) for match in ITEM.finditer(body)]
        count = len(re.findall(r'(?m)^(?:PyAPI_|#define |typedef )', body))
        if len(entries) != count:
            raise HeaderError('section %s: %d declarations, %d with a comment' % (title, count, len(entries)))
        lines += [title, '~' * len(title), '', *'\n\n'.join(entries).split('\n'), '']
    return '\n'.join(lines)


def updated(page, header, name):
    """The text of the page as it should be, for the header of that name."""
    before, begin, rest = page.partition(BEGIN % name)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise HeaderError('the page does not have both marks')
    return before + begin + '\n' + reference(header) + '\n' + END + after


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true')
    parser.add_argument('header')
    parser.add_argument('page')
    options = parser.parse_args(argv)
    with open(options.header, encoding='utf-8') as file:
        header = file.read()
    with open(options.page, encoding='utf-8') as file:
        page = file.read()
    try:
        text = updated(page, header, os.path.basename(options.header))
    except HeaderError as error:
        print('capi: %s' % error, file=sys.stderr)
        return 1
    if text == page:
        return 0
    if options.check:
        print('%s is not up to date: run Tools/docs/capi.py %s %s' % (options.page, options.header, options.page))
        return 1
    with open(options.page, 'w', encoding='utf-8') as file:
        file.write(text)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
