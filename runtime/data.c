// The loader. Workers take tickets: ticket t is the t-th candidate of the endless sequence (epoch 0
// in its order, epoch 1 in its, ...), and its result goes into ring entry t modulo the ring's size.
// data_next takes results in the order of the tickets, skips the bad ones, and copies the good ones
// into the batch; so batches depend on the seed only, never on the number of workers or their
// speed. The ring bounds how far workers run ahead.
//
// Where batches have several shapes, or want other tensors in other phases, a ticket is loaded for
// the batch that it falls into if no sample is bad; where one was, data_next loads those few again
// that fell into another one, for which samples differ.
//
// One mutex guards tickets, entry states and the order of the epoch. A block of the ring belongs to
// its worker from ticket to result, and to data_next from there to release; nobody else touches it.
#include "runtime/data.h"

#include "base/clock.h"

#include "runtime/epoch.h"
#include "runtime/philox.h"
#include "runtime/sample.h"

#include "base/map.h"
#include "base/vec.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef enum { ENTRY_EMPTY, ENTRY_GOOD, ENTRY_BAD } EntryState;

typedef struct RingEntry {
    EntryState state;
    uint64_t epoch, turn;  // that its random numbers are of; the same without parts of a mixture
    int64_t index, sample; // place in the epoch's order; the sample that stands there
    uint8_t *block;
    uint32_t shape;       // that it was loaded for
    const Wanted *wanted; // that was loaded
    const char *member;
    int64_t dropped; // boxes and points
    Error err;
} RingEntry;

// The batch that a ticket is for, and how many tickets it still takes from this one on.
typedef struct Plan {
    int64_t batch, left;
} Plan;

struct Data {
    Arena *arena;
    const DataSpec *spec;
    const char *base_dir;
    uint32_t nshapes;
    SampleSource *from; // by shape
    Wanted **wants;     // by set of tensors; equal ones are one
    uint32_t nwants;
    uint32_t (*shape_at)(void *, int64_t), (*want_at)(void *, int64_t);
    void *ctx;
    _Atomic int64_t *decoded; // by views and fields
    Shards *source, **series;
    Tokenizer **tokenizers; // of the fields
    DataReport *report;
    void *user;
    int64_t samples;

    pthread_mutex_t lock;
    pthread_cond_t work, done; // tickets to take; results to collect, or no worker busy
    bool locks, stop, paused;
    pthread_t *threads;
    int nthreads, busy;
    RingEntry *ring;
    uint8_t *blocks;
    uint64_t size, head, tail; // of the ring; tickets given, results taken
    int64_t epoch;             // samples of an epoch
    bool shuffled;             // else sequential
    EpochOrder order;          // of the cursor's epoch
    DataPosition cursor;       // of the next ticket
    Plan plan;                 // of the next ticket

    // Of the thread that calls data_next.
    DataPosition position;
    uint64_t batches; // in the current epoch
    bool ended;       // sequential: the end was told
    const char **keys;
    int64_t nkeys;
    Decoder decoder; // for samples that were loaded for another shape
    DataCounts counts;
    Error failed;
};

static uint32_t shape_of(const Data *d, int64_t batch)
{
    uint32_t shape = d->nshapes > 1 && d->shape_at ? d->shape_at(d->ctx, batch) : 0;
    return shape < d->nshapes ? shape : 0; // of a damaged file
}

static const Wanted *wanted_at(const Data *d, int64_t batch)
{
    uint32_t set = d->want_at ? d->want_at(d->ctx, batch) : 0;
    return d->wants[set < d->nwants ? set : 0];
}

static int64_t size_of(const Data *d, int64_t batch)
{
    return d->from[shape_of(d, batch)].spec->batch;
}

uint32_t data_shape(const Data *d)
{
    return shape_of(d, d->position.batches);
}

static void make_order(Data *d)
{
    if (d->shuffled) epoch_make(&d->order, d->cursor.epoch);
}

// ---- Workers ----

static bool can_take(const Data *d)
{
    return !d->paused && d->head - d->tail < d->size &&
           (d->shuffled || d->cursor.index < (uint64_t)d->epoch);
}

// Sample i of those of a sequential epoch, which are evenly spread over the source: shards are
// often in the order of classes.
static int64_t spread(const Data *d, int64_t i)
{
    int64_t whole = d->samples / d->epoch, rest = d->samples % d->epoch;
    return i * whole + i * rest / d->epoch;
}

// Do batches differ in more than their samples, so that tickets have to be planned?
static bool varies(const Data *d)
{
    return d->nshapes > 1 || d->nwants > 1;
}

// The batch of the next ticket, which begins an epoch or not; the plan goes one ticket on.
static int64_t plan_ticket(const Data *d, Plan *p, bool begins)
{
    if (!p->left) *p = (Plan){p->batch + 1, size_of(d, p->batch + 1)};
    if (begins) p->left = size_of(d, p->batch); // what the old epoch has left over is dropped
    p->left--;
    return p->batch;
}

// Take the next ticket; under the lock.
static RingEntry *take_ticket(Data *d)
{
    RingEntry *e = &d->ring[d->head++ % d->size];
    if (d->cursor.index == (uint64_t)d->epoch) {
        d->cursor = (DataPosition){.epoch = d->cursor.epoch + 1};
        make_order(d);
    }
    int64_t batch = varies(d) ? plan_ticket(d, &d->plan, !d->cursor.index) : 0;
    e->shape = shape_of(d, batch), e->wanted = wanted_at(d, batch);
    e->epoch = d->cursor.epoch;
    e->index = (int64_t)d->cursor.index++;
    e->sample = d->shuffled ? d->order.sample[e->index] : spread(d, e->index);
    e->turn = d->order.turn ? d->order.turn[e->index] : e->epoch;
    e->err = (Error){0};
    return e;
}

static void *worker(void *arg)
{
    Data *d = arg;
    Decoder decoder = {0};
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (!d->stop && !can_take(d)) pthread_cond_wait(&d->work, &d->lock);
        if (d->stop) break;
        RingEntry *e = take_ticket(d);
        d->busy++;
        pthread_mutex_unlock(&d->lock);
        bool ok = sample_load(&d->from[e->shape], e->wanted, e->turn, e->sample, &decoder, e->block,
                              &e->member, &e->err);
        e->dropped = decoder.dropped;
        pthread_mutex_lock(&d->lock);
        e->state = ok ? ENTRY_GOOD : ENTRY_BAD;
        d->busy--;
        if (e == &d->ring[d->tail % d->size] || d->paused) pthread_cond_signal(&d->done);
    }
    pthread_mutex_unlock(&d->lock);
    decoder_free(&decoder);
    return NULL;
}

// Start the workers with all signals blocked: these belong to the thread that waits for them.
static bool start_workers(Data *d, int threads, Error *err)
{
    if (threads <= 0) threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (threads <= 0) threads = 1;
    d->threads = arena_array(d->arena, pthread_t, threads);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (d->nthreads < threads && pthread_create(&d->threads[d->nthreads], NULL, worker, d) == 0)
        d->nthreads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return d->nthreads > 0 || error_set(err, "cannot start a thread for the data pipeline");
}

// ---- Opening ----

// One for each field of tokens, since each may pad otherwise.
static bool open_tokenizers(Data *d, const TokenizerFiles *files, Error *err)
{
    d->tokenizers = arena_array(d->arena, Tokenizer *, d->spec->nfields + 1);
    for (uint32_t i = 0; i < d->spec->nfields; i++) {
        const FieldSpec *f = &d->spec->fields[i];
        Error why = {0};
        if (f->role != ROLE_TOKENS) continue;
        d->tokenizers[i] = tokenizer_named(files, f->tokenizer, &why);
        bool fits = d->tokenizers[i] != NULL;
        for (uint32_t k = 0; fits && k < d->nshapes; k++)
            fits = tokenizer_fit(d->tokenizers[i], f->pad, d->from[k].spec->fields[i].length, &why);
        if (!fits) return error_set(err, "data.fields.%s.tokenizer: %s", f->name, why.text);
    }
    return true;
}

static int64_t largest_batch(const Data *d)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < d->nshapes; i++)
        if (d->from[i].spec->batch > most) most = d->from[i].spec->batch;
    return most;
}

static bool open_shards(Data *d, const DataOptions *options, int threads, Error *err)
{
    const DataSpec *spec = d->spec;
    const char *key = options->key ? options->key : "data.source";
    ShardsOptions how = {options->base_dir, options->allow_pipe, false,
                         threads,           options->report,     options->user};
    Error why = {0};
    d->source = shards_open(&spec->source, &how, &why);
    if (!d->source) return error_set(err, "%s: %s", key, why.text);
    d->series = arena_array(d->arena, Shards *, spec->nseries + 1);
    how.by_key = true;
    d->counts.damaged = shards_damaged(d->source);
    for (uint32_t i = 0; i < spec->nseries; i++) {
        d->series[i] = shards_open(&spec->series[i].shards, &how, &why);
        if (!d->series[i])
            return error_set(err, "data.series.%s: %s", spec->series[i].name, why.text);
        d->counts.damaged += shards_damaged(d->series[i]);
    }
    d->samples = d->counts.samples = shards_count(d->source);
    if (!d->samples)
        return error_set(err, "%s: %s: no samples in the source", key, spec->source.at[0]);
    if (spec->shuffle && d->samples < largest_batch(d))
        return error_set(err, "%s: %lld samples are fewer than a batch of %lld", key,
                         (long long)d->samples, (long long)largest_batch(d));
    return true;
}

// What every shape's samples are loaded from.
static void fill_sources(Data *d)
{
    for (uint32_t i = 0; i < d->nshapes; i++) {
        d->from[i].source = d->source;
        d->from[i].series = (const Shards **)d->series;
        d->from[i].tokenizers = (const Tokenizer *const *)d->tokenizers;
        d->from[i].decoded = d->decoded;
    }
}

// The sets of what batches want; the first is everything where none are given.
static void open_wants(Data *d, const DataOptions *options)
{
    d->nwants = options->nwants ? options->nwants : 1;
    d->wants = arena_array(d->arena, Wanted *, d->nwants);
    for (uint32_t i = 0; i < d->nwants; i++) {
        const Names *tensors = options->nwants ? &options->wants[i] : NULL;
        d->wants[i] = wanted_of(d->arena, d->spec, tensors);
        for (uint32_t k = 0; k < i; k++)
            if (wanted_same(d->spec, d->wants[i], d->wants[k])) d->wants[i] = d->wants[k];
    }
}

static void open_shapes(Data *d, const DataSpec *spec, const DataOptions *options)
{
    d->nshapes = spec->nshapes ? spec->nshapes : 1;
    d->from = arena_array(d->arena, SampleSource, d->nshapes);
    for (uint32_t i = 0; i < d->nshapes; i++) {
        SampleLayout *layout = arena_make(d->arena, SampleLayout);
        d->from[i].spec = spec->nshapes ? spec->shapes[i] : spec;
        *layout = sample_layout(d->arena, d->from[i].spec);
        d->from[i].layout = layout;
    }
    d->shape_at = options->shape_at, d->want_at = options->want_at, d->ctx = options->ctx;
    d->decoded = arena_array(d->arena, _Atomic int64_t, spec->nviews + spec->nfields + 1);
    d->plan.left = size_of(d, 0);
}

// The first sample of shard number `shard` or later.
static int64_t first_of_shard(const Data *d, uint32_t shard)
{
    int64_t low = 0, high = d->samples;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (shards_sample(d->source, middle).shard_index < shard)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The parts of a mixture: which samples the shards of each row have.
static EpochPart *mixture_parts(Data *d, Error *err)
{
    EpochPart *parts = arena_array(d->arena, EpochPart, d->spec->nmixture + 1);
    uint32_t pattern = 0, shard = 0;
    for (uint32_t i = 0; i < d->spec->nmixture; i++) {
        const MixtureSpec *row = &d->spec->mixture[i];
        Names files = {0}, patterns = {d->spec->source.at + pattern, row->patterns};
        if (!shards_list(d->arena, &patterns, d->base_dir, &files, err)) return NULL;
        parts[i] = (EpochPart){.first = first_of_shard(d, shard), .weight = row->weight};
        parts[i].count = first_of_shard(d, shard += files.n) - parts[i].first;
        pattern += row->patterns;
    }
    return parts;
}

static bool open_order(Data *d, Error *err)
{
    Error why = {0};
    d->shuffled = true;
    EpochPart *parts = mixture_parts(d, &why);
    return (parts &&
            epoch_open(&d->order, d->spec->seed, d->samples, parts, d->spec->nmixture, &why)) ||
           error_set(err, "data.source: %s", why.text);
}

static bool make_ring(Data *d, int64_t ahead, Error *err)
{
    size_t block = 0;
    d->size = (uint64_t)(largest_batch(d) * (ahead > 0 ? ahead : 2));
    d->ring = arena_array(d->arena, RingEntry, d->size);
    d->keys = arena_array(d->arena, const char *, largest_batch(d));
    for (uint32_t i = 0; i < d->nshapes; i++)
        if (d->from[i].layout->bytes > block) block = d->from[i].layout->bytes;
    block = (block + 63) / 64 * 64;
    if (!block) return error_set(err, "data: neither views nor fields are asked for");
    if (d->size < SIZE_MAX / block) d->blocks = aligned_alloc(64, d->size * block);
    if (!d->blocks)
        return error_set(err, "out of memory for %llu samples of %zu bytes decoded ahead",
                         (unsigned long long)d->size, block);
    for (uint64_t i = 0; i < d->size; i++) d->ring[i].block = d->blocks + i * block;
    if (!d->spec->shuffle) return true;
    return open_order(d, err);
}

Data *data_open(const DataSpec *spec, const DataOptions *options, Error *err)
{
    Arena *arena = arena_new();
    Data *d = arena_make(arena, Data);
    d->arena = arena, d->spec = spec, d->base_dir = options->base_dir;
    d->report = options->report, d->user = options->user;
    open_wants(d, options);
    open_shapes(d, spec, options);
    bool ok = open_tokenizers(d, &options->tokenizers, err) &&
              open_shards(d, options, options->threads, err) && make_ring(d, options->ahead, err);
    if (ok) {
        fill_sources(d);
        int64_t batches = (options->samples + spec->batch - 1) / spec->batch;
        bool some = !d->shuffled && options->samples > 0 && batches * spec->batch < d->samples;
        d->epoch = some ? batches * spec->batch : d->samples;
        make_order(d);
        pthread_mutex_init(&d->lock, NULL);
        pthread_cond_init(&d->work, NULL);
        pthread_cond_init(&d->done, NULL);
        d->locks = true;
        ok = start_workers(d, options->threads, err);
    }
    if (ok) return d;
    data_close(d);
    return NULL;
}

void data_close(Data *d)
{
    if (!d) return;
    if (d->locks) {
        pthread_mutex_lock(&d->lock);
        d->stop = true;
        pthread_cond_broadcast(&d->work);
        pthread_mutex_unlock(&d->lock);
        while (d->nthreads) pthread_join(d->threads[--d->nthreads], NULL);
        pthread_mutex_destroy(&d->lock);
        pthread_cond_destroy(&d->work);
        pthread_cond_destroy(&d->done);
    }
    for (uint32_t i = 0; d->series && i < d->spec->nseries; i++) shards_close(d->series[i]);
    shards_close(d->source);
    for (uint32_t i = 0; d->tokenizers && i < d->spec->nfields; i++)
        tokenizer_close(d->tokenizers[i]);
    decoder_free(&d->decoder);
    epoch_close(&d->order);
    free(d->blocks);
    arena_free(d->arena);
}

const Tokenizer *data_tokenizer(const Data *d, uint32_t field)
{
    return d->tokenizers[field];
}

// ---- Batches ----

const DataSlot *data_slots(const Data *d, uint32_t *n)
{
    return data_slots_of(d, 0, n);
}

const DataSlot *data_slots_of(const Data *d, uint32_t shape, uint32_t *n)
{
    *n = d->from[shape].layout->n;
    return d->from[shape].layout->slots;
}

// Wait for the result of the oldest ticket.
static RingEntry *collect(Data *d)
{
    RingEntry *e = &d->ring[d->tail % d->size];
    pthread_mutex_lock(&d->lock);
    if (e->state == ENTRY_EMPTY) {
        double begin = seconds_now();
        while (e->state == ENTRY_EMPTY) pthread_cond_wait(&d->done, &d->lock);
        d->counts.wait_seconds += seconds_now() - begin;
    }
    pthread_mutex_unlock(&d->lock);
    return e;
}

static void release(Data *d, RingEntry *e)
{
    pthread_mutex_lock(&d->lock);
    e->state = ENTRY_EMPTY;
    d->tail++;
    pthread_cond_signal(&d->work);
    pthread_mutex_unlock(&d->lock);
}

// Load it again where it was loaded for a batch of another shape, or that wants other tensors: so
// what is bad and what is dropped do not depend on how far ahead it was loaded.
static void load_for(Data *d, RingEntry *e, uint32_t shape)
{
    const Wanted *wanted = wanted_at(d, d->position.batches);
    if (d->from[e->shape].spec->like == d->from[shape].spec->like && e->wanted == wanted) return;
    e->err = (Error){0};
    e->shape = shape, e->wanted = wanted;
    bool ok = sample_load(&d->from[shape], wanted, e->turn, e->sample, &d->decoder, e->block,
                          &e->member, &e->err);
    e->dropped = d->decoder.dropped;
    e->state = ok ? ENTRY_GOOD : ENTRY_BAD;
}

// A sample of this batch was bad, so that the tickets behind it fall into other batches: plan those
// to come from what is known now. `left`: samples that the batch still wants.
static void plan_again(Data *d, int64_t left)
{
    if (!varies(d)) return;
    pthread_mutex_lock(&d->lock);
    Plan p = {d->position.batches, left};
    for (uint64_t t = d->tail + 1; t < d->head; t++)
        plan_ticket(d, &p, !d->ring[t % d->size].index);
    d->plan = p;
    pthread_mutex_unlock(&d->lock);
}

static void copy_row(const Data *d, const RingEntry *e, uint32_t shape, void *const *slots,
                     int64_t row)
{
    for (uint32_t i = 0; i < d->from[shape].layout->n; i++) {
        const Place *p = &d->from[shape].layout->places[i];
        if (slots[i])
            memcpy((uint8_t *)slots[i] + (size_t)row * p->bytes, e->block + p->offset, p->bytes);
    }
}

// Count and report a bad sample. Too many are an error: judged against all that was tried so far,
// which the position tells, but not before 256 samples (or the whole source, if that is smaller)
// are in sight.
static bool count_bad(Data *d, const RingEntry *e)
{
    Sample sample = shards_sample(d->source, e->sample);
    d->counts.bad++;
    if (d->report)
        d->report(d->user, &(DataProblem){sample.shard, sample.key, e->member ? e->member : "",
                                          e->err.text});
    int64_t tried = (int64_t)e->epoch * d->epoch + e->index + 1;
    int64_t least = d->samples < 256 ? d->samples : 256;
    if (tried < least) tried = least;
    if ((double)d->counts.bad <= d->spec->max_bad * (double)tried) return true;
    return error_set(&d->failed,
                     "%lld of %lld samples are corrupt or incomplete (max_bad is %g); the last: "
                     "%s, sample %s, member %s: %s",
                     (long long)d->counts.bad, (long long)tried, d->spec->max_bad, sample.shard,
                     sample.key, e->member ? e->member : "-", e->err.text);
}

// A new epoch begins with e: what was collected of the old one is dropped.
static bool begin_epoch(Data *d, int64_t *filled)
{
    if (!d->batches && d->position.index)
        return error_set(
            &d->failed, "a whole epoch of %lld samples gave no batch of %lld: too many are corrupt",
            (long long)d->samples, (long long)size_of(d, d->position.batches));
    d->counts.used -= *filled;
    *filled = 0;
    d->batches = 0;
    return true;
}

// Rows [from, batch) of all slots to zero.
static void pad(const Data *d, void *const *slots, int64_t from)
{
    const SampleSource *s = &d->from[data_shape(d)];
    for (uint32_t i = 0; i < s->layout->n; i++) {
        size_t row = s->layout->places[i].bytes;
        if (slots[i])
            memset((uint8_t *)slots[i] + (size_t)from * row, 0,
                   (size_t)(s->spec->batch - from) * row);
    }
}

// Fill rows until the batch is full or the sequential epoch ends.
static bool fill(Data *d, void *const *slots, int64_t *filled)
{
    uint32_t shape = data_shape(d);
    int64_t batch = d->from[shape].spec->batch;
    while (*filled < batch) {
        if (!d->shuffled && d->position.index == (uint64_t)d->epoch) return true;
        RingEntry *e = collect(d);
        bool ok = e->index > 0 || begin_epoch(d, filled);
        load_for(d, e, shape);
        if (ok && e->state == ENTRY_GOOD) {
            copy_row(d, e, shape, slots, *filled);
            d->keys[(*filled)++] = shards_sample(d->source, e->sample).key;
            d->counts.used++;
            d->counts.dropped += e->dropped;
        } else if (ok) {
            ok = count_bad(d, e);
            plan_again(d, batch - *filled);
        }
        d->position.epoch = e->epoch, d->position.index = (uint64_t)e->index + 1;
        release(d, e);
        if (!ok) return false;
    }
    return true;
}

bool data_next(Data *d, void *const *slots, int64_t *count, Error *err)
{
    int64_t filled = 0;
    d->nkeys = 0;
    if (d->ended)
        data_seek(d, (DataPosition){.epoch = d->position.epoch + 1,
                                    .used = d->counts.used,
                                    .bad = d->counts.bad,
                                    .batches = d->position.batches});
    if (d->failed.set || !fill(d, slots, &filled)) return error_set(err, "%s", d->failed.text);
    d->batches++;
    d->ended = filled == 0;
    pad(d, slots, filled);
    d->position.batches++;
    d->nkeys = filled;
    if (count) *count = filled;
    return true;
}

DataPosition data_position(const Data *d)
{
    return (DataPosition){d->position.epoch, d->position.index, d->counts.used, d->counts.bad,
                          d->position.batches};
}

void data_seek(Data *d, DataPosition position)
{
    pthread_mutex_lock(&d->lock);
    d->paused = true;
    while (d->busy) pthread_cond_wait(&d->done, &d->lock);
    for (uint64_t i = 0; i < d->size; i++) d->ring[i].state = ENTRY_EMPTY;
    d->head = d->tail = 0;
    if (position.index > (uint64_t)d->epoch) position.index = (uint64_t)d->epoch;
    d->cursor = d->position = position;
    d->plan = (Plan){position.batches, size_of(d, position.batches)};
    make_order(d);
    d->paused = false;
    pthread_cond_broadcast(&d->work);
    pthread_mutex_unlock(&d->lock);
    d->batches = position.index > 0;
    d->counts.used = position.used, d->counts.bad = position.bad;
    d->ended = false;
}

double data_wait_seconds(const Data *d)
{
    return d->counts.wait_seconds;
}

DataCounts data_counts(const Data *d)
{
    return d->counts;
}

int64_t data_decoded(const Data *d, const char *name)
{
    const DataSpec *s = d->spec;
    for (uint32_t i = 0; i < s->nviews + s->nfields; i++) {
        const char *item = i < s->nviews ? s->views[i].name : s->fields[i - s->nviews].name;
        if (strcmp(item, name) == 0)
            return atomic_load_explicit(&d->decoded[i], memory_order_relaxed);
    }
    return -1;
}

const char *data_key(const Data *d, int64_t i)
{
    return i >= 0 && i < d->nkeys ? d->keys[i] : NULL;
}
