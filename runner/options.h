// Options that several commands have: what they are read into, and their rows. A command whose
// values have a member `source`, `place` or `samples` names the rows of that struct in its table.
#ifndef CZT_RUNNER_OPTIONS_H
#define CZT_RUNNER_OPTIONS_H

#include "runner/cli.h"

// How a graph file is read; a step file is as it is.
typedef struct Source {
    const char *lib; // a folder of library files instead of the built-in ones, or NULL
    Texts set;       // "name=value": changes of the file
    Texts set_in;    // folders that the first of them were given in; the rest: in the current one
    bool check;      // with the values of the graph's check case
    bool no_cache;   // compile, though an equal graph was compiled before, and keep nothing
} Source;

// Where a program runs.
typedef struct Place {
    const char *target;   // of a graph file; NULL: "cpu"
    const char *products; // who does them on a GPU; NULL: "auto"
    int64_t device;       // number of the GPU
    int64_t threads;      // 0: one a core
} Place;

// Where samples come from; all may be left out.
typedef struct Samples {
    const char *data; // shards instead of the graph's
    const char *root; // folder that relative paths of the graph begin in
    int64_t workers;  // threads that decode
} Samples;

// clang-format off
#define FILE_OPERANDS(T) \
    {"FILE", 0, OPTION_OPERAND | IN_CZTC, offsetof(T, file), NULL, \
     "a graph file, IR text, a step file or a folder of train"}, \
    {"STEP", 0, OPTION_OPERAND | IN_RUNNER, offsetof(T, file), NULL, \
     "a step file or a folder of train"}
#define RUN_OPERANDS(T) \
    {"RUN", 0, OPTION_OPERAND | IN_CZTC, offsetof(T, what), NULL, \
     "a folder of train, a step file or a graph file"}, \
    {"RUN", 0, OPTION_OPERAND | IN_RUNNER, offsetof(T, what), NULL, \
     "a folder of train, or a step file"}, \
    {"RUN", 0, OPTION_MAYBE | IN_CARRIER, offsetof(T, what), NULL, \
     "a folder of train, whose newest checkpoint is taken"}

#define LIB_OPTION(T) \
    {"lib", 0, OPTION_TEXT | IN_CZTC, offsetof(T, source.lib), "DIR", \
     "library files instead of the built-in ones"}
#define SOURCE_OPTIONS(T) \
    {"set", 0, OPTION_TEXTS | IN_CZTC, offsetof(T, source.set), "K=V", \
     "change a value of the graph file; globs allowed"}, \
    LIB_OPTION(T)
#define CACHE_OPTION(T) \
    {"no-cache", 0, OPTION_FLAG | IN_CZTC, offsetof(T, source.no_cache), NULL, \
     "compile anew, and keep nothing"}
#define CHECK_OPTION(T) \
    {"check", 0, OPTION_FLAG | IN_CZTC, offsetof(T, source.check), NULL, \
     "at the reduced size of the graph's check: block"}

#define THREADS_OPTION(T) \
    {"threads", 0, OPTION_THREADS, offsetof(T, place.threads), "N", "that compute (one a core)"}
#define PLACE_OPTIONS(T) \
    {"target", 0, OPTION_TARGET | IN_CZTC, offsetof(T, place.target), "T", \
     "of a graph file: cpu (and where none is said), cuda: this machine's GPU, cuda:sm_90a, .."}, \
    {"products", 0, OPTION_CHOICE, offsetof(T, place.products), "auto|own|library|measured", \
     "on a GPU: the faster (auto: measured once and kept; measured: anew), or always one"}, \
    {"device", 0, OPTION_COUNT, offsetof(T, place.device), "N", "number of the GPU (0)"}, \
    THREADS_OPTION(T)

#define SAMPLES_OPTIONS(T) \
    {"data", 0, OPTION_TEXT, offsetof(T, samples.data), "SHARDS", \
     "these shards, or a folder of them, not the graph's: dir/train-{0000..0003}.tar"}, \
    {"root", 0, OPTION_TEXT, offsetof(T, samples.root), "DIR", \
     "where relative paths of the graph begin (its own folder)"}, \
    {"workers", 0, OPTION_THREADS, offsetof(T, samples.workers), "N", "that decode (one a core)"}
// clang-format on

#endif
