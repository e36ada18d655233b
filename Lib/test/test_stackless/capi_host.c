/* A host that runs scripts, with a budget for each frame: the example of Doc/reference/c-api.rst. */
#include "stackless_api.h"

#include <stdio.h>

/* A game has some milliseconds. */
#define BUDGET 1.0

/* Straight-line scripts, each a tasklet. */
static const char scripts[] =
    "import stackless\n"
    "orders, replies = stackless.channel(), stackless.channel()\n"
    "def soldier(name):\n"
    "    while True:\n"
    "        order = orders.receive()\n"
    "        if order == 'retire':\n"
    "            return\n"
    "        replies.send(f'{name}: {order}')\n"
    "soldiers = [stackless.tasklet(soldier)(name) for name in ('Ann', 'Bob')]\n";

/* What the host knows of a script. */
static int numbers[2] = {1, 2};
static int retired;

static void
retire(void *data)
{
    retired += *(int *)data;
}

/* Give an order to whoever waits for one, and print the replies there are.  -1 with an exception. */
static int
exchange(PyChannelObject *orders, PyChannelObject *replies, const char *text)
{
    PyObject *order = PyUnicode_FromString(text), *reply;
    int status = order != NULL ? PyChannel_TrySend(orders, order) : -1;
    Py_XDECREF(order);
    if (status == 0)
        printf("nobody waits for \"%s\"\n", text);
    while (status >= 0 && (status = PyChannel_TryReceive(replies, &reply)) > 0) {
        printf("%s\n", PyUnicode_AsUTF8(reply));
        Py_DECREF(reply);
    }
    return status;
}

/* One frame: so many seconds for the scripts, at most.  -1 with an exception. */
static int
frame(void)
{
    PyStackless_RunReport report;
    report.size = sizeof(report);
    int status = PyStackless_RunBudget(BUDGET, 0, &report);
    printf("%s, runnable %d, blocked %d\n", report.interrupted != NULL ? "interrupted" : "in time",
           report.runnable, report.blocked);
    PyStackless_ClearRunReport(&report);
    return status;
}

static int
play(PyObject *world)
{
    static const char *const texts[] = {"march", "halt", "retire", "retire", "sing"};
    PyChannelObject *orders = (PyChannelObject *)PyDict_GetItemString(world, "orders");
    PyChannelObject *replies = (PyChannelObject *)PyDict_GetItemString(world, "replies");
    PyObject *soldiers = PyDict_GetItemString(world, "soldiers");
    for (int i = 0; i < 2; i++) {
        if (PyTasklet_SetUserData((PyTaskletObject *)PyList_GetItem(soldiers, i), &numbers[i], retire) < 0)
            return -1;
    }
    if (PyDict_DelItemString(world, "soldiers") < 0 || frame() < 0)
        return -1;
    for (int i = 0; i < 5; i++) {
        if (exchange(orders, replies, texts[i]) < 0 || frame() < 0)
            return -1;
    }
    printf("retired: %d\n", retired);
    return 0;
}

int
main(void)
{
    Py_Initialize();
    int status = PyRun_SimpleString(scripts);
    if (status == 0) {
        status = play(PyModule_GetDict(PyImport_AddModule("__main__")));
        if (status < 0)
            PyErr_Print();
    }
    return Py_FinalizeEx() < 0 || status < 0;
}
