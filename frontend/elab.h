// The elaborator's shared structures: the library, scopes of lazily evaluated names, modules and
// their instances, the graph file's parts, and the build of one entry. A name is evaluated when it
// is first read, once a build; so order does not count and cycles are found. Every entry is a build
// of its own over the same library and the same program's state.
#ifndef CZT_FRONTEND_ELAB_H
#define CZT_FRONTEND_ELAB_H

#include "base/glob.h"
#include "frontend/frontend.h"
#include "frontend/text.h"
#include "frontend/value.h"

enum { DEPTH_LIMIT = 300 }; // of names, functions and modules that wait for each other

// ---- scopes and frames ------------------------------------------------------------------------

// Where evaluation stands: for paths of parameters, streams of random numbers and notes under
// errors.
struct Frame {
    Frame *parent;    // who asked, for notes
    Frame *owner;     // the frame whose path and counter count (a function's is its caller's)
    const char *what; // "module block", "function gelu", "experts.seg"; NULL prints no note
    const char *path; // prefix of parameters, "" at the top
    Loc call;
    uint64_t stream;    // hash that random streams start from
    uint64_t site;      // hash of the chain of places that led here; tells owners of one path apart
    uint32_t count;     // random numbers and calls so far
    uint64_t anonymous; // site of the anonymous call that owns parameters under this path
    Loc anonymous_loc;
    Instance *instance;    // the module applied here, or NULL
    const struct Ema *ema; // the slow copy that is applied here, or NULL
    bool frozen;           // a teacher is applied here
    Precision precision;   // of the products made here; none: the program's
    const char *part;      // of the graph's own entries: "visual", "experts.seg"
    const Scope *scope;    // the outermost one of this frame
};

typedef enum { BIND_VALUE, BIND_EXPR, BIND_TREE, BIND_PARAM, BIND_BODY, BIND_FIELD } BindKind;

struct Binding {
    const char *name;
    Loc loc;
    BindKind kind;
    bool forced, forcing;
    const Expr *expr;
    const Tree *tree;
    Scope *scope; // where expr or tree is evaluated
    Value value;
    const struct Decl *decl; // the declaration it must satisfy, or NULL
    Binding *pack;           // `q, k, v: list`: the binding of the list, and the place in it
    uint32_t index, npack;
};

struct Scope {
    Scope *parent;
    Frame *frame;
    Map names;             // name -> Binding *
    const Binding *naming; // the binding being evaluated, names what `param(...)` makes
};

Scope *scope_new(Elab *el, Scope *parent, Frame *frame);
Frame *frame_new(Elab *el, Frame *parent, const char *what, const char *path, Loc call);
// Add a name; a second one is reported at both places.
Binding *scope_add(Elab *el, Scope *s, const char *name, Loc loc, BindKind kind);
// A binding of no scope: of a value; of what is evaluated in one.
Binding *binding_value(Elab *el, const char *name, Loc loc, Value v);
Binding *binding_tree(Elab *el, const char *name, const Tree *t, Scope *scope);
void scope_value(Elab *el, Scope *s, const char *name, Loc loc, Value v);
Binding *scope_find(const Scope *s, const char *name);
// Evaluate (once) what a name stands for.
Value binding_force(Elab *el, Binding *b);
// The value of a name, or an error with "did you mean".
Value scope_read(Elab *el, Scope *s, const char *name, Loc loc);
// The same for what is called: a field or loss of that name does not hide a module or function.
Value callee_read(Elab *el, Scope *s, const char *name, Loc loc);

// ---- errors -----------------------------------------------------------------------------------

// Report at loc, or where the user is to blame for it, with a note for each module on the way.
// False, so that `return el_error(...)` reads well; el_fail gives a value.
bool el_error(Elab *el, Loc loc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define el_fail(...) (el_error(__VA_ARGS__), value_error())
// The same for the error just reported by somebody else.
void el_notes(Elab *el);
// Wrap a node just made: notes when it is 0 and an error was reported since `before`.
Value el_node(Elab *el, NodeId node, uint32_t before);
// mixing.c: the value just made, or an error where what was made for it mixes samples.
Value unmixed(Elab *el, Value v);
// blame.c: the place of the user's files that led to an error with this text at loc; loc itself
// when that is the user's, or when nothing of the user's led there.
Loc blame(Elab *el, Loc loc, const char *text);
// The innermost call of the user's that led to loc; loc itself when that is the user's.
Loc blame_call(const Elab *el, Loc loc);
// Is the place outside of the library?
bool is_users(const Elab *el, Loc loc);

// ---- declarations, modules, functions ---------------------------------------------------------

typedef enum {
    WORD_ANY,
    WORD_INT,
    WORD_FLOAT,
    WORD_BOOL,
    WORD_NAME,
    WORD_LIST,
    WORD_PARAM,
    WORD_GRAD,
    WORD_COUNT,
    WORD_TENSOR,
    WORD_MODULE
} Word;

// The numbers that a setting takes: `0..1`, `0..<1`, `0<..`. text: as a message says it.
typedef struct Bounds {
    double lo, hi;
    bool lo_open, hi_open; // without the end itself
    const char *text;
} Bounds;

typedef struct Decl {
    const char *name;
    Loc loc;
    bool is_shape, lead, optional; // lead: "..." stands for any leading axes
    bool wrong;                    // it was reported: what is given to it is not looked at
    VEC(Expr *) dims;
    uint32_t maybe;    // the number of the axis, from 1, that may be absent ("N?"); 0: none
    const char *shape; // its text
    DType dtype;       // DT_NONE: any
    Word word;
    const Bounds *range;  // of it, or of a list's items; NULL: any
    const char *role;     // "class_map": a field that is given has this role; NULL: no matter
    const Expr *def;      // default, or NULL
    const Tree *def_tree; // default given as a list or mapping
} Decl;

typedef struct Item { // one row of params, body, out, state, update
    const char *name; // the key's text; "q, k, v" for several
    Loc loc;
    const Tree *value;
} Item;

typedef VEC(Item) Items;
typedef VEC(Decl) Decls;

typedef enum { ROLE_MODULE, ROLE_OPTIMIZER, ROLE_METRIC, ROLE_KIND } ModuleRole;

struct ModuleDef {
    const char *name, *doc, *file;
    Loc loc;
    ModuleRole role;
    Decls in, let;
    Items params, body, out, state, update;
    const Tree *tree; // its mapping
};

struct FunctionDef {
    const char *name, *doc, *file, *text;
    Loc loc;
    VEC(const char *) params;
    VEC(const Expr *) defaults; // NULL: required
    const Tree *body;
};

// Parse a declaration `name: value`. False when reported.
bool decl_parse(Elab *el, const TreeEntry *entry, Decl *decl);
const Decl *decl_find(const Decls *decls, const char *name);
// Is a default, where it is a number, one, and in its range? Where it is not that is not asked
// again.
void decl_check_default(Elab *el, Decl *d);
// Check a value against a declaration's word and convert (int to float).
Value decl_check(Elab *el, const Decl *d, Value v, Loc loc);
// Solve the named dimensions of an input: bind new names in scope, compare known ones. False if
// reported.
bool decl_unify(Elab *el, const ModuleDef *def, const Decl *d, NodeId x, Scope *s, Loc loc,
                bool named);

// The number of the axis that a declared shape calls so, of a tensor of that rank; -1 when
// reported.
int64_t decl_axis(Elab *el, const Decl *d, const char *name, uint32_t rank, Loc loc);

// ---- instances and applications ---------------------------------------------------------------

struct Instance {
    const ModuleDef *def;
    const char *path;
    Loc loc;
    Frame *frame; // of the place that made it
    uint64_t site;
    bool anonymous;
    const struct Ema *ema; // the slow copy that it is of, or NULL
    bool frozen;           // a teacher
    bool part;             // made under params:, which gives it no inputs
    const char *name;      // of a teacher
    const Tree *outputs;   // further names of a teacher's values, or NULL
    Precision precision;   // that it says itself; none: that of the place that made it
    Map args;              // name -> Binding *: lets and default inputs
    App *app;              // with the default inputs, once somebody asked
    bool doing;            // these are being applied
};

struct App {
    Instance *instance;
    Scope *scope;
    Map out;   // name -> Binding *, in order; the first is the main output
    Map extra; // names added by a repeat's body
};

// Arguments of a call: values with their places.
typedef struct Arg {
    const char *name; // NULL: positional
    Loc name_loc, loc;
    Value value;
} Arg;
typedef VEC(Arg) Args;

// Make an instance of a module from a mapping's keys (those in `skip` left out), evaluated in
// scope.
Instance *instance_from_tree(Elab *el, const ModuleDef *def, const char *path, const Tree *map,
                             const char *const *skip, Scope *scope);
// Make an instance from a call under params: positional arguments are lets in order.
Instance *instance_construct(Elab *el, const ModuleDef *def, const char *path, const Args *args,
                             Scope *scope, Loc loc);
// Construct and apply: positional arguments are inputs, lets by name.
App *module_call(Elab *el, const ModuleDef *def, const Args *args, Scope *scope, Loc loc);
// Apply an instance to inputs (positional in order, or by name); the others keep their defaults.
App *instance_apply(Elab *el, Instance *inst, const Args *args, Loc loc);
// The application to the default inputs.
App *instance_default(Elab *el, Instance *inst, Loc loc);
// The same for what is read in a place; a part that is given its inputs elsewhere has no values.
App *instance_read(Elab *el, Instance *inst, Loc loc);
// Bind inputs, lets, params, body and outputs of an application without evaluating the last three.
App *app_open(Elab *el, Instance *inst, const Map *given, bool main, Loc loc);
// Arguments of what cannot be made: their own errors are looked for when the build is done.
void look_later(Elab *el, const Map *args);
// Bind one input or setting: what `given` or the instance has of it, else its default. False when
// reported.
bool decl_bind(Elab *el, App *app, const Decl *d, const Map *given, Loc loc);
// Force the tensor inputs and solve their dimensions: names first, then expressions of them.
bool app_solve(Elab *el, App *app);
// Evaluate parameters, then the body in file order, then the outputs, so that every error is found.
void app_force(Elab *el, App *app);
// Bind the rows of `params:` in a scope; their paths start with the frame's path.
void params_bind(Elab *el, const Items *params, Scope *scope);
// A parameter tensor at the path; init is evaluated in scope (with `shape`), NULL for zeros.
Value param_make(Elab *el, const char *path, const Type *type, const Tree *init_tree,
                 const Expr *init, Scope *scope, bool trainable, Value max, Loc loc);
Value param_eval(Elab *el, Binding *b);
Value body_eval(Elab *el, Binding *b);
void body_bind(Elab *el, const Items *body, Scope *scope);
Value repeat_eval(Elab *el, const Tree *t, Scope *scope, const char *name);
// A member of an application: output, then body name, then part.
bool app_member(Elab *el, App *app, const char *name, Value *out);
Value app_main(Elab *el, App *app, Loc loc);
const char *path_join(Elab *el, const char *prefix, const char *name);
// Is it of this role? Reported at loc, with where it belongs, when it is not.
bool role_check(Elab *el, const ModuleDef *def, ModuleRole role, Loc loc);
// The module a mapping's `module:` key names. NULL when reported.
const ModuleDef *tree_module(Elab *el, const Tree *map, Scope *scope);
Items items_read(Elab *el, const Tree *map);
// library.c: the module that is defined under a name; that of definition i where it is of a role;
// NULL: none. An input or a setting of one.
const ModuleDef *def_named(const Elab *el, const char *name);
const ModuleDef *def_at(const Elab *el, uint32_t i, ModuleRole role);
const Decl *def_setting(const ModuleDef *def, const char *name);

// ---- evaluation -------------------------------------------------------------------------------

const Expr *el_parse(Elab *el, const Tree *scalar); // parsed once
Value expr_eval(Elab *el, Scope *s, const Expr *e);
Value tree_eval(Elab *el, Scope *s, const Tree *t, const char *name);
Value member_read(Elab *el, Value v, const char *name, Loc loc);
Value function_call(Elab *el, const FunctionDef *f, const Args *args, Scope *scope, Loc loc);
Value arith(Elab *el, ExprOp op, Value a, Value b, Loc loc);
// The names of axes that a value keeps of those it is computed of, element by element: an operand's
// own, where none is before them, and those of all where they agree; NULL where it has none.
const Decl *names_met(const Elab *el, const Value *operands, uint32_t n, Value out);
Value arith_unary(Elab *el, ExprOp op, Value a, Loc loc);
Value value_index(Elab *el, Scope *s, const Expr *e, Value v);
// The graph's own entry that a frame belongs to.
const Frame *part_frame(const Frame *f);
// Let products that are added to the graph have the precision of the place where evaluation
// stands, until el_plain.
void el_precise(Elab *el);
void el_plain(Elab *el);
// x broadcast-compatible selects and casts for library C code.
DType dtype_promote(DType a, DType b);
NodeId node_cast(Elab *el, NodeId x, DType dt);

// ---- built-in functions -----------------------------------------------------------------------

typedef struct Call {
    const Builtin *builtin;
    Elab *el;
    Scope *scope;
    Loc loc;
    uint32_t n;
    const Value *args; // in the order of the signature; V_NONE where absent
    const Loc *locs;
    const ValueList *rest; // of a variadic last parameter
    const Args *named;     // for built-ins that take any names (einsum sizes)
    uint32_t before;       // errors when it began
} Call;

struct Builtin {
    const char *name, *signature, *doc;
    Value (*run)(const Call *c);
    int op; // OpCode for the table-driven ones
};

const Builtin *builtin_find(const char *name);
const Builtin *builtin_table(uint32_t *n);
Value builtin_call(Elab *el, const Builtin *b, const Args *args, Scope *scope, Loc loc);

// ---- the elaborator ---------------------------------------------------------------------------

typedef struct Init { // how a state variable begins
    const char *name;
    const Tree *tree;
    const Expr *expr;
    Scope *scope;
    Loc loc;
    double constant;                   // where both are NULL
    const struct Statistic *statistic; // of a teacher's output that it is of, or NULL
    const char *part;
} Init;

typedef struct ParamLimit {
    double max;
} ParamLimit;

// When a guess is tried: instead of the mends that an error has already; before all of its other
// guesses; before the plain ones; among them; behind them; where none of them helps.
typedef enum { TURN_COLUMN = -3, TURN_FIRST, TURN_EARLY, TURN_PLAIN, TURN_LATE, TURN_LAST } Turn;

typedef struct Guess {    // what may mend an error
    uint32_t error, from; // the source that this is in
    uint32_t before;      // the guess for the same error before it, from 1
    Loc at, also;         // also: a second place, or nowhere
    const char *text, *also_text, *said;
    Turn turn;   // among the error's other ones
    bool anyway; // offered, too, where no guess for the error helps
    bool sure;   // where it alone helps
} Guess;

typedef struct Guesses {
    VEC(Guess) all;
    VEC(uint32_t) last; // by error: the last guess for it, from 1
} Guesses;

typedef struct Dropped { // the list of import: that a file's own one replaced
    const Tree *key, *list;
} Dropped;

struct Elab {
    Arena *arena;
    Diag *diag;
    const FrontendOptions *options;
    const char *file;     // the graph file
    const char *base_dir; // folder of the graph file, "" when it is the current one
    Program *program;
    Map files;   // library files read: path -> LibFile *
    Map defs;    // name -> Binding * of functions, modules, constants
    Map parsed;  // scalar -> Expr *
    Map sites;   // state name -> Frame * of its owner
    Map clashes; // pairs of parts reported to share a path
    Map inits;   // state name -> Init *
    Map matched; // rows of groups: that match a trained parameter
    Map limits;  // parameter -> ParamLimit *
    Map infos;   // parameter -> ParamInfo *
    Map warned;  // places and texts of warn(): each is told once
    Frontend *out;
    const Tree *root;    // the graph file after extends and --set, with the shape's constants
    VEC(uint32_t) bases; // sources of the files that it extends
    VEC(Dropped) dropped;
    bool lost_import;      // a library file was not read: what it defines is not known
    uint32_t failed_shape; // that had the errors, from 1; 0: all, compared with each other
    VEC(struct Shape *) shapes;
    const struct Shape *shape; // the one of a row after the first that is built here, or NULL

    // The build of one entry.
    Graph *graph;
    uint32_t build, builds;
    bool training, initialising;
    bool partial;         // errors have kept parts from being built: what is missing may be there
    Frame *frame;         // where evaluation stands now
    VEC(Frame *) makers;  // node -> where evaluation stood when it was made
    Scope *globals;       // functions, modules, reserved names
    Scope *still;         // the same where nothing trains
    Map emas;             // slow copies: name -> Ema *
    Map constants;        // of files: path -> Tree * of the parameter
    Map statistics;       // "stats.phi.siglip.summary" -> Statistic *
    Map stats_files;      // file -> path of the statistic that is in it
    Scope *scope;         // the graph's names
    Map read;             // rows of values: that some build has read
    const Map *lib_trees; // files of the library that were looked into for names, or NULL
    Map tasks;            // "pair", "experts.seg" -> Task *, in file order
    Map instances;        // encoders and heads -> Instance *
    Map running;          // parameters that modules update: name -> what running.c knows of it
    Map taught;           // teachers that some build applies: name -> anything
    Map metrics;          // tasks with a metric, of the build of "eval": task -> Metric *
    uint32_t depth;       // nesting of evaluation, against endless recursion
    uint32_t noted;       // errors when notes were last added
    NodeId unmixed;       // nodes of the graph from this one were not asked if they mix samples
    Map mixed;            // those that do, and what was made of them at once: node -> Mixed *
    int64_t batch, steps, seed;
    int64_t parts;        // of the batch of a step (accumulate)
    int64_t memory;       // bytes that a step may take; 0: any
    VEC(int64_t) phases;  // updates at which a phase begins, from 0
    bool tapping;         // what is off is no error: the step of another phase may have it
    int64_t phase;        // where the phase of this build begins, or PHASE_ALL
    VEC(int64_t) periods; // of tasks with every:, rising
    uint32_t resting;     // bits of the periods whose tasks are not in this build
    Map bounds;           // of rows with from: or until:
    Map first_update;     // parameter -> int64_t *: the beginning of its first phase of training
    Precision precision;
    bool marking;         // this build decides what the loader decodes
    Map used;             // views and fields that are read: name -> anything
    Map wrong;            // views and fields, and values of theirs, that data_check reported
    VEC(Binding *) later; // arguments of what could not be made, looked at behind the rest
    Guesses guesses;      // of errors whose mends are tried
    Turn turn;            // of those that are added now
    Map blamed; // values of the user's that fail inside the library -> the first error's text
};

struct Json;

// frozen.c: teachers
void teachers_bind(Elab *el);
bool is_teacher(const Elab *el, const char *name);
// The graph's names, and behind them the teachers' own: what items of a family see.
Scope *teacher_names(Elab *el);
// Names of an application that its teacher has under outputs:.
void teacher_outputs(Elab *el, App *app);
// The files that frozen state comes from, into an object.
void put_frozen(Elab *el, struct Json *j);
// A rule of a file's names in the rows for the runtime.
void put_file_rule(struct Json *j, const char *from, const char *to);

// ema.c
typedef struct Ema {
    const char *name;
    const Tree *tree;
    int64_t from, until;
    VEC(const char *) of; // encoders and heads
} Ema;
void emas_bind(Elab *el);
// What a module applied there sees beside its own names.
Scope *module_names(Elab *el, const Frame *owner);
// The student's parameter of a copy's.
const char *ema_student(const Ema *ema, const char *path);
// A copy's parameter of the student's; NULL where the copy is not of the student's part.
const char *ema_parameter(Elab *el, const Ema *ema, const char *parameter);
// Is a copy there in the phase of this build? Reported at loc when it is not.
bool ema_there(Elab *el, const Ema *ema, Loc loc);
// The parameter of a copy, which becomes a state; 0 when reported.
NodeId ema_state(Elab *el, const char *path, const Type *type, Loc loc);
// Let the copies follow their students, as they are after the entry. False when reported.
bool emas_update(Elab *el, Entry *entry, NodeId finite);
// The entry in which copies that begin at an update take the student's values; NULL: none does.
const char *emas_begin(Elab *el, int64_t at);
void emas_take(Elab *el, Entry *entry, int64_t at);

// phases.c
enum { PHASE_ALL = -1 }; // what is on at any time
// Find the phases, from `from:` and `until:` of tasks.
void phases_read(Elab *el);
// What a row says under from: or until:.
int64_t phase_bound(Elab *el, const Tree *row, const char *key, int64_t def);
// Is what is on from update `from` to before `until` on in the phase of this build?
bool phase_has(const Elab *el, int64_t from, int64_t until);
// Is a task with this every: (or none) in this build?
bool phase_works(Elab *el, const Tree *row);
// The sets of periods that rest together in some update: bits of el->periods, 0 first.
typedef VEC(uint32_t) Rests;
Rests phase_rests(Elab *el);
// The entry of a phase, where some periods rest: "step", "step@800", "step@800-4".
const char *phase_entry(Elab *el, uint32_t i, uint32_t resting);
// "phases" and "periods", for the runtime.
void put_phases(Elab *el, struct Json *j);
// Finished updates since one, an i64.
Value updates_since(Elab *el, int64_t begin);

// shapes.c
typedef struct Shape {
    const Tree *row, *root; // root: the graph file with the row's constants
    uint32_t number;        // of the row, from 1
    const char *text;       // "size: 224, batch: 256"
    VEC(Value) values;      // of the constants that some row sets
    double weight;
    Elab *el; // that builds it
} Shape;
// Find the rows of shapes:; what is built is the first one's, if there is one.
void shapes_read(Elab *el);
// Weight and values of a shape, of which the settings were read.
void shape_settle(Elab *el, Shape *s);
// Build the steps of the other shapes, when those of the first are built.
void shapes_build(Elab *el);
// "shapes" of the runtime's settings, and of the loader's specification; nothing for one shape.
void put_shapes(Elab *el, struct Json *j);
void put_shapes_data(Elab *el, struct Json *j);

// Begin a build: a fresh graph and fresh scopes over the graph file.
void build_begin(Elab *el, bool training);
// Read what is known before anything is built: batch, steps, phases.
void settings_read(Elab *el);
// A program of these settings.
Program *program_begin(Elab *el, const char *name);

bool library_import(Elab *el, const Tree *names);
bool library_file(Elab *el, const char *name, const char *dir, Loc from);
// Read a library file's definitions, once; its tree, NULL when an error was reported.
const Tree *library_read(Elab *el, const char *path, const char *name, Loc from);
// The path of what import: calls so in a file of that folder; NULL when there is none.
const char *library_path(Elab *el, const char *name, const char *dir);
// Report the `cztc:` of a file when it is not a version of the language that is known.
void version_check(Elab *el, const Tree *file);

// The folder of the library; NULL when none is known.
const char *lib_folder(const FrontendOptions *o);
// The path of a library file ("encoders/vit"); NULL when there is none.
const char *lib_path(Arena *arena, const FrontendOptions *o, const char *name);
// The library file whose name is nearest to a wrong one; NULL when none is near.
const char *lib_nearest(Elab *el, const char *name);
// Say of the last error, of a name that is not known, which file defines it and how it is imported.
// False where none does.
bool suggest_import(Elab *el, const char *name);

// set.c: overrides and extends
Tree *graph_read(Elab *el, const char *path);
// Apply --set number i of the options, "name=value"; false when reported.
bool set_apply(Elab *el, Tree *root, uint32_t i);
// Apply one row of check: set:.
bool set_row(Elab *el, Tree *root, const TreeEntry *row);
// Say of the last error or warning how a key with dots, "experts.seg", is written in a mapping.
void suggest_nested(Elab *el, const Tree *map, const Tree *key);
const char *folder_of(Elab *el, const char *path);
// The folder of the file that a value stands in, where its relative paths start; the graph's for
// NULL.
const char *said_in(Elab *el, const Tree *t);
// The same as an absolute path: what a step file keeps, since it is used from anywhere.
const char *folder_said_in(Elab *el, const Tree *t);
// A scope of its own for one entry of the graph: its random numbers and anonymous calls are its
// own.
Scope *part_scope(Elab *el, const char *what, const char *path, const char *part, Loc loc);
// What a mapping says under precision:; none: nothing, or it was reported.
Precision precision_read(Elab *el, const Tree *map);

// data_spec.c
// Whether the value of a field's `tokenizer:` is the path of a file, not a word.
bool tokenizer_path(const Tree *t);
typedef enum {
    FIELD_IMAGE,
    FIELD_CLASS_MAP,
    FIELD_MAP,
    FIELD_NORMALS,
    FIELD_VECTOR,
    FIELD_TOKENS,
    FIELD_CLASS,
    FIELD_ARRAY,
    FIELD_DRAW, // not one that `as:` can say
    FIELD_BOXES,
    FIELD_POINTS,
    FIELD_ROLES
} FieldRole;

struct Field {
    const char *name;
    FieldRole role;
    const Tree *tree;
    Loc loc;
    const Type *type;     // NULL when its description is wrong
    int64_t view_size[2]; // of boxes and points: height and width of the view they follow
    bool has_valid;       // a loss takes its validity unasked
};

// A section of data:, as views; NULL where there is none.
const Tree *data_section(const Elab *el, const char *name);

// data_check.c: report what the loader would refuse; what is wrong is put into el->wrong.
void data_check(Elab *el);
// Has data_check reported this view or field as a whole, or this value in one?
bool data_wrong(Elab *el, const Tree *item);
void data_bind(Elab *el, Scope *s);
Value field_value(Elab *el, Field *f, Loc loc);
// "class_map"
const char *field_role(const Field *f);
Value field_member(Elab *el, Field *f, const char *name, Loc loc);
Value view_read(Elab *el, const char *name, Loc loc);

// data_places.c: boxes and points
bool field_is_places(const Field *f);
// The field where a tensor is wanted: reported.
Value places_value(Elab *el, const Field *f, Loc loc);
Value places_member(Elab *el, const Field *f, const char *name, Loc loc);
// How many classes a field of any role says that it has, or has names of.
Value field_classes(Elab *el, const Field *f, Loc loc);
// What the loader is told of it beside what all fields have; `view` is the one it follows.
void places_put(Elab *el, struct Json *j, const Field *f, const char *view);
const char *data_json(Elab *el);
// Of that what a shape has for its own: batch, views, fields.
void data_put_shape(Elab *el, struct Json *j);

// data_part.c: draws, and parts of stored records. Each check reports what the loader would refuse.
typedef struct Json Json;
void draw_check(Elab *el, const Tree *t);
void draws_bind(Elab *el, Scope *s);
void draws_put(Elab *el, Json *j);
void key_check(Elab *el, const Tree *map);
// The path to a part of a record, under "key", as runtime/spec.h has it. False when reported.
bool key_put(Elab *el, Json *j, const Tree *map);

// losses.c
struct Task {
    const char *name, *path;
    bool expert, on, done, doing;
    const Tree *tree;
    Loc loc;
    Frame *frame;
    Scope *scope; // output, target, valid, decoded
    App *kind;    // NULL; or the kind's needs, and the scope of what it says
    App *module;  // NULL; or that of its loss, applied
    Value weight;
    NodeId per_sample, loss, weighted; // (B,), scalar, scalar
};

void tasks_bind(Elab *el);
// Build the loss of a task that is on. False when reported.
bool task_build(Elab *el, Task *t);
Value task_member(Elab *el, Task *t, const char *name, Loc loc);
// What a task that was built has under a name: its own, its kind's, its loss module's.
bool task_find(Elab *el, const Task *t, const char *name, Value *out);

// paths.c: a parameter by its whole path ("visual.patch.weight"), as `check --params` prints it.
// False where none is called so or almost so, and where the text means something as an expression.
bool param_by_path(Elab *el, const char *text, Loc loc, Value *out);
Value task_value(Elab *el, Task *t, Loc loc);
// A task of this name of an entry under experts: or losses:, and what it says; NULL when reported.
Task *task_begin(Elab *el, const TreeEntry *e, const char *name, bool expert);
void task_bind(Elab *el, Task *t);

// kinds.c
enum { FAMILY_LIMIT = 1000 };
// What a task says under a key and where that is evaluated: the expert's own, else its kind's;
// tree is NULL where neither says it.
typedef struct TaskKey {
    const Tree *tree;
    Scope *scope;
} TaskKey;
TaskKey task_key(const Task *t, const char *key);
// Let an expert have the kind it names. False when reported.
bool kind_open(Elab *el, Task *t);
// A name of the expert that its kind sees too.
void task_name(Elab *el, Task *t, const char *name, Binding *b);
// Bind every member of an entry with `for:`.
void family_bind(Elab *el, const TreeEntry *e, bool experts);
// The members of a family as a record; none where there is no family of that name.
Value family_value(Elab *el, const char *name, bool experts);
// An instance for a task's loss or metric: output, target, valid, decoded reach it unasked.
Instance *task_instance(Elab *el, Task *t, ModuleRole role, TaskKey map, const char *path,
                        const char *const *skip);

// losses.c: look at a task's loss or metric that cannot be made, for its own errors.
void look_at_module(Elab *el, const Task *t, ModuleRole role, TaskKey map, const char *const *skip);

// keys.c
typedef enum {
#define MAPPING(e, text) MAPPING_##e,
#define KEY(...)
#include "frontend/keys.def"
#undef KEY
#undef MAPPING
    MAPPING_COUNT
} MappingId;

// Check a mapping's keys against keys.def: unknown, missing, of the wrong kind, not supported yet.
// `open`: unknown keys belong to somebody else. False when something was reported.
bool keys_check(Elab *el, const Tree *t, MappingId id, bool open);
// Let an entry's key be another one, at the same place.
void key_read_as(Elab *el, TreeEntry *e, const char *name);
// Has a mapping a key that is like none it may have, so that what it lacks may be said by that?
bool keys_strange(Elab *el, const Tree *t, MappingId id);
bool keys_reserved(MappingId id, const char *key);
// Whose keys a task has.
MappingId task_mapping(const Task *t);
// All keys of a mapping, NULL-terminated, in the arena.
const char *const *keys_names(Elab *el, MappingId id);

// schema.c: are the items of a key's list described? *item: as what; MAPPING_COUNT: as texts.
bool schema_items(MappingId id, const char *key, MappingId *item);

// tally.c
typedef struct Tally {
    const char *prefix; // of the names of its state: "$metric.experts.seg."
    const ModuleDef *def;
    Scope *scope; // of the application that is added: dimensions and settings
    Loc loc;      // where the graph asks for it
} Tally;

// Declare the accumulators and add their new values to the entry. False when reported.
bool tally_update(Elab *el, const Tally *t, Entry *entry);
// A scope for the results, in any build: of the accumulators, or (`empty`) of ones that nothing was
// added to. NULL when reported.
Scope *tally_results(Elab *el, const Tally *t, const char *what, bool empty);

// identity.c
typedef struct Identity {
    uint64_t sum;             // of what is computed
    VEC(const char *) states; // names of the frozen state that it is computed of, in order
} Identity;

// What makes a node of the graph that is built; the names of state under `below` count without it.
Identity identity_of(Elab *el, NodeId node, const char *below);

// frozen.c
// The file of a teacher's weights as the graph says it, "" where there is none.
const char *teacher_file(const Elab *el, const char *name);

// stats.c
typedef struct Stats Stats;
void stats_bind(Elab *el);
// stats.phi.siglip, and what is under that; stats.phi[t].
Value stats_member(Elab *el, const StatsAt *a, const char *name, Loc loc);
Value stats_index(Elab *el, Scope *scope, const Expr *e, const StatsAt *a);
const char *stats_text(const Elab *el, const StatsAt *a);
// What a statistic is without a file: that of no samples.
Value stats_initial(Elab *el, const Init *how);
// Rows for the runtime: where statistics that are read come from.
void put_statistics(Elab *el, Json *j);
// The program that computes statistics: what a batch adds, the results, "train" of its manifest.
void stats_update(Elab *el, Entry *entry);
void stats_result(Elab *el, Entry *entry);
// Is there a row of which something is not read by what was built?
bool stats_unread(Elab *el);
// Warn of rows of which nothing reads anything.
void stats_warn(Elab *el);
const char *stats_json(Elab *el);

// train.c, metrics.c, entries.c
void train_step(Elab *el, Entry *entry, NodeId loss);
void metrics_update(Elab *el, Entry *entry);
void metrics_result(Elab *el, Entry *entry);
void metrics_reset(Elab *el, Entry *entry);
const char *train_json(Elab *el);
const char *eval_json(Elab *el);
// The entries of a step: one a phase.
void steps_build(Elab *el);
void entries_build(Elab *el);

#include "frontend/sections.h"
#include "frontend/suggest.h"

#endif
