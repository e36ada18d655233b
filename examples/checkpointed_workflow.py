"""A workflow that keeps itself in a database after each step, and goes on where it was after SIGKILL.

    checkpointed_workflow.py DATABASE        begin, or go on where the last run was killed
    checkpointed_workflow.py --demo          run it, killed in the middle again and again, until it is done

The workflow is an ordinary function. Its local variables, its loops and the `try` it is in are what is kept.
"""

import argparse
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import stackless


def checkpoint():
    """Stop, so that main() can keep the tasklet as it is."""
    stackless.schedule_remove()


def order(number, items):
    """The workflow: reserve the items of an order, charge for them, ship them."""
    reserved = []
    total = 0
    try:
        for item, price in items:
            reserved.append(item)
            total += price
            print(f"reserved {item}", flush=True)
            checkpoint()
        if total > 100:
            raise ValueError("over the limit")
        print(f"charged {total} for order {number}", flush=True)
        checkpoint()
        for item in reserved:
            print(f"shipped {item}", flush=True)
            checkpoint()
    finally:
        print(f"order {number} is closed", flush=True)
    return total


def main(path, kill_after=None):
    """Run the workflow of a database to its end, or be killed after a number of checkpoints."""
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE IF NOT EXISTS workflow (id INTEGER PRIMARY KEY, image BLOB)")
    row = database.execute("SELECT image FROM workflow").fetchone()
    if row is None:
        task = stackless.tasklet(order)(7, [("lamp", 40), ("desk", 55), ("pen", 2)])
    else:
        task = pickle.loads(row[0])
        task.insert()
    checkpoints = 0
    while task.alive:
        stackless.run()
        with database:
            if task.alive:
                database.execute("REPLACE INTO workflow VALUES (1, ?)", [pickle.dumps(task)])
                task.insert()
            else:
                database.execute("DELETE FROM workflow")
        checkpoints += 1
        if task.alive and checkpoints == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)


def demo():
    """Run it until it is done; each run is killed after two checkpoints."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, str(Path(folder, "workflow.db")), "--kill-after=2"]
        while subprocess.run(command).returncode == -signal.SIGKILL:
            print("-- killed", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("database", nargs="?")
    parser.add_argument("--kill-after", type=int, help="kill the process after so many checkpoints")
    parser.add_argument("--demo", action="store_true")
    options = parser.parse_args()
    if options.demo:
        demo()
    elif options.database:
        main(options.database, options.kill_after)
    else:
        parser.error("say a database, or --demo")
