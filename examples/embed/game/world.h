#ifndef WORLD_H
#define WORLD_H
/* The world: who is where and what they are about.  Plain C that knows nothing of Python.
 *
 *                  walk()             arrived
 *      THINKING ----------> WALKING ----------.
 *          |    sleep()               due     v
 *          +--------------> SLEEPING ------> DONE ----------> THINKING
 *          ^                                   world_heard(): its script knows
 *          `-----------------------------------'
 *
 * Everything is an integer, so that the same ticks give the same world on every machine.
 */
#include <stdint.h>

#define WORLD_WIDTH 1280
#define WORLD_HEIGHT 720
#define WORLD_SCALE 256      /* positions are in 1/256 of a pixel */
#define WORLD_SPEED 384      /* 1.5 pixels a tick */
#define WORLD_TEXT 24

enum world_state { WORLD_THINKING, WORLD_WALKING, WORLD_SLEEPING, WORLD_DONE };

typedef struct {
    int32_t x, y;            /* where it is */
    int32_t to_x, to_y;      /* where it walks */
    int32_t due;             /* the tick at which it wakes */
    int32_t state;           /* a world_state */
    int32_t coins;
    char says[WORLD_TEXT];   /* shown above it while it sleeps; padded with zeros */
} world_actor;

typedef struct {
    int32_t tick;
    int32_t count;
    world_actor *actors;
} world;

/* Make room for so many actors: 0, or -1 without memory. */
int world_make(world *w, int32_t count);
void world_free(world *w);

/* Let an actor walk, sleep for some ticks, say something while it sleeps. */
void world_walk(world *w, int32_t actor, int32_t x, int32_t y);
void world_sleep(world *w, int32_t actor, int32_t ticks);
void world_say(world *w, int32_t actor, const char *text);

/* Its script has been told that it is done. */
void world_heard(world *w, int32_t actor);

/* Let a sixtieth of a second pass. */
void world_tick(world *w);

/* A number that differs when anything does. */
uint64_t world_checksum(const world *w);

#endif
