/* Defaults of the AddressSanitizer runtime, compiled in by --with-sanitizers=address. */

const char *__asan_default_options(void);

/* An interpreter leaves memory to the end of the process on purpose, so leaks are not reported; an
 * allocation that is too large must fail as the tests expect, not end the process. The alternate signal
 * stack belongs to faulthandler. Where the library is embedded, the program's own defaults count. */
__attribute__((visibility("default"))) const char *
__asan_default_options(void)
{
    return "detect_leaks=0:allocator_may_return_null=1:use_sigaltstack=0";
}
