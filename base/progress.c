#include "base/progress.h"

#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

Progress progress_begin(const char *what, const char *unit, int64_t total)
{
    double now = seconds_now();
    return (Progress){what, unit, total, now, now, isatty(STDERR_FILENO), false};
}

void progress_at(Progress *p, int64_t done)
{
    double now = seconds_now(), rate = (double)done / (now - p->begin);
    double pause = !p->terminal ? 30 : p->drawn ? 0.2 : 2;
    if (now - p->shown < pause) return;
    p->shown = now;
    p->drawn = p->terminal;
    fprintf(stderr, "%s%s: %lld", p->terminal ? "\r\033[K" : "", p->what, (long long)done);
    if (p->total) fprintf(stderr, " of %lld", (long long)p->total);
    fprintf(stderr, " %s, %.*f/s", p->unit, rate < 100, rate);
    long long left =
        rate > 0 && done < p->total ? (long long)((double)(p->total - done) / rate) : 0;
    if (p->total)
        fprintf(stderr, ", ETA %lld:%02lld:%02lld", left / 3600, left / 60 % 60, left % 60);
    if (!p->terminal) fputc('\n', stderr);
    fflush(stderr);
}

void progress_end(Progress *p)
{
    if (p->drawn) fputs("\r\033[K", stderr);
    p->drawn = false;
}
