/* The world: who is where and what they are about. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

int
world_make(world *w, int32_t count)
{
    w->tick = 0;
    w->count = count;
    w->actors = calloc((size_t)count + 1, sizeof(world_actor));
    return w->actors == NULL ? -1 : 0;
}

void
world_free(world *w)
{
    free(w->actors);
    w->actors = NULL;
    w->count = 0;
}

static int32_t
between(int32_t low, int32_t value, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

void
world_walk(world *w, int32_t actor, int32_t x, int32_t y)
{
    world_actor *a = &w->actors[actor];
    a->to_x = between(0, x, WORLD_WIDTH - 1) * WORLD_SCALE;
    a->to_y = between(0, y, WORLD_HEIGHT - 1) * WORLD_SCALE;
    a->state = WORLD_WALKING;
}

void
world_sleep(world *w, int32_t actor, int32_t ticks)
{
    w->actors[actor].due = w->tick + ticks;
    w->actors[actor].state = WORLD_SLEEPING;
}

void
world_say(world *w, int32_t actor, const char *text)
{
    world_actor *a = &w->actors[actor];
    memset(a->says, 0, sizeof(a->says));
    strncpy(a->says, text, sizeof(a->says) - 1);
}

void
world_heard(world *w, int32_t actor)
{
    w->actors[actor].state = WORLD_THINKING;
    memset(w->actors[actor].says, 0, sizeof(w->actors[actor].says));
}

/* One step along one axis. */
static int32_t
approach(int32_t from, int32_t to)
{
    return from + between(-WORLD_SPEED, to - from, WORLD_SPEED);
}

void
world_tick(world *w)
{
    w->tick++;
    for (int32_t i = 0; i < w->count; i++) {
        world_actor *a = &w->actors[i];
        if (a->state == WORLD_WALKING) {
            a->x = approach(a->x, a->to_x);
            a->y = approach(a->y, a->to_y);
            if (a->x == a->to_x && a->y == a->to_y)
                a->state = WORLD_DONE;
        }
        else if (a->state == WORLD_SLEEPING && a->due <= w->tick)
            a->state = WORLD_DONE;
    }
}

uint64_t
world_checksum(const world *w)
{
    /* FNV-1a over the fields; the structs have no padding. */
    const unsigned char *bytes = (const unsigned char *)w->actors;
    size_t size = (size_t)w->count * sizeof(world_actor);
    uint64_t sum = UINT64_C(14695981039346656037) ^ (uint64_t)w->tick;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(1099511628211);
    return sum;
}
