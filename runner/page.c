// A sample is a card: its views and the labels with pixels as pictures, then its other fields. A
// view's pixels stand in the page once, as a property of the card, and its labels lie over it.
#include "runner/page.h"

#include "base/file.h"
#include "runner/assets.h"
#include "runner/paint.h"
#include "runtime/image_write.h"

#include <math.h>
#include <stdlib.h>
#include <utf8proc.h>

// ---- text ---------------------------------------------------------------------------------------

// Text of whatever bytes: what HTML would take for its own is escaped, what is no UTF-8 is marked.
static void put_text(FILE *out, const char *text)
{
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t left = (utf8proc_ssize_t)strlen(text);
    while (left > 0) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(p, left, &c);
        if (n < 1 || (c < 32 && c != '\n' && c != '\t') || c == 127)
            fputs("\xEF\xBF\xBD", out);
        else if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
            fprintf(out, "&#%d;", (int)c);
        else
            fwrite(p, 1, (size_t)n, out);
        if (n < 1) n = 1;
        p += n, left -= n;
    }
}

static void put_base64(FILE *out, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t word = (uint32_t)bytes[i] << 16;
        if (i + 1 < n) word |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < n) word |= bytes[i + 2];
        fputc(digits[word >> 18], out);
        fputc(digits[word >> 12 & 63], out);
        fputc(i + 1 < n ? digits[word >> 6 & 63] : '=', out);
        fputc(i + 2 < n ? digits[word & 63] : '=', out);
    }
}

static bool put_picture(FILE *out, const uint8_t *pixels, int64_t h, int64_t w, int channels,
                        Error *err)
{
    size_t size;
    uint8_t *png = image_to_png(pixels, h, w, channels, &size, err);
    if (!png) return false;
    fputs("data:image/png;base64,", out);
    put_base64(out, png, size);
    free(png);
    return true;
}

static void put_colour(FILE *out, Colour c)
{
    fprintf(out, "rgb(%d,%d,%d)", c.r, c.g, c.b);
}

// ---- pictures -----------------------------------------------------------------------------------

// "--v0-1:url(..)": copy 1 of view 0.
static bool put_view_pixels(const Page *p, uint32_t v, Error *err)
{
    const Look *l = p->look;
    const ViewSpec *view = &l->feed->spec->views[v];
    const uint8_t *pixels = l->slots[feed_slot(l->feed, view->name)];
    for (int64_t c = 0; c < view->count; c++) {
        fprintf(p->out, "--v%u-%lld:url(", v, (long long)c);
        if (!put_picture(p->out, pixels + c * view->height * view->width * 3, view->height,
                         view->width, 3, err))
            return false;
        fputs(");", p->out);
    }
    return true;
}

static void open_figure(const Page *p, int32_t view, int64_t copy, int64_t h, int64_t w)
{
    fprintf(p->out, "<figure><div class=\"picture%s\" style=\"aspect-ratio:%lld/%lld",
            view < 0 ? " alone" : "", (long long)w, (long long)h);
    if (view >= 0) fprintf(p->out, ";background-image:var(--v%d-%lld)", view, (long long)copy);
    fputs("\">", p->out);
}

// The end of a picture and the beginning of what is said of it: its name, and which copy it is.
static void put_caption(const Page *p, const char *name, int64_t copy, int64_t copies)
{
    fputs("</div><figcaption><span class=\"name\">", p->out);
    put_text(p->out, name);
    fputs("</span>", p->out);
    if (copies > 1) fprintf(p->out, " %lld of %lld", (long long)copy + 1, (long long)copies);
}

static void put_view(const Page *p, uint32_t v, int64_t copy)
{
    const ViewSpec *view = &p->look->feed->spec->views[v];
    open_figure(p, (int32_t)v, copy, view->height, view->width);
    put_caption(p, view->name, copy, view->count);
    fputs("</figcaption></figure>\n", p->out);
}

static void put_legend(const Page *p, const Painting *painting)
{
    enum { SHOWN = 12 };
    int64_t shown = 0, more = 0;
    fputs("<div class=\"classes\">", p->out);
    for (int64_t c = 0; c < LOOK_CLASSES; c++) {
        if (!painting->classes[c]) continue;
        if (shown++ >= SHOWN) {
            more++;
            continue;
        }
        fputs("<span><i class=\"swatch\" style=\"background:", p->out);
        put_colour(p->out, class_colour(c));
        fprintf(p->out, "\"></i>%lld <i class=\"soft\">%.2g %%</i></span>", (long long)c,
                100.0 * (double)painting->classes[c] / (double)painting->valid);
    }
    if (more) fprintf(p->out, "<span>and %lld more</span>", (long long)more);
    fputs("</div>", p->out);
}

static void put_range(const Page *p, const Painting *painting)
{
    if (!painting->valid) return;
    fputs("<span class=\"ramp\" style=\"background:linear-gradient(90deg", p->out);
    for (int i = 0; i <= 5; i++) {
        fputc(',', p->out);
        put_colour(p->out, ramp_colour(i / 5.0));
    }
    fprintf(p->out, ")\"></span>%.4g to %.4g", painting->low, painting->high);
}

static int64_t copies_of(const Page *p, const FieldSpec *s)
{
    return s->follow < 0 ? 1 : p->look->feed->spec->views[s->follow].count;
}

static bool put_label(const Page *p, Arena *arena, const FieldLook *f, int64_t copy, Error *err)
{
    const FieldSpec *s = f->spec;
    Painting painting = paint_label(arena, p->look, f, copy);
    open_figure(p, s->follow, copy, s->height, s->width);
    fputs("<img alt=\"\" src=\"", p->out);
    if (!put_picture(p->out, painting.rgba, s->height, s->width, 4, err)) return false;
    fputs("\">", p->out);
    put_caption(p, s->name, copy, copies_of(p, s));
    if (painting.classes) put_legend(p, &painting);
    if (s->role == ROLE_MAP) put_range(p, &painting);
    int64_t n = s->height * s->width;
    if (painting.valid < n)
        fprintf(p->out, "<div class=\"soft\"><i class=\"swatch hatch\"></i>%.3g %% not valid</div>",
                100.0 * (double)(n - painting.valid) / (double)n);
    fputs("</figcaption></figure>\n", p->out);
    return true;
}

static void put_missing_label(const Page *p, const FieldLook *f, int64_t copy)
{
    fprintf(p->out,
            "<figure><div class=\"picture missing\" style=\"aspect-ratio:%lld/%lld\">missing",
            (long long)f->spec->width, (long long)f->spec->height);
    put_caption(p, f->spec->name, copy, copies_of(p, f->spec));
    fputs("</figcaption></figure>\n", p->out);
}

// ---- boxes and points over their view -----------------------------------------------------------

// A box's outline or a point's dot in the colour of its class, which the pointer shows as text.
static void put_place(const Page *p, const FieldLook *f, int64_t row)
{
    const FieldSpec *s = f->spec;
    bool box = s->role == ROLE_BOXES;
    const float *at = (const float *)p->look->slots[f->slot] + row * (box ? 4 : 2);
    int64_t class = ((const int32_t *)p->look->slots[f->class_slot])[row];
    if (box)
        fprintf(p->out,
                "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"none\" "
                "stroke-width=\"2\" vector-effect=\"non-scaling-stroke\" stroke=\"",
                (double)at[0], (double)at[1], (double)(at[2] - at[0]), (double)(at[3] - at[1]));
    else
        fprintf(p->out, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"%.2f\" fill=\"", (double)at[0],
                (double)at[1], (double)s->width / 64.0);
    put_colour(p->out, class_colour(class));
    fputs("\"><title>", p->out);
    if (class < s->names.n)
        put_text(p->out, s->names.at[class]);
    else
        fprintf(p->out, "class %lld", (long long)class);
    fprintf(p->out, "</title></%s>", box ? "rect" : "circle");
}

static void put_places(const Page *p, const FieldLook *f, int64_t copy)
{
    const FieldSpec *s = f->spec;
    int64_t n = 0;
    open_figure(p, s->follow, copy, s->height, s->width);
    fprintf(p->out, "<svg viewBox=\"0 0 %lld %lld\" preserveAspectRatio=\"none\">",
            (long long)s->width, (long long)s->height);
    for (int64_t i = copy * s->length; i < (copy + 1) * s->length; i++) {
        if (!look_valid(p->look, f, i)) continue;
        put_place(p, f, i);
        n++;
    }
    fputs("</svg>", p->out);
    put_caption(p, s->name, copy, copies_of(p, s));
    const char *what = n == 1 ? place_text(s->role) : role_text(s->role);
    fprintf(p->out, "<div class=\"soft\">%lld %s</div></figcaption></figure>\n", (long long)n,
            what);
}

// ---- pictures of a sample -----------------------------------------------------------------------

// Whether a field lies over its view.
static bool over_view(const FieldSpec *s)
{
    return role_has_pixels(s->role) || role_is_places(s->role);
}

static bool has_pictures(const DataSpec *spec, int32_t view)
{
    bool any = view >= 0;
    for (uint32_t i = 0; i < spec->nfields; i++)
        any |= over_view(&spec->fields[i]) && spec->fields[i].follow == view;
    return any;
}

// A copy of a view and all labels that follow it; view -1: those that follow none.
static bool put_pictures(const Page *p, Arena *arena, int32_t view, int64_t copy, Error *err)
{
    if (!has_pictures(p->look->feed->spec, view)) return true;
    fputs("<div class=\"pictures\">\n", p->out);
    if (view >= 0) put_view(p, (uint32_t)view, copy);
    for (uint32_t i = 0; i < p->look->feed->spec->nfields; i++) {
        const FieldLook *f = &p->look->fields[i];
        if (!over_view(f->spec) || f->spec->follow != view) continue;
        if (!look_present(p->look, f))
            put_missing_label(p, f, copy);
        else if (role_is_places(f->spec->role))
            put_places(p, f, copy);
        else if (!put_label(p, arena, f, copy, err))
            return false;
    }
    fputs("</div>\n", p->out);
    return true;
}

// ---- other fields -------------------------------------------------------------------------------

static void put_tokens(const Page *p, const FieldLook *f)
{
    int64_t n = look_tokens(p->look, f);
    char *text = tokenizer_decode(f->tokenizer, p->look->slots[f->slot], f->elements);
    put_text(p->out, text ? text : "");
    free(text);
    fprintf(p->out, " <span class=\"soft\">%lld of %lld tokens%s</span>", (long long)n,
            (long long)f->elements, n == f->elements ? ", perhaps cut off" : "");
}

// Bars of equal width from 0, each the number of largest size among those it stands for.
static void put_bars(const Page *p, const FieldLook *f, double low, double high)
{
    enum { MOST = 64 };
    int64_t n = f->elements, bars = n < MOST ? n : MOST;
    double top = fmax(high, 0), range = top - fmin(low, 0);
    if (!(range > 0)) return;
    fprintf(p->out,
            "<svg viewBox=\"0 0 %lld 100\" preserveAspectRatio=\"none\" "
            "role=\"img\" aria-label=\"values\"><g fill=\"currentColor\">",
            (long long)bars * 10);
    for (int64_t b = 0; b < bars; b++) {
        double largest = 0;
        for (int64_t i = b * n / bars; i < (b + 1) * n / bars; i++) {
            double x = value_get(f->dtype, p->look->slots[f->slot], i);
            if (fabs(x) > fabs(largest)) largest = x;
        }
        fprintf(p->out, "<rect x=\"%lld\" y=\"%.1f\" width=\"8\" height=\"%.1f\"/>",
                (long long)b * 10, 100 * (top - fmax(largest, 0)) / range,
                100 * fabs(largest) / range);
    }
    fputs("</g></svg>", p->out);
}

static void put_numbers(const Page *p, const FieldLook *f)
{
    double low = INFINITY, high = -INFINITY, sum = 0;
    int64_t numbers = 0;
    for (int64_t i = 0; i < f->elements; i++) {
        double x = value_get(f->dtype, p->look->slots[f->slot], i);
        if (isnan(x)) continue;
        numbers++, sum += x;
        low = fmin(low, x), high = fmax(high, x);
    }
    fputs(slot_text(p->look->arena, &p->look->feed->slots[f->slot]), p->out);
    if (numbers) fprintf(p->out, ": %.4g to %.4g, mean %.4g", low, high, sum / (double)numbers);
    if (numbers < f->elements)
        fprintf(p->out, "; <span class=\"warn\">%lld NaN</span>",
                (long long)(f->elements - numbers));
    if (f->spec->role == ROLE_VECTOR && numbers) put_bars(p, f, low, high);
}

static void put_class(const Page *p, const FieldLook *f)
{
    int64_t c = (int64_t)value_get(f->dtype, p->look->slots[f->slot], 0);
    fputs("<i class=\"swatch\" style=\"background:", p->out);
    put_colour(p->out, class_colour(c < 0 ? 0 : c));
    fprintf(p->out, "\"></i>class %lld", (long long)c);
}

static void put_field(const Page *p, const FieldLook *f)
{
    fputs("<dt>", p->out);
    put_text(p->out, f->spec->name);
    fputs("</dt><dd>", p->out);
    if (!look_present(p->look, f))
        fputs("<span class=\"warn\">missing</span>", p->out);
    else if (!look_valid(p->look, f, 0))
        fputs("<span class=\"warn\">not valid</span>", p->out);
    else if (f->spec->role == ROLE_TOKENS)
        put_tokens(p, f);
    else if (f->spec->role == ROLE_CLASS)
        put_class(p, f);
    else
        put_numbers(p, f);
    fputs("</dd>\n", p->out);
}

// ---- the page -----------------------------------------------------------------------------------

bool page_open(Page *p, Look *look, Error *err)
{
    *p = (Page){.look = look};
    p->out = open_memstream(&p->text, &p->size);
    return p->out || error_set(err, "no memory for a page");
}

bool page_add(Page *p, Error *err)
{
    const DataSpec *spec = p->look->feed->spec;
    Arena *arena = arena_new(); // of this sample's pictures
    bool ok = true;
    fputs("<article class=\"sample\" style=\"", p->out);
    for (uint32_t v = 0; ok && v < spec->nviews; v++) ok = put_view_pixels(p, v, err);
    fputs("\">\n<header><span class=\"key\">", p->out);
    put_text(p->out, p->look->key);
    fprintf(p->out, "</span><span class=\"soft\">%lld</span></header>\n", (long long)++p->shown);
    for (uint32_t v = 0; v < spec->nviews; v++)
        for (int64_t c = 0; ok && c < spec->views[v].count; c++)
            ok = put_pictures(p, arena, (int32_t)v, c, err);
    ok = ok && put_pictures(p, arena, -1, 0, err);
    fputs("<dl>\n", p->out);
    for (uint32_t i = 0; ok && i < spec->nfields; i++)
        if (!over_view(&spec->fields[i])) put_field(p, &p->look->fields[i]);
    fputs("</dl>\n</article>\n", p->out);
    arena_free(arena);
    return ok;
}

static void put_row(FILE *out, const char *name, const char *role, const char *tensor,
                    const char *seen, const char *missing, bool warn)
{
    const char *const cells[] = {role, tensor, seen};
    fputs("<tr><th>", out);
    put_text(out, name);
    fputs("</th>", out);
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        fputs("<td>", out);
        put_text(out, cells[i]);
        fputs("</td>", out);
    }
    fprintf(out, "<td%s>", warn ? " class=\"warn\"" : "");
    put_text(out, missing);
    fputs("</td></tr>\n", out);
}

static void put_table(const Page *p, Arena *arena, FILE *out)
{
    const Look *l = p->look;
    fputs("<div class=\"table\"><table><thead><tr><th></th><th>role</th><th>in the step</th>"
          "<th>seen</th><th>missing</th></tr></thead>\n<tbody>\n",
          out);
    for (uint32_t i = 0; i < l->feed->spec->nviews; i++) {
        const char *name = l->feed->spec->views[i].name;
        put_row(out, name, "view", slot_text(arena, &l->feed->slots[feed_slot(l->feed, name)]), "",
                "", false);
    }
    for (uint32_t i = 0; i < l->feed->spec->nfields; i++) {
        const FieldLook *f = &l->fields[i];
        const char *missing = f->missing
                                  ? str_printf(arena, "%lld (%.3g %%)", (long long)f->missing,
                                               100.0 * (double)f->missing / (double)l->seen)
                                  : "none";
        put_row(out, f->spec->name, role_text(f->spec->role),
                slot_text(arena, &l->feed->slots[f->slot]), look_text(l, f), missing,
                f->missing > 0);
    }
    fputs("</tbody></table></div>\n", out);
}

static void put_skipped(const Page *p, FILE *out)
{
    const Feed *feed = p->look->feed;
    if (!feed->untold.n) return;
    fprintf(out, "<details><summary class=\"warn\">%u left out</summary><ul>\n", feed->untold.n);
    for (uint32_t i = 0; i < feed->untold.n; i++) {
        fputs("<li><span class=\"key\">", out);
        put_text(out, feed->untold.at[i].sample);
        fputs("</span>: ", out);
        put_text(out, feed->untold.at[i].reason);
        fputs("</li>\n", out);
    }
    fputs("</ul></details>\n", out);
}

static void put_page(const Page *p, Arena *arena, FILE *out, const char *title,
                     const char *const *notes, uint32_t nnotes)
{
    const Asset *css = assets_find("page.css");
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          out);
    put_text(out, title);
    fputs("</title>\n<style>\n", out);
    fwrite(css->data, 1, asset_size(css), out);
    fputs("</style>\n</head>\n<body>\n<h1>", out);
    put_text(out, title);
    fputs("</h1>\n", out);
    for (uint32_t i = 0; i < nnotes; i++) {
        fputs("<p class=\"soft\">", out);
        put_text(out, notes[i]);
        fputs("</p>\n", out);
    }
    put_skipped(p, out);
    put_table(p, arena, out);
    fputs(
        "<h2>Samples</h2>\n<p class=\"soft\">As the step sees them. Labels lie over the view that "
        "they follow: the pointer on one shows the view.</p>\n<div class=\"samples\">\n",
        out);
    fwrite(p->text, 1, p->size, out);
    fputs("</div>\n</body>\n</html>\n", out);
}

bool page_write(Page *p, Arena *arena, const char *path, const char *title,
                const char *const *notes, uint32_t nnotes, Error *err)
{
    char *text = NULL;
    size_t size = 0;
    FileWriter w;
    FILE *out = fflush(p->out) == 0 ? open_memstream(&text, &size) : NULL;
    if (out) put_page(p, arena, out, title, notes, nnotes);
    bool ok = out && fclose(out) == 0;
    if (!ok) error_set(err, "no memory for a page");
    ok = ok && file_create(&w, arena, path, 0666, err);
    if (ok) {
        ok = file_put(&w, text, size, err) && file_commit(&w, err);
        if (!ok) file_cancel(&w);
    }
    free(text);
    return ok;
}

void page_close(Page *p)
{
    if (p->out) fclose(p->out);
    free(p->text);
}
