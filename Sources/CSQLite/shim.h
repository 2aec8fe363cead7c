#include <sqlite3.h>

// Variadic in C, so Swift cannot call it. Off: every allocation would take a lock shared by all connections.
static inline int mt_sqlite_no_memory_statistics(void) { return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }
