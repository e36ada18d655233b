"""A tasklet that hops between two processes over a socket, and counts where it has been.

The traveller is one function with a loop. Whenever it calls hop(), it goes on in the other process. The images
are signed with a key that both processes have (stackless.images).
"""

import argparse
import os
import secrets
import socket

import stackless
from stackless import images


def hop():
    """Go on in the other process."""
    stackless.schedule_remove()


def traveller(hops):
    """Visit the two processes in turn."""
    visited = {}
    for n in range(hops):
        here = process_name
        visited[here] = visited.get(here, 0) + 1
        hop()
    where = ", ".join(f"{count} times in {name}" for name, count in sorted(visited.items()))
    print(f"{hops} hops: {where}", flush=True)


def send(connection, data):
    connection.sendall(len(data).to_bytes(4, "big") + data)


def receive(file):
    size = file.read(4)
    return file.read(int.from_bytes(size, "big")) if size else None


def station(connection, key, task=None):
    """Take a tasklet in, let it run until it hops, send it on; until the other side has seen it end."""
    file = connection.makefile("rb")
    while True:
        if task is not None:
            task.insert()
            stackless.run()
            if not task.alive:
                return
            send(connection, images.dump(task, key=key))
        data = receive(file)
        if data is None:
            return
        task = images.load(data, key=key, allow=["__main__.*"])


def main():
    global process_name
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hops", type=int, default=10)
    options = parser.parse_args()
    key = secrets.token_bytes(32)
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        here.close()
        process_name = "the second process"
        station(there, key)
        os._exit(0)
    there.close()
    process_name = "the first process"
    task = stackless.tasklet(traveller)(options.hops)
    task.remove()
    station(here, key, task)
    here.close()
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
