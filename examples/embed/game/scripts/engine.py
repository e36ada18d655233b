"""What scripts stand on: actors, and saving, loading and reloading them."""

import os
import pickle

import stackless

import behaviours
import game

# The format of saved games.
FORMAT = 1


class Town:
    """All actors, and where they meet."""

    def __init__(self):
        self.actors = []
        self.market = stackless.channel()


class Actor:
    """Somebody in the world. What it calls here returns when it is done, which takes a while."""

    def __init__(self, town, number, role, seed):
        self.town, self.number, self.role, self.seed = town, number, role, seed
        self.wake = stackless.channel()
        self.tasklet = stackless.tasklet(self.live)()
        self.tasklet.name = f"{role} {number}"

    def live(self):
        """Every day is looked up anew, so that a changed module counts from the next day on."""
        while True:
            getattr(behaviours, self.role)(self)

    def walk_to(self, x, y):
        game.walk(self.number, x, y)
        self.wake.receive()

    def wait(self, ticks):
        game.sleep(self.number, ticks)
        self.wake.receive()

    def talk(self, text):
        game.say(self.number, text)
        self.wait(30)

    def earn(self, coins):
        game.pay(self.number, coins)

    def chance(self, limit):
        """A number below the limit, from a generator of its own that is as small as can be."""
        self.seed = (self.seed * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.seed >> 8) % limit


town = Town()


def populate(count, seed):
    """A new town with so many actors."""
    global town
    end()
    town = Town()
    for number in range(count):
        role = behaviours.ROLES[number % len(behaviours.ROLES)]
        actor = Actor(town, number, role, seed * 7919 + number * 104729)
        game.enter(number, actor.wake, actor.chance(game.WIDTH), actor.chance(game.HEIGHT))
        town.actors.append(actor)


def end():
    """Nobody of the old town goes on."""
    for actor in town.actors:
        actor.tasklet.kill()


def runnable():
    """The tasklets that the last frame had no time for, in order."""
    tasklets = []
    tasklet = stackless.current.next
    while tasklet is not None and tasklet is not stackless.current:
        tasklets.append(tasklet)
        tasklet = tasklet.next
    return tasklets


def save(path):
    """Scripts are saved where they are, in the middle of whatever they do."""
    image = pickle.dumps((FORMAT, game.state(), town, runnable()), protocol=pickle.HIGHEST_PROTOCOL)
    with open(path + ".new", "wb") as file:
        file.write(image)
    os.replace(path + ".new", path)


def load(path):
    """Go on with a saved game, in this process or another one."""
    global town
    with open(path, "rb") as file:
        saved, state, loaded, waiting = pickle.load(file)
    if saved != FORMAT:
        raise ValueError(f"{path} has format {saved}, not {FORMAT}")
    end()
    town = loaded
    game.set_state(*state)
    for actor in town.actors:
        game.enter(actor.number, actor.wake, -1, -1)
    for tasklet in waiting:
        tasklet.insert()


def reload(path=None):
    """Take the behaviours anew, from their own file or from another one."""
    path = path or behaviours.__file__
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec"), vars(behaviours))
