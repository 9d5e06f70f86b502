// The host CPU as a target, and plans to object code: kernels are shared out to threads, each with
// its own LLVM context and module, and linked into one blob.
#include "codegen/cpu.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/processor.h"

#include "codegen/emit.h"
#include "codegen/gemm.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <time.h>

static const char *take_message(Arena *arena, char *message)
{
    const char *copy = str_copy(arena, message ? message : "");
    LLVMDisposeMessage(message);
    return copy;
}

#define V3 "avx,avx2,bmi,bmi2,f16c,fma,lzcnt,movbe"
#define V4 V3 ",avx512f,avx512bw,avx512cd,avx512dq,avx512vl"
#define AMX_BF16 "amx-bf16"
#define AMX_TILE "amx-tile"

// The levels of the x86-64 psABI that code is made for, best first, and tile registers beside the
// best; nothing else of a CPU is used.
static const struct {
    const char *name, *level, *features, *matrix;
    uint32_t lanes;
} levels[] = {
    {"x86-64-v4+amx", "x86-64-v4", V4, AMX_BF16 "," AMX_TILE, 16},
    {"x86-64-v4", "x86-64-v4", V4, NULL, 16},
    {"x86-64-v3", "x86-64-v3", V3, NULL, 8},
};
enum { LEVELS = sizeof levels / sizeof *levels };

static bool has_all(Arena *arena, const char *features, const char *wanted)
{
    const char *all = str_printf(arena, "%s,", features);
    while (*wanted) {
        size_t n = strcspn(wanted, ",");
        if (!strstr(all, str_printf(arena, "+%.*s,", (int)n, wanted))) return false;
        wanted += n + (wanted[n] == ',');
    }
    return true;
}

// Does this machine have what level i asks for?
static bool host_has(Arena *arena, const char *host, uint32_t i)
{
    const char *matrix = levels[i].matrix;
    return has_all(arena, host, levels[i].features) &&
           (!matrix || (has_all(arena, host, matrix) && processor_lends_tiles()));
}

// Of f64 there is plain arithmetic: functions, products and attention are f32.
static bool has(OpCode op, DType from, DType to)
{
    (void)to;
    bool narrow = op_info(op)->flags & OPF_EXPAND || op == OP_TF32 || op == OP_DOT ||
                  op_info(op)->class == CLASS_ATTENTION;
    return from != DT_F64 || !narrow;
}

bool cpu_target(Arena *arena, const char *level, Cpu *cpu, Error *err)
{
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    const char *self = take_message(arena, LLVMGetHostCPUName());
    const char *host = take_message(arena, LLVMGetHostCPUFeatures());
    uint32_t i = 0;
    while (i < LEVELS && (level ? strcmp(level, levels[i].name) : !host_has(arena, host, i))) i++;
    if (i == LEVELS && level)
        return error_set(err,
                         "there is no CPU level '%s': x86-64-v3 (AVX2), x86-64-v4 (AVX-512) and "
                         "x86-64-v4+amx (tile registers for bf16)",
                         level);
    if (i == LEVELS)
        return error_set(err, "this CPU (%s) has no AVX2 and FMA; cztc needs x86-64-v3 or better",
                         self);
    cpu->name = level ? levels[i].level : self;
    cpu->level = levels[i].level;
    cpu->features = levels[i].features;
    cpu->matrix = levels[i].matrix;
    cpu->target = (Target){.name = "cpu",
                           .lanes = levels[i].lanes,
                           .matrix = cpu->matrix != NULL,
                           .has = has,
                           .packs = true,
                           .packed_count = gemm_packed_count,
                           .tasks = gemm_tasks};
    return true;
}

// ---- one module
// ------------------------------------------------------------------------------------

typedef struct Job {
    const Plan *plan;
    const Cpu *cpu;
    uint32_t first, step; // kernels first, first + step, ..
    Arena *arena;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMTargetMachineRef machine;
    uint8_t *object;
    size_t size;
    CompileStats stats;
    Error err;
} Job;

const char *kernel_symbol(Arena *arena, uint32_t i)
{
    return str_printf(arena, "k%u", i);
}

static void add_attribute(LLVMContextRef c, LLVMValueRef fn, const char *key, const char *value)
{
    LLVMAttributeRef a =
        LLVMCreateStringAttribute(c, key, (unsigned)strlen(key), value, (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex, a);
}

// What keeps the object free of outside references (and every function hidden and without
// unwinding).
static void mark_function(LLVMContextRef c, LLVMValueRef fn, const Cpu *cpu)
{
    LLVMSetVisibility(fn, LLVMHiddenVisibility);
    unsigned nounwind = LLVMGetEnumAttributeKindForName("nounwind", 8);
    LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(c, nounwind, 0));
    add_attribute(c, fn, "no-builtins", "");
    add_attribute(c, fn, "no-jump-tables", "true");
    add_attribute(c, fn, "target-cpu", cpu->level);
    add_attribute(c, fn, "tune-cpu", cpu->name);
    if (cpu->target.lanes == 16) add_attribute(c, fn, "prefer-vector-width", "512");
    if (cpu->matrix) add_attribute(c, fn, "target-features", "+" AMX_BF16 ",+" AMX_TILE);
}

static EmitTypes module_types(LLVMContextRef c)
{
    return (EmitTypes){
        LLVMInt1TypeInContext(c),   LLVMInt8TypeInContext(c),       LLVMInt16TypeInContext(c),
        LLVMInt32TypeInContext(c),  LLVMInt64TypeInContext(c),      LLVMFloatTypeInContext(c),
        LLVMDoubleTypeInContext(c), LLVMPointerTypeInContext(c, 0), LLVMVoidTypeInContext(c)};
}

static void emit_kind(Emit *e)
{
    switch (e->kernel->kind) {
    case KERNEL_LOOP: emit_loop_kernel(e); return;
    case KERNEL_PACK: emit_pack_kernel(e); return;
    case KERNEL_GEMM: emit_gemm_kernel(e); return;
    case KERNEL_ATTENTION:
    case KERNEL_ATTENTION_GRAD:
    case KERNEL_ATTENTION_BIAS_GRAD: emit_attention_kernel(e); return;
    case KERNEL_SCATTER: emit_scatter_kernel(e); return;
    case KERNEL_CUMSUM:
    case KERNEL_TOPK:
    case KERNEL_NMS:
    case KERNEL_EIGH: emit_ordered_kernel(e); return;
    case KERNEL_LISTS: bug("kernel %s is of another target", e->kernel->name);
    }
}

static void load_buffers(Emit *e)
{
    e->base = arena_array(e->arena, LLVMValueRef, e->kernel->buffers.n + 1);
    for (uint32_t i = 0; i < e->kernel->buffers.n; i++)
        e->base[i] = emit_load(e, e->t.ptr, emit_at(e, e->t.ptr, e->buffers, emit_i64(e, i)), 8);
}

static void emit_kernel(Job *job, const Kernel *shared, const char *symbol)
{
    Arena *scratch = arena_new();
    Kernel own =
        *shared; // questions about indices add to their pool, and other threads emit other kernels
    const Kernel *k = &own;
    index_copy(&own.body.index, &shared->body.index, scratch);
    index_copy(&own.gemm.a.index, &shared->gemm.a.index, scratch);
    Emit e = {.arena = scratch,
              .context = job->context,
              .module = job->module,
              .kernel = k,
              .t = module_types(job->context),
              .target = &job->cpu->target,
              .lanes = job->cpu->target.lanes};
    LLVMTypeRef args[4] = {e.t.ptr, e.t.i64, e.t.i64, e.t.ptr};
    e.function = LLVMAddFunction(job->module, symbol, LLVMFunctionType(e.t.void_, args, 4, false));
    mark_function(job->context, e.function, job->cpu);
    e.buffers = LLVMGetParam(e.function, 0);
    e.begin = LLVMGetParam(e.function, 1);
    e.end = LLVMGetParam(e.function, 2);
    e.worker = LLVMGetParam(e.function, 3);
    e.builder = LLVMCreateBuilderInContext(job->context);
    LLVMPositionBuilderAtEnd(e.builder,
                             LLVMAppendBasicBlockInContext(job->context, e.function, "entry"));
    load_buffers(&e);
    emit_kind(&e);
    LLVMBuildRetVoid(e.builder);
    LLVMDisposeBuilder(e.builder);
    arena_free(scratch);
}

static bool open_module(Job *job)
{
    char *message = NULL, *triple = LLVMGetDefaultTargetTriple();
    LLVMTargetRef target;
    if (LLVMGetTargetFromTriple(triple, &target, &message)) {
        error_set(&job->err, "LLVM: %s", message);
        LLVMDisposeMessage(message);
        LLVMDisposeMessage(triple);
        return false;
    }
    job->machine =
        LLVMCreateTargetMachine(target, triple, job->cpu->level, "", LLVMCodeGenLevelDefault,
                                LLVMRelocPIC, LLVMCodeModelSmall);
    job->context = LLVMContextCreate();
    job->module = LLVMModuleCreateWithNameInContext("cztc", job->context);
    LLVMSetTarget(job->module, triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(job->machine);
    LLVMSetModuleDataLayout(job->module, layout);
    LLVMDisposeTargetData(layout);
    LLVMDisposeMessage(triple);
    return true;
}

static void close_module(Job *job)
{
    if (job->module) LLVMDisposeModule(job->module);
    if (job->context) LLVMContextDispose(job->context);
    if (job->machine) LLVMDisposeTargetMachine(job->machine);
}

static void optimise(Job *job)
{
    char *message = NULL;
    if (LLVMVerifyModule(job->module, LLVMReturnStatusAction, &message))
        bug("LLVM module: %s", message);
    LLVMDisposeMessage(message);
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef failed = LLVMRunPasses(
        job->module,
        "function(early-cse,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(licm),early-cse)",
        job->machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (failed) bug("LLVM passes: %s", LLVMGetErrorMessage(failed));
}

static void *run_job(void *arg)
{
    Job *job = arg;
    if (!open_module(job)) return NULL;
    double t0 = seconds_now();
    for (uint32_t i = job->first; i < job->plan->kernels.n; i += job->step) {
        emit_kernel(job, job->plan->kernels.at[i], kernel_symbol(job->arena, i));
        job->stats.kernels++;
    }
    double t1 = seconds_now();
    optimise(job);
    double t2 = seconds_now();
    LLVMMemoryBufferRef buffer = NULL;
    char *message = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(job->machine, job->module, LLVMObjectFile, &message,
                                            &buffer)) {
        error_set(&job->err, "LLVM: %s", message);
        LLVMDisposeMessage(message);
    } else {
        job->size = LLVMGetBufferSize(buffer);
        job->object = arena_copy(job->arena, LLVMGetBufferStart(buffer), job->size);
        LLVMDisposeMemoryBuffer(buffer);
    }
    job->stats.emit_s = t1 - t0;
    job->stats.optimise_s = t2 - t1;
    job->stats.codegen_s = seconds_now() - t2;
    close_module(job);
    return NULL;
}

// ---- a whole plan
// -------------------------------------------------------------------------------------

static int64_t worker_bytes(const Plan *plan, const Target *target)
{
    int64_t most = 64;
    for (uint32_t i = 0; i < plan->kernels.n; i++) {
        const Kernel *k = plan->kernels.at[i];
        int64_t bytes = 0;
        if (k->kind == KERNEL_LOOP) bytes = emit_loop_worker_bytes(k);
        if (k->kind == KERNEL_GEMM) bytes = emit_gemm_worker_bytes(k, target);
        if (kernel_attends(k)) bytes = emit_attention_worker_bytes(k, target);
        if (kernel_orders(k)) bytes = emit_ordered_worker_bytes(k);
        if (bytes > most) most = bytes;
    }
    return (most + 63) / 64 * 64;
}

static void run_jobs(Job *jobs, uint32_t n)
{
    pthread_t *threads = arena_array(jobs[0].arena, pthread_t, n);
    bool *started = arena_array(jobs[0].arena, bool, n);
    for (uint32_t i = 1; i < n; i++)
        started[i] = pthread_create(&threads[i], NULL, run_job, &jobs[i]) == 0;
    run_job(&jobs[0]);
    for (uint32_t i = 1; i < n; i++) {
        if (started[i])
            pthread_join(threads[i], NULL);
        else
            run_job(&jobs[i]);
    }
}

bool cpu_compile(Arena *arena, const Plan *plan, const Cpu *cpu, uint32_t threads, Blob *blob,
                 CompileStats *stats, Error *err)
{
    uint32_t n = threads ? threads : 1;
    Job *jobs = arena_array(arena, Job, n);
    for (uint32_t i = 0; i < n; i++)
        jobs[i] = (Job){.plan = plan, .cpu = cpu, .first = i, .step = n, .arena = arena_new()};
    run_jobs(jobs, n);
    const uint8_t **objects = arena_array(arena, const uint8_t *, n);
    size_t *sizes = arena_array(arena, size_t, n);
    bool ok = true;
    *stats = (CompileStats){0};
    for (uint32_t i = 0; i < n; i++) {
        if (jobs[i].err.set) ok = error_set(err, "%s", jobs[i].err.text);
        objects[i] = jobs[i].object;
        sizes[i] = jobs[i].size;
        stats->emit_s += jobs[i].stats.emit_s;
        stats->optimise_s += jobs[i].stats.optimise_s;
        stats->codegen_s += jobs[i].stats.codegen_s;
        stats->kernels += jobs[i].stats.kernels;
    }
    const char **names = arena_array(arena, const char *, plan->kernels.n);
    for (uint32_t i = 0; i < plan->kernels.n; i++) names[i] = kernel_symbol(arena, i);
    double start = seconds_now();
    ok = ok && link_objects(arena, n, objects, sizes, plan->kernels.n, names, blob, err);
    stats->link_s = seconds_now() - start;
    blob->worker_bytes = worker_bytes(plan, &cpu->target);
    for (uint32_t i = 0; i < n; i++) arena_free(jobs[i].arena);
    return ok;
}

const char *cpu_kernel_ir(Arena *arena, const Kernel *k, const Cpu *cpu, bool assembly, Error *err)
{
    Job job = {.cpu = cpu, .arena = arena};
    if (!open_module(&job)) {
        error_set(err, "%s", job.err.text);
        return NULL;
    }
    emit_kernel(&job, k, "kernel");
    optimise(&job);
    const char *text;
    if (assembly) {
        LLVMMemoryBufferRef buffer = NULL;
        char *message = NULL;
        if (LLVMTargetMachineEmitToMemoryBuffer(job.machine, job.module, LLVMAssemblyFile, &message,
                                                &buffer))
            bug("LLVM: %s", message);
        text = str_slice(arena, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
        LLVMDisposeMemoryBuffer(buffer);
    } else {
        text = take_message(arena, LLVMPrintModuleToString(job.module));
    }
    close_module(&job);
    return text;
}

// ---- for the step file --------------------------------------------------------------------------

static bool uses_matrix(const Cpu *cpu, const Plan *plan)
{
    bool uses = false;
    for (uint32_t i = 0; i < plan->kernels.n; i++)
        uses |= gemm_in_matrix(&cpu->target, plan->kernels.at[i]) ||
                emit_attention_in_matrix(plan->kernels.at[i], &cpu->target);
    return uses;
}

static const char *target_json(Arena *arena, const Cpu *cpu, const Plan *plan)
{
    const char *list = "", *all = cpu->features;
    if (uses_matrix(cpu, plan)) all = str_printf(arena, "%s,%s", all, cpu->matrix);
    for (const char *f = all; *f;) {
        size_t n = strcspn(f, ",");
        list = str_printf(arena, "%s%s\"%.*s\"", list, *list ? ", " : "", (int)n, f);
        f += n + (f[n] == ',');
    }
    return str_printf(arena, "{\"arch\": \"x86-64\", \"cpu\": \"%s\", \"features\": [%s]}",
                      cpu->name, list);
}

Code cpu_code(Arena *arena, const Cpu *cpu, const Plan *plan, const Blob *blob)
{
    KernelCode *kernels = arena_array(arena, KernelCode, plan->kernels.n + 1);
    for (uint32_t i = 0; i < plan->kernels.n; i++) kernels[i].offset = blob->offset[i];
    Code code = {.target_json = target_json(arena, cpu, plan),
                 .label = cpu->name,
                 .kernels = kernels,
                 .worker_bytes = blob->worker_bytes,
                 .size = blob->size};
    vec_push(arena, &code.sections, (Section){"code", blob->bytes, blob->size});
    return code;
}

bool cpu_backend_compile(const Backend *backend, Arena *arena, const Plan *plan, uint32_t threads,
                         Code *code, CompileStats *stats, Error *err)
{
    Blob blob;
    if (!cpu_compile(arena, plan, backend->own, threads, &blob, stats, err)) return false;
    *code = cpu_code(arena, backend->own, plan, &blob);
    return true;
}

const char *cpu_backend_identity(const Backend *backend, Arena *arena, uint32_t threads)
{
    const Cpu *cpu = backend->own;
    return str_printf(arena, "cpu %s %s %s %s, %u threads", cpu->name, cpu->level, cpu->features,
                      cpu->matrix ? cpu->matrix : "", threads);
}
