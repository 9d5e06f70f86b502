// TensorBoard event files: a sequence of records { u64 size, u32 crc of the size, bytes, u32 crc of
// them }, each the protobuf message `Event` (tensorflow/core/util/event.proto), of which four
// fields are needed:
//   1 wall_time double; 2 step int64; 3 file_version string (first record)
//   5 summary { 1 value { 1 tag string; 2 simple_value float; 5 histo HistogramProto } }
//   7 session_log { 1 status: START = 1 }: values of this step and later in older files are void
// HistogramProto is doubles: 1 min; 2 max; 3 num; 4 sum; 5 sum_squares; 6 bucket_limit, the upper
// ends of the bins, packed; 7 bucket, their counts, packed.
// The crc is CRC-32C, rotated and offset ("masked"), as TFRecord defines it.
#include "runtime/events.h"

#include "base/vec.h"
#include "runtime/append.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct Events {
    Arena *arena;
    const char *path;
    int fd;
};

typedef struct Bytes {
    Arena *arena;
    VEC(uint8_t) v;
} Bytes;

static void put(Bytes *b, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++) vec_push(b->arena, &b->v, ((const uint8_t *)data)[i]);
}

static void put_varint(Bytes *b, uint64_t x)
{
    for (; x >= 128; x >>= 7) vec_push(b->arena, &b->v, (uint8_t)(x | 128));
    vec_push(b->arena, &b->v, (uint8_t)x);
}

// Protobuf's wire types.
enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };

static void put_key(Bytes *b, uint32_t field, uint32_t type)
{
    put_varint(b, field << 3 | type);
}

static void put_block(Bytes *b, uint32_t field, const void *data, size_t size)
{
    put_key(b, field, BYTES);
    put_varint(b, size);
    put(b, data, size);
}

static uint32_t masked_crc(const uint8_t *data, size_t size)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static bool write_record(Events *events, const Bytes *event, Error *err)
{
    Bytes record = {.arena = event->arena};
    uint64_t size = event->v.n;
    uint32_t crc = masked_crc((const uint8_t *)&size, 8);
    put(&record, &size, 8);
    put(&record, &crc, 4);
    put(&record, event->v.at, size);
    crc = masked_crc(event->v.at, size);
    put(&record, &crc, 4);
    return append_record(events->fd, events->path, record.v.at, record.v.n, err);
}

// Write an event that has, besides time and step, one field of bytes.
static bool write_event(Events *events, int64_t step, uint32_t field, const void *data, size_t size,
                        Error *err)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    double wall = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    Bytes event = {.arena = arena_new()};
    put_key(&event, 1, FIXED64);
    put(&event, &wall, 8);
    put_key(&event, 2, VARINT);
    put_varint(&event, (uint64_t)step);
    put_block(&event, field, data, size);
    bool ok = write_record(events, &event, err);
    arena_free(event.arena);
    return ok;
}

static bool begin(Events *events, const char *folder, int64_t step, Error *err)
{
    static const char version[] = "brain.Event:2";
    static const uint8_t session_start[] = {1 << 3 | VARINT, 1};
    if (mkdir(folder, 0777) && errno != EEXIST)
        return error_set(err, "%s: cannot create the folder: %s", folder, strerror(errno));
    events->fd = open(events->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (events->fd < 0) return error_set(err, "%s: %s", events->path, strerror(errno));
    return write_event(events, 0, 3, version, sizeof version - 1, err) &&
           write_event(events, step + 1, 7, session_start, sizeof session_start, err);
}

Events *events_open(const char *folder, int64_t step, Error *err)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    Events *events = calloc(1, sizeof *events);
    if (!events) {
        error_set(err, "%s: no memory", folder);
        return NULL;
    }
    *events = (Events){.arena = arena_new(), .fd = -1};
    // TensorBoard reads the files of a folder in the order of their names.
    events->path = str_printf(events->arena, "%s/events.out.tfevents.%010lld.%09ld.cztc.%ld",
                              folder, (long long)t.tv_sec, t.tv_nsec, (long)getpid());
    if (begin(events, folder, step, err)) return events;
    events_close(events);
    return NULL;
}

void events_close(Events *events)
{
    if (!events) return;
    if (events->fd >= 0) close(events->fd);
    arena_free(events->arena);
    free(events);
}

bool events_sync(Events *events, Error *err)
{
    return append_sync(events->fd, events->path, err);
}

static bool write_value(Events *events, int64_t step, Bytes *value, Error *err)
{
    Bytes summary = {.arena = value->arena};
    put_block(&summary, 1, value->v.at, value->v.n);
    return write_event(events, step, 5, summary.v.at, summary.v.n, err);
}

bool events_scalar(Events *events, int64_t step, const char *tag, float value, Error *err)
{
    Bytes scalar = {.arena = arena_new()};
    put_block(&scalar, 1, tag, strlen(tag));
    put_key(&scalar, 2, FIXED32);
    put(&scalar, &value, 4);
    bool ok = write_value(events, step, &scalar, err);
    arena_free(scalar.arena);
    return ok;
}

bool events_histogram(Events *events, int64_t step, const char *tag, const Histogram *h, Error *err)
{
    Bytes histo = {.arena = arena_new()}, value = {.arena = histo.arena};
    double *limits = arena_array(histo.arena, double, h->n + 1),
           *counts = arena_array(histo.arena, double, h->n + 1), num = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        limits[i] = histogram_edge(h, i + 1);
        counts[i] = h->counts[i];
        num += counts[i];
    }
    const double all[] = {h->min, h->max, num, num * h->mean,
                          num * (h->deviation * h->deviation + h->mean * h->mean)};
    for (uint32_t i = 0; i < 5; i++) {
        put_key(&histo, i + 1, FIXED64);
        put(&histo, &all[i], 8);
    }
    put_block(&histo, 6, limits, h->n * sizeof *limits);
    put_block(&histo, 7, counts, h->n * sizeof *counts);
    put_block(&value, 1, tag, strlen(tag));
    put_block(&value, 5, histo.v.at, histo.v.n);
    bool ok = write_value(events, step, &value, err);
    arena_free(histo.arena);
    return ok;
}
