// The manifest and sections of a step file (docs/step-format.md).
#include "codegen/code.h"

#include <jansson.h>

static json_t *shape_json(const Type *type)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < type->rank; i++)
        json_array_append_new(a, json_integer(type->axes[i].size));
    return a;
}

static json_t *tensor_json(const char *name, const Type *type, int64_t offset)
{
    return json_pack("{s:s, s:s, s:o, s:I, s:I}", "name", name, "dtype", dtype_name(type->dtype),
                     "shape", shape_json(type), "offset", (json_int_t)offset, "bytes",
                     (json_int_t)type_bytes(type));
}

static json_t *state_json(const Program *p, const Plan *plan)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < p->states.n; i++) {
        const StateVar *s = &p->states.at[i];
        json_t *t = tensor_json(s->name, s->type, plan->state.at[i].offset);
        json_object_set_new(t, "kind", json_string(state_kind_name(s->kind)));
        json_array_append_new(a, t);
    }
    return a;
}

static const char *const kind_names[] = {
    "loop",  "pack",   "gemm", "attention", "attention_grad", "attention_bias_grad", "scatter",
    "lists", "cumsum", "topk", "nms",       "eigh",
};

// How far it reaches from where each of its buffers begins, and of what type.
static json_t *extents_json(const Kernel *k)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < k->buffers.n; i++) {
        const KernelBuffer *b = &k->buffers.at[i];
        json_array_append_new(a,
                              json_pack("[I, b, s]", (json_int_t)(b->count * dtype_size(b->dtype)),
                                        (int)b->written, dtype_name(b->dtype)));
    }
    return a;
}

static json_t *lines_json(const Program *p, const Loc *origins, uint32_t n)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(a, json_string(diag_whole_where(p->diag, origins[i])));
    return a;
}

static json_t *matrix_json(const MatrixView *v)
{
    return json_pack("[I, I, I, I, I]", (json_int_t)v->buffer, (json_int_t)v->offset,
                     (json_int_t)v->batch, (json_int_t)v->row, (json_int_t)v->col);
}

// The product of a kernel that a library may do.
static json_t *product_json(const Kernel *k)
{
    const LibraryProduct *p = k->gemm.library;
    DType from = k->buffers.at[p->a.buffer].dtype;
    json_t *o =
        json_pack("{s:I, s:I, s:I, s:I, s:s, s:s, s:o, s:o, s:o}", "batch",
                  (json_int_t)k->gemm.batch, "m", (json_int_t)k->gemm.m, "n", (json_int_t)k->gemm.n,
                  "k", (json_int_t)k->gemm.k, "from", k->gemm.tf32 ? "tf32" : dtype_name(from),
                  "to", dtype_name(k->buffers.at[p->c.buffer].dtype), "a", matrix_json(&p->a), "b",
                  matrix_json(&p->b), "c", matrix_json(&p->c));
    if (p->biased) json_object_set_new(o, "bias", matrix_json(&p->bias));
    if (p->added) json_object_set_new(o, "sum", matrix_json(&p->sum));
    if (p->workspace) json_object_set_new(o, "workspace", json_true());
    if (p->rest) json_object_set_new(o, "rest", json_integer(p->rest - 1));
    return o;
}

static json_t *numbers_json(const KernelCode *c)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < c->nnumbers; i++)
        json_array_append_new(a, json_integer((json_int_t)c->numbers[i]));
    return a;
}

static json_t *kernel_json(const Program *p, const Kernel *k, const KernelCode *c)
{
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:I, s:o, s:o}", "name", k->name, "kind", kind_names[k->kind],
                  "flops", (json_int_t)k->flops, "bytes", (json_int_t)k->bytes, "buffers",
                  extents_json(k), "lines", lines_json(p, k->origins.at, k->origins.n));
    json_t *where =
        c->symbol
            ? json_pack("{s:s, s:i, s:i, s:I, s:I, s:i}", "symbol", c->symbol, "unit", (int)c->unit,
                        "threads", (int)c->threads, "blocks_x", (json_int_t)c->blocks[0],
                        "blocks_y", (json_int_t)c->blocks[1], "shared_bytes", (int)c->shared_bytes)
            : json_pack("{s:I}", "offset", (json_int_t)c->offset);
    json_object_update(o, where);
    json_decref(where);
    if (c->table)
        json_object_set_new(o, "sizes",
                            json_pack("[I, I]", (json_int_t)c->size[0], (json_int_t)c->size[1]));
    if (c->nnumbers) json_object_set_new(o, "numbers", numbers_json(c));
    if (k->kind == KERNEL_GEMM && k->gemm.library)
        json_object_set_new(o, "product", product_json(k));
    return o;
}

static json_t *kernels_json(const Program *p, const Plan *plan, const Code *code)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < plan->kernels.n; i++)
        json_array_append_new(a, kernel_json(p, plan->kernels.at[i], &code->kernels[i]));
    return a;
}

static const char *const block_names[] = {"state", "scratch", "input", "output", "const"};

// Where a kernel's use comes from other places than its first one.
static bool is_elsewhere(const Segment *seg, const Kernel *k)
{
    return seg->origins.n != k->origins.n ||
           (k->origins.n &&
            memcmp(seg->origins.at, k->origins.at, k->origins.n * sizeof *k->origins.at) != 0);
}

static json_t *launches_json(const Program *p, const PlanEntry *e, const Plan *plan)
{
    json_t *launches = json_array();
    for (uint32_t l = 0; l < e->launches.n; l++) {
        json_t *segments = json_array();
        for (uint32_t s = 0; s < e->launches.at[l].segments.n; s++) {
            const Segment *seg = &e->launches.at[l].segments.at[s];
            json_t *buffers = json_array();
            for (uint32_t i = 0; i < seg->buffers.n; i++) {
                const PlanBuffer *b = &e->buffers.at[seg->buffers.at[i]];
                int64_t at = b->offset + seg->from.at[i] * dtype_size(b->dtype);
                json_array_append_new(buffers,
                                      json_pack("[s, I]", block_names[b->block], (json_int_t)at));
            }
            json_t *o =
                json_pack("{s:I, s:I, s:o}", "kernel", (json_int_t)seg->kernel, "tasks",
                          (json_int_t)plan->kernels.at[seg->kernel]->tasks, "buffers", buffers);
            if (seg->frozen) json_object_set_new(o, "frozen", json_true());
            if (is_elsewhere(seg, plan->kernels.at[seg->kernel]))
                json_object_set_new(o, "lines", lines_json(p, seg->origins.at, seg->origins.n));
            json_array_append_new(segments, o);
        }
        json_array_append_new(launches, json_pack("{s:o}", "segments", segments));
    }
    return launches;
}

// The types of an entry's inputs and outputs stand in its graph.
static const Type *input_type(const Entry *e, const char *name)
{
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op == OP_INPUT && strcmp(node_str(n, ATTR_NAME), name) == 0) return n->type;
    }
    bug("input %s", name);
}

// The whole batch of what the entries before this one take in parts: behind its own inputs, on the
// host alone; memplan counted it.
static void add_parts_inputs(Arena *arena, const Program *p, const Entry *e, const PlanEntry *pe,
                             json_t *to)
{
    enum { ALIGN = 64 };
    int64_t at = pe->input_bytes;
    const EntryInputs inputs = entry_inputs(p, e, arena);
    for (uint32_t i = 0; i < inputs.n; i++) {
        const EntryInput *in = &inputs.at[i];
        if (in->own) continue;
        json_array_append_new(to, tensor_json(in->name, in->type, at));
        at += (type_bytes(in->type) + ALIGN - 1) / ALIGN * ALIGN;
    }
    if (at != pe->host_bytes) bug("%s: inputs end at %lld", e->name, (long long)at);
}

// [{"entry": "step.backward", "parts": 8}, ..]
static json_t *before_json(const Entry *e)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < e->before.n; i++)
        json_array_append_new(a, json_pack("{s:s, s:I}", "entry", e->before.at[i].entry, "parts",
                                           (json_int_t)e->before.at[i].parts));
    return a;
}

// Does this entry change what entry refresh computes from, and not the result?
static bool outdates(const Program *p, const Entry *e, const Entry *refresh, Arena *arena)
{
    Map changed = {0};
    const Graph *g = refresh->graph;
    bool *old = arena_array(arena, bool, g->nodes.n);
    for (uint32_t u = 0; u < e->updates.n; u++)
        map_set(arena, &changed, e->updates.at[u].name, (void *)p);
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        old[id] = n->op == OP_STATE && map_get(&changed, node_str(n, ATTR_NAME));
        for (uint32_t i = 0; i < n->nargs; i++) old[id] |= old[n->args[i]];
    }
    for (uint32_t u = 0; u < refresh->updates.n; u++) {
        const NamedNode *to = &refresh->updates.at[u];
        if (old[to->node] && !map_get(&changed, to->name)) return true;
    }
    return false;
}

// Does this entry read what entry refresh computes?
static bool wants_refreshed(const Program *p, const Entry *e, const Entry *refresh, Arena *arena)
{
    Map fresh = {0};
    for (uint32_t u = 0; u < refresh->updates.n; u++)
        map_set(arena, &fresh, refresh->updates.at[u].name, (void *)p);
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op == OP_STATE && map_get(&fresh, node_str(n, ATTR_NAME))) return true;
    }
    return false;
}

static void add_refresh(json_t *to, const Program *p, const Entry *e, Arena *arena)
{
    const Entry *refresh = program_find_entry((Program *)p, "refresh");
    if (!refresh || e == refresh) return;
    if (outdates(p, e, refresh, arena)) json_object_set_new(to, "outdates", json_true());
    if (wants_refreshed(p, e, refresh, arena)) json_object_set_new(to, "refresh", json_true());
}

static json_t *entry_json(Arena *arena, const Program *p, const Plan *plan, uint32_t entry)
{
    const Entry *e = p->entries.at[entry];
    const PlanEntry *pe = &plan->entries.at[entry];
    json_t *inputs = json_array(), *outputs = json_array();
    for (uint32_t i = 0; i < pe->inputs.n; i++) {
        const PlanBuffer *b = &pe->buffers.at[pe->inputs.at[i]];
        json_array_append_new(inputs, tensor_json(b->name, input_type(e, b->name), b->offset));
    }
    for (uint32_t i = 0; i < pe->outputs.n; i++) {
        const PlanBuffer *b = &pe->buffers.at[pe->outputs.at[i]];
        const Type *type = graph_type(e->graph, e->outputs.at[i].node);
        json_array_append_new(outputs, tensor_json(b->name, type, b->offset));
    }
    add_parts_inputs(arena, p, e, pe, inputs);
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o}", "name", e->name, "input_bytes",
                          (json_int_t)pe->input_bytes, "output_bytes", (json_int_t)pe->output_bytes,
                          "scratch_bytes", (json_int_t)pe->scratch_bytes, "inputs", inputs,
                          "outputs", outputs, "launches", launches_json(p, pe, plan));
    if (e->graph->batch != p->batch) json_object_set_new(o, "batch", json_integer(e->graph->batch));
    add_refresh(o, p, e, arena);
    if (!e->before.n) return o;
    json_object_set_new(o, "host_bytes", json_integer(pe->host_bytes));
    json_object_set_new(o, "before", before_json(e));
    return o;
}

static void add_text(json_t *m, const char *key, const char *text)
{
    json_error_t error;
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY, &error) : NULL;
    if (text && !value) bug("%s: %s", key, error.text);
    if (value) json_object_set_new(m, key, value);
}

// Of all that decides what the program computes.
static uint64_t source_hash(const Program *p, const Code *code)
{
    uint64_t hash = hash_str(0, p->name);
    for (uint32_t i = 0; i < code->sections.n; i++)
        hash = hash_bytes(hash, code->sections.at[i].data, code->sections.at[i].size);
    if (p->train_json) hash = hash_str(hash, p->train_json);
    return p->data_json ? hash_str(hash, p->data_json) : hash;
}

const char *step_manifest(Arena *arena, const Program *p, const Plan *plan, const Code *code)
{
    json_t *entries = json_array();
    for (uint32_t i = 0; i < plan->entries.n; i++)
        json_array_append_new(entries, entry_json(arena, p, plan, i));
    json_t *m = json_pack(
        "{s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "cztc", 1, "name", p->name,
        "source_hash", str_printf(arena, "%016llx", (unsigned long long)source_hash(p, code)),
        "batch", (json_int_t)p->batch, "seed", (json_int_t)p->seed, "steps", (json_int_t)p->steps,
        "state_bytes", (json_int_t)plan->state_bytes, "const_bytes",
        (json_int_t)(plan->constants.n * sizeof(int64_t)), "worker_bytes",
        (json_int_t)code->worker_bytes, "state", state_json(p, plan), "kernels",
        kernels_json(p, plan, code), "entries", entries);
    if (!m) bug("manifest");
    if (p->least) json_object_set_new(m, "least_bytes", json_integer(p->least));
    if (p->memory) json_object_set_new(m, "limit_bytes", json_integer(p->memory));
    add_text(m, "target", code->target_json);
    add_text(m, "data", p->data_json);
    add_text(m, "train", p->train_json);
    add_text(m, "eval", p->eval_json);
    char *text = json_dumps(m, JSON_COMPACT);
    const char *copy = str_copy(arena, text);
    free(text); // jansson's own allocation
    json_decref(m);
    return copy;
}

uint32_t step_sections(Arena *arena, const Program *p, const Plan *plan, const Code *code,
                       Section **sections)
{
    const char *manifest = step_manifest(arena, p, plan, code);
    uint32_t n = 0;
    *sections = arena_array(arena, Section, code->sections.n + 2);
    (*sections)[n++] = (Section){"manifest", manifest, strlen(manifest)};
    (*sections)[n++] = (Section){"const", plan->constants.at, plan->constants.n * sizeof(int64_t)};
    for (uint32_t i = 0; i < code->sections.n; i++) (*sections)[n++] = code->sections.at[i];
    return n;
}
