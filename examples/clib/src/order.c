#include "order.h"

#include <ctype.h>
#include <stdlib.h>

static int alphabet(struct word a, struct word b)
{
    for (size_t i = 0; i < a.length && i < b.length; i++) {
        int difference = tolower((unsigned char)a.start[i]) - tolower((unsigned char)b.start[i]);
        if (difference != 0) {
            return difference;
        }
    }
    return (a.length > b.length) - (a.length < b.length);
}

static int compare(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    if (a->count != b->count) {
        return a->count < b->count ? 1 : -1;
    }
    return alphabet(a->word, b->word);
}

void order_entries(const struct table *table, struct entry *out)
{
    size_t filled = 0;
    for (size_t slot = 0; slot < TABLE_SLOTS; slot++) {
        if (table->entries[slot].count > 0) {
            out[filled++] = table->entries[slot];
        }
    }
    qsort(out, filled, sizeof *out, compare);
}
