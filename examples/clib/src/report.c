#include "report.h"

#include "order.h"

#include <stdio.h>

int report_count(const char *text, struct table *table)
{
    struct word word;
    while ((text = word_next(text, &word)) != NULL) {
        if (!table_add(table, word)) {
            return 0;
        }
    }
    return 1;
}

size_t report_write(const struct table *table, size_t limit, char *buffer, size_t size)
{
    struct entry entries[TABLE_SLOTS];
    size_t length = 0;
    order_entries(table, entries);
    for (size_t i = 0; i < table->used && i < limit; i++) {
        int written = snprintf(buffer + length, size - length, "%u %.*s\n", entries[i].count,
                               (int)entries[i].word.length, entries[i].word.start);
        if (written < 0 || (size_t)written >= size - length) {
            break;
        }
        length += (size_t)written;
    }
    return length;
}
