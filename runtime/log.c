// The log. Every line is one record appended to the file, so a killed process leaves whole lines
// and at most one torn last line, which the next log_open cuts.
#include "runtime/log.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/vec.h"
#include "runtime/append.h"
#include "runtime/events.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

struct Log {
    Arena *arena;
    const char *path;
    int fd;            // -1: no file
    Events *events;    // NULL: none
    const char *later; // folder of events that are not begun yet, or NULL
    int64_t from;      // finished updates when it was opened
    Map names;         // of the lines of that step which were there
    Map skipped;       // samples that a line names, quoted
    FILE *progress;
    bool terminal, drawn; // drawn: a progress line stands unended on the terminal
    double shown;         // when progress was last shown; 0 never
};

// A JSON text literal, quotes included; what is not UTF-8 has its bytes as \xNN.
static const char *quote(Arena *arena, const char *text)
{
    json_t *value = json_string(text);
    if (!value) {
        char *escaped = arena_alloc(arena, 4 * strlen(text) + 1), *to = escaped;
        for (const char *c = text; *c; c++)
            to += sprintf(to, *c & 0x80 ? "\\x%02x" : "%c", (unsigned char)*c);
        value = json_string(escaped);
    }
    char *dump = json_dumps(value, JSON_ENCODE_ANY);
    const char *out = str_copy(arena, dump ? dump : "\"\"");
    free(dump);
    json_decref(value);
    return out;
}

// What a kept line tells those who must not say it again.
static void learn(Log *log, json_t *line)
{
    const char *name, *sample = json_string_value(json_object_get(line, "skipped_sample"));
    json_t *value, *at = json_object_get(line, "step");
    if (sample) map_set(log->arena, &log->skipped, quote(log->arena, sample), log);
    if (!at || json_integer_value(at) != log->from) return;
    json_object_foreach(line, name, value) map_set(log->arena, &log->names, name, log);
}

// True when the line is a whole JSON object of a step that is kept.
static bool keeps(Log *log, const char *line, size_t size)
{
    json_error_t where;
    json_t *value = json_loadb(line, size, 0, &where), *at = json_object_get(value, "step");
    bool ok = json_is_object(value) && (!at || json_integer_value(at) <= log->from);
    if (ok) learn(log, value);
    json_decref(value);
    return ok;
}

// The line at `at`: its size without the end, or -1 where it has none (a torn one).
static ssize_t line_size(const char *at, const char *end)
{
    const char *next = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    return next ? next - at : -1;
}

static bool keeps_all(Log *log, const FileMap *map)
{
    const char *at = (const char *)map->data, *end = at + map->size;
    for (ssize_t n; (n = line_size(at, end)) >= 0; at += n + 1)
        if (!keeps(log, at, (size_t)n)) return false;
    return at == end;
}

// Write the kept lines to a new file in place of the old one.
static bool rewrite(Log *log, const FileMap *map, Error *err)
{
    Arena *arena = arena_new();
    FileWriter w;
    bool ok = file_create(&w, arena, log->path, 0666, err);
    const char *at = (const char *)map->data, *end = at + map->size;
    for (ssize_t n; ok && (n = line_size(at, end)) >= 0; at += n + 1)
        if (keeps(log, at, (size_t)n)) ok = file_put(&w, at, (size_t)n + 1, err);
    ok = ok && file_commit(&w, err);
    file_cancel(&w);
    arena_free(arena);
    return ok;
}

static bool cut(Log *log, Error *err)
{
    FileMap map;
    if (access(log->path, F_OK) && errno == ENOENT) return true;
    if (!file_map(&map, log->path, err)) return false;
    bool ok = keeps_all(log, &map) || rewrite(log, &map, err);
    file_unmap(&map);
    return ok;
}

Log *log_open(const char *path, FILE *progress, int64_t step, Error *err)
{
    Log *log = calloc(1, sizeof *log);
    if (!log) {
        error_set(err, "no memory for the log");
        return NULL;
    }
    *log = (Log){.arena = arena_new(), .fd = -1, .from = step, .progress = progress};
    log->terminal = progress && isatty(fileno(progress));
    if (!path) return log;
    log->path = str_copy(log->arena, path);
    if (cut(log, err)) {
        log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (log->fd >= 0) return log;
        error_set(err, "%s: %s", path, strerror(errno));
    }
    log_close(log);
    return NULL;
}

bool log_events(Log *log, const char *folder, int64_t step, Error *err)
{
    log->events = events_open(folder, step, err);
    log->later = NULL;
    return log->events != NULL;
}

void log_events_later(Log *log, const char *folder)
{
    log->later = folder;
}

// End a progress line that stands on the terminal.
static void end_drawing(Log *log)
{
    if (log->drawn) fputc('\n', log->progress);
    log->drawn = false;
}

void log_close(Log *log)
{
    if (!log) return;
    end_drawing(log);
    if (log->fd >= 0) close(log->fd);
    events_close(log->events);
    arena_free(log->arena);
    free(log);
}

static bool put_line(Log *log, const char *line, Error *err)
{
    return log->fd < 0 || append_record(log->fd, log->path, line, strlen(line), err);
}

// As few digits as read back as the same number, in `text`.
static void format_number(char *text, size_t size, LogValue v)
{
    if (!isfinite(v.value)) {
        snprintf(text, size, "\"%s\"", isnan(v.value) ? "nan" : v.value > 0 ? "inf" : "-inf");
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, v.value);
        double back = v.single ? (double)strtof(text, NULL) : strtod(text, NULL);
        if (back == v.value) return;
    }
}

typedef VEC(char) Line;

static void add(Arena *arena, Line *line, const char *text)
{
    for (const char *c = text; *c; c++) vec_push(arena, line, *c);
}

static void add_number(Arena *arena, Line *line, LogValue v)
{
    char number[32];
    format_number(number, sizeof number, v);
    add(arena, line, number);
}

static bool end_line(Log *log, Arena *arena, Line *line, Error *err)
{
    add(arena, line, "}\n");
    vec_push(arena, line, '\0');
    return put_line(log, line->at, err);
}

bool log_values(Log *log, int64_t step, const LogValue *values, uint32_t n, Error *err)
{
    if (log->later && !log_events(log, log->later, log->from, err)) return false;
    for (uint32_t i = 0; log->events && i < n; i++)
        if (!events_scalar(log->events, step, values[i].name, (float)values[i].value, err))
            return false;
    if (log->fd < 0) return true;
    Arena *arena = arena_new();
    Line line = {0};
    add(arena, &line, str_printf(arena, "{\"step\": %lld", (long long)step));
    for (uint32_t i = 0; i < n; i++) {
        add(arena, &line, str_printf(arena, ", %s: ", quote(arena, values[i].name)));
        add_number(arena, &line, values[i]);
    }
    bool ok = end_line(log, arena, &line, err);
    arena_free(arena);
    return ok;
}

bool log_histogram(Log *log, int64_t step, const char *name, const Histogram *h, Error *err)
{
    if (log->events && !events_histogram(log->events, step, name, h, err)) return false;
    if (log->fd < 0) return true;
    Arena *arena = arena_new();
    Line line = {0};
    const char *key = quote(arena, str_printf(arena, "%s.histogram", name));
    add(arena, &line,
        str_printf(arena, "{\"step\": %lld, %s: {\"edges\": [", (long long)step, key));
    for (uint32_t i = 0; i <= h->n; i++) {
        if (i) add(arena, &line, ", ");
        add_number(arena, &line, (LogValue){"", (float)histogram_edge(h, i), true});
    }
    add(arena, &line, "], \"counts\": [");
    for (uint32_t i = 0; i < h->n; i++)
        add(arena, &line, str_printf(arena, i ? ", %d" : "%d", (int)h->counts[i]));
    add(arena, &line, "]}");
    bool ok = end_line(log, arena, &line, err);
    arena_free(arena);
    return ok;
}

bool log_text(Log *log, int64_t step, const char *key, const char *text, Error *err)
{
    Arena *arena = arena_new();
    end_drawing(log);
    if (log->progress) fprintf(log->progress, "step %lld: %s: %s\n", (long long)step, key, text);
    bool ok = put_line(log,
                       str_printf(arena, "{\"step\": %lld, %s: %s}\n", (long long)step,
                                  quote(arena, key), quote(arena, text)),
                       err);
    arena_free(arena);
    return ok;
}

bool log_skipped(Log *log, int64_t step, const char *sample, const char *reason, Error *err)
{
    Arena *arena = arena_new();
    const char *name = quote(arena, sample);
    bool ok =
        map_find(&log->skipped, name) ||
        put_line(log,
                 str_printf(arena, "{\"step\": %lld, \"skipped_sample\": %s, \"reason\": %s}\n",
                            (long long)step, name, quote(arena, reason)),
                 err);
    if (ok) map_set(log->arena, &log->skipped, name, log);
    arena_free(arena);
    return ok;
}

bool log_has(const Log *log, int64_t step, const char *prefix)
{
    for (uint32_t i = 0; step == log->from && i < log->names.n; i++)
        if (strncmp(log->names.at[i].key, prefix, strlen(prefix)) == 0) return true;
    return false;
}

bool log_sync(Log *log, Error *err)
{
    return (log->fd < 0 || append_sync(log->fd, log->path, err)) &&
           (!log->events || events_sync(log->events, err));
}

// The width of a terminal, past which a line would go on in the next and not be drawn over.
static int columns_of(FILE *out)
{
    struct winsize size;
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : INT_MAX;
}

static const char *progress_line(Arena *arena, const LogProgress *p)
{
    const char *line = str_printf(arena, "step %lld", (long long)p->step);
    if (p->steps) line = str_printf(arena, "%s/%lld", line, (long long)p->steps);
    line = str_printf(arena, "%s  loss %.5g  %.4g pairs/s", line, p->loss, p->pairs_per_second);
    if (!isnan(p->peak_share))
        line = str_printf(arena, "%s  %.0f %% of peak", line, 100 * p->peak_share);
    line = str_printf(arena, "%s  wait %.0f %%", line, 100 * p->wait);
    if (isnan(p->seconds_left)) return line;
    long long s = (long long)p->seconds_left;
    return str_printf(arena, "%s  ETA %lld:%02lld:%02lld", line, s / 3600, s / 60 % 60, s % 60);
}

void log_progress(Log *log, const LogProgress *p)
{
    double now = seconds_now(), pause = log->terminal ? 0.2 : 10;
    if (!log->progress || (!p->last && log->shown > 0 && now - log->shown < pause)) return;
    log->shown = now;
    FILE *out = log->progress;
    Arena *arena = arena_new();
    const char *line = progress_line(arena, p);
    if (log->terminal)
        fprintf(out, "\r\033[K%.*s", columns_of(out) - 1, line);
    else
        fputs(line, out);
    arena_free(arena);
    log->drawn = log->terminal;
    if (!log->terminal) fputc('\n', out);
    if (p->last) end_drawing(log);
    fflush(out);
}
