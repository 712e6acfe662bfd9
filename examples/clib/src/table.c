#include "table.h"

/* The slot that holds the word, or the free one where it belongs; TABLE_SLOTS if all are taken. */
static size_t find(const struct table *table, struct word word)
{
    size_t start = word_hash(word) % TABLE_SLOTS;
    for (size_t step = 0; step < TABLE_SLOTS; step++) {
        size_t slot = (start + step) % TABLE_SLOTS;
        const struct entry *entry = &table->entries[slot];
        if (entry->count == 0 || word_equal(entry->word, word)) {
            return slot;
        }
    }
    return TABLE_SLOTS;
}

int table_add(struct table *table, struct word word)
{
    size_t slot = find(table, word);
    if (slot == TABLE_SLOTS) {
        return 0;
    }
    struct entry *entry = &table->entries[slot];
    if (entry->count == 0) {
        entry->word = word;
        table->used++;
    }
    entry->count++;
    return 1;
}

unsigned table_count(const struct table *table, struct word word)
{
    size_t slot = find(table, word);
    return slot == TABLE_SLOTS ? 0 : table->entries[slot].count;
}
