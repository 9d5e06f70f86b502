// After a kernel has failed on a GPU, the process can do nothing more there, and which kernel it
// was is not known. So the same command runs once more in a new process, which launches kernels one
// by one: a run depends on nothing but its files and its seed, and fails in the same place.
#ifndef CZT_RUNNER_AGAIN_H
#define CZT_RUNNER_AGAIN_H

#include "runner/cli.h"

// Find out whether this is the second process (cli->again), before any command is run.
void again_read(Cli *cli);
// What a command's exit code is after all: where a GPU has failed in the first process, this does
// not return, and what the second prints goes nowhere. A command that gives EXIT_OK in the second
// has come past the place where the first one failed.
int again_code(const Cli *cli, int code, char **argv);

#endif
