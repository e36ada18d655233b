/* The window: a dot for each actor, and the profiler line in a font of 3 by 5 dots. */
#include "screen.h"

#ifdef HAVE_SDL

#include <SDL.h>

#include <ctype.h>
#include <stdio.h>

static SDL_Window *window;
static SDL_Renderer *renderer;

/* Glyphs, five rows of three bits from the top; what is not here is a blank. */
static const struct {
    char character;
    unsigned short rows;
} font[] = {
    {'0', 075557}, {'1', 026227}, {'2', 071747}, {'3', 071717}, {'4', 055711}, {'5', 074717}, {'6', 074757},
    {'7', 071111}, {'8', 075757}, {'9', 075717}, {'A', 025755}, {'B', 065656}, {'C', 034443}, {'D', 065556},
    {'E', 074647}, {'F', 074644}, {'G', 034553}, {'H', 055755}, {'I', 072227}, {'J', 011152}, {'K', 055655},
    {'L', 044447}, {'M', 057755}, {'N', 065555}, {'O', 025552}, {'P', 065644}, {'Q', 025573}, {'R', 065655},
    {'S', 034216}, {'T', 072222}, {'U', 055553}, {'V', 055552}, {'W', 055775}, {'X', 055255}, {'Y', 055222},
    {'Z', 071247}, {'.', 000002}, {',', 000024}, {':', 002020}, {'!', 022202}, {'/', 011244}, {'-', 000700},
    {'\'', 022000}, {'+', 002720}, {'%', 051245},
};

int
screen_open(void)
{
    if (SDL_Init(SDL_INIT_VIDEO) < 0
        || SDL_CreateWindowAndRenderer(WORLD_WIDTH, WORLD_HEIGHT, 0, &window, &renderer) < 0) {
        fprintf(stderr, "game: there is no window: %s\n", SDL_GetError());
        return -1;
    }
    SDL_SetWindowTitle(window, "Ten thousand tasklets");
    return 0;
}

void
screen_close(void)
{
    SDL_DestroyRenderer(renderer);
    SDL_DestroyWindow(window);
    SDL_Quit();
}

static void
draw_text(int x, int y, int dot, const char *text)
{
    for (; *text != '\0'; text++, x += 4 * dot) {
        for (size_t g = 0; g < sizeof(font) / sizeof(font[0]); g++) {
            if (font[g].character != toupper((unsigned char)*text))
                continue;
            for (int bit = 0; bit < 15; bit++)
                if (font[g].rows >> (14 - bit) & 1) {
                    SDL_Rect rect = {x + bit % 3 * dot, y + bit / 3 * dot, dot, dot};
                    SDL_RenderFillRect(renderer, &rect);
                }
        }
    }
}

void
screen_draw(const world *w, const char *line)
{
    static const SDL_Color colors[] = {
        [WORLD_THINKING] = {240, 90, 90, 255},
        [WORLD_WALKING] = {150, 200, 120, 255},
        [WORLD_SLEEPING] = {120, 150, 220, 255},
        [WORLD_DONE] = {250, 220, 120, 255},
    };
    SDL_SetRenderDrawColor(renderer, 24, 28, 36, 255);
    SDL_RenderClear(renderer);
    int talking = 0;
    for (int32_t i = 0; i < w->count; i++) {
        const world_actor *a = &w->actors[i];
        SDL_Color color = colors[a->state];
        SDL_Rect dot = {a->x / WORLD_SCALE - 1, a->y / WORLD_SCALE - 1, 3, 3};
        SDL_SetRenderDrawColor(renderer, color.r, color.g, color.b, 255);
        SDL_RenderFillRect(renderer, &dot);
        /* A few of those who talk are heard. */
        if (a->says[0] != '\0' && talking++ < 24)
            draw_text(dot.x + 6, dot.y - 8, 2, a->says);
    }
    SDL_Rect bar = {0, 0, WORLD_WIDTH, 28};
    SDL_SetRenderDrawColor(renderer, 0, 0, 0, 255);
    SDL_RenderFillRect(renderer, &bar);
    SDL_SetRenderDrawColor(renderer, 255, 255, 255, 255);
    draw_text(8, 7, 3, line);
    SDL_RenderPresent(renderer);
}

int
screen_shot(const char *path)
{
    const Uint32 format = SDL_PIXELFORMAT_ARGB8888;
    SDL_Surface *surface = SDL_CreateRGBSurfaceWithFormat(0, WORLD_WIDTH, WORLD_HEIGHT, 32, format);
    int status = -1;
    if (surface != NULL)
        status = SDL_RenderReadPixels(renderer, NULL, format, surface->pixels, surface->pitch);
    if (status == 0)
        status = SDL_SaveBMP(surface, path);
    if (status < 0)
        fprintf(stderr, "game: no picture in %s: %s\n", path, SDL_GetError());
    SDL_FreeSurface(surface);
    return status;
}

enum screen_key
screen_poll(void)
{
    SDL_Event event;
    while (SDL_PollEvent(&event)) {
        if (event.type == SDL_QUIT)
            return SCREEN_QUIT;
        if (event.type != SDL_KEYDOWN)
            continue;
        switch (event.key.keysym.sym) {
        case SDLK_q:
            return SCREEN_QUIT;
        case SDLK_s:
            return SCREEN_SAVE;
        case SDLK_l:
            return SCREEN_LOAD;
        case SDLK_r:
            return SCREEN_RELOAD;
        }
    }
    return SCREEN_NOTHING;
}

unsigned
screen_now(void)
{
    return SDL_GetTicks();
}

void
screen_pause(unsigned milliseconds)
{
    SDL_Delay(milliseconds);
}

#else

#include <stdio.h>

int
screen_open(void)
{
    fprintf(stderr, "game: built without SDL2, there is --headless only\n");
    return -1;
}

/* Nothing of this is called where no window can be opened. */
void
screen_close(void)
{
}

void
screen_draw(const world *w, const char *line)
{
    (void)w, (void)line;
}

int
screen_shot(const char *path)
{
    (void)path;
    return -1;
}

enum screen_key
screen_poll(void)
{
    return SCREEN_QUIT;
}

unsigned
screen_now(void)
{
    return 0;
}

void
screen_pause(unsigned milliseconds)
{
    (void)milliseconds;
}

#endif
