"""What the server talks about: a room in which everybody hears everybody."""

from contextlib import closing

room = {}
spinning = False


def say(text):
    """To all in the room, whatever thread they are in."""
    for connection in list(room.values()):
        connection.write(text + '\n')


def spin():
    """Compute until somebody says /stop, without a thought for the others."""
    global spinning
    spinning = True
    while spinning:
        pass


def stop():
    global spinning
    spinning = False


def serve(connection):
    """A conversation, from its beginning to its end."""
    with closing(connection):
        connection.write('your name?\n')
        while (name := connection.lines.receive()) in room:
            connection.write('somebody has that name\n')
        if name is None:
            return
        room[name] = connection
        say(f'{name} is here')
        try:
            talk(connection, name)
        finally:
            del room[name]
            say(f'{name} is gone')
            connection.write('goodbye\n')


def talk(connection, name):
    while (line := connection.lines.receive()) is not None:
        match line.split():
            case []:
                pass
            case ['/quit']:
                return
            case ['/who']:
                connection.write(' '.join(sorted(room)) + '\n')
            case ['/spin']:
                spin()
                connection.write('interrupted\n' if connection.interruptions else 'in time\n')
            case ['/stop']:
                stop()
            case ['/fail']:
                raise ValueError(f'{name} said so')
            case _:
                say(f'{name}: {line}')
