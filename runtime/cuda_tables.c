// Tables for functions that do many segments in one launch: a row a segment (its buffers'
// addresses, two sizes, its first block), then the row of every block.
#include "runtime/cuda_engine.h"

static const StepKernel *kernel_of(const CudaEngine *c, const StepSegment *s)
{
    return &c->step->kernels[s->kernel];
}

static size_t row_words(const StepSegment *s)
{
    return s->nbuffers + 3;
}

uint32_t cuda_node_blocks(const CudaEngine *c, const OrderNode *node)
{
    uint32_t blocks = 0;
    for (uint32_t s = 0; s < node->n; s++) blocks += kernel_of(c, node->segments[s])->blocks[0];
    return blocks;
}

static size_t table_bytes(const CudaEngine *c, const OrderNode *node)
{
    size_t rows = 8 * row_words(node->segments[0]) * node->n;
    return (rows + 4 * (size_t)cuda_node_blocks(c, node) + 15) / 16 * 16;
}

int64_t cuda_tables_bytes(const CudaEngine *c)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < c->step->nentries; i++)
        for (uint32_t l = 0; l < c->step->entries[i].nlaunches; l++) {
            const StepLaunch *launch = &c->step->entries[i].launches[l];
            for (uint32_t n = 0; n < launch->n; n++) {
                const StepSegment *s = &launch->segments[n];
                const StepKernel *k = kernel_of(c, s);
                if (k->table) bytes += 8 * (int64_t)row_words(s) + 4 * (int64_t)k->blocks[0] + 16;
            }
        }
    return bytes;
}

static void put_table(const CudaEngine *c, const CudaEntry *e, const OrderNode *node, uint8_t *to)
{
    size_t words = row_words(node->segments[0]);
    CuPtr *row = (CuPtr *)(void *)to;
    uint32_t *row_of = (uint32_t *)(row + words * node->n), first = 0;
    for (uint32_t s = 0; s < node->n; s++, row += words) {
        const StepKernel *k = kernel_of(c, node->segments[s]);
        const CuPtr *addresses = e->parameters[node->numbers[s]];
        for (size_t b = 0; b + 3 < words; b++) row[b] = addresses[b];
        row[words - 3] = (CuPtr)k->size[0];
        row[words - 2] = (CuPtr)k->size[1];
        row[words - 1] = first;
        for (uint32_t b = 0; b < k->blocks[0]; b++) row_of[first++] = s;
    }
}

static void bind_entry(CudaEngine *c, CudaEntry *e, size_t *used)
{
    e->node_parameters = arena_array(c->arena, void *, e->order.n + 1);
    for (uint32_t i = 0; i < e->order.n; i++) {
        const OrderNode *node = &e->order.nodes[i];
        e->node_parameters[i] = e->parameters[node->numbers[0]];
        if (!kernel_of(c, node->segments[0])->table) continue;
        CuPtr *table = arena_array(c->arena, CuPtr, 2);
        put_table(c, e, node, c->host_tables + *used);
        table[0] = c->tables + *used;
        table[1] = table[0] + 8 * row_words(node->segments[0]) * node->n;
        e->node_parameters[i] = table;
        *used += table_bytes(c, node);
    }
}

bool cuda_tables_bind(CudaEngine *c, Error *err)
{
    size_t used = 0;
    c->host_tables = arena_alloc(c->arena, (size_t)cuda_tables_bytes(c) + 16);
    for (uint32_t i = 0; i < c->step->nentries; i++) bind_entry(c, &c->entries[i], &used);
    return !used ||
           cuda_engine_check(c, c->driver.to_device(c->tables, c->host_tables, used, c->main),
                             "copying tables", err);
}
