"""Write the tables of the comparison with peers and of pickling, and a chart, from what `run.py --json` has measured.

    python Tools/bench/report.py JSON [SOURCE]

SOURCE is the root of the source tree (this one). Written are

    Doc/figures/peers.rst       the whole table, which Doc/internals/benchmarks.rst includes
    Doc/figures/peers.svg       the ratios as a chart
    Doc/figures/images.rst      the pickling figures
    README.rst                  a short table, between its two marks

`make bench-report` measures and then writes them.
"""

import argparse
import json
import math
import os
import sys
from html import escape

import catalogue
from images import cells
from compare import number, ratio, remarks, short

HERE = os.path.dirname(os.path.abspath(__file__))
BEGIN = ".. The table of peers begins here. ``make bench-report`` writes it."
END = ".. The table of peers ends here."

# The rows of the short table, and of the chart.
SHORT = ("round_trip", "round_trip_deep", "round_trip_c", "ping_pong", "create", "ring", "sieve_1000",
         "skynet_1m", "blocked_1m", "depth", "depth_c")
SHORT_PEERS = ("stackless", "go", "luajit", "greenlet", "gevent", "asyncio")

UNITS = {"ns": "ns", "ms": "ms", "s": "s", "bytes": "bytes", "levels": ""}
COLOURS = {
    "go": "#4c9bd6",
    "luajit": "#3b3f8f",
    "greenlet": "#4f9d4f",
    "gevent": "#a3c64a",
    "asyncio": "#e0a030",
    "generators": "#a0a0a0",
}


class Measured:
    """What one run has measured, and the rows and columns of it that a table is to have."""

    def __init__(self, result, figures=None, peers=None):
        self.result = result
        table = result["figures"]
        self.figures = [row for row in catalogue.FIGURES if row.name in table and (not figures or row.name in figures)]
        named = {peer for row in table.values() for peer in row}
        self.peers = [row for row in catalogue.PEERS if row.name in named and (not peers or row.name in peers)]

    def cell(self, figure, peer):
        return self.result["figures"][figure.name].get(peer.name)

    def ratio(self, figure, peer):
        return ratio(self.result["figures"][figure.name], peer.name, figure)


def ratio_text(factor):
    """A ratio as text, of two or three digits."""
    return f"{factor:,.0f} ×" if factor >= 10 else f"{factor:.1f} ×" if factor >= 1 else f"{factor:.2f} ×"


def absolute(cell, figure):
    """A value with its unit."""
    text = short(cell, figure).replace(">=", "≥").replace("absent", "not measured").replace("FAILED", "crash")
    return f"{text} {UNITS[figure.unit]}".strip() if cell and "value" in cell else text


def conditions(result):
    """Say in one paragraph what was measured on, in neutral words."""
    machine = result["machine"]
    versions = [result["versions"][peer.name] for peer in catalogue.PEERS if peer.name in result["versions"]]
    named = ", ".join(sorted({version for version in versions if not version.startswith(("stackless", "generators"))}))
    return [
        f"Measured on {machine['cores']} cores of a machine with {machine['cpu']} ({machine['architecture']}), "
        f"{machine['memory']} GB, {machine['kernel']}; {named}; Go on one processor. CPU times, the best of "
        f"{result['rounds']} {'round' if result['rounds'] == 1 else 'rounds'}, in which all systems took turns. "
        f"A call of an empty function takes {result['call']:.0f} ns on the base there. Machines differ: the ratios "
        f"count.",
    ]


def wrap(words, width=110):
    """Break a paragraph into lines."""
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines


def grid(rows):
    """Make a simple table in reStructuredText; the first row is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
    return [rule, lines[0], rule, *lines[1:], rule]


def table(measured, with_values):
    """The table: ours in its unit, peers as ratios to ours, with their own values if wanted."""
    rows = [["", *(peer.title for peer in measured.peers)]]
    for figure in measured.figures:
        row = [figure.title]
        for peer in measured.peers:
            factor = measured.ratio(figure, peer) if peer.name != "stackless" else None
            value = absolute(measured.cell(figure, peer), figure)
            if factor is None:
                row.append(value if value != "n/a" else "–")
            else:
                row.append(f"{ratio_text(factor)} ({number(measured.cell(figure, peer)['value'], figure.unit)})"
                           if with_values else ratio_text(factor))
        rows.append(row)
    return grid(rows)


def write_document(result):
    """The whole table with its conditions and remarks, for Doc/."""
    measured = Measured(result)
    lines = [".. ``make bench-report`` writes this file.", ""]
    lines += table(measured, True)
    lines += ["", *wrap("Ours is in the unit that it says. A peer's ratio says how many times what ours needs it "
                        "needs: above 1, ours is ahead; in brackets its own value in the same unit. A dash stands "
                        "where a peer has no such figure."), ""]
    lines += [line for paragraph in conditions(result) for line in wrap(paragraph)]
    measured_options = argparse.Namespace(figures=measured.figures, peers=measured.peers)
    notes = [*remarks(result, measured_options)]
    if notes:
        lines += ["", "Remarks:", "", *(f"* ``{note.partition(':')[0]}``:{note.partition(':')[2]}" for note in notes)]
    return "\n".join(lines) + "\n"


def write_images(rows):
    """The pickling figures, for Doc/."""
    head = ["", "dump, us", "load, us", "bytes", "plain dump", "load", "bytes", "3.7 dump", "load", "bytes"]
    chosen = [image for image in catalogue.IMAGES if image.name in rows]
    table = [head, *([image.title, *cells(rows[image.name], image)] for image in chosen)]
    text = ("Plain is a dictionary or a list of them that has the names, local variables and offsets of the same "
            "frames, pickled by the same interpreter: what ``pickle`` takes for itself. 3.7 is historic Stackless, "
            "on another machine. CPU times, the best of all rounds; loading includes dropping what was loaded.")
    return "\n".join([".. ``make bench-report`` writes this file.", "", *grid(table), "", *wrap(text)]) + "\n"


def write_readme(result, text):
    """The README with its short table in place of the one it has."""
    if BEGIN not in text or END not in text:
        raise ValueError(f"README.rst has no lines {BEGIN!r} and {END!r}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    lines = [BEGIN, "", *table(Measured(result, SHORT, SHORT_PEERS), False), ""]
    lines += [line for paragraph in conditions(result) for line in wrap(paragraph)]
    return before + "\n".join([*lines, "", END]) + after


def chart(result):
    """The ratios as bars on a logarithmic axis, as SVG text."""
    measured = Measured(result, SHORT + ("sieve_500", "skynet_100k", "blocked_100k"))
    peers = [peer for peer in measured.peers if peer.name != "stackless"]
    groups = []
    for figure in measured.figures:
        bars = [(peer, measured.ratio(figure, peer)) for peer in peers]
        bars = [(peer, factor) for peer, factor in bars if factor]
        if bars:
            groups.append((figure, bars))
    if not groups:
        raise ValueError("nothing was measured that makes a ratio")
    left, right, top, bar, gap = 200, 60, 60, 11, 10
    width = 820
    factors = [factor for _, bars in groups for _, factor in bars]
    low = min(math.floor(math.log10(min(factors))), -1)
    high = max(math.ceil(math.log10(max(factors))), 1)
    height = top + sum(len(bars) * bar + gap for _, bars in groups) + 40

    def place(factor):
        return left + (math.log10(factor) - low) / (high - low) * (width - left - right)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11">',
        "<title>What peers need, in multiples of what Stackless Python needs</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        '<text x="10" y="20" font-size="14">What peers need, in multiples of what Stackless Python needs '
        "(logarithmic; right of 1: ours is ahead)</text>",
    ]
    x = 10
    for peer in peers:
        out.append(f'<rect x="{x}" y="31" width="10" height="10" fill="{COLOURS[peer.name]}"/>')
        out.append(f'<text x="{x + 14}" y="40">{escape(peer.title)}</text>')
        x += 34 + 7 * len(peer.title)
    for power in range(low, high + 1):
        x = place(10.0**power)
        out.append(f'<line x1="{x:.1f}" y1="{top - 8}" x2="{x:.1f}" y2="{height - 30}" '
                   f'stroke="{"black" if power == 0 else "#d8d8d8"}"/>')
        out.append(f'<text x="{x:.1f}" y="{height - 14}" text-anchor="middle">{10.0**power:,g}</text>')
    y = top
    for figure, bars in groups:
        middle = y + len(bars) * bar / 2 + 4
        out.append(f'<text x="{left - 10}" y="{middle:.1f}" text-anchor="end">{escape(figure.title)}</text>')
        for peer, factor in bars:
            start, end = sorted((place(1), place(factor)))
            out.append(f'<rect x="{start:.1f}" y="{y}" width="{max(end - start, 1):.1f}" height="{bar - 2}" '
                       f'fill="{COLOURS[peer.name]}"/>')
            out.append(f'<text x="{end + 3:.1f}" y="{y + bar - 3}" font-size="9">'
                       f"{ratio_text(factor)}</text>")
            y += bar
        y += gap
    return "\n".join([*out, "</svg>"]) + "\n"


def write(path, text):
    """Write a text file, where it has changed."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        with open(path) as file:
            if file.read() == text:
                return
    with open(path, "w") as file:
        file.write(text)
    print(f"bench: wrote {os.path.relpath(path)}")


def main(arguments):
    parser = argparse.ArgumentParser(description="Write the tables of peers and of pickling, and a chart.")
    parser.add_argument("json", help="what `run.py --json` has written")
    parser.add_argument("source", nargs="?", default=os.path.normpath(os.path.join(HERE, "..", "..")))
    options = parser.parse_args(arguments)
    with open(options.json) as file:
        measured = json.load(file)
    result = measured.get("switching", {})
    images = measured.get("images")
    if "versions" not in result and not images:
        parser.error(f"{options.json} has neither a comparison with peers nor pickling figures in it")
    readme = os.path.join(options.source, "README.rst")
    with open(readme) as file:
        text = file.read()
    folder = os.path.join(options.source, "Doc", "figures")
    texts = {}
    try:
        if "versions" in result:
            texts[os.path.join(folder, "peers.rst")] = write_document(result)
            texts[os.path.join(folder, "peers.svg")] = chart(result)
            texts[readme] = write_readme(result, text)
        if images:
            texts[os.path.join(folder, "images.rst")] = write_images(images)
    except ValueError as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    for path, content in texts.items():
        write(path, content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
