#ifndef SCRIPTS_H
#define SCRIPTS_H
/* The scripts: all that has to do with Python.  Every actor is a tasklet.
 *
 *      world_tick()        who has arrived, or slept enough, is DONE
 *           |
 *      scripts_wake()      sends to the channel that its tasklet waits on: the tasklet is runnable
 *           |
 *      scripts_run()       runs the runnable ones until all wait again, or the time is up; who is left runs
 *           |              in the next frame
 *      scripts_save()      between two frames: a pickle of all actors with their tasklets in mid-sentence
 *
 * Functions that return int answer 0 or, after an error that has been printed, -1.
 */
#include "world.h"

/* What the scripts have cost in a frame, for the profiler line. */
typedef struct {
    double elapsed;           /* seconds */
    double overshoot;         /* seconds that they came back too late */
    unsigned long long switches;
    int runnable, blocked;    /* scripts that are left over; that wait for the world */
    char overran[64];         /* the script that had to be interrupted, or "" */
} scripts_report;

/* Start Python, with the modules of `folder`, for this world. */
int scripts_start(const char *folder, world *w);
void scripts_end(void);

/* So many new actors; the seed decides what they are like. */
int scripts_populate(int32_t count, unsigned seed);

/* Tell those that are done. */
int scripts_wake(void);

/* Run scripts for at most so many seconds; 0: until all wait. */
int scripts_run(double budget, scripts_report *report);

/* How many scripts are left over, and how many wait. */
int scripts_count(int *runnable, int *blocked);

/* Write the game to a file, and read it. */
int scripts_save(const char *path);
int scripts_load(const char *path);

/* Run the module `behaviours` anew from this file, or from its own (NULL).  Actors that are in one of its
 * functions end that one first. */
int scripts_reload(const char *path);

#endif
