// One sweep over the samples. Whole batches go through entry "eval", which gives losses and
// embeddings and updates the metrics; the last, partial batch only through the encoders, since its
// padding must not count. Which encoder reads images and which text is told by their inputs: tokens
// are integers of two axes.
#include "runner/evaluate.h"

#include "base/progress.h"
#include "runner/classes.h"
#include "runner/ranking.h"
#include "runner/tokens.h"
#include "runtime/tokenizer.h"

#include <math.h>

typedef struct Encoder {
    const char *name; // "visual"
    uint32_t entry;   // "encode_visual"; its first output is (batch, width)
    int64_t width;
    VEC(float) rows; // embeddings so far
} Encoder;

typedef struct Eval {
    Arena *arena;
    const Loaded *program;
    const EvalOptions *options;
    Feed feed;
    uint32_t entry; // "eval"
    int64_t batch;  // samples of its runs, and of the encoders'
    bool has_image, has_text;
    Encoder image, text;
    VEC(int32_t) classes; // of each sample; -1: none
    double *sums;         // of eval's outputs, over whole batches
    Figures *out;
    Error *err;
} Eval;

static void add(Eval *ev, const char *name, double value, double baseline)
{
    vec_push(ev->arena, &ev->out->at, (Figure){name, value, baseline, NULL});
}

// ---- encoders
// -----------------------------------------------------------------------------------------

static void find_encoders(Eval *ev)
{
    static const char prefix[] = "encode_";
    const Step *step = ev->program->step;
    for (uint32_t i = 0; i < step->nentries; i++) {
        const StepEntry *e = &step->entries[i];
        if (strncmp(e->name, prefix, sizeof prefix - 1) != 0 || e->noutputs == 0) continue;
        const CztTensor *out = &e->outputs[0];
        if (out->rank != 2 || out->shape[0] != ev->batch || out->dtype != CZT_F32) continue;
        bool tokens = false;
        for (uint32_t k = 0; k < e->ninputs; k++)
            tokens |= e->inputs[k].rank == 2 && e->inputs[k].dtype == CZT_I32;
        bool *has = tokens ? &ev->has_text : &ev->has_image;
        Encoder *enc = tokens ? &ev->text : &ev->image;
        if (*has) continue;
        *has = true;
        *enc = (Encoder){.name = e->name + sizeof prefix - 1, .entry = i, .width = out->shape[1]};
    }
    // similarities need both sides in one space
    if (ev->image.width != ev->text.width) ev->has_image = ev->has_text = false;
}

static void keep_rows(Eval *ev, Encoder *enc, const float *from, int64_t count)
{
    for (int64_t i = 0; i < count * enc->width; i++) vec_push(ev->arena, &enc->rows, from[i]);
}

// Embeddings of a whole batch are outputs of "eval" too: "visual.embedding".
static bool keep_from_eval(Eval *ev, Encoder *enc)
{
    const StepEntry *e = &ev->program->step->entries[ev->entry];
    const char *main = ev->program->step->entries[enc->entry].outputs[0].name;
    int32_t i =
        tensor_find(e->outputs, e->noutputs, str_printf(ev->arena, "%s.%s", enc->name, main));
    if (i < 0 || e->outputs[i].rank != 2 || e->outputs[i].shape[1] != enc->width) return false;
    keep_rows(ev, enc, exec_output(ev->program->exec, ev->entry, (uint32_t)i), ev->batch);
    return true;
}

// Inputs that both entries have are taken over.
static void copy_inputs(const Loaded *l, uint32_t from, uint32_t to)
{
    const StepEntry *a = &l->step->entries[from], *b = &l->step->entries[to];
    for (uint32_t i = 0; i < b->ninputs; i++) {
        int32_t k = tensor_find(a->inputs, a->ninputs, b->inputs[i].name);
        if (k >= 0 && a->inputs[k].bytes == b->inputs[i].bytes)
            memcpy(exec_input(l->exec, to, i), exec_input(l->exec, from, (uint32_t)k),
                   (size_t)b->inputs[i].bytes);
    }
}

static bool encode(Eval *ev, Encoder *enc, int64_t count)
{
    const Loaded *l = ev->program;
    copy_inputs(l, ev->entry, enc->entry);
    if (!exec_run(l->exec, enc->entry, 0, l->step->seed, ev->err)) return false;
    keep_rows(ev, enc, exec_output(l->exec, enc->entry, 0), count);
    return true;
}

// ---- the sweep
// ------------------------------------------------------------------------------------------

static bool run_named(const Eval *ev, const char *name)
{
    int32_t e = step_entry(ev->program->step, name);
    return e < 0 || exec_run(ev->program->exec, (uint32_t)e, 0, ev->program->step->seed, ev->err);
}

static bool whole_batch(Eval *ev)
{
    const Loaded *l = ev->program;
    const StepEntry *e = &l->step->entries[ev->entry];
    if (!exec_run(l->exec, ev->entry, ev->options->step, l->step->seed, ev->err)) return false;
    for (uint32_t i = 0; i < e->noutputs; i++)
        if (e->outputs[i].rank == 0) ev->sums[i] += exec_scalar(l->exec, ev->entry, i);
    ev->out->batches++;
    return (!ev->has_image || keep_from_eval(ev, &ev->image) ||
            encode(ev, &ev->image, ev->batch)) &&
           (!ev->has_text || keep_from_eval(ev, &ev->text) || encode(ev, &ev->text, ev->batch));
}

static bool sweep(Eval *ev, Progress *progress)
{
    int64_t batch = ev->batch, count;
    void **to = arena_array(ev->arena, void *, ev->feed.nslots + 1);
    int32_t *labels = arena_array(ev->arena, int32_t, batch);
    uint8_t *present = arena_array(ev->arena, uint8_t, batch);
    feed_places(&ev->feed, ev->entry, 0, to);
    int32_t label = feed_slot(&ev->feed, "$class"), known = feed_slot(&ev->feed, "$class.present");
    if (label >= 0) to[label] = labels;
    if (known >= 0) to[known] = present;
    for (;;) {
        if (!data_next(ev->feed.data, to, &count, ev->err)) return false;
        if (count == 0) return true;
        ev->out->samples += count;
        if (count < batch) ev->out->left_out = count;
        if (count == batch && !whole_batch(ev)) return false;
        if (count < batch && ev->has_image &&
            !(encode(ev, &ev->image, count) && encode(ev, &ev->text, count)))
            return false;
        for (int64_t i = 0; i < count && label >= 0; i++)
            vec_push(ev->arena, &ev->classes, known < 0 || present[i] ? labels[i] : -1);
        if (ev->options->progress) progress_at(progress, ev->out->samples);
        if (ev->options->samples && ev->out->samples >= ev->options->samples) return true;
    }
}

// ---- figures
// --------------------------------------------------------------------------------------------

// The part of a baseline's name that follows its metric's, "constant" of "edge.mean_abs.constant"
// beside "edge.mean_abs"; else NULL.
static const char *after_name(const char *name, const char *metric)
{
    size_t n = strlen(metric);
    return strncmp(name, metric, n) == 0 && name[n] == '.' ? name + n + 1 : NULL;
}

// The results of entry "metrics", each metric with its baselines after it.
static bool metrics(Eval *ev)
{
    const Step *step = ev->program->step;
    int32_t m = step_entry(step, "metrics");
    if (m < 0) return true;
    if (!run_named(ev, "metrics")) return false;
    const StepEntry *e = &step->entries[m];
    bool *under = arena_array(ev->arena, bool, e->noutputs + 1);
    for (uint32_t i = 0; i < e->noutputs; i++)
        for (uint32_t k = 0; k < e->noutputs; k++)
            under[i] |= after_name(e->outputs[i].name, e->outputs[k].name) != NULL;
    for (uint32_t i = 0; i < e->noutputs; i++) {
        if (e->outputs[i].rank != 0 || under[i]) continue;
        for (uint32_t k = 0; k < e->noutputs; k++) {
            const char *name = e->outputs[k].name, *rest = after_name(name, e->outputs[i].name);
            if (e->outputs[k].rank != 0 || !(k == i || rest)) continue;
            add(ev, str_copy(ev->arena, name), exec_scalar(ev->program->exec, (uint32_t)m, k), NAN);
            if (rest) ev->out->at.at[ev->out->at.n - 1].under = str_copy(ev->arena, rest);
        }
    }
    return true;
}

static bool losses_and_metrics(Eval *ev)
{
    const Loaded *l = ev->program;
    const StepEntry *e = &l->step->entries[ev->entry];
    if (!ev->out->batches) return true;
    for (uint32_t i = 0; i < e->noutputs; i++)
        if (e->outputs[i].rank == 0)
            add(ev, str_printf(ev->arena, "loss.%s", e->outputs[i].name),
                ev->sums[i] / (double)ev->out->batches, NAN);
    return metrics(ev);
}

static const int64_t top[] = {1, 5};
enum { TOPS = sizeof top / sizeof *top };

static void add_tops(Eval *ev, const char *name, const int64_t *within, int64_t n,
                     int64_t candidates)
{
    for (int k = 0; k < TOPS; k++) {
        double chance = (double)top[k] / (double)candidates;
        add(ev, str_printf(ev->arena, "%s@%lld", name, (long long)top[k]),
            (double)within[k] / (double)n, chance > 1 ? 1 : chance);
    }
}

// Keep the first sample of each distinct caption (equal tokens have equal embeddings): with two of
// one caption no answer would be right. Gives how many are left, in the arrays given.
static int64_t distinct_captions(const Eval *ev, float *image, float *text)
{
    int64_t n = ev->out->samples, width = ev->image.width, kept = 0;
    size_t row = (size_t)width * sizeof *text;
    for (int64_t i = 0; i < n; i++) {
        const float *x = ev->text.rows.at + i * width;
        int64_t k = 0;
        while (k < kept && memcmp(text + k * width, x, row) != 0) k++;
        if (k < kept) continue;
        memcpy(text + kept * width, x, row);
        memcpy(image + kept++ * width, ev->image.rows.at + i * width, row);
    }
    return kept;
}

static void retrieval(Eval *ev)
{
    int64_t width = ev->image.width, within[TOPS];
    float *image = arena_array(ev->arena, float, ev->out->samples *width),
          *text = arena_array(ev->arena, float, ev->out->samples *width);
    int64_t n = distinct_captions(ev, image, text);
    Pool *pool = exec_pool(ev->program->exec);
    rank_within(pool, image, n, text, n, width, NULL, top, within, TOPS);
    add_tops(ev, "retrieval.image_to_text", within, n, n);
    rank_within(pool, text, n, image, n, width, NULL, top, within, TOPS);
    add_tops(ev, "retrieval.text_to_image", within, n, n);
}

// ---- zero-shot
// --------------------------------------------------------------------------------------------

// The template with {} replaced.
static const char *fill_in(Arena *arena, const char *template, const char *name)
{
    const char *hole = strstr(template, "{}");
    if (!hole) return template;
    return str_printf(arena, "%.*s%s%s", (int)(hole - template), template, name, hole + 2);
}

// The tokens of the text encoder's entry, and their number among its inputs.
static const CztTensor *text_input(const Eval *ev, uint32_t *number)
{
    const StepEntry *e = &ev->program->step->entries[ev->text.entry];
    uint32_t input = 0;
    while (e->inputs[input].rank != 2 || e->inputs[input].dtype != CZT_I32) input++;
    if (number) *number = input;
    return &e->inputs[input];
}

// Encode texts in batches; rows (n, width) into out.
static bool encode_texts(Eval *ev, const Tokenizer *t, const char *const *texts, int64_t n,
                         float *out)
{
    const Loaded *l = ev->program;
    const StepEntry *e = &l->step->entries[ev->text.entry];
    int64_t batch = ev->batch, width = ev->text.width;
    uint32_t input;
    int64_t length = text_input(ev, &input)->shape[1];
    for (int64_t at = 0; at < n; at += batch) {
        int32_t *to = exec_input(l->exec, ev->text.entry, input);
        memset(to, 0, (size_t)e->inputs[input].bytes);
        int64_t count = n - at < batch ? n - at : batch;
        for (int64_t i = 0; i < count; i++)
            if (!tokenizer_encode(t, texts[at + i], strlen(texts[at + i]), to + i * length, length,
                                  ev->err))
                return false;
        if (!exec_run(l->exec, ev->text.entry, 0, l->step->seed, ev->err)) return false;
        memcpy(out + at * width, exec_output(l->exec, ev->text.entry, 0),
               (size_t)(count * width) * sizeof *out);
    }
    return true;
}

// The embedding of a class is the mean of its prompts' unit embeddings (Radford et al. 2021).
static bool class_rows(Eval *ev, const Classes *c, float *rows)
{
    const Step *step = ev->program->step;
    Tokenizer *t = tokens_of_input(ev->arena, step, text_input(ev, NULL), ev->err);
    int64_t n = c->n, m = c->ntemplates, width = ev->text.width;
    const char **texts = arena_array(ev->arena, const char *, n *m);
    for (int64_t i = 0; i < n * m; i++)
        texts[i] = fill_in(ev->arena, c->templates[i % m], c->names[i / m]);
    float *all = arena_array(ev->arena, float, n *m *width);
    bool ok = t && encode_texts(ev, t, texts, n * m, all);
    tokenizer_close(t);
    if (!ok) return false;
    rows_normalize(all, n * m, width);
    for (int64_t i = 0; i < n * m; i++)
        for (int64_t d = 0; d < width; d++) rows[i / m * width + d] += all[i * width + d];
    rows_normalize(rows, n, width);
    return true;
}

// Share of the samples with a class that belong to the most frequent one.
static double majority(const Eval *ev, int64_t n, int64_t known)
{
    int64_t *count = arena_array(ev->arena, int64_t, n), most = 0;
    for (uint32_t i = 0; i < ev->classes.n; i++) {
        int32_t c = ev->classes.at[i];
        if (c >= 0 && c < n && ++count[c] > most) most = count[c];
    }
    return (double)most / (double)known;
}

static bool classify(Eval *ev, const Classes *classes)
{
    int64_t n = classes->n, width = ev->text.width, known = 0, within[TOPS];
    float *rows = arena_array(ev->arena, float, n *width);
    if (!class_rows(ev, classes, rows)) return false;
    for (uint32_t i = 0; i < ev->classes.n; i++) {
        if (ev->classes.at[i] >= n)
            return error_set(ev->err, "%s: a sample has class %d, there are %lld",
                             ev->options->classes, ev->classes.at[i], (long long)n);
        known += ev->classes.at[i] >= 0;
    }
    if (!known) {
        fprintf(stderr, "note: no sample of %s has a class: zero-shot is left out\n",
                ev->options->source);
        return true;
    }
    rank_within(exec_pool(ev->program->exec), ev->image.rows.at, ev->out->samples, rows, n, width,
                ev->classes.at, top, within, TOPS);
    add_tops(ev, "zero_shot", within, known, n);
    double most = majority(ev, n, known);
    Figure *first = &ev->out->at.at[ev->out->at.n - TOPS];
    if (most > first->baseline) first->baseline = most;
    return true;
}

bool evaluate(Arena *arena, const Loaded *l, const EvalOptions *o, Figures *out, Error *err)
{
    Progress progress = progress_begin("eval", "samples", o->samples);
    Eval ev = {.arena = arena, .program = l, .options = o, .out = out, .err = err};
    Classes classes = {0};
    FeedOptions feed = {.source = o->source,
                        .key = o->key,
                        .series = o->series,
                        .in_order = true,
                        .classes = o->classes != NULL,
                        .samples = o->samples,
                        .entry_at = feed_one_entry,
                        .ctx = &ev.entry,
                        .workers = o->workers};
    *out = (Figures){0};
    if (o->classes && !classes_read(arena, o->classes, o->prompts, &classes, err)) return false;
    if (!load_entry(l, "eval", &ev.entry, err)) return false;
    ev.batch = feed.batch = evaluate_batch(l);
    if (!feed_open(&ev.feed, l, &feed, err)) return false;
    ev.sums = arena_array(arena, double, l->step->entries[ev.entry].noutputs + 1);
    find_encoders(&ev);
    bool ok = feed_covers(&ev.feed, ev.entry, 0, err) && run_named(&ev, "metrics_reset") &&
              sweep(&ev, &progress) && losses_and_metrics(&ev);
    progress_end(&progress);
    if (ok && ev.has_image && ev.has_text && out->samples) {
        rows_normalize(ev.image.rows.at, out->samples, ev.image.width);
        rows_normalize(ev.text.rows.at, out->samples, ev.text.width);
        retrieval(&ev);
        ok = !o->classes || classify(&ev, &classes);
    }
    feed_close(&ev.feed);
    return ok;
}
