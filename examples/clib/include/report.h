#ifndef REPORT_H
#define REPORT_H

#include "table.h"

/* Counts the words of a text; returns 0 if they are too many. */
int report_count(const char *text, struct table *table);

/* Writes a line for each of the first `limit` words into `buffer`; returns the length. */
size_t report_write(const struct table *table, size_t limit, char *buffer, size_t size);

#endif
