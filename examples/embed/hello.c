/* The shortest program with tasklets:  cc hello.c $(pkg-config --cflags --libs stackless-embed) */
#include <stackless_api.h>

int
main(void)
{
    Py_Initialize();
    PyRun_SimpleString("import stackless\n"
                       "for name in 'Ada', 'Grace': stackless.tasklet(print)('hello from', name)\n");
    PyStackless_RunBudget(1.0, 0, NULL);
    return Py_FinalizeEx() < 0;
}
