#include "runner/again.h"

#include "runner/load.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const char variable[] = "CZT_AGAIN"; // "PROCESS:UPDATE": execv keeps the process's number

void again_read(Cli *cli)
{
    long long process, update;
    char end;
    const char *text = getenv(variable);
    cli->again = text && sscanf(text, "%lld:%lld%c", &process, &update, &end) == 2 &&
                 process == getpid() && update >= 0;
    if (cli->again) cli->failed = update;
    unsetenv(variable); // it is not for the processes that this one starts
}

// What train blocks and ignores would stay so in the second process, from its first moment on.
static void restore_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

// Returns where the process cannot be had.
static void begin(const Cli *cli, char **argv)
{
    char text[64];
    fprintf(stderr, "%s: once more, kernel by kernel, to see which one it is\n", program_name());
    fflush(NULL);
    snprintf(text, sizeof text, "%lld:%lld", (long long)getpid(), (long long)cli->updates);
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC); // what is printed was printed already
    if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0 || setenv(variable, text, 1)) return;
    restore_signals();
    execv(own_executable, argv);
}

int again_code(const Cli *cli, int code, char **argv)
{
    if (!cli->again) {
        if (code == EXIT_DEVICE) begin(cli, argv);
        return code == EXIT_DEVICE ? EXIT_INPUT : code;
    }
    if (code != EXIT_OK) return EXIT_INPUT;
    return fail_text(
        "kernel by kernel nothing fails, so it is not the same each time: kernels that "
        "run side by side and should not (report that), or the GPU's memory "
        "(nvidia-smi -q -d ECC)");
}
