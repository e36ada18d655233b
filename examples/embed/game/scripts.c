/* The scripts: all that has to do with Python. */
#define PY_SSIZE_T_CLEAN
#include "stackless_api.h"

#include "scripts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static world *the_world;
static PyObject *engine;            /* the module engine.py */
static PyChannelObject **channels;  /* by actor: where its tasklet waits */

/* --- the module `game`, which the scripts see of C ------------------------------------------------ */

/* Is there such an actor?  Else ValueError. */
static int
check_actor(int actor)
{
    if (0 <= actor && actor < the_world->count)
        return 1;
    PyErr_Format(PyExc_ValueError, "there is no actor %d, but %d actors", actor, the_world->count);
    return 0;
}

static PyObject *
game_enter(PyObject *self, PyObject *args)
{
    int actor, x, y;
    PyObject *channel;
    (void)self;
    if (!PyArg_ParseTuple(args, "iO!ii:enter", &actor, &PyChannel_Type, &channel, &x, &y)
        || !check_actor(actor))
        return NULL;
    Py_INCREF(channel);
    Py_XSETREF(channels[actor], (PyChannelObject *)channel);
    if (x >= 0) {
        the_world->actors[actor].x = x * WORLD_SCALE;
        the_world->actors[actor].y = y * WORLD_SCALE;
    }
    Py_RETURN_NONE;
}

static PyObject *
game_walk(PyObject *self, PyObject *args)
{
    int actor, x, y;
    (void)self;
    if (!PyArg_ParseTuple(args, "iii:walk", &actor, &x, &y) || !check_actor(actor))
        return NULL;
    world_walk(the_world, actor, x, y);
    Py_RETURN_NONE;
}

static PyObject *
game_sleep(PyObject *self, PyObject *args)
{
    int actor, ticks;
    (void)self;
    if (!PyArg_ParseTuple(args, "ii:sleep", &actor, &ticks) || !check_actor(actor))
        return NULL;
    world_sleep(the_world, actor, ticks);
    Py_RETURN_NONE;
}

static PyObject *
game_say(PyObject *self, PyObject *args)
{
    int actor;
    const char *text;
    (void)self;
    if (!PyArg_ParseTuple(args, "is:say", &actor, &text) || !check_actor(actor))
        return NULL;
    world_say(the_world, actor, text);
    Py_RETURN_NONE;
}

static PyObject *
game_pay(PyObject *self, PyObject *args)
{
    int actor, coins;
    (void)self;
    if (!PyArg_ParseTuple(args, "ii:pay", &actor, &coins) || !check_actor(actor))
        return NULL;
    the_world->actors[actor].coins += coins;
    Py_RETURN_NONE;
}

/* The state of the world as bytes, for a saved game; and back. */
static PyObject *
game_state(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    return Py_BuildValue("iy#", the_world->tick, (const char *)the_world->actors,
                         (Py_ssize_t)((size_t)the_world->count * sizeof(world_actor)));
}

/* Forget the channels, and make room for so many actors: 0, or -1 with an exception. */
static int
make_room(int32_t count)
{
    for (int32_t i = 0; i < the_world->count; i++)
        Py_CLEAR(channels[i]);
    free(channels);
    world_free(the_world);
    channels = calloc((size_t)count + 1, sizeof(*channels));
    if (channels == NULL || world_make(the_world, count) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static PyObject *
game_set_state(PyObject *self, PyObject *args)
{
    int tick;
    const char *bytes;
    Py_ssize_t size;
    (void)self;
    if (!PyArg_ParseTuple(args, "iy#:set_state", &tick, &bytes, &size))
        return NULL;
    if (size % (Py_ssize_t)sizeof(world_actor) != 0)
        return PyErr_Format(PyExc_ValueError, "%zd bytes are no number of actors", size);
    if (make_room((int32_t)(size / (Py_ssize_t)sizeof(world_actor))) < 0)
        return NULL;
    the_world->tick = tick;
    memcpy(the_world->actors, bytes, (size_t)size);
    Py_RETURN_NONE;
}

static PyMethodDef game_functions[] = {
    {"enter", game_enter, METH_VARARGS, "enter(actor, channel, x, y): there it is; x = -1: where it was"},
    {"walk", game_walk, METH_VARARGS, "walk(actor, x, y): begin to walk"},
    {"sleep", game_sleep, METH_VARARGS, "sleep(actor, ticks): begin to wait"},
    {"say", game_say, METH_VARARGS, "say(actor, text): what is shown above it"},
    {"pay", game_pay, METH_VARARGS, "pay(actor, coins): give it coins, or take them"},
    {"state", game_state, METH_NOARGS, "state() -> (tick, bytes)"},
    {"set_state", game_set_state, METH_VARARGS, "set_state(tick, bytes)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef game_module = {
    PyModuleDef_HEAD_INIT, "game", "The world, for the scripts.", -1, game_functions, NULL, NULL, NULL, NULL,
};

static PyObject *
game_init(void)
{
    PyObject *module = PyModule_Create(&game_module);
    if (module != NULL
        && (PyModule_AddIntConstant(module, "WIDTH", WORLD_WIDTH) < 0
            || PyModule_AddIntConstant(module, "HEIGHT", WORLD_HEIGHT) < 0))
        Py_CLEAR(module);
    return module;
}

/* --- what the game calls -------------------------------------------------------------------------- */

/* Print the exception: -1. */
static int
failed(void)
{
    PyErr_Print();
    return -1;
}

/* The end of a call of engine.py, whose result is not wanted. */
static int
finished(PyObject *result)
{
    if (result == NULL)
        return failed();
    Py_DECREF(result);
    return 0;
}

int
scripts_start(const char *folder, world *w)
{
    the_world = w;
    if (PyImport_AppendInittab("game", game_init) < 0)
        return -1;
    Py_Initialize();
    PyObject *path = PySys_GetObject("path");
    PyObject *entry = PyUnicode_DecodeFSDefault(folder);
    int status = entry == NULL || path == NULL ? -1 : PyList_Insert(path, 0, entry);
    Py_XDECREF(entry);
    if (status < 0 || make_room(0) < 0)
        return failed();
    engine = PyImport_ImportModule("engine");
    return engine == NULL ? failed() : 0;
}

void
scripts_end(void)
{
    if (make_room(0) < 0)
        PyErr_Print();
    free(channels);
    channels = NULL;
    Py_CLEAR(engine);
    Py_FinalizeEx();
    world_free(the_world);
}

int
scripts_populate(int32_t count, unsigned seed)
{
    if (make_room(count) < 0)
        return failed();
    return finished(PyObject_CallMethod(engine, "populate", "iI", (int)count, seed));
}

int
scripts_wake(void)
{
    for (int32_t i = 0; i < the_world->count; i++) {
        if (the_world->actors[i].state != WORLD_DONE)
            continue;
        /* 0: the budget has stopped its script just before it waits; it is told in a later frame */
        int sent = PyChannel_TrySend(channels[i], Py_None);
        if (sent < 0)
            return failed();
        if (sent > 0)
            world_heard(the_world, i);
    }
    return 0;
}

/* The name of the script that had to be interrupted. */
static void
name_tasklet(PyTaskletObject *tasklet, char *name, size_t size)
{
    name[0] = '\0';
    PyObject *text = tasklet == NULL ? NULL : PyObject_GetAttrString((PyObject *)tasklet, "name");
    if (text != NULL && PyUnicode_Check(text))
        snprintf(name, size, "%s", PyUnicode_AsUTF8(text));
    Py_XDECREF(text);
    PyErr_Clear();
}

int
scripts_run(double budget, scripts_report *report)
{
    PyStackless_RunReport run;
    memset(&run, 0, sizeof(run));
    run.size = sizeof(run);
    int status = PyStackless_RunBudget(budget > 0 ? budget : 3600.0, 0, &run);
    /* A script that ended with an exception is one actor less; the others go on in the next frame. */
    if (status < 0)
        PyErr_Print();
    report->elapsed = run.elapsed;
    report->overshoot = run.overshoot;
    report->switches = run.switches;
    report->runnable = run.runnable;
    report->blocked = run.blocked;
    name_tasklet(run.interrupted, report->overran, sizeof(report->overran));
    PyStackless_ClearRunReport(&run);
    return 0;
}

int
scripts_count(int *runnable, int *blocked)
{
    *runnable = PyStackless_GetRunCount() - 1;   /* this C code counts as the main tasklet */
    *blocked = PyStackless_GetBlockedCount();
    return PyErr_Occurred() ? failed() : 0;
}

int
scripts_save(const char *path)
{
    return finished(PyObject_CallMethod(engine, "save", "s", path));
}

int
scripts_load(const char *path)
{
    return finished(PyObject_CallMethod(engine, "load", "s", path));
}

int
scripts_reload(const char *path)
{
    return finished(PyObject_CallMethod(engine, "reload", "z", path));
}
