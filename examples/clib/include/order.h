#ifndef ORDER_H
#define ORDER_H

#include "table.h"

/* Fills `out` with the used entries, the most frequent first and equals by the alphabet.
 * `out` has room for `table->used`. */
void order_entries(const struct table *table, struct entry *out);

#endif
