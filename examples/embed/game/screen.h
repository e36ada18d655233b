#ifndef SCREEN_H
#define SCREEN_H
/* The window: SDL2 where the game was built with it, else there is none. */
#include "scripts.h"

enum screen_key { SCREEN_NOTHING, SCREEN_QUIT, SCREEN_SAVE, SCREEN_LOAD, SCREEN_RELOAD };

/* Open the window: 0, or -1 after a message. */
int screen_open(void);
void screen_close(void);

/* Draw the world and, at the top, the profiler line. */
void screen_draw(const world *w, const char *line);

/* Write what is drawn to a BMP file: 0, or -1 after a message. */
int screen_shot(const char *path);

/* The next key that means something. */
enum screen_key screen_poll(void);

/* Milliseconds since the start, and a pause. */
unsigned screen_now(void);
void screen_pause(unsigned milliseconds);

#endif
