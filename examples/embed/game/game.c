/* A town of ten thousand scripted actors, sixty ticks a second, with a fixed time for scripts in each frame.
 *
 *     game [options]
 *         --actors N           how many (10,000)
 *         --seed N             which town
 *         --budget MS          milliseconds for scripts in each frame (4); 0: until all wait, which makes the
 *                              same game every time
 *         --ticks N            end after so many ticks
 *         --headless           no window, as fast as can be; prints the state of the world at the end
 *         --load FILE          go on with a saved game
 *         --save FILE          where key S saves to and L loads from (game.save); with --ticks also at end
 *         --reload FILE@TICK   take the behaviours from this file, at that tick
 *         --picture FILE       write what is drawn at the end, a BMP file
 *         --profile            print the profiler line every sixty ticks
 *
 * In the window: S saves, L loads, R reloads behaviours.py, Q ends the game.
 */
#include "screen.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SCRIPTS_FOLDER
#define SCRIPTS_FOLDER "scripts"
#endif

typedef struct {
    long actors, seed, ticks;      /* ticks -1: no end */
    double budget;                 /* seconds */
    const char *load, *save, *picture;
    char *reload;                  /* a file, at this tick: */
    long reload_at;
    int headless, profile;
    const char *given_save;        /* --save, or NULL */
} options;

/* The profiler line, over the last sixty frames. */
typedef struct {
    char line[256];
    int frames;
    unsigned long long switches;
    double elapsed, overshoot;     /* in all; the worst */
    char stopped[64];              /* the last script that had to be interrupted, or "" */
} profile;

static void
usage(const char *problem, const char *what)
{
    fprintf(stderr, "game: %s %s\nsee the head of game.c for the options\n", problem, what);
    exit(2);
}

/* The number after an option. */
static double
number(const char *option, const char *text)
{
    char *end;
    errno = 0;
    double value = text == NULL ? -1 : strtod(text, &end);
    if (text == NULL || errno != 0 || *end != '\0' || end == text || value < 0 || value > 1e9)
        usage("a number that is not negative has to follow", option);
    return value;
}

static const char *
file(const char *option, const char *text)
{
    if (text == NULL)
        usage("a file has to follow", option);
    return text;
}

static options
parse(int argc, char **argv)
{
    options o = {.actors = 10000, .seed = 1, .ticks = -1, .budget = 0.004, .reload_at = -1};
    o.save = "game.save";
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(name, "--headless") == 0)
            o.headless = 1;
        else if (strcmp(name, "--profile") == 0)
            o.profile = 1;
        else {
            i++;
            if (strcmp(name, "--actors") == 0)
                o.actors = (long)number(name, value);
            else if (strcmp(name, "--seed") == 0)
                o.seed = (long)number(name, value);
            else if (strcmp(name, "--ticks") == 0)
                o.ticks = (long)number(name, value);
            else if (strcmp(name, "--budget") == 0)
                o.budget = number(name, value) / 1000;
            else if (strcmp(name, "--load") == 0)
                o.load = file(name, value);
            else if (strcmp(name, "--save") == 0)
                o.save = o.given_save = file(name, value);
            else if (strcmp(name, "--picture") == 0)
                o.picture = file(name, value);
            else if (strcmp(name, "--reload") == 0) {
                o.reload = argv[i];
                char *at = strrchr(file(name, value), '@');
                if (at == NULL)
                    usage("FILE@TICK has to follow", name);
                *at = '\0';
                o.reload_at = (long)number(name, at + 1);
            }
            else
                usage("there is no option", name);
        }
    }
    return o;
}

/* Enter a frame's report; every sixty frames there is a new line. */
static void
profile_add(profile *p, const world *w, const scripts_report *report, int print)
{
    p->frames++;
    p->switches += report->switches;
    p->elapsed += report->elapsed;
    if (report->overshoot > p->overshoot)
        p->overshoot = report->overshoot;
    if (report->overran[0] != '\0')
        memcpy(p->stopped, report->overran, sizeof(p->stopped));
    if (p->frames < 60)
        return;
    snprintf(p->line, sizeof(p->line),
             "tick %d: %d tasklets, %llu switches, %.2f ms a frame, overshoot %.3f ms, %d left over%s%s",
             (int)w->tick, report->blocked + report->runnable, p->switches, p->elapsed / p->frames * 1e3,
             p->overshoot * 1e3, report->runnable, p->stopped[0] ? ", stopped: " : "", p->stopped);
    if (print)
        puts(p->line);
    p->frames = 0;
    p->switches = 0;
    p->elapsed = p->overshoot = 0;
    p->stopped[0] = '\0';
}

/* One sixtieth of a second: the world, then the scripts. */
static int
tick(world *w, const options *o, profile *p)
{
    scripts_report report;
    world_tick(w);
    if (w->tick == o->reload_at && scripts_reload(o->reload) < 0)
        return -1;
    if (scripts_wake() < 0 || scripts_run(o->budget, &report) < 0)
        return -1;
    profile_add(p, w, &report, o->profile);
    return 0;
}

static int
run_headless(world *w, const options *o, profile *p)
{
    while (w->tick != o->ticks)
        if (tick(w, o, p) < 0)
            return -1;
    return 0;
}

static int
run_window(world *w, const options *o, profile *p)
{
    int status = screen_open();
    if (status < 0)
        return status;
    unsigned start = screen_now(), drawn = 0;
    enum screen_key key;
    while (status == 0 && w->tick != o->ticks && (key = screen_poll()) != SCREEN_QUIT) {
        if (key == SCREEN_SAVE)
            scripts_save(o->save);
        else if (key == SCREEN_LOAD)
            scripts_load(o->save);
        else if (key == SCREEN_RELOAD)
            scripts_reload(NULL);
        status = tick(w, o, p);
        screen_draw(w, p->line);
        drawn++;
        unsigned due = start + drawn * 1000 / 60, now = screen_now();
        if (now < due)
            screen_pause(due - now);
    }
    if (status == 0 && o->picture != NULL)
        status = screen_shot(o->picture);
    screen_close();
    return status;
}

int
main(int argc, char **argv)
{
    options o = parse(argc, argv);
    world w = {.tick = 0};
    profile p;
    memset(&p, 0, sizeof(p));
    if (o.headless && o.ticks < 0)
        usage("--headless needs", "--ticks");
    if (scripts_start(SCRIPTS_FOLDER, &w) < 0)
        return 1;
    int status = o.load != NULL ? scripts_load(o.load)
                                : scripts_populate((int32_t)o.actors, (unsigned)o.seed);
    if (status == 0 && o.ticks >= 0 && w.tick > o.ticks)
        usage("the saved game is past the end of", "--ticks");
    if (status == 0)
        status = o.headless ? run_headless(&w, &o, &p) : run_window(&w, &o, &p);
    if (status == 0 && o.given_save != NULL && o.ticks >= 0)
        status = scripts_save(o.given_save);
    int runnable, blocked;
    if (status == 0 && o.headless && (status = scripts_count(&runnable, &blocked)) == 0)
        printf("tick %d, %d actors, %d runnable, %d blocked, world %016" PRIx64 "\n", (int)w.tick,
               (int)w.count, runnable, blocked, world_checksum(&w));
    scripts_end();
    return status < 0;
}
