// A run's log: JSON lines in a file, TensorBoard events, a progress line for a person.
#ifndef CZT_RUNTIME_LOG_H
#define CZT_RUNTIME_LOG_H

#include "runtime/events.h"

typedef struct Log Log;

// One number of a line. An f32 is printed with as few digits as give the same f32 back.
typedef struct LogValue {
    const char *name;
    double value;
    bool single; // it is an f32
} LogValue;

// Open the JSON lines file for appending (NULL: none), and a stream for progress (NULL: none).
// Lines of steps after `step` (finished updates; 0 at the start of a run) are cut first,
// atomically: they belong to updates that are lost and will be done again.
Log *log_open(const char *path, FILE *progress, int64_t step, Error *err);
// Also write every value and histogram to TensorBoard event files in a folder.
bool log_events(Log *log, const char *folder, int64_t step, Error *err);
// The same for log_open's step, but nothing is made before the first value. The folder's name must
// outlive the log.
void log_events_later(Log *log, const char *folder);
// NULL is allowed.
void log_close(Log *log);
// Append {"step": step, NAME: value, ...}. Infinities and NaN become texts ("inf", "-inf", "nan").
bool log_values(Log *log, int64_t step, const LogValue *values, uint32_t n, Error *err);
// Append {"step": step, KEY: text}, and show the text to the person.
bool log_text(Log *log, int64_t step, const char *key, const char *text, Error *err);
// Append {"step": step, "skipped_sample": sample, "reason": reason}, unless a line names the sample
// already, be it of an earlier process.
bool log_skipped(Log *log, int64_t step, const char *sample, const char *reason, Error *err);
// True when log_open found a line of `step`, which was its own step, with a name that begins with
// prefix.
bool log_has(const Log *log, int64_t step, const char *prefix);
// Make all lines so far durable.
bool log_sync(Log *log, Error *err);

// Append {"step": step, "NAME.histogram": {"edges": [..], "counts": [..]}}, with one edge more than
// counts, and give the events a histogram NAME; after log_values of that step.
bool log_histogram(Log *log, int64_t step, const char *name, const Histogram *h, Error *err);

typedef struct LogProgress {
    int64_t step, steps; // finished updates; the run's, 0 when it has no end
    double loss;
    double pairs_per_second;
    double wait;         // share of the time spent waiting for data, 0 to 1
    double peak_share;   // share of the machine's peak, 0 to 1; NaN when not known
    double seconds_left; // NaN when not known
    bool last;           // of the run: always shown, and the line is ended
} LogProgress;

// Show where the run is: on a terminal one line that is redrawn (at most five times a second),
// elsewhere plain lines (at most one in ten seconds, and the first and last).
void log_progress(Log *log, const LogProgress *p);

#endif
