"""What actors do all day, each in a function that reads as what it does. This module can be changed while they live."""

import game

ROLES = ["villager", "villager", "villager", "baker", "guard"]

WELL = game.WIDTH // 2, game.HEIGHT // 2


def villager(me):
    """Draws water, buys bread, walks home."""
    home = me.chance(game.WIDTH), me.chance(game.HEIGHT)
    me.walk_to(*home)
    me.wait(60 + me.chance(240))
    me.walk_to(WELL[0] + me.chance(80) - 40, WELL[1] + me.chance(80) - 40)
    me.talk("Good morning!")
    bread = me.town.market.receive()
    me.earn(-bread)
    me.walk_to(*home)


def baker(me):
    """Bakes, and sells to whoever comes."""
    stall = 100 + me.chance(game.WIDTH - 200), 40
    me.walk_to(*stall)
    for _ in range(3):
        me.wait(20 + me.chance(60))
        me.town.market.send(2)
        me.earn(2)
    me.talk("Sold out.")


def guard(me):
    """Walks around the town."""
    corners = [(20, 20), (game.WIDTH - 20, 20), (game.WIDTH - 20, game.HEIGHT - 20), (20, game.HEIGHT - 20)]
    start = me.chance(4)
    for corner in corners[start:] + corners[:start]:
        me.walk_to(*corner)
        me.talk("All's well.")
