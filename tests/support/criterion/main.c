// Runs the tests that the headers beside this file have put on a list, each in a forked process,
// one after the other: PROGRAM [--filter 'SUITE/NAME'] (a glob). Exit code 1 where one failed.
#include <criterion/criterion.h>

#include <fnmatch.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

static SupportTest *tests;
static int failures; // of this process's test

void support_add(SupportTest *test)
{
    test->next = tests;
    tests = test;
}

void support_fail(bool fatal, const char *file, int line, const char *what, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s:%d: %s\n ", file, line, what);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    failures++;
    if (fatal) _exit(1);
}

static void run_here(const SupportTest *t, void *param)
{
    SupportOptions all[2] = {{0}, t->options};
    for (const SupportTest *s = tests; s; s = s->next)
        if (!s->name && strcmp(s->suite, t->suite) == 0) all[0] = s->options;
    for (int i = 0; i < 2; i++)
        if (all[i].init) all[i].init();
    if (t->run_with)
        t->run_with(param);
    else
        t->run();
    for (int i = 1; i >= 0; i--)
        if (all[i].fini) all[i].fini();
}

// True when it went well. The sanitizer's own exit code shows a race.
static bool run(const SupportTest *t, void *param, size_t number)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        run_here(t, param);
        exit(failures != 0);
    }
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && !WEXITSTATUS(status)) return true;
    fprintf(stderr, "FAILED %s/%s", t->suite, t->name);
    if (t->params) fprintf(stderr, " (parameter %zu)", number);
    if (WIFSIGNALED(status))
        fprintf(stderr, ": signal %d\n", WTERMSIG(status));
    else
        fprintf(stderr, ": exit code %d\n", WEXITSTATUS(status));
    return false;
}

int main(int argc, char **argv)
{
    const char *filter = "*";
    size_t done = 0, failed = 0;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--filter") == 0) filter = argv[i + 1];
    for (const SupportTest *t = tests; t; t = t->next) {
        char name[256];
        snprintf(name, sizeof name, "%s/%s", t->suite, t->name ? t->name : "");
        if (!t->name || fnmatch(filter, name, 0)) continue;
        struct criterion_test_params p = {.length = 1};
        if (t->params) p = t->params();
        for (size_t i = 0; i < p.length; i++, done++)
            failed += !run(t, (char *)p.params + i * p.size, i);
    }
    fprintf(stderr, "%zu tests, %zu failed\n", done, failed);
    return failed != 0;
}
