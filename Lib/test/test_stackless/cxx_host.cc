/* A host program in C++17 whose exceptions pass its own frames, for test_embed_cxx.py.

       cxx_host PYTHON

   Scripts call the module `host`; none of its functions lets a C++ exception into Python. */
#include "stackless_api.h"

#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct decref {
    void operator()(PyObject *object) const { Py_XDECREF(object); }
};
using owned = std::unique_ptr<PyObject, decref>;

/* An exception of Python's is set, and passes the host's frames as this one. */
struct python_error : std::exception {
    const char *what() const noexcept override { return "an exception of Python's"; }
};

/* What the host raises for reasons of its own; how many of them are alive. */
class host_error : public std::runtime_error {
public:
    static inline int alive = 0;

    explicit host_error(const std::string &text) : std::runtime_error(text) { alive++; }
    host_error(const host_error &other) : std::runtime_error(other) { alive++; }
    ~host_error() override { alive--; }
};

/* How many scopes of the host's are open. */
struct scope {
    static inline int open = 0;

    scope() { open++; }
    scope(const scope &) = delete;
    ~scope() { open--; }
};

/* A new reference that must not be NULL. */
owned
checked(PyObject *object)
{
    if (object == nullptr) {
        throw python_error();
    }
    return owned(object);
}

std::string
text_of(PyObject *object)
{
    owned string = checked(PyObject_Str(object));
    return PyUnicode_AsUTF8(string.get());
}

/* Throw this text from so many frames below. */
void
throw_from(int depth, const std::string &text)
{
    scope here;
    if (depth == 0) {
        throw host_error(text);
    }
    throw_from(depth - 1, text);
}

/* Call the body of a function that Python calls: here C++ exceptions end. */
template <typename Body>
PyObject *
boundary(Body body) noexcept
{
    try {
        return body().release();
    }
    catch (const python_error &) {
    }
    catch (const std::exception &error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

/* fail(text): raises RuntimeError, from an exception thrown ten frames below. */
PyObject *
fail(PyObject *, PyObject *text)
{
    return boundary([=]() -> owned {
        throw_from(10, text_of(text));
        return nullptr;
    });
}

/* attempt(channel): three times, wait for a text in the midst of a try and throw it, and then wait for another
   one while the exception is being handled; answers the list of both. */
PyObject *
attempt(PyObject *, PyObject *channel)
{
    return boundary([=] {
        auto receive = [=] { return checked(PyChannel_Receive(reinterpret_cast<PyChannelObject *>(channel))); };
        owned result = checked(PyList_New(0));
        for (int i = 0; i < 3; i++) {
            try {
                scope here;
                throw_from(i, text_of(receive().get()));
            }
            catch (const host_error &error) {
                std::string text = text_of(receive().get());
                owned both = checked(Py_BuildValue("(ss)", error.what(), text.c_str()));
                if (PyList_Append(result.get(), both.get()) < 0) {
                    throw python_error();
                }
            }
        }
        return result;
    });
}

/* through(function): function(), whose exceptions pass the host's frames on their way to Python. */
PyObject *
through(PyObject *, PyObject *function)
{
    return boundary([=] {
        scope outer;
        auto inner = [=] {
            scope here;
            return checked(PyObject_CallNoArgs(function));
        };
        return inner();
    });
}

/* counts(): (open scopes, living exceptions, exceptions on their way). */
PyObject *
counts(PyObject *, PyObject *)
{
    return Py_BuildValue("iii", scope::open, host_error::alive, std::uncaught_exceptions());
}

PyMethodDef functions[] = {
    {"fail", fail, METH_O, nullptr},
    {"attempt", attempt, METH_O, nullptr},
    {"through", through, METH_O, nullptr},
    {"counts", counts, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "host", nullptr, -1, functions, nullptr, nullptr, nullptr, nullptr,
};

const char scripts[] = R"(
import operator
import host
import stackless

channels = [stackless.channel() for n in range(8)]
results = {}
errors = []

def soft(n):
    results[n] = host.attempt(channels[n])

def below_python(n):
    """Python between two frames of the host."""
    results[n] = host.through(lambda: operator.call(host.attempt, channels[n]))

for n in range(8):
    stackless.tasklet(below_python if n % 2 else soft)(n)

def careless():
    for n in range(3):
        try:
            host.through(lambda: host.fail(f'callback {n}'))
        except RuntimeError as error:
            errors.append(str(error))
        stackless.schedule()

stackless.tasklet(careless)()

def check():
    expected = [(f'thrown {turn} to', f'handled {turn} by') for turn in range(3)]
    assert results == {n: [(f'{a} {n}', f'{b} {n}') for a, b in expected] for n in range(8)}, results
    assert errors == ['callback 0', 'callback 1', 'callback 2'], errors
    assert host.counts() == (0, 0, 0), host.counts()
)";

/* Let tasklets run until all wait; one frame of the host's loop. */
void
run_tasklets()
{
    scope here;
    if (PyStackless_RunBudget(3600.0, 0, nullptr) != 0) {
        throw python_error();
    }
}

void
run(const char *source)
{
    if (PyRun_SimpleString(source) != 0) {
        throw std::runtime_error("the script failed");
    }
}

/* Send each channel its text, last one first; whoever waits there goes on in the next run. */
void
send_all(const std::vector<owned> &channels, const std::string &text)
{
    for (size_t i = channels.size(); i-- > 0;) {
        owned value = checked(PyUnicode_FromString((text + " " + std::to_string(i)).c_str()));
        if (PyChannel_TrySend(reinterpret_cast<PyChannelObject *>(channels[i].get()), value.get()) != 1) {
            throw std::runtime_error("nobody waits for " + text);
        }
    }
}

void
play()
{
    run(scripts);
    run_tasklets();
    owned list = checked(PyObject_GetAttrString(PyImport_AddModule("__main__"), "channels"));
    std::vector<owned> channels;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.get()); i++) {
        channels.emplace_back(Py_NewRef(PyList_GET_ITEM(list.get(), i)));
    }
    for (int turn = 0; turn < 3; turn++) {
        std::string number = std::to_string(turn);
        /* Tasklets throw, and wait in their handlers, while the host handles an exception of its own. */
        try {
            scope here;
            throw_from(5, "between runs " + number);
        }
        catch (const host_error &) {
            send_all(channels, "thrown " + number + " to");
            run_tasklets();
            try {
                throw;
            }
            catch (const host_error &error) {
                std::printf("caught: %s\n", error.what());
            }
        }
        /* And their handlers end while one is on its way. */
        struct at_end {
            const std::vector<owned> &channels;
            std::string number;

            ~at_end()
            {
                send_all(channels, "handled " + number + " by");
                run_tasklets();
                std::printf("on their way: %d\n", std::uncaught_exceptions());
            }
        };
        try {
            at_end guard{channels, number};
            throw_from(2, "on its way " + number);
        }
        catch (const host_error &error) {
            std::printf("caught: %s\n", error.what());
        }
    }
    run("check()");
}

void
start(const char *python)
{
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, python);
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        Py_ExitStatusException(status);
    }
}

} // namespace

int
main(int argc, char **argv)
{
    if (argc != 2) {
        std::fprintf(stderr, "usage: cxx_host PYTHON\n");
        return 2;
    }
    PyImport_AppendInittab("host", [] { return PyModule_Create(&module); });
    for (int life = 0; life < 2; life++) {
        start(argv[1]);
        try {
            play();
        }
        catch (const std::exception &error) {
            std::fprintf(stderr, "%s\n", error.what());
            PyErr_Print();
            return 1;
        }
        if (Py_FinalizeEx() < 0) {
            return 1;
        }
    }
    std::printf("left: %d %d\n", scope::open, host_error::alive);
    return 0;
}
