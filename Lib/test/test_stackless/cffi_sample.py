"""The C code that test_compiled has cffi wrap in API mode: its declarations, and its source."""

DECLARATIONS = '''
    typedef int (*visitor)(int, void *);
    typedef struct { int x; double y; char name[16]; ...; } point;
    int each(int count, visitor f, void *data);
    int in_thread(visitor f, void *data);
    double length(point *p);
    extern int counter;
    #define LIMIT ...
    extern "Python" int visit(int, void *);
    extern "Python+C" int visit_exported(int, void *);
'''

SOURCE = r'''
    #include <math.h>
    #include <pthread.h>

    #define LIMIT 42
    typedef int (*visitor)(int, void *);
    typedef struct { int hidden; int x; double y; char name[16]; } point;
    static int counter;

    /* The sum of f(0, data) ... f(count - 1, data). */
    static int
    each(int count, visitor f, void *data)
    {
        int sum = 0;
        for (int i = 0; i < count; i++) {
            counter++;
            sum += f(i, data);
        }
        return sum;
    }

    struct call { visitor f; void *data; int result; };

    static void *
    run_call(void *arg)
    {
        struct call *call = arg;
        call->result = call->f(-1, call->data);
        return NULL;
    }

    /* f(-1, data) in a thread that Python did not make. */
    static int
    in_thread(visitor f, void *data)
    {
        struct call call = {f, data, 0};
        pthread_t thread;
        if (pthread_create(&thread, NULL, run_call, &call) != 0)
            return -1;
        pthread_join(thread, NULL);
        return call.result;
    }

    static double
    length(point *p)
    {
        return sqrt(p->x * p->x + p->y * p->y);
    }
'''
