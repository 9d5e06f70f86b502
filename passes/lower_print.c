// What the passes from layout on have made, as text for people: docs/passes.md explains it.
#include "passes/lower.h"

#include <inttypes.h>

// ---- layouts ------------------------------------------------------------------------------------

static bool row_major(const Type *type, const int64_t *stride)
{
    int64_t size = 1;
    for (uint32_t i = type->rank; i-- > 0; size *= type->axes[i].size)
        if (stride[i] != size && type->axes[i].size > 1) return false;
    return true;
}

static void print_layouts(const Layout *l, FILE *out)
{
    for (NodeId id = 1; id < l->graph->nodes.n; id++) {
        const Type *type = graph_type(l->graph, id);
        if (l->live[id] && l->assembled[id]) fprintf(out, "  %%%u assembled in place\n", id);
        if (!l->live[id] || (!l->part[id] && row_major(type, l->stride[id]))) continue;
        fprintf(out, "  %%%u strides", id);
        for (uint32_t i = 0; i < type->rank; i++) fprintf(out, " %" PRId64, l->stride[id][i]);
        if (l->part[id])
            fprintf(out, " in %%%u at %" PRId64, l->part[id]->whole, l->part[id]->offset);
        fputc('\n', out);
    }
}

// ---- groups -------------------------------------------------------------------------------------

// The first group from number `from` on that a group reads from; UINT32_MAX: none.
static uint32_t next_read(const Grouping *gr, const Group *gp, uint32_t from)
{
    uint32_t next = UINT32_MAX;
    for (uint32_t i = 0; i < gp->reads.n; i++) {
        uint32_t k = gr->group_of[gp->reads.at[i]] - 1;
        if (k >= from && k < next) next = k;
    }
    return next;
}

static void print_group(const Grouping *gr, uint32_t k, FILE *out)
{
    static const char *const kinds[] = {
        "loop", "dot", "attention", "attention_grad", "attention_bias_grad", "scatter", "ordered"};
    static const char *const splits[] = {"pointwise", "row", "middle", "column"};
    static const char *const levels[] = {"", " outer", " column"};
    const Group *gp = &gr->groups.at[k];
    fprintf(out, "  group %u %s", k, gp->kind == GROUP_LOOP ? splits[gp->split] : kinds[gp->kind]);
    if (gp->kind == GROUP_LOOP)
        fprintf(out, " %" PRId64 " x %" PRId64 " x %" PRId64, gp->outer, gp->red, gp->inner);
    for (uint32_t n = 0, i = next_read(gr, gp, 0); i != UINT32_MAX; i = next_read(gr, gp, i + 1))
        if (i != k) fprintf(out, "%s%u", n++ ? " " : " after ", i);
    fputc('\n', out);
    for (uint32_t i = 0; i < gp->members.n; i++) {
        NodeId id = gp->members.at[i];
        const Node *n = graph_node(gr->graph, id);
        fprintf(out, "    %%%u %s%s%s", id, op_info(n->op)->name, levels[gr->level[id]],
                gr->stored[id] ? " stored" : "");
        if (n->origins.n) fprintf(out, "  # %s", diag_where(gr->graph->diag, n->origins.at[0]));
        fputc('\n', out);
    }
}

static void print_groups(const Grouping *gr, FILE *out)
{
    for (uint32_t k = 0; k < gr->groups.n; k++)
        if (!gr->groups.at[k].gone) print_group(gr, k, out);
}

// ---- plans --------------------------------------------------------------------------------------

static const char *const block_names[] = {"state", "scratch", "input", "output", "const"};

static void print_buffer(const PlanEntry *e, uint32_t i, bool planned, FILE *out)
{
    const PlanBuffer *b = &e->buffers.at[i];
    fprintf(out, "  b%u %s %s %" PRId64, i, block_names[b->block], dtype_name(b->dtype), b->count);
    if (b->name) fprintf(out, " %s", b->name);
    if (planned && b->first != UINT32_MAX)
        fprintf(out, " at %" PRId64 " launches %u to %u", b->offset, b->first, b->last);
    fputc('\n', out);
}

static void print_entry(const Plan *plan, const PlanEntry *e, bool planned, FILE *out)
{
    for (uint32_t i = 0; i < e->buffers.n; i++) print_buffer(e, i, planned, out);
    for (uint32_t l = 0; l < e->launches.n; l++) {
        fprintf(out, "  launch %u\n", l);
        for (uint32_t s = 0; s < e->launches.at[l].segments.n; s++) {
            const Segment *seg = &e->launches.at[l].segments.at[s];
            fprintf(out, "    k%u %s", seg->kernel, plan->kernels.at[seg->kernel]->name);
            for (uint32_t i = 0; i < seg->buffers.n; i++) {
                fprintf(out, " b%u", seg->buffers.at[i]);
                if (seg->from.at[i]) fprintf(out, "+%" PRId64, seg->from.at[i]);
            }
            fputc('\n', out);
        }
    }
    if (planned)
        fprintf(out, "  scratch %" PRId64 " bytes, unplanned %" PRId64 "\n", e->scratch_bytes,
                e->unplanned_bytes);
}

static void print_kernels(const Plan *plan, FILE *out)
{
    Arena *scratch = arena_new();
    for (uint32_t i = 0; i < plan->kernels.n; i++)
        fprintf(out, "# k%u %s: %" PRId64 " FLOP, %" PRId64 " bytes\n%s\n", i,
                plan->kernels.at[i]->name, plan->kernels.at[i]->flops, plan->kernels.at[i]->bytes,
                kernel_text(scratch, plan->kernels.at[i]));
    arena_free(scratch);
}

void lowering_print(const Lowering *l, uint32_t facts, FILE *out)
{
    bool plan = facts & (FACT_LOWERED | FACT_SCHEDULED | FACT_PLANNED);
    if (plan) print_kernels(l->plan, out);
    for (uint32_t i = 0; i < l->plan->entries.n; i++) {
        const Lower *lo = &l->entries[i];
        fprintf(out, "entry %s\n", l->plan->entries.at[i].name);
        if (plan)
            print_entry(l->plan, &l->plan->entries.at[i], facts & FACT_PLANNED, out);
        else if (facts & FACT_GROUPED)
            print_groups(lo->gr, out);
        else
            print_layouts(lo->layout, out);
    }
}

void lowering_count(const Lowering *l, uint32_t facts, char *text, size_t size)
{
    uint32_t groups = 0, launches = 0;
    uint64_t steps = 0;
    int64_t scratch = 0;
    for (uint32_t i = 0; i < l->plan->entries.n; i++) {
        const Grouping *gr = facts & FACT_LAYOUT ? NULL : l->entries[i].gr;
        for (uint32_t k = 0; gr && k < gr->groups.n; k++) groups += !gr->groups.at[k].gone;
        steps += gr ? gr->search.steps : 0;
        launches += l->plan->entries.at[i].launches.n;
        if (l->plan->entries.at[i].scratch_bytes > scratch)
            scratch = l->plan->entries.at[i].scratch_bytes;
    }
    if (facts & FACT_LAYOUT)
        snprintf(text, size, "%u entries", l->plan->entries.n);
    else if (facts & FACT_GROUPED)
        snprintf(text, size, "%u groups, %" PRIu64 " steps of search", groups, steps);
    else if (facts & FACT_PLANNED)
        snprintf(text, size, "%.1f MiB of scratch", (double)scratch / 1048576);
    else
        snprintf(text, size, "%u kernels in %u launches", l->plan->kernels.n, launches);
}
