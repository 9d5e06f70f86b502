// How far a long work is, on stderr: a line that is drawn over on a terminal, a new one now and
// then elsewhere, none for work that is soon done.
#ifndef CZT_BASE_PROGRESS_H
#define CZT_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Progress {
    const char *what, *unit; // "eval", "samples"
    int64_t total;           // 0: not known
    double begin, shown;     // seconds_now
    bool terminal, drawn;    // drawn: a line stands unended
} Progress;

Progress progress_begin(const char *what, const char *unit, int64_t total);
// So many are done: "eval: 512 of 50000 samples, 341/s, ETA 0:02:25".
void progress_at(Progress *p, int64_t done);
// Take the line away, before anything else is printed.
void progress_end(Progress *p);

#endif
