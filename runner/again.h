// After a kernel has failed on a GPU, the process can do nothing more there, and which kernel it
// was is not known. So the same command runs once more in a new process, which launches kernels one
// by one: a run depends on nothing but its files and its seed, and fails in the same place.
#ifndef CZT_RUNNER_AGAIN_H
#define CZT_RUNNER_AGAIN_H

#include "runner/cli.h"

// Is this the second process? Of train, *update is the last of the finished updates before the one
// that failed; NULL is allowed.
bool again(int64_t *update);
// What a command's exit code is after all: where a GPU has failed in the first process, this does
// not return, and standard output is closed in the second.
int again_code(const Cli *cli, int code, char **argv);

#endif
