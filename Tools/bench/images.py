"""Pickling figures: what it takes to dump a tasklet and to load it, and how many bytes it is.

Beside ours stand plain data with the same contents, pickled on the same interpreter: what pickle itself takes is
the floor. The others are what the last historic Stackless took, on another machine. Each round is a fresh process;
the best counts.

    row       what it holds
    dump      CPU seconds of one pickle.dumps()
    load      the same of one pickle.loads(), and of dropping what it returns
    bytes     the size
    plain     the same three of the plain data
    failed    instead of them: what went wrong
"""

from measure import Failed, run_worker

KEYS = ("dump", "load", "bytes")


def measure_images(options, progress):
    """Measure all pickling figures; return the result, as it goes into the JSON file."""
    rows = {}
    for number in range(options.rounds):
        for image in options.images:
            progress(f"round {number + 1} of {options.rounds}: pickling, {image.name}")
            try:
                answer = run_worker(options.ours, "image", image.work, image.size, timeout=options.timeout)
            except Failed as error:
                rows[image.name] = {"failed": str(error)}
                continue
            old = rows.get(image.name, answer)
            if "failed" not in old:
                plain = {key: min(old["plain"][key], answer["plain"][key]) for key in KEYS}
                rows[image.name] = {**{key: min(old[key], answer[key]) for key in KEYS}, "plain": plain}
    progress("")
    return rows


def microseconds(seconds):
    value = seconds * 1e6
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def cells(row, image):
    """A row as text: dump, load and bytes of ours, of the plain data and of historic Stackless."""
    if "failed" in row:
        return [f"FAILED: {row['failed']}", *[""] * 8]
    texts = []
    for part in (row, row["plain"]):
        texts += [microseconds(part["dump"]), microseconds(part["load"]), f"{part['bytes']:,}"]
    if image.historic is None:
        return [*texts, "-", "-", "-"]
    dump, load, size = image.historic
    return [*texts, microseconds(dump * 1e-6), microseconds(load * 1e-6), f"{size:,}"]


def print_images(rows, options):
    """Print the pickling figures."""
    print("Pickling, in us: dump and load; bytes. Plain: the same as plain data. Historic: 3.7, on another machine")
    heads = "".join(f"{head:>11}" for head in (*KEYS, "plain dump", "load", "bytes", "historic", "load", "bytes"))
    print(f"  {'':14}{heads}")
    for image in options.images:
        texts = "".join(f"{text:>11}" for text in cells(rows[image.name], image))
        print(f"  {image.name:14}{texts}".rstrip())
    print()


def has_failed(rows):
    return any("failed" in row for row in rows.values())
