// make_boxes SHARD SAMPLES SEED: pictures of boxes in three colours on noise, their captions, and
// boxes as COCO's annotations; every tenth sample has no label.
#include "runtime/image_write.h"
#include "runtime/tarwrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 64, MOST = 3 };

static const char *const names[] = {"cat", "dog", "bus"};

typedef struct Box {
    int x, y, w, h, kind;
} Box;

static uint32_t state;

static int draw(int below)
{
    state = state * 1664525U + 1013904223U;
    return (int)((state >> 8) % (uint32_t)below);
}

static bool apart(const Box *a, const Box *b)
{
    return a->x >= b->x + b->w || b->x >= a->x + a->w || a->y >= b->y + b->h || b->y >= a->y + a->h;
}

static int draw_boxes(Box *boxes)
{
    int n = 0, tries = draw(MOST + 1);
    for (int t = 0; t < tries; t++) {
        Box b = {.w = 12 + draw(24), .h = 12 + draw(24), .kind = draw(3)};
        b.x = draw(SIDE - b.w), b.y = draw(SIDE - b.h);
        bool ok = true;
        for (int i = 0; i < n; i++) ok = ok && apart(&b, &boxes[i]);
        if (ok) boxes[n++] = b;
    }
    return n;
}

static void paint(uint8_t p[SIDE][SIDE][3], const Box *boxes, int n)
{
    int base = 60 + draw(50);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++) p[y][x][c] = (uint8_t)(base + draw(30));
    for (int i = 0; i < n; i++)
        for (int y = boxes[i].y; y < boxes[i].y + boxes[i].h; y++)
            for (int x = boxes[i].x; x < boxes[i].x + boxes[i].w; x++)
                for (int c = 0; c < 3; c++) p[y][x][c] = c == boxes[i].kind ? 230 : 30;
}

static bool add(TarWriter *t, int sample, const char *extension, const void *data, size_t size,
                Error *err)
{
    char name[64];
    snprintf(name, sizeof name, "s%05d.%s", sample, extension);
    return tarwrite_add(t, name, data, size, err);
}

static bool add_texts(TarWriter *t, int sample, const Box *boxes, int n, Error *err)
{
    char label[600] = "[", caption[200] = "a picture of";
    for (int i = 0; i < n; i++) {
        const Box *b = &boxes[i];
        size_t at = strlen(label);
        snprintf(label + at, sizeof label - at,
                 "%s{\"bbox\": [%d, %d, %d, %d], \"category\": \"%s\"}", i ? ", " : "", b->x, b->y,
                 b->w, b->h, names[b->kind]);
        strcat(strcat(caption, i ? " and a " : " a "), names[b->kind]);
    }
    strcat(label, "]");
    if (!n) strcat(caption, " nothing");
    return add(t, sample, "txt", caption, strlen(caption), err) &&
           (sample % 10 == 9 || add(t, sample, "boxes.json", label, strlen(label), err));
}

static bool add_sample(TarWriter *t, int sample, Error *err)
{
    static uint8_t pixels[SIDE][SIDE][3];
    Box boxes[MOST];
    int n = draw_boxes(boxes);
    paint(pixels, boxes, n);
    size_t size;
    uint8_t *png = image_to_png(&pixels[0][0][0], SIDE, SIDE, 3, &size, err);
    bool ok = png && add(t, sample, "png", png, size, err) && add_texts(t, sample, boxes, n, err);
    free(png);
    return ok;
}

int main(int argc, char **argv)
{
    Error err = {0};
    if (argc != 4) return 2;
    state = (uint32_t)atoi(argv[3]);
    TarWriter *t = tarwrite_open(argv[1], &err);
    bool ok = t != NULL;
    for (int i = 0; ok && i < atoi(argv[2]); i++) ok = add_sample(t, i, &err);
    if (ok && tarwrite_close(t, &err)) return 0;
    fprintf(stderr, "%s\n", err.text);
    return 1;
}
